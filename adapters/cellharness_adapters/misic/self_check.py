"""How ``cellharness selftest`` tries MiSiC. Nothing here imports torch."""

from __future__ import annotations

from cellharness.methods.self_check import SelfCheck

MISIC = SelfCheck({}, f1=0.575)
