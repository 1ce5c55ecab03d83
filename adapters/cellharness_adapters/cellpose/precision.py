"""In which precision Cellpose's network runs. Imports torch only to look at the processor."""

from __future__ import annotations

from typing import Literal

from cellharness.methods.device import has_amx

Precision = Literal["auto", "mixed", "bfloat16", "float32", "stock"]


def automatic_precision(device: str) -> Precision:
    """What ``auto`` means on this machine.

    On a CPU with bfloat16 matrix instructions (AMX) it is ``mixed``, else ``float32``, whose
    Winograd convolutions are as fast as bfloat16 by AVX512-BF16, and exact.
    """
    return "mixed" if device == "cpu" and has_amx() else "float32"
