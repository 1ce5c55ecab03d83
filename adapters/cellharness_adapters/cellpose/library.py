"""The cellpose library, imported so that it starts quickly.

Its compiled loops are kept from process to process. Its ``io`` imports pyplot if that is there, to
draw masks as figures, which nothing here does; finding none saves about half a second.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cellharness.compiled import package_keeps_code


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Have imports in this block not find a module, unless it was imported before."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


with package_keeps_code("cellpose"), _without("matplotlib.pyplot"):
    from cellpose import core, dynamics, models, transforms, utils

__all__ = ["core", "dynamics", "models", "transforms", "utils"]
