"""Binary closing with a disk of radius 3, row by row so that the compiler can vectorise it."""

from __future__ import annotations

import numpy as np

from cellharness.compiled import compiled

#: Reach of the disk (x**2 + y**2 <= 9): half-widths 3, 2, 2, 0 at rows 0, 1, 2, 3.
REACH = 3


@compiled
def close(mask: np.ndarray) -> np.ndarray:
    """Close a mask as ``scipy.ndimage.binary_closing(mask, disk(3))`` does.

    Outside of the array is background even for the erosion, so the result is empty in a frame
    3 px wide.

    Parameters
    ----------
    mask : ndarray of uint8, (H, W)
        0 or 1.

    Returns
    -------
    ndarray of uint8, (H, W)
    """
    height, width = mask.shape
    closed = np.zeros((height, width), np.uint8)
    if height <= 2 * REACH or width <= 2 * REACH:
        return closed
    padded = np.zeros((height + 2 * REACH, width + 2 * REACH), np.uint8)
    padded[REACH:-REACH, REACH:-REACH] = mask
    dilated = np.zeros((height, width), np.uint8)
    wide, middle = _spans(padded, False)
    for y in range(height):
        row = dilated[y]
        # Rows of the padded arrays; y + REACH is the pixel's own.
        w0, m1, m2, m4, m5 = wide[y + 3], middle[y + 1], middle[y + 2], middle[y + 4], middle[y + 5]
        top, bottom = padded[y], padded[y + 6]
        for x in range(width):
            row[x] = w0[x] | m1[x] | m2[x] | m4[x] | m5[x] | top[x + REACH] | bottom[x + REACH]
    wide, middle = _spans(dilated, True)
    for y in range(REACH, height - REACH):
        row = closed[y]
        w0, m1, m2, m4, m5 = wide[y], middle[y - 2], middle[y - 1], middle[y + 1], middle[y + 2]
        top, bottom = dilated[y - 3], dilated[y + 3]
        for x in range(width - 2 * REACH):
            row[x + REACH] = (
                w0[x] & m1[x] & m2[x] & m4[x] & m5[x] & top[x + REACH] & bottom[x + REACH]
            )
    return closed


@compiled
def _spans(mask: np.ndarray, all_of: bool) -> tuple[np.ndarray, np.ndarray]:
    """Whether any (or all) of the 7 and of the 5 pixels around each are set, row by row."""
    height, width = mask.shape
    wide = np.empty((height, width - 2 * REACH), np.uint8)
    middle = np.empty((height, width - 2 * REACH), np.uint8)
    for y in range(height):
        row, seven, five = mask[y], wide[y], middle[y]
        if all_of:
            for x in range(width - 2 * REACH):
                five[x] = row[x + 1] & row[x + 2] & row[x + 3] & row[x + 4] & row[x + 5]
                seven[x] = five[x] & row[x] & row[x + 6]
        else:
            for x in range(width - 2 * REACH):
                five[x] = row[x + 1] | row[x + 2] | row[x + 3] | row[x + 4] | row[x + 5]
                seven[x] = five[x] | row[x] | row[x + 6]
    return wide, middle


@compiled
def close_each(index: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Close every cell by itself and join the results.

    Parameters
    ----------
    index : ndarray of int32, (H, W)
    boxes : ndarray of int64, (n + 1, 4)
        Both as in :class:`cellharness_adapters.kit_ge.cells.Cells`.

    Returns
    -------
    ndarray of uint8, (H, W)
        Empty in a frame 3 px wide, see :func:`close`.
    """
    height, width = index.shape
    union = np.zeros((height, width), np.uint8)
    for own in range(1, len(boxes)):
        y0, x0 = boxes[own, 0], boxes[own, 1]
        y1, x1 = boxes[own, 2], boxes[own, 3]
        # A closing stays in the box, and the dilation before it in the box grown by REACH; the
        # other REACH is the frame that `close` leaves empty.
        crop = np.zeros((y1 - y0 + 2 * REACH, x1 - x0 + 2 * REACH), np.uint8)
        for y in range(y0, y1):
            for x in range(x0, x1):
                crop[y - y0 + REACH, x - x0 + REACH] = index[y, x] == own
        closed = close(crop)
        for y in range(max(y0, REACH), min(y1, height - REACH)):
            for x in range(max(x0, REACH), min(x1, width - REACH)):
                union[y, x] |= closed[y - y0 + REACH, x - x0 + REACH]
    return union
