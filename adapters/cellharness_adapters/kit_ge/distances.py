"""The training representation of KIT-GE: cell distances and neighbour distances.

Scherr et al. 2020 (PLoS ONE 15, e0243219, Methods) with the gap closing and scaling of Scherr
et al. 2021 (bioRxiv 2021.06.26.450019). Every step works on the boxes of the cells, so time
grows with cells and pixels and not with their product.
"""

from __future__ import annotations

from numbers import Integral

import numpy as np

from cellharness.compiled import compiled
from cellharness_adapters.kit_ge.cells import find_cells
from cellharness_adapters.kit_ge.euclidean import FAR, distances_along_row, distances_down_columns
from cellharness_adapters.kit_ge.gaps import fill_gaps


def distance_maps(
    label: np.ndarray, cell_radius: int, neighbor_radius: int
) -> tuple[np.ndarray, np.ndarray]:
    """Turn a label image into the two maps that the network learns.

    Parameters
    ----------
    label : ndarray of any integer dtype, (H, W)
        0 background, one positive id a cell.
    cell_radius : int
        A cell is looked at within this many px of its rounded centroid; published: half of the
        largest major axis in the training set, rounded up.
    neighbor_radius : int
        Neighbours are looked for within this many px of the centroid; published: mean plus
        standard deviation of the cells' equivalent diameters.

    Returns
    -------
    cell : ndarray of float32, (H, W)
        Distance of each cell pixel to the cell's edge, over the cell's largest; 0..1.
    neighbor : ndarray of float32, (H, W)
        High where another cell is near, 1 between touching cells and in gaps; 0..1.

    Raises
    ------
    ValueError
        The label image is not 2-D, holds no integers or has negative values, or a radius is
        not an integer >= 1.

    Notes
    -----
    A cell that fills its whole window has no edge in it; distances are then measured from the
    pixel above the window's corner, as SciPy does and hence the published code. A
    ``cell_radius`` chosen as published never lets this happen.
    """
    cell_radius = _radius("cell_radius", cell_radius)
    neighbor_radius = _radius("neighbor_radius", neighbor_radius)
    cells = find_cells(label)
    cell = np.zeros(cells.index.shape, np.float32)
    neighbor = np.zeros(cells.index.shape, np.float64)
    _measure_cells(
        cells.index, cells.boxes, cells.centres, cell_radius, neighbor_radius, cell, neighbor
    )
    fill_gaps(cells, neighbor)
    return cell, _grey_closing(_scaled(cells.index, neighbor))


def _radius(name: str, value: int) -> int:
    value = value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        msg = f"{name} is a number of px, an integer >= 1; got {value!r}"
        raise ValueError(msg)
    # Beyond any image it makes no difference, and must not overflow.
    return min(int(value), 1 << 24)


@compiled
def _measure_cells(
    index: np.ndarray,
    boxes: np.ndarray,
    centres: np.ndarray,
    cell_radius: int,
    neighbor_radius: int,
    cell: np.ndarray,
    neighbor: np.ndarray,
) -> None:
    for own in range(1, len(boxes)):
        window = _window(index, centres[own], cell_radius)
        largest = _measure_inside(index, own, boxes[own], window, cell)
        if largest > 0:
            window = _window(index, centres[own], neighbor_radius)
            _measure_neighbors(index, own, boxes[own], window, largest + 3, neighbor)


@compiled
def _window(
    index: np.ndarray, centre: np.ndarray, radius: int
) -> tuple[np.int64, np.int64, np.int64, np.int64]:
    return (
        max(centre[0] - radius, 0),
        max(centre[1] - radius, 0),
        min(centre[0] + radius, index.shape[0]),
        min(centre[1] + radius, index.shape[1]),
    )


@compiled
def _measure_inside(
    index: np.ndarray,
    own: int,
    box: np.ndarray,
    window: tuple[np.int64, np.int64, np.int64, np.int64],
    cell: np.ndarray,
) -> float:
    """Write one cell's distances over their largest; give the largest, 0 if out of the window."""
    # The nearest pixel outside of the cell is never farther than one px outside of its box.
    y0, x0 = max(window[0], box[0] - 1), max(window[1], box[1] - 1)
    y1, x1 = min(window[2], box[2] + 1), min(window[3], box[3] + 1)
    if y0 >= y1 or x0 >= x1:
        return 0.0
    outside = index[y0:y1, x0:x1] != own
    down = distances_down_columns(outside)
    tops, starts = np.empty(x1 - x0, np.int64), np.empty(x1 - x0, np.int64)
    squared = np.empty((y1 - y0, x1 - x0), np.int64)
    largest = np.int64(0)
    for y in range(y1 - y0):
        distances_along_row(down[y], 0, x1 - x0, tops, starts, squared[y])
        for x in range(x1 - x0):
            if squared[y, x] >= FAR:
                up, left = y + y0 - window[0] + 1, x + x0 - window[1]
                squared[y, x] = up * up + left * left
            largest = max(largest, squared[y, x])
    scale = np.sqrt(largest)
    for y in range(y1 - y0):
        for x in range(x1 - x0):
            if not outside[y, x]:
                cell[y + y0, x + x0] = np.sqrt(squared[y, x]) / scale
    return scale


