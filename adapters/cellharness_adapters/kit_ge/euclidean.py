"""Exact Euclidean distances inside small windows, in time linear in the window's pixels."""

from __future__ import annotations

import numpy as np

from cellharness.compiled import compiled

#: Squared distance where there is nothing to measure to; no image is that large.
FAR = np.int64(1) << np.int64(50)


@compiled
def distances_down_columns(targets: np.ndarray) -> np.ndarray:
    """Squared distance to the nearest target of the same column, ``FAR`` where it has none.

    Parameters
    ----------
    targets : ndarray of bool, (H, W)

    Returns
    -------
    ndarray of int64, (H, W)
    """
    height, width = targets.shape
    steps = np.empty((height, width), np.int64)
    none = np.int64(1) << np.int64(25)
    for x in range(width):
        steps[0, x] = 0 if targets[0, x] else none
    for y in range(1, height):
        for x in range(width):
            steps[y, x] = 0 if targets[y, x] else min(steps[y - 1, x] + 1, none)
    for y in range(height - 2, -1, -1):
        for x in range(width):
            steps[y, x] = min(steps[y, x], steps[y + 1, x] + 1)
    for y in range(height):
        for x in range(width):
            steps[y, x] *= steps[y, x]
    return steps


@compiled
def distances_along_row(
    down: np.ndarray, first: int, last: int, tops: np.ndarray, starts: np.ndarray, out: np.ndarray
) -> None:
    """Squared distances of one row, from those down its columns.

    The lower envelope of one parabola a column (Meijster et al. 2000, A general algorithm for
    computing distance transforms in linear time), in integers and hence exact.

    Parameters
    ----------
    down : ndarray of int64, (W,)
        A row of :func:`distances_down_columns`.
    first, last : int
        Columns ``first`` to ``last - 1`` are wanted.
    tops, starts : ndarray of int64, (W,)
        Scratch.
    out : ndarray of int64, (W,)
        Written in the wanted columns; at least ``FAR`` where the window holds no target.
    """
    count = 0
    for x in range(len(down)):
        if down[x] >= FAR:
            continue
        start = np.int64(0)
        while count > 0:
            top = tops[count - 1]
            # First column where the new parabola lies below the old one.
            start = (x * x - top * top + down[x] - down[top]) // (2 * (x - top)) + 1
            if start > starts[count - 1]:
                break
            count -= 1
        if count == 0:
            start = np.int64(0)
        if start < last:
            tops[count] = x
            starts[count] = start
            count += 1
    if count == 0:
        for x in range(first, last):
            out[x] = FAR
        return
    rank = 0
    for x in range(first, last):
        while rank + 1 < count and starts[rank + 1] <= x:
            rank += 1
        across = x - tops[rank]
        out[x] = across * across + down[tops[rank]]
