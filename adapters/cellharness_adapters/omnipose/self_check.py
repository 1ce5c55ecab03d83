"""How ``cellharness selftest`` tries Omnipose. Nothing here imports torch."""

from __future__ import annotations

from cellharness.methods.self_check import SelfCheck

#: With Cellpose's weights, which everybody can fetch.
OMNIPOSE_PAPER = SelfCheck({"weights": "cyto"}, f1=0.808)
