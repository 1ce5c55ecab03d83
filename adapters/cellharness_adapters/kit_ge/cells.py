"""Number the cells of a label image, and find where each of them is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cellharness.compiled import compiled


@dataclass(frozen=True)
class Cells:
    """The cells of one label image.

    Attributes
    ----------
    index : ndarray of int32, (H, W)
        0 background, 1..n the cells in the order of their first pixel.
    boxes : ndarray of int64, (n + 1, 4)
        First row, first column, last row + 1, last column + 1 of each cell; entry 0 is unused.
    centres : ndarray of int64, (n + 1, 2)
        Row and column of the centroid, rounded half to even; entry 0 is unused.
    """

    index: np.ndarray
    boxes: np.ndarray
    centres: np.ndarray


def find_cells(label: np.ndarray) -> Cells:
    """Number cells and measure boxes and centroids in one pass over the image.

    Parameters
    ----------
    label : ndarray of any integer dtype, (H, W)
        0 background, one positive id a cell; ids may have gaps and be of any size.

    Raises
    ------
    ValueError
        It is not 2-D, has no pixels, holds no integers, or has negative values.
    """
    label = np.asarray(label)
    if label.ndim != 2 or label.size == 0:
        msg = f"a label image has shape (H, W) with at least one pixel, this one {label.shape}"
        raise ValueError(msg)
    if label.dtype.kind not in "ui":
        msg = f"a label image holds integers, this one {label.dtype}; convert it without rounding"
        raise ValueError(msg)
    if label.dtype.kind == "i" and label.min() < 0:
        count = int(np.count_nonzero(label < 0))
        msg = f"{count} pixels of the label image are negative (lowest {label.min()}); valid: >= 0"
        raise ValueError(msg)
    highest = int(label.max())
    # A table of all ids is fastest, as long as it stays in proportion to the image.
    if highest <= 4 * label.size + 65536:
        small = np.ascontiguousarray(label, dtype=np.int32)
    else:
        ids, numbers = np.unique(label, return_inverse=True)
        first = 0 if ids[0] == 0 else 1
        small = np.ascontiguousarray(numbers.reshape(label.shape) + first, dtype=np.int32)
        highest = len(ids)
    return Cells(*_measure(small, highest))


@compiled
def _measure(label: np.ndarray, highest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    height, width = label.shape
    table = np.zeros(highest + 1, np.int32)
    cells = 0
    index = np.empty((height, width), np.int32)
    for y in range(height):
        for x in range(width):
            own = label[y, x]
            if own > 0 and table[own] == 0:
                cells += 1
                table[own] = cells
            index[y, x] = table[own]
    boxes = np.empty((cells + 1, 4), np.int64)
    boxes[:, 0], boxes[:, 1], boxes[:, 2], boxes[:, 3] = height, width, 0, 0
    sums = np.zeros((cells + 1, 3), np.int64)
    for y in range(height):
        for x in range(width):
            own = index[y, x]
            if own == 0:
                continue
            boxes[own, 0] = min(boxes[own, 0], y)
            boxes[own, 1] = min(boxes[own, 1], x)
            boxes[own, 2] = max(boxes[own, 2], y + 1)
            boxes[own, 3] = max(boxes[own, 3], x + 1)
            sums[own, 0] += y
            sums[own, 1] += x
            sums[own, 2] += 1
    centres = np.zeros((cells + 1, 2), np.int64)
    for own in range(1, cells + 1):
        for axis in range(2):
            centres[own, axis] = np.int64(np.rint(sums[own, axis] / sums[own, 2]))
    return index, boxes, centres
