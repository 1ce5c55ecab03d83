"""Gaps between close cells: found by a bottom-hat transform, kept where cells are near."""

from __future__ import annotations

import numpy as np

from cellharness.compiled import compiled
from cellharness_adapters.kit_ge.cells import Cells
from cellharness_adapters.kit_ge.closing import close, close_each

#: Value of the border of a wide gap, in float32 as published.
_WIDE_GAP_BORDER = float(np.float32(0.8))
#: A gap is wide if its minor axis is at least this, px.
_WIDE = 3.0


def fill_gaps(cells: Cells, neighbor: np.ndarray) -> None:
    """Write the gaps between close cells into their neighbour distances, in place.

    What the closing of all cells adds to the cells closed one by one is a gap. A gap counts if
    the neighbour distances around it are high enough for its area; else it lies beside cells
    that have no near neighbour (Scherr et al. 2021, Section 2.1).

    Parameters
    ----------
    cells : Cells
        Cells of the label image.
    neighbor : ndarray of float64, (H, W)
        Neighbour distances, 0 outside of the cells; gaps get 1, the border of wide gaps 0.8.
    """
    union = close_each(cells.index, cells.boxes)
    gaps = close(union) & ~union
    _fill(gaps, neighbor)


@compiled
def _fill(gaps: np.ndarray, neighbor: np.ndarray) -> None:
    height, width = gaps.shape
    # Positive: gap of that number. Negative: last counted for the gap of that number.
    number = np.zeros((height, width), np.int32)
    pixels = np.empty((np.count_nonzero(gaps), 2), np.int32)
    found = 0
    for y in range(height):
        for x in range(width):
            if gaps[y, x] == 0 or number[y, x] != 0:
                continue
            found += 1
            count = _flood(gaps, number, y, x, found, pixels)
            if _rim_sum(neighbor, number, pixels[:count], found) < _least_sum(count):
                continue
            wide = _minor_axis(pixels[:count]) >= _WIDE
            for i in range(count):
                py, px = pixels[i, 0], pixels[i, 1]
                inner = (
                    number[py - 1, px] == found
                    and number[py + 1, px] == found
                    and number[py, px - 1] == found
                    and number[py, px + 1] == found
                )
                neighbor[py, px] = _WIDE_GAP_BORDER if wide and not inner else 1.0


@compiled
def _flood(
    gaps: np.ndarray, number: np.ndarray, y: int, x: int, found: int, pixels: np.ndarray
) -> int:
    """Number the 8-connected gap that holds a pixel; list its pixels and give their count."""
    height, width = gaps.shape
    number[y, x] = found
    pixels[0, 0], pixels[0, 1] = y, x
    count, done = 1, 0
    while done < count:
        py, px = pixels[done, 0], pixels[done, 1]
        done += 1
        for ny in range(max(py - 1, 0), min(py + 2, height)):
            for nx in range(max(px - 1, 0), min(px + 2, width)):
                if gaps[ny, nx] != 0 and number[ny, nx] <= 0:
                    number[ny, nx] = found
                    pixels[count, 0], pixels[count, 1] = ny, nx
                    count += 1
    return count


@compiled
def _rim_sum(neighbor: np.ndarray, number: np.ndarray, pixels: np.ndarray, found: int) -> float:
    """Sum of the neighbour distances of all pixels that touch the gap, each counted once."""
    total = 0.0
    for i in range(len(pixels)):
        py, px = pixels[i, 0], pixels[i, 1]
        # Gaps keep 3 px from the image's border, so their neighbours are inside.
        for ny in range(py - 1, py + 2):
            for nx in range(px - 1, px + 2):
                if number[ny, nx] != found and number[ny, nx] != -found:
                    number[ny, nx] = -found
                    total += neighbor[ny, nx]
    return total


@compiled
def _least_sum(area: int) -> float:
    """Least sum of neighbour distances around a gap of that area."""
    if area <= 20:
        return 5.0
    if area <= 30:
        return 8.0
    if area <= 50:
        return 10.0
    return 20.0


@compiled
def _minor_axis(pixels: np.ndarray) -> float:
    """Minor axis of the ellipse with the gap's second moments, px."""
    count = len(pixels)
    sy = sx = syy = sxx = sxy = np.int64(0)
    for i in range(count):
        y, x = np.int64(pixels[i, 0] - pixels[0, 0]), np.int64(pixels[i, 1] - pixels[0, 1])
        sy += y
        sx += x
        syy += y * y
        sxx += x * x
        sxy += x * y
    # Variances times count**2, exact.
    a, c, b = count * syy - sy * sy, count * sxx - sx * sx, count * sxy - sx * sy
    smaller = ((a + c) - np.hypot(float(a - c), 2.0 * b)) / 2
    return 4 * np.sqrt(max(smaller, 0.0)) / count
