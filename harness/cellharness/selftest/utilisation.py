"""How busy a GPU is during a block, as its driver counts."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self

from cellharness.running.memory import open_device

#: Seconds between two looks; the driver itself averages over a sixth of a second or more.
INTERVAL_S = 0.05


class Utilisation:
    """Watch the share of time in which some kernel ran, through NVML.

    Attributes
    ----------
    percent : float or None
        Mean of all looks, 0 to 100; None where nothing could be measured.

    Examples
    --------
    >>> with Utilisation() as seen:
    ...     pass
    >>> seen.percent is None or 0 <= seen.percent <= 100
    True
    """

    def __init__(self) -> None:
        self._looks: list[float] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._nvml: Any = None
        self._device: Any = None

    @property
    def percent(self) -> float | None:
        """Mean of all looks so far."""
        return sum(self._looks) / len(self._looks) if self._looks else None

    def __enter__(self) -> Self:
        self._nvml, self._device = open_device()
        if self._device is not None:
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

    def _watch(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            try:
                rates = self._nvml.nvmlDeviceGetUtilizationRates(self._device)
            except self._nvml.NVMLError:
                continue
            self._looks.append(float(rates.gpu))
