"""Ask the driver of the GPU, through NVML, while something else runs."""

from __future__ import annotations

import sys
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, ClassVar, Self

from cellharness.methods.device import may_have_gpu


class DriverWatch(ABC):
    """Have a thread ask the driver about the GPU during a block.

    The GPU may come into use within the block only, as in a training, which initialises CUDA
    itself: until torch holds memory of one there is nothing to ask about. Without a GPU in use, or
    without NVML, nothing is asked.
    """

    #: Seconds between two looks.
    interval_s: ClassVar[float]
    #: Whether to look where the block begins and ends too.
    at_ends: ClassVar[bool] = False

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._nvml: Any = None
        self._device: Any = None

    @abstractmethod
    def ask(self, nvml: Any, device: Any) -> None:
        """Ask once and keep what is said; an ``NVMLError`` passes for no answer.

        Parameters
        ----------
        nvml : module
            ``pynvml``.
        device : object
            Its handle of the GPU that torch works on.
        """

    def __enter__(self) -> Self:
        if may_have_gpu():
            if self.at_ends:
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
            if self.at_ends:
                self._look()

    def _watch(self) -> None:
        while not self._stop.wait(self.interval_s):
            self._look()

    def _look(self) -> None:
        if self._device is None:
            self._nvml, self._device = _open_device()
        if self._device is None:
            return
        try:
            self.ask(self._nvml, self._device)
        except self._nvml.NVMLError:
            return


def _open_device() -> tuple[Any, Any]:
    """NVML and its handle of the GPU that torch works on; (None, None) where there is none."""
    torch = sys.modules.get("torch")
    # Of a torch that another thread is importing there may be no more than its name.
    cuda: Any = getattr(torch, "cuda", None)
    if not (hasattr(cuda, "is_initialized") and cuda.is_initialized()):
        return None, None
    # The present device is one of each thread and says nothing of the one that computes.
    used = {number: cuda.memory_reserved(number) for number in range(cuda.device_count())}
    number = max(used, key=used.__getitem__)
    if not used[number]:
        return None, None
    try:
        import pynvml
    except ImportError:
        return None, None
    try:
        pynvml.nvmlInit()
        # By its identity: CUDA_VISIBLE_DEVICES numbers the devices otherwise than the driver.
        uuid = cuda.get_device_properties(number).uuid
        return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except (pynvml.NVMLError, AttributeError):
        return None, None
