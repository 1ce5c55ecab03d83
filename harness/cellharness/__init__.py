"""Cellharness: compare cell-segmentation methods modality by modality.

What a script or notebook needs stands here, see ``docs/python-api.md``; each function is imported
at its first use, so that ``import cellharness`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellharness.api import compare, power, predict, run
    from cellharness.data.images import read_image
    from cellharness.scoring.folders import score_folders
    from cellharness.scoring.pair import score_pair
    from cellharness.statistics.ranking import rank

__version__ = "0.1.0"

_MODULES = {
    "compare": "cellharness.api",
    "power": "cellharness.api",
    "predict": "cellharness.api",
    "rank": "cellharness.statistics.ranking",
    "read_image": "cellharness.data.images",
    "run": "cellharness.api",
    "score_folders": "cellharness.scoring.folders",
    "score_pair": "cellharness.scoring.pair",
}

__all__ = [
    "__version__",
    "compare",
    "power",
    "predict",
    "rank",
    "read_image",
    "run",
    "score_folders",
    "score_pair",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(_MODULES)}"
        raise AttributeError(msg)
    # Kept, so that this function is asked but once for each name.
    value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
