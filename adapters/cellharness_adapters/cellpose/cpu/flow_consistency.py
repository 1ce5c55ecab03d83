"""How far the flows of found cells are from the network's, as Cellpose computes it on the CPU.

Same arithmetic as ``cellpose.metrics.flow_error`` over ``dynamics.masks_to_flows_cpu``
(cellpose 3.1.1.3): heat spreads from a cell's centre over the cell, its gradient is the flow
that the network should have given. A cell depends on no other, so cells are shared out to
threads, and the heat is kept as an image, whose rows the processor adds up many at once.
"""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np
from scipy.ndimage import find_objects

from cellharness.compiled import compiled


def flow_errors(
    masks: np.ndarray, flows: np.ndarray, *, pool: Executor, threads: int
) -> np.ndarray:
    """Mean squared difference of flows, cell by cell.

    Parameters
    ----------
    masks : ndarray of unsigned int, (H, W)
        0 background, labels 1 to n; none may be missing.
    flows : ndarray of float32, (2, H, W)
        Of the network: flow in y and in x, times 5.
    pool : Executor
        Of threads.
    threads : int
        How many cells to work on at once.

    Returns
    -------
    ndarray of float64, (n,)
        Equal to ``cellpose.metrics.flow_error`` bit by bit.
    """
    boxes = np.array(
        [(rows.start, rows.stop, cols.start, cols.stop) for rows, cols in find_objects(masks)],
        np.int64,
    )
    sizes = boxes[:, 1::2] - boxes[:, ::2]
    # Largest first, each thread every n-th of them, so that all end at about the same time.
    order = np.argsort(-sizes.prod(axis=1) * sizes.sum(axis=1), kind="stable")
    errors = np.empty(len(boxes))
    waiting = [
        pool.submit(_compare_cells, masks, flows, boxes, order[part::threads], errors)
        for part in range(min(threads, len(boxes)))
    ]
    for part in waiting:
        part.result()
    return errors


@compiled
def _compare_cells(  # type: ignore[no-untyped-def]
    masks, flows, boxes, which, errors
):  # pragma: no cover - compiled
    fifth = np.float32(5)
    for index in which:
        label = index + 1
        top, bottom, left, right = boxes[index]
        height, width = bottom - top, right - left
        # Stretches of the cell's pixels along rows; with a margin of one px in the heat image.
        stretches = np.empty((height * (width // 2 + 1), 3), np.int64)
        n_stretches, n_pixels, sum_y, sum_x = 0, 0, 0, 0
        for y in range(height):
            x = 0
            while x < width:
                if masks[top + y, left + x] != label:
                    x += 1
                    continue
                begin = x
                while x < width and masks[top + y, left + x] == label:
                    sum_y += y + 1
                    sum_x += x + 1
                    x += 1
                stretches[n_stretches] = y, begin, x
                n_stretches += 1
                n_pixels += x - begin
        # The first pixel that is nearest to the mean place.
        mean_y, mean_x = sum_y / n_pixels, sum_x / n_pixels
        nearest, centre_y, centre_x = np.inf, 0, 0
        for s in range(n_stretches):
            y = stretches[s, 0]
            for x in range(stretches[s, 1], stretches[s, 2]):
                distance = (x + 1 - mean_x) ** 2 + (y + 1 - mean_y) ** 2
                if distance < nearest:
                    nearest, centre_y, centre_x = distance, y + 1, x + 1
        heat = np.zeros((height + 2, width + 2))
        spread = np.zeros((height + 2, width + 2))
        for _ in range(2 * (height + width + 4)):
            heat[centre_y, centre_x] += 1
            for s in range(n_stretches):
                y, begin, end = stretches[s]
                above, row, below = heat[y], heat[y + 1], heat[y + 2]
                above = above[begin : end + 2]
                row = row[begin : end + 2]
                below = below[begin : end + 2]
                new = spread[y + 1, begin + 1 : end + 1]
                for x in range(end - begin):
                    # The order of the sum is the library's: the last bit hangs on it.
                    new[x] = (1 / 9.0) * (
                        row[x + 1]
                        + above[x + 1]
                        + below[x + 1]
                        + row[x]
                        + row[x + 2]
                        + above[x]
                        + above[x + 2]
                        + below[x]
                        + below[x + 2]
                    )
            heat, spread = spread, heat
        error_y, error_x = 0.0, 0.0
        for s in range(n_stretches):
            y, begin, end = stretches[s]
            for x in range(begin, end):
                dy = heat[y + 2, x + 1] - heat[y, x + 1]
                dx = heat[y + 1, x + 2] - heat[y + 1, x]
                length = 1e-60 + np.sqrt(dy * dy + dx * dx)
                off_y = dy / length - flows[0, top + y, left + x] / fifth
                off_x = dx / length - flows[1, top + y, left + x] / fifth
                error_y += off_y * off_y
                error_x += off_x * off_x
        errors[index] = error_y / n_pixels + error_x / n_pixels
