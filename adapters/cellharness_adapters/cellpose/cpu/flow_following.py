"""Where each pixel ends when it follows the flows, as Cellpose computes it on the CPU.

Same arithmetic as ``cellpose.dynamics.steps_interp`` and ``steps2D`` (cellpose 3.1.1.3), pixel
by pixel instead of step by step: a pixel's way depends on no other pixel, so it stays in
registers, pixels are shared out to threads, and a pixel that has begun to repeat itself needs
no more steps.
"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np

from cellharness.compiled import compiled


def follow(
    flows: np.ndarray,
    start: tuple[np.ndarray, np.ndarray],
    steps: int,
    *,
    interpolate: bool,
    pool: Executor,
    threads: int,
) -> np.ndarray:
    """Take pixels along the flows.

    Parameters
    ----------
    flows : ndarray of float32, (2, H, W)
        Step in y and in x at each pixel, in px; finite.
    start : tuple of two ndarray of int, each (N,)
        Rows and columns.
    steps : int
        How many.
    interpolate : bool
        Between the four nearest pixels, else the step of the pixel one stands in.
    pool : Executor
        Of threads.
    threads : int
        Number of parts to cut the work into.

    Returns
    -------
    ndarray of float32, (2, N)
        Final rows and columns; equal to ``cellpose.dynamics.follow_flows`` bit by bit.
    """
    # Both components of a pixel side by side: one cache line serves them.
    field = np.ascontiguousarray(flows.transpose(1, 2, 0))
    ends = np.empty((2, len(start[0])), np.float32)
    ends[0], ends[1] = start
    walk: Any = _walk_between if interpolate else _walk_on_pixels
    # More parts than threads, since pixels in the middle of cells come to rest sooner.
    parts = np.array_split(np.arange(ends.shape[1]), 4 * threads)
    waiting = [
        pool.submit(walk, field, ends, part[0], part[-1] + 1, steps) for part in parts if len(part)
    ]
    for part in waiting:
        part.result()
    return ends


_BLOCK = 64


@compiled
def _step_between(field, y, x):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    height, width, _ = field.shape
    row, column = np.int32(y), np.int32(x)
    below, beside = min(height - 1, row + 1), min(width - 1, column + 1)
    # float32, but float64 from there: so the library's loop is typed; the last bit depends on it.
    down, along = y - np.float32(row), x - np.float32(column)
    up, back = 1 - np.float64(down), 1 - np.float64(along)
    dy = (
        field[row, column, 0] * up * back
        + field[row, beside, 0] * up * along
        + field[below, column, 0] * down * back
        + field[below, beside, 0] * down * along
    )
    dx = (
        field[row, column, 1] * up * back
        + field[row, beside, 1] * up * along
        + field[below, column, 1] * down * back
        + field[below, beside, 1] * down * along
    )
    zero = np.float32(0)
    y = min(np.float32(height - 1), max(zero, y + np.float32(dy)))
    x = min(np.float32(width - 1), max(zero, x + np.float32(dx)))
    return y, x


@compiled
def _walk_between(  # type: ignore[no-untyped-def]
    field, ends, first, last, steps
):  # pragma: no cover - compiled
    # Pixels side by side, so that the processor works on one while another waits for memory.
    y, x, seen_y, seen_x = np.empty((4, _BLOCK), np.float32)
    which = np.empty(_BLOCK, np.int64)
    for begin in range(first, last, _BLOCK):
        n = min(_BLOCK, last - begin)
        for i in range(n):
            which[i] = begin + i
            y[i] = seen_y[i] = ends[0, begin + i]
            x[i] = seen_x[i] = ends[1, begin + i]
        # Brent's cycle finding: a place is remembered, each time for twice as long. Pixels
        # come to rest, or to circling, at the centres of cells.
        age, span = 0, 1
        for done in range(1, steps + 1):
            age += 1
            i = 0
            while i < n:
                y[i], x[i] = _step_between(field, y[i], x[i])
                if y[i] != seen_y[i] or x[i] != seen_x[i]:
                    i += 1
                    continue
                # Whole rounds of the cycle lead nowhere: take what remains, and drop out.
                end_y, end_x = y[i], x[i]
                for _ in range((steps - done) % age):
                    end_y, end_x = _step_between(field, end_y, end_x)
                ends[0, which[i]], ends[1, which[i]] = end_y, end_x
                n -= 1
                which[i] = which[n]
                y[i], x[i], seen_y[i], seen_x[i] = y[n], x[n], seen_y[n], seen_x[n]
            if n == 0:
                break
            if age == span:
                seen_y[:n], seen_x[:n] = y[:n], x[:n]
                age, span = 0, 2 * span
        for i in range(n):
            ends[0, which[i]], ends[1, which[i]] = y[i], x[i]


@compiled
def _walk_on_pixels(  # type: ignore[no-untyped-def]
    field, ends, first, last, steps
):  # pragma: no cover - compiled
    height, width, _ = field.shape
    bottom, right, zero = np.float32(height - 1), np.float32(width - 1), np.float32(0)
    y, x = np.empty((2, _BLOCK), np.float32)
    for begin in range(first, last, _BLOCK):
        n = min(_BLOCK, last - begin)
        y[:n], x[:n] = ends[0, begin : begin + n], ends[1, begin : begin + n]
        for _ in range(steps):
            for i in range(n):
                row, column = np.int32(y[i]), np.int32(x[i])
                y[i] = min(bottom, max(zero, y[i] + field[row, column, 0]))
                x[i] = min(right, max(zero, x[i] + field[row, column, 1]))
        ends[0, begin : begin + n], ends[1, begin : begin + n] = y[:n], x[:n]
