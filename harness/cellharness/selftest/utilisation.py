"""How busy a GPU is during a block, as its driver counts."""

from __future__ import annotations

from typing import Any, ClassVar

from cellharness.running.driver import DriverWatch


class Utilisation(DriverWatch):
    """Watch the share of time in which some kernel ran, through NVML.

    Attributes
    ----------
    percent : float or None
        Mean of the looks, 0 to 100; None where nothing could be measured.

    Examples
    --------
    >>> with Utilisation() as seen:
    ...     pass
    >>> seen.percent is None or 0 <= seen.percent <= 100
    True
    """

    #: The driver itself averages over a sixth of a second or more.
    interval_s: ClassVar[float] = 0.05

    def __init__(self) -> None:
        super().__init__()
        self._looks: list[float] = []

    @property
    def percent(self) -> float | None:
        """Mean of the looks so far."""
        return sum(self._looks) / len(self._looks) if self._looks else None

    def begin_again(self) -> None:
        """Forget the looks so far, which were of a set-up."""
        self._looks = []

    def ask(self, nvml: Any, device: Any) -> None:
        """Keep one more look."""
        self._looks.append(float(nvml.nvmlDeviceGetUtilizationRates(device).gpu))
