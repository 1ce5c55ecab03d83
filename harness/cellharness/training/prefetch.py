"""Make the next batches on other cores while the network is busy with this one."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch

from cellharness.processes import cores

#: Seconds after which a thread that makes crops is asked for Python's lock. The one that launches
#: the network's kernels needs it hundreds of times a step; at Python's own 5 ms it waits longer
#: (tests/benchmarks/test_training_data_speed.py), and crops come as fast.
SWITCH_S = 0.0005

#: Most threads that make crops. On 16 cores four and eight made as many as could be made or nearly
#: so, and 16 made fewer (docs/gpu-crops.csv): they wait for Python's lock and for the memory map.
MOST_THREADS = 8

Item = TypeVar("Item")
Made = TypeVar("Made")
Value = TypeVar("Value")


class Held(Generic[Value]):
    """A setting of the whole process that is changed for as long as somebody needs it changed.

    The first to come changes it and the last to go sets it back, in whatever order they go.

    Parameters
    ----------
    get, set_to : callable
        Of the setting.
    wanted : callable
        What to change it to, from what it is.

    Examples
    --------
    >>> setting = [5]
    >>> held = Held(lambda: setting[0], lambda value: setting.__setitem__(0, value), lambda _: 1)
    >>> with held(), held():
    ...     setting
    [1]
    >>> setting
    [5]
    """

    def __init__(
        self,
        get: Callable[[], Value],
        set_to: Callable[[Value], object],
        wanted: Callable[[Value], Value],
    ) -> None:
        self._get, self._set, self._wanted = get, set_to, wanted
        self._lock = threading.Lock()
        self._users = 0
        self._before: Value

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Have it changed inside."""
        with self._lock:
            if not self._users:
                self._before = self._get()
                self._set(self._wanted(self._before))
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._set(self._before)


_SWITCHES_SOON = Held(
    sys.getswitchinterval, sys.setswitchinterval, lambda usual: min(usual, SWITCH_S)
)


@contextmanager
def _stopped_at_end(threads: ThreadPoolExecutor) -> Iterator[None]:
    """Begin nothing more when what is inside has ended, or is not gone on with."""
    try:
        yield
    finally:
        threads.shutdown(cancel_futures=True)


def batches_ahead(
    groups: Iterator[Sequence[Item]],
    begin: Callable[[Sequence[Item]], Made],
    fill: Callable[[Item, Made, int], None],
    workers: int | None = None,
) -> Iterator[Made]:
    """Fill batches crop by crop in several threads, in order, a little ahead.

    What is random is drawn by ``groups``, which one thread goes through in order; ``fill`` draws
    nothing. So the batches are the same whatever the number of threads. OpenCV, numba's loops
    and torch let go of Python's lock while they work.

    Parameters
    ----------
    groups : iterator of sequence
        What each crop of a batch is to be made of; its errors appear where the batch would have.
    begin : callable
        Makes the empty batch of a group.
    fill : callable
        Writes the crop of one item to a position of the batch.
    workers : int or None
        Threads; None for one on each core, but no more than `MOST_THREADS`.

    Yields
    ------
    Made
        Full batches.

    Examples
    --------
    >>> def fill(item, batch, position):
    ...     batch[position] = item**2
    >>> groups = iter([[0, 1], [2, 3]])
    >>> list(batches_ahead(groups, lambda group: [None] * len(group), fill, workers=3))
    [[0, 1], [4, 9]]
    """
    workers = workers or min(cores(), MOST_THREADS)
    threads = ThreadPoolExecutor(workers)
    waiting: deque[tuple[Made, list[Future[None]]]] = deque()
    crops, rest = 0, True
    with _SWITCHES_SOON(), _stopped_at_end(threads):
        while True:
            # Two batches, and as many crops as keep all threads busy.
            while rest and (len(waiting) < 2 or crops < 2 * workers):
                group = next(groups, None)
                if group is None:
                    rest = False
                    break
                batch = begin(group)
                parts = [
                    threads.submit(fill, item, batch, position)
                    for position, item in enumerate(group)
                ]
                waiting.append((batch, parts))
                crops += len(parts)
            if not waiting:
                return
            batch, parts = waiting.popleft()
            crops -= len(parts)
            for part in parts:
                part.result()
            yield batch


def results_ahead(
    items: Iterable[Item], do: Callable[[Item], Made], workers: int | None = None
) -> Iterator[Made]:
    """Do something with each item in several threads, in order, a little ahead.

    Parameters
    ----------
    items : iterable
        Gone through by the thread that asks for results, which makes them meanwhile.
    do : callable
        Runs in the threads.
    workers : int or None
        Threads; None for one on each core, but no more than `MOST_THREADS`.

    Yields
    ------
    Made
        What `do` gave, in the order of `items`.

    Examples
    --------
    >>> list(results_ahead(range(4), lambda item: item**2, workers=2))
    [0, 1, 4, 9]
    """
    workers = workers or min(cores(), MOST_THREADS)
    threads = ThreadPoolExecutor(workers)
    waiting: deque[Future[Made]] = deque()
    with _stopped_at_end(threads):
        for item in items:
            waiting.append(threads.submit(do, item))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def empty_batch(
    *shape: int, pinned: bool = False, layout: torch.memory_format = torch.contiguous_format
) -> torch.Tensor:
    """Make a float32 tensor, its values not set, to write crops to.

    Parameters
    ----------
    *shape : int
    pinned : bool
        In memory that a GPU reads by itself, so that the copy waits for nobody.
    layout : torch.memory_format
    """
    return torch.empty(shape, pin_memory=pinned, memory_format=layout)
