"""Cells from predicted distances: seeds, then a watershed (Scherr et al. 2020, Post-processing)."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cellharness_adapters.kit_ge.flooding import flood

_EIGHT = np.ones((3, 3), bool)
#: Largest seed in px that is always dropped.
_SPECK = 4
#: Mean neighbour distance along a border below which its two cells are one.
_MERGE_BELOW = 0.075


def instances_from_distances(
    cell: np.ndarray,
    neighbor: np.ndarray,
    th_cell: float = 0.07,
    th_seed: float = 0.45,
    *,
    merge: bool = False,
) -> np.ndarray:
    """Find the cells in predicted distance maps.

    A seed is where the cell distance stays above ``th_seed`` after the squared neighbour
    distance is taken off. Seeds up to 4 px or a tenth of the mean seed are dropped. While none
    is left, ``th_seed`` is lowered by 0.1, as long as it is above 0.05; so an image gets at
    least one cell whenever the network saw anything. Seeds grow by a watershed where the
    smoothed cell distance is above ``th_cell``.

    Parameters
    ----------
    cell, neighbor : ndarray of float, (H, W)
        Predicted maps, as :func:`cellharness_adapters.kit_ge.distance_maps` defines them.
    th_cell : float
        Smoothed cell distance above which a pixel belongs to a cell.
    th_seed : float
        Cell distance above which a pixel belongs to a seed.
    merge : bool
        Join two touching cells where the mean predicted neighbour distance along their border
        is below 0.075: then only the shape parted them. The published code finds borders with a
        Canny filter on a label image cut to 8 bits, one after the other, and does nothing with
        255 cells or more. Here a border is the pixels on both sides, there is no limit, and the
        order does not matter; borders where three cells meet are left as published.

    Returns
    -------
    ndarray of uint16 (uint32 beyond 65535 cells), (H, W)
        0 background, 1..N the cells.

    Raises
    ------
    ValueError
        The maps differ in shape, are not 2-D, or hold NaN or infinite values; a threshold is
        not finite.
    """
    cell, neighbor = _checked("cell", cell), _checked("neighbor", neighbor)
    if cell.shape != neighbor.shape:
        msg = f"the maps differ in shape: cell is {cell.shape}, neighbour {neighbor.shape}"
        raise ValueError(msg)
    bad = sum(part.size - int(np.count_nonzero(np.isfinite(part))) for part in (cell, neighbor))
    if bad:
        msg = (
            f"{bad} values of the distance maps are not finite; the network that predicted them "
            "has diverged, take an earlier checkpoint"
        )
        raise ValueError(msg)
    for name, value in (("th_cell", th_cell), ("th_seed", th_seed)):
        if not math.isfinite(value):
            msg = f"{name} must be a finite number, got {value}"
            raise ValueError(msg)
    smooth = ndimage.gaussian_filter(cell, sigma=0.5)
    # Clipped first: a negative prediction must not become a border by the square.
    neighbor = np.clip(neighbor, 0, 1)
    borders = np.tan(neighbor**2)
    borders[borders < 0.05] = 0
    seeds = _seeds(smooth - np.minimum(borders, 1), float(th_seed))
    labels = flood(-smooth, seeds, smooth > float(th_cell))
    if merge:
        labels = _merged(labels, neighbor)
    return _numbered(labels)


def _checked(name: str, distances: np.ndarray) -> np.ndarray:
    distances = np.asarray(distances)
    if distances.ndim != 2 or distances.size == 0:
        msg = f"{name} has shape (H, W) with at least one pixel, this one {distances.shape}"
        raise ValueError(msg)
    if distances.dtype.kind not in "fui":
        msg = f"{name} holds distances, not {distances.dtype}"
        raise ValueError(msg)
    return distances.astype(np.float32, copy=False)


def _seeds(cleaned: np.ndarray, threshold: float) -> np.ndarray:
    seeds, areas = _components(cleaned > threshold)
    least = max(0.1 * float(areas.mean()), _SPECK) if len(areas) else _SPECK
    kept = areas > least
    while not kept.any() and threshold > 0.05:
        threshold -= 0.1
        seeds, areas = _components(cleaned > threshold)
        kept = areas > _SPECK
    table = np.concatenate([[0], np.cumsum(kept) * kept]).astype(np.int32)
    return table[seeds]


def _components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """8-connected components, numbered from 1, and the area of each."""
    numbers, count = ndimage.label(mask, structure=_EIGHT)
    return numbers, np.bincount(numbers.ravel(), minlength=count + 1)[1:]


def _merged(labels: np.ndarray, neighbor: np.ndarray) -> np.ndarray:
    """Join the two cells of every border with low neighbour distances."""
    borders, lengths = _components(_between_cells(labels))
    at_border = borders > 0
    border, cell = borders[at_border].astype(np.int64), labels[at_border].astype(np.int64)
    count = int(labels.max()) + 1
    low = np.bincount(border, neighbor[at_border])[1:] < _MERGE_BELOW * lengths
    meetings = np.unique(border * count + cell)
    border, cell = meetings // count, meetings % count
    two = np.bincount(border, minlength=len(lengths) + 1)[1:] == 2
    pairs = cell[(two & low)[border - 1]].reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs), np.int8), tuple(pairs.T)), shape=(count, count))
    # Background stays a component of its own, the first.
    return connected_components(graph, directed=False)[1].astype(np.int32)[labels]


def _between_cells(labels: np.ndarray) -> np.ndarray:
    """Pixels of cells with a pixel of another cell above, below, left or right."""
    found = np.zeros(labels.shape, bool)
    for one, other in (
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        touch = (labels[one] != labels[other]) & (labels[one] > 0) & (labels[other] > 0)
        found[one] |= touch
        found[other] |= touch
    return found


def _numbered(labels: np.ndarray) -> np.ndarray:
    """Number the cells from 1 without gaps, in the smallest of uint16 and uint32."""
    present = np.bincount(labels.ravel()) > 0
    present[0] = False
    dtype = np.uint16 if present.sum() <= np.iinfo(np.uint16).max else np.uint32
    return (np.cumsum(present) * present).astype(dtype)[labels]
