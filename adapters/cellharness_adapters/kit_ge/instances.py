"""Cells from predicted distances: seeds, then a watershed (Scherr et al. 2020, Post-processing)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True)
class SeedRule:
    """Which seeds an image has.

    Attributes
    ----------
    threshold : float
        Cell distance, less borders, above which a pixel belongs to a seed.
    least : float
        Px; a seed has more.
    """

    threshold: float
    least: float


def seed_rule(areas_at: Callable[[float], np.ndarray], threshold: float) -> SeedRule:
    """Settle the seeds of a whole image as :func:`instances_from_distances` describes.

    Parameters
    ----------
    areas_at : callable
        Gives the px of each seed of the image at a threshold.
    threshold : float
        To begin with.
    """
    areas = areas_at(threshold)
    least: float = max(0.1 * float(areas.mean()), _SPECK) if len(areas) else _SPECK
    while not (areas > least).any() and threshold > 0.05:
        threshold -= 0.1
        areas, least = areas_at(threshold), _SPECK
    return SeedRule(threshold, least)


def seed_areas(
    cell: np.ndarray, neighbor: np.ndarray, threshold: float, own: tuple[slice, slice]
) -> np.ndarray:
    """Px of each seed with its centre in a part of predicted maps, (n,).

    Parameters
    ----------
    cell, neighbor : ndarray of float32, (H, W)
        As for :func:`instances_from_distances`.
    threshold : float
        Cell distance, less borders, of a seed.
    own : (slice, slice)
        Rows and columns of the part.
    """
    smooth = ndimage.gaussian_filter(cell, sigma=0.5)
    cleaned = _without_borders(smooth, np.clip(neighbor, 0, 1))
    seeds, areas = _components(cleaned > threshold)
    rows, columns = np.nonzero(seeds)
    ids = seeds[rows, columns]
    inside = np.ones(len(areas), bool)
    for places, part in zip((rows, columns), own, strict=True):
        centre = np.bincount(ids, places, minlength=len(areas) + 1)[1:] / np.maximum(areas, 1)
        inside &= (centre >= part.start - 0.5) & (centre < part.stop - 0.5)
    return areas[inside]


def instances_from_distances(
    cell: np.ndarray,
    neighbor: np.ndarray,
    th_cell: float = 0.07,
    th_seed: float = 0.45,
    *,
    merge: bool = False,
    rule: SeedRule | None = None,
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
    rule : SeedRule, optional
        Of the whole image, where the maps are a part of its maps; in the place of ``th_seed``.

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
    neighbor = np.clip(neighbor, 0, 1)
    cleaned = _without_borders(smooth, neighbor)
    if rule is None:
        seeds = _seeds_of_whole(cleaned, float(th_seed))
    else:
        seeds = _kept(*_components(cleaned > rule.threshold), rule.least)
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


def _without_borders(smooth: np.ndarray, neighbor: np.ndarray) -> np.ndarray:
    """Cell distance less borders; ``neighbor`` is from 0 to 1."""
    borders = np.tan(neighbor**2)
    borders[borders < 0.05] = 0
    return smooth - np.minimum(borders, 1)


def _seeds_of_whole(cleaned: np.ndarray, threshold: float) -> np.ndarray:
    seeds, areas = _components(cleaned > threshold)

    def areas_at(lower: float) -> np.ndarray:
        nonlocal seeds, areas
        if lower != threshold:
            seeds, areas = _components(cleaned > lower)
        return areas

    rule = seed_rule(areas_at, threshold)
    return _kept(seeds, areas, rule.least)


def _kept(seeds: np.ndarray, areas: np.ndarray, least: float) -> np.ndarray:
    kept = areas > least
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
