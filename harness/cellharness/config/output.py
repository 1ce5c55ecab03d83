"""Where a run is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cellharness.config.run import RunConfig
    from cellharness.config.study import StudyConfig


def run_folder(
    config: RunConfig | StudyConfig, chosen: str | os.PathLike[str] | None = None
) -> Path:
    """Choose the run directory.

    Parameters
    ----------
    config : RunConfig or StudyConfig
        Its ``out`` starts at its own file.
    chosen : path or None
        Wins over the configuration.

    Returns
    -------
    Path
        `chosen`, the configuration's ``out``, or ``runs/<name>`` below the working folder.
    """
    if chosen is not None:
        return Path(chosen)
    return config.resolve(config.out) if config.out else Path("runs") / config.name
