"""Peak memory of a case: of the process, of the GPU allocator, and as the GPU's driver counts."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import psutil

from cellharness.running.driver import DriverWatch

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


class DriverPeak(DriverWatch):
    """Watch the memory of the GPU during a block, through NVML.

    The driver keeps no high-water mark, so a thread asks it every `interval_s`; a peak shorter
    than that can be missed. Without a GPU in use, or without NVML, nothing is measured.

    Attributes
    ----------
    mb : float or None
        Largest memory seen, MiB; None where nothing could be measured.
    of : {"process", "device", ""}
        Whose memory `mb` is: this process's alone, or, where the driver does not tell it (as in
        containers, where process numbers differ), all that is in use on the device.

    Examples
    --------
    >>> with DriverPeak() as peak:
    ...     pass
    >>> peak.mb is None or peak.mb > 0
    True
    """

    interval_s: ClassVar[float] = 0.01
    at_ends: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.mb: float | None = None
        self.of = ""

    def ask(self, nvml: Any, device: Any) -> None:
        """Keep what is in use if it is more than before."""
        used, of = self._used(nvml, device)
        if self.of and of != self.of:
            # The process vanished from the driver's list for a moment: the two do not compare.
            return
        self.of = of
        self.mb = max(self.mb or 0.0, used / 2**20)

    def _used(self, nvml: Any, device: Any) -> tuple[int, str]:
        for process in nvml.nvmlDeviceGetComputeRunningProcesses(device):
            if process.pid == os.getpid() and process.usedGpuMemory:
                return process.usedGpuMemory, "process"
        return nvml.nvmlDeviceGetMemoryInfo(device).used, "device"
