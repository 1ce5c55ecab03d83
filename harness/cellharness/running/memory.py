"""Peak memory of a case: of the process, of the GPU allocator, and as the GPU's driver counts."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")

#: Seconds between two looks at the driver.
INTERVAL_S = 0.01


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


class DriverPeak:
    """Watch the memory of the GPU during a block, through NVML.

    The driver keeps no high-water mark, so a thread asks it every `INTERVAL_S`; a peak shorter
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

    def __init__(self) -> None:
        self.mb: float | None = None
        self.of = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._nvml: Any = None
        self._device: Any = None

    def __enter__(self) -> Self:
        self._nvml, self._device = open_device()
        if self._device is not None:
            self._look()
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._look()

    def _watch(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self._look()

    def _look(self) -> None:
        try:
            used, of = self._used()
        except self._nvml.NVMLError:
            return
        if self.of and of != self.of:
            # The process vanished from the driver's list for a moment: the two do not compare.
            return
        self.of = of
        self.mb = max(self.mb or 0.0, used / 2**20)

    def _used(self) -> tuple[int, str]:
        for process in self._nvml.nvmlDeviceGetComputeRunningProcesses(self._device):
            if process.pid == os.getpid() and process.usedGpuMemory:
                return process.usedGpuMemory, "process"
        return self._nvml.nvmlDeviceGetMemoryInfo(self._device).used, "device"


def open_device() -> tuple[Any, Any]:
    """NVML and its handle of the GPU that torch works on; (None, None) where there is none."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None, None
    try:
        import pynvml
    except ImportError:
        return None, None
    try:
        pynvml.nvmlInit()
        # By its identity: CUDA_VISIBLE_DEVICES numbers the devices otherwise than the driver.
        uuid = torch.cuda.get_device_properties(torch.cuda.current_device()).uuid
        return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except (pynvml.NVMLError, AttributeError):
        return None, None
