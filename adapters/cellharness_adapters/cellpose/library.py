"""The cellpose library, imported so that its compiled loops are kept from process to process."""

from __future__ import annotations

from cellharness.compiled import package_keeps_code

with package_keeps_code("cellpose"):
    from cellpose import dynamics, models, transforms, utils

__all__ = ["dynamics", "models", "transforms", "utils"]
