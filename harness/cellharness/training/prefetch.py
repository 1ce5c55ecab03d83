"""Make the next batch while the network is busy with this one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_END = object()


def prefetched(items: Iterator[T], depth: int = 2) -> Iterator[T]:
    """Draw from ``items`` in one background thread, in order, ``depth`` ahead.

    A single thread keeps everything random in its order, and augmentation by OpenCV or
    NumPy runs while torch holds no lock.

    Parameters
    ----------
    items : iterator
        Its errors appear where the item would have.
    depth : int
        Items that wait at most.

    Examples
    --------
    >>> list(prefetched(iter(range(5))))
    [0, 1, 2, 3, 4]
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        waiting = deque(thread.submit(next, items, _END) for _ in range(depth))
        while True:
            item = waiting.popleft().result()
            if item is _END:
                return
            waiting.append(thread.submit(next, items, _END))
            yield item  # type: ignore[misc]
