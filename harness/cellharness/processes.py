"""A process and all that it has started: cores and memory that they have, and their end.

`psutil` is imported where a process is looked at: each command's start would pay for it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil


def cores() -> int:
    """Processor cores that this process may use."""
    # Linux tells them, which may be fewer than the machine has.
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable is not None else os.cpu_count() or 1


def family(pid: int) -> list[psutil.Process]:
    """A process and all below it; empty where it is no more."""
    import psutil

    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.Error:
        return []


def resident_gb(processes: Sequence[psutil.Process]) -> float:
    """Resident memory of some processes together, GiB."""
    import psutil

    used = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            used += process.memory_info().rss
    return used / 2**30


def over_limit(used_gb: float, limit_gb: float | None) -> str:
    """Say that more memory is used than is allowed; "" where it is not.

    Examples
    --------
    >>> over_limit(2.5, 2), over_limit(2.5, None)
    ('used 2.50 GiB, over the limit of 2 GiB', '')
    """
    if limit_gb is None or used_gb <= limit_gb:
        return ""
    return f"used {used_gb:.2f} GiB, over the limit of {limit_gb:g} GiB"


def kill(processes: Sequence[psutil.Process]) -> None:
    """End processes at once; those that are no more are passed over."""
    import psutil

    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
