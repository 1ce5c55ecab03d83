"""Peak memory of this process, case by case."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import psutil

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def reset_peaks() -> None:
    """Start a new measurement of host and GPU peaks."""
    with contextlib.suppress(OSError):
        # Linux: "5" sets the high-water mark back to the present resident size.
        _CLEAR.write_text("5")
    torch = _cuda()
    if torch is not None:
        torch.cuda.reset_peak_memory_stats()


def peak_host_mb() -> float:
    """Peak resident memory since :func:`reset_peaks` in MiB; the present one off Linux."""
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return psutil.Process().memory_info().rss / 2**20


def peak_gpu_mb() -> float | None:
    """Peak of the CUDA allocator since :func:`reset_peaks` in MiB; None without CUDA."""
    torch = _cuda()
    return None if torch is None else torch.cuda.max_memory_allocated() / 2**20


def _cuda() -> Any:
    """Torch, where a method has loaded it and it drives a GPU; never imported from here."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_initialized() else None