@compiled
def _measure_neighbors(
    index: np.ndarray,
    own: int,
    box: np.ndarray,
    window: tuple[np.int64, np.int64, np.int64, np.int64],
    limit: float,
    neighbor: np.ndarray,
) -> None:
    """Write one cell's nearness to other cells: 1 at their edge, 0 at the limit or farther."""
    y0, x0 = max(window[0], box[0]), max(window[1], box[1])
    y1, x1 = min(window[2], box[2]), min(window[3], box[3])
    if y0 >= y1 or x0 >= x1:
        return
    # Other cells beyond the limit make no difference.
    reach = np.int64(np.ceil(limit))
    from_y, from_x = max(window[0], y0 - reach), max(window[1], x0 - reach)
    to_y, to_x = min(window[2], y1 + reach), min(window[3], x1 + reach)
    others = np.empty((to_y - from_y, to_x - from_x), np.bool_)
    alone = True
    for y in range(from_y, to_y):
        for x in range(from_x, to_x):
            other = index[y, x] != 0 and index[y, x] != own
            others[y - from_y, x - from_x] = other
            alone = alone and not other
    if alone:
        return
    down = distances_down_columns(others)
    width = to_x - from_x
    tops, starts = np.empty(width, np.int64), np.empty(width, np.int64)
    squared = np.empty((y1 - y0, width), np.int64)
    largest = np.int64(0)
    for y in range(y0, y1):
        row = squared[y - y0]
        distances_along_row(down[y - from_y], x0 - from_x, x1 - from_x, tops, starts, row)
        for x in range(x0, x1):
            if index[y, x] == own:
                largest = max(largest, row[x - from_x])
    if largest == 0:  # the cell has no pixel in its own window
        return
    scale = min(limit, np.sqrt(largest))
    for y in range(y0, y1):
        for x in range(x0, x1):
            if index[y, x] == own:
                near = np.sqrt(squared[y - y0, x - from_x]) / scale
                neighbor[y, x] = 1 - min(near, 1.0)


@compiled
def _scaled(index: np.ndarray, neighbor: np.ndarray) -> np.ndarray:
    """Set pixels at a touching cell to 1, and raise the contrast of all (Scherr et al. 2021)."""
    height, width = index.shape
    scaled = np.zeros((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            value = 1.0 if _touches_another(index, y, x) else neighbor[y, x]
            # The curve is below 0 up to 0.387, and is clipped there.
            if value > 0.38:
                value = 1 / np.sqrt(0.65 + 0.5 * np.exp(-11 * (value - 0.75))) - 0.19
                scaled[y, x] = min(max(value, 0.0), 1.0)
    return scaled


@compiled
def _touches_another(index: np.ndarray, y: int, x: int) -> bool:
    own = index[y, x]
    if own == 0:
        return False
    for ny in range(max(y - 1, 0), min(y + 2, index.shape[0])):
        for nx in range(max(x - 1, 0), min(x + 2, index.shape[1])):
            other = index[ny, nx]
            if other != 0 and other != own:
                return True
    return False


@compiled
def _grey_closing(image: np.ndarray) -> np.ndarray:
    """Largest, then smallest of each 3 x 3 pixels, those outside of the image left out."""
    height, width = image.shape
    across, dilated = np.empty_like(image), np.empty_like(image)
    for y in range(height):
        _of_three(image[y], across[y], True)
    for y in range(height):
        above, here, below = across[max(y - 1, 0)], across[y], across[min(y + 1, height - 1)]
        for x in range(width):
            dilated[y, x] = max(above[x], here[x], below[x])
    for y in range(height):
        _of_three(dilated[y], across[y], False)
    for y in range(height):
        above, here, below = across[max(y - 1, 0)], across[y], across[min(y + 1, height - 1)]
        for x in range(width):
            dilated[y, x] = min(above[x], here[x], below[x])
    return dilated


@compiled
def _of_three(row: np.ndarray, out: np.ndarray, largest: bool) -> None:
    last = len(row) - 1
    for x in range(len(row)):
        left, right = row[max(x - 1, 0)], row[min(x + 1, last)]
        if largest:
            out[x] = max(left, row[x], right)
        else:
            out[x] = min(left, row[x], right)
