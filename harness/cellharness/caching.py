"""Where fetched weights and other files are kept that can be made or fetched again."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_dir() -> Path:
    """Folder of what is kept between runs: ``CELLHARNESS_CACHE``, or the user's cache folder."""
    given = os.environ.get("CELLHARNESS_CACHE")
    return Path(given) if given else user_cache_path("cellharness")
