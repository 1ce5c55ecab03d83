"""How ``cellharness selftest`` tries the classical baseline."""

from __future__ import annotations

from cellharness.methods.self_check import SelfCheck

OTSU_WATERSHED = SelfCheck({}, f1=0.480)
