"""Heat that spreads in a cell from its centre, and the flows up its slope, as Cellpose has them.

The arithmetic is that of ``cellpose.dynamics.masks_to_flows_cpu`` (cellpose 3.1.1.3; Stringer et
al. 2021, Methods) in its order, hence equal to the last bit. But the heat is kept as an image,
whose rows the processor adds up many pixels at once, and only as far as it has come.
"""

from __future__ import annotations

import numpy as np

from cellharness.compiled import compiled

# All that is compiled stands in this file: the machine code that is kept for a function is not
# made anew when one that it calls is changed in another file.


@compiled
def flows_of_cells(labels: np.ndarray, boxes: np.ndarray, flows: np.ndarray) -> None:
    """Write the flows of cells, one after the other.

    Parameters
    ----------
    labels : ndarray of int, (H, W)
        0 background, labels 1 to n.
    boxes : ndarray of int64, (n, 4)
        Of each cell the first row, the one after the last, and columns likewise.
    flows : ndarray of float32, (2, H, W)
        Filled inside of cells: flow in y and in x, of length 1; 0 where no heat came.
    """
    for index in range(len(boxes)):
        top, left = boxes[index, 0], boxes[index, 2]
        stretches, heat = _heat_of(labels, index + 1, boxes[index])
        for s in range(len(stretches)):
            y, begin, end = stretches[s]
            for x in range(begin, end):
                down, across = _slope(heat, y, x)
                flows[0, top + y, left + x] = np.float32(down)
                flows[1, top + y, left + x] = np.float32(across)


@compiled
def compare_cells(
    masks: np.ndarray, flows: np.ndarray, boxes: np.ndarray, which: np.ndarray, errors: np.ndarray
) -> None:
    """Compare a network's flows with those of the cells that were made of them.

    Parameters
    ----------
    masks, boxes
        As ``labels`` and ``boxes`` of :func:`flows_of_cells`.
    flows : ndarray of float32, (2, H, W)
        Of the network, times 5.
    which : ndarray of int, (k,)
        Indices of the cells to compare, label - 1.
    errors : ndarray of float64, (n,)
        Filled for these with the mean squared difference.
    """
    fifth = np.float32(5)
    for index in which:
        top, left = boxes[index, 0], boxes[index, 2]
        stretches, heat = _heat_of(masks, index + 1, boxes[index])
        error_y, error_x, n_pixels = 0.0, 0.0, 0
        for s in range(len(stretches)):
            y, begin, end = stretches[s]
            n_pixels += end - begin
            for x in range(begin, end):
                down, across = _slope(heat, y, x)
                off_y = down - flows[0, top + y, left + x] / fifth
                off_x = across - flows[1, top + y, left + x] / fifth
                error_y += off_y * off_y
                error_x += off_x * off_x
        errors[index] = error_y / n_pixels + error_x / n_pixels


@compiled
def _slope(heat: np.ndarray, y: int, x: int) -> tuple[float, float]:
    """Slope of the heat at a pixel of the box, of length 1 or 0."""
    down = heat[y + 2, x + 1] - heat[y, x + 1]
    across = heat[y + 1, x + 2] - heat[y + 1, x]
    length = 1e-60 + np.sqrt(down * down + across * across)
    return down / length, across / length


@compiled
def _heat_of(labels: np.ndarray, label: int, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of a cell as stretches of rows, (n, 3): y, first x, x after the last; and its heat.

    Both in the cell's box; the heat has a margin of one px around it.
    """
    top, left = box[0], box[2]
    height, width = box[1] - top, box[3] - left
    stretches = np.empty((height * (width // 2 + 1), 3), np.int64)
    n_stretches, n_pixels, sum_y, sum_x = 0, 0, 0, 0
    for y in range(height):
        x = 0
        while x < width:
            if labels[top + y, left + x] != label:
                x += 1
                continue
            begin = x
            while x < width and labels[top + y, left + x] == label:
                sum_y += y + 1
                sum_x += x + 1
                x += 1
            stretches[n_stretches] = y, begin, x
            n_stretches += 1
            n_pixels += x - begin
    stretches = stretches[:n_stretches]
    # The first pixel that is nearest to the mean place.
    mean_y, mean_x = sum_y / n_pixels, sum_x / n_pixels
    nearest, centre_y, centre_x = np.inf, 0, 0
    for s in range(n_stretches):
        y = stretches[s, 0]
        for x in range(stretches[s, 1], stretches[s, 2]):
            distance = (x + 1 - mean_x) ** 2 + (y + 1 - mean_y) ** 2
            if distance < nearest:
                nearest, centre_y, centre_x = distance, y, x
    heat = np.zeros((height + 2, width + 2))
    spread = np.zeros((height + 2, width + 2))
    # Heat goes one pixel further with each step; beyond that all is 0.
    furthest = max(centre_y, centre_x, height - centre_y, width - centre_x)
    for step in range(1, 2 * (height + width + 4) + 1):
        heat[centre_y + 1, centre_x + 1] += 1
        for s in range(n_stretches):
            y, begin, end = stretches[s]
            if step < furthest:
                if abs(y - centre_y) > step:
                    continue
                begin, end = max(begin, centre_x - step), min(end, centre_x + step + 1)
            above, row, below = heat[y], heat[y + 1], heat[y + 2]
            above = above[begin : end + 2]
            row = row[begin : end + 2]
            below = below[begin : end + 2]
            new = spread[y + 1, begin + 1 : end + 1]
            # By the length, so that the compiler knows of no index below 0 and adds up many pixels
            # at once. The order of the sum is the library's: the last bit depends on it.
            for x in range(len(new)):
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
    return stretches, heat
