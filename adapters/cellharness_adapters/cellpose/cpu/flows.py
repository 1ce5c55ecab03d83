"""Flows that Cellpose learns from, made once for each label image and kept.

Heat is put at a cell's centre and spreads in the cell; flows go up its slope (Stringer et al.
2021, Methods). The arithmetic is that of ``cellpose.dynamics.masks_to_flows_cpu`` in its order,
hence equal to the last bit; but row by row without lists of pixels, and only as far as the heat
has come.
"""

from __future__ import annotations

from importlib.metadata import version

import fastremap
import numpy as np
from scipy.ndimage import find_objects

from cellharness.compiled import compiled
from cellharness.training.arrays_on_disk import ArrayOnDisk, content_key, kept


def flows_of(labels: np.ndarray) -> np.ndarray:
    """Give cell mask and flows of a label image.

    Parameters
    ----------
    labels : ndarray of unsigned int, (H, W)
        0 background.

    Returns
    -------
    ndarray of float32, (3, H, W)
        1 inside cells, flow in y, flow in x: what ``cellpose.dynamics.labels_to_flows`` gives
        after the labels.
    """
    cells, flows = flows_on_disk(labels)
    return np.concatenate([cells.open()[None], flows.open()]).astype(np.float32)


def flows_on_disk(labels: np.ndarray) -> tuple[ArrayOnDisk, ArrayOnDisk]:
    """Give cell mask and flows of a label image from the cache, made first where they are not.

    Parameters
    ----------
    labels : ndarray of unsigned int, (H, W)
        0 background.

    Returns
    -------
    cells : ArrayOnDisk of uint8, (H, W)
        1 inside cells.
    flows : ArrayOnDisk of float32, (2, H, W)
        In y and in x.

    Raises
    ------
    UsageError
        The cache cannot be written.
    """
    # Numbers and order of the labels make no difference to the library either.
    key = content_key(labels.astype(np.uint32), version("cellpose"))
    cells = kept("flows", f"{key}-cells", lambda: (labels > 0).astype(np.uint8))
    return cells, kept("flows", f"{key}-flows", lambda: make_flows(labels))


def make_flows(labels: np.ndarray) -> np.ndarray:
    """Make the flows of a label image, on one core.

    Parameters
    ----------
    labels : ndarray of unsigned int, (H, W)
        0 background, one positive label a cell.

    Returns
    -------
    ndarray of float32, (2, H, W)
        Flow in y and in x, of length 1; 0 outside of cells and where no heat came.
    """
    flows = np.zeros((2, *labels.shape), np.float32)
    # Cells one after the other whatever their numbers, so that their boxes make a short list.
    numbered = fastremap.renumber(labels.astype(np.uint32), in_place=True)[0].astype(np.int32)
    boxes = np.array(
        [[s[0].start, s[0].stop, s[1].start, s[1].stop] for s in find_objects(numbered)], np.int64
    ).reshape(-1, 4)
    _flows_of_cells(numbered, boxes, flows)
    return flows


@compiled
def _flows_of_cells(labels: np.ndarray, boxes: np.ndarray, flows: np.ndarray) -> None:
    for cell in range(len(boxes)):
        y0, y1, x0, x1 = boxes[cell, 0], boxes[cell, 1], boxes[cell, 2], boxes[cell, 3]
        inside = np.zeros((y1 - y0 + 2, x1 - x0 + 2), np.bool_)
        for y in range(y0, y1):
            for x in range(x0, x1):
                inside[y - y0 + 1, x - x0 + 1] = labels[y, x] == cell + 1
        heat = _spread(inside, _centre(inside))
        for y in range(1, inside.shape[0] - 1):
            for x in range(1, inside.shape[1] - 1):
                if inside[y, x]:
                    down = heat[y + 1, x] - heat[y - 1, x]
                    across = heat[y, x + 1] - heat[y, x - 1]
                    length = 1e-60 + np.sqrt(down * down + across * across)
                    flows[0, y + y0 - 1, x + x0 - 1] = np.float32(down / length)
                    flows[1, y + y0 - 1, x + x0 - 1] = np.float32(across / length)


@compiled
def _centre(inside: np.ndarray) -> tuple[int, int]:
    """Pixel of a cell that is nearest to the mean of all; the first of several."""
    sum_y, sum_x, n = 0, 0, 0
    for y in range(inside.shape[0]):
        for x in range(inside.shape[1]):
            if inside[y, x]:
                sum_y, sum_x, n = sum_y + y, sum_x + x, n + 1
    mean_y, mean_x = sum_y / n, sum_x / n
    best, found = np.inf, (0, 0)
    for y in range(inside.shape[0]):
        for x in range(inside.shape[1]):
            if inside[y, x]:
                distance = float((x - mean_x) ** 2 + (y - mean_y) ** 2)
                if distance < best:
                    best, found = distance, (y, x)
    return found


@compiled
def _spread(inside: np.ndarray, centre: tuple[int, int]) -> np.ndarray:
    """Heat in a cell, (H, W), after as many steps as twice its padded height and width."""
    height, width = inside.shape
    first, last = np.full(height, width), np.zeros(height, np.int64)
    for y in range(height):
        for x in range(width):
            if inside[y, x]:
                first[y], last[y] = min(first[y], x), x
    now, after = np.zeros((height, width)), np.zeros((height, width))
    for step in range(1, 2 * (height + width) + 1):
        now[centre] += 1
        # Heat goes one pixel further with each step; beyond that all is 0.
        for y in range(max(centre[0] - step, 1), min(centre[0] + step + 1, height - 1)):
            a = max(int(first[y]), centre[1] - step)
            b = min(int(last[y]), centre[1] + step) + 1
            if a < b:
                _spread_row(
                    now[y - 1, a - 1 : b + 1],
                    now[y, a - 1 : b + 1],
                    now[y + 1, a - 1 : b + 1],
                    inside[y, a:b],
                    after[y, a:b],
                )
        now, after = after, now
    return now


@compiled
def _spread_row(
    above: np.ndarray, here: np.ndarray, below: np.ndarray, inside: np.ndarray, after: np.ndarray
) -> None:
    """Mean of each pixel's nine; summed in the library's order."""
    for x in range(len(after)):
        total = here[x + 1] + above[x + 1] + below[x + 1] + here[x] + here[x + 2]
        total = total + above[x] + above[x + 2] + below[x] + below[x + 2]
        after[x] = 1 / 9.0 * total if inside[x] else 0.0
