"""Replicas of methods whose network is one callable, which runs for all of them in one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cellharness.methods.base import BaseSegmenter
from cellharness.methods.device import one_thread

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from typing import Self


class InThread:
    """A callable that runs in a thread; its attributes are there as its own.

    Parameters
    ----------
    call : callable
        The network on what it is given.
    thread : Executor
        Of one thread, so that calls come in turn.
    """

    def __init__(self, call: Callable[..., Any], thread: Executor) -> None:
        self._call = call
        self._thread = thread

    def __call__(self, *given: Any) -> Any:
        """Wait for the thread to be free, and for the answer."""
        return self._thread.submit(self._call, *given).result()

    def __getattr__(self, name: str) -> Any:
        # Not of itself, which is not made yet while it is copied.
        if name.startswith("__") or name == "_call":
            raise AttributeError(name)
        return getattr(self._call, name)


class SharedPredictor(BaseSegmenter):
    """A method that keeps its network in ``_predict``, which replicas then share.

    All else that belongs to a case must be its own: what `begin_case` keeps, ``_details``, the
    timer and the maps are.
    """

    _predict: Any
    _thread: Executor | None = None

    def replica(self) -> Self:
        """Give another, whose network runs in one thread for all."""
        if self._thread is None:
            self._thread = one_thread()
        other = self.own_copy()
        other._predict = InThread(self._predict, self._thread)
        return other
