"""Seconds by named phase."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cellharness.vocabulary import PHASES


class PhaseTimer:
    """Add up wall-clock seconds by phase.

    Phases may nest: the time of an inner phase is taken from the outer one, so the
    phases of a case never add up to more than its wall-clock time.

    Attributes
    ----------
    seconds : dict of str to float
        Seconds spent in each phase so far.
    reused : float
        How many of these seconds were spent before, for another method; see :meth:`count`.
    synchronise : callable or None
        Called at both ends of a phase; on a GPU it must wait for the device, since
        kernels are queued and a clock read without it measures the queueing only.

    Examples
    --------
    >>> timer = PhaseTimer()
    >>> with timer.phase("read"):
    ...     pass
    >>> list(timer.seconds)
    ['read']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.reused = 0.0
        self.synchronise: Callable[[], None] | None = None
        self._inner: list[float] = []

    def wait_for(self, device: str) -> None:
        """Have phases wait for a device that queues its work: it sets :attr:`synchronise`.

        Parameters
        ----------
        device : str
            A torch device type; ``"cuda"`` is waited for, others need no waiting.
        """
        if device == "cuda":
            import torch

            self.synchronise = torch.cuda.synchronize

    def _now(self) -> float:
        if self.synchronise is not None:
            self.synchronise()
        return time.perf_counter()

    def count(self, name: str, seconds: float, *, reused: bool) -> None:
        """Add seconds to a phase that no block of this timer spent.

        Parameters
        ----------
        name : str
            One of :data:`cellharness.vocabulary.PHASES`.
        seconds : float
        reused : bool
            Whether they were spent once, for another method, whose work this one uses again: it
            would take so long by itself, but does not here.
        """
        _check(name)
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        if reused:
            self.reused += seconds

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time the block under ``name``, one of :data:`cellharness.vocabulary.PHASES`."""
        _check(name)
        self._inner.append(0.0)
        start = self._now()
        try:
            yield
        finally:
            spent = self._now() - start
            own = spent - self._inner.pop()
            self.seconds[name] = self.seconds.get(name, 0.0) + own
            if self._inner:
                self._inner[-1] += spent

    def reset(self) -> None:
        """Forget all phases; call it between cases."""
        self.seconds = {}
        self.reused = 0.0


def _check(name: str) -> None:
    if name not in PHASES:
        msg = f"unknown phase '{name}'; valid: {', '.join(PHASES)}"
        raise ValueError(msg)
