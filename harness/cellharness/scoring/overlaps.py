"""From the table of id pairs to cells: areas, border rule and IoU of every overlapping pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cellharness.compiled import compiled
from cellharness.scoring.contingency import Contingency

# Any odd constant with well-mixed bits serves; this one is 2**64 over the golden ratio.
_MIX = np.uint64(0x9E3779B97F4A7C15)
_U0, _U1 = np.uint64(0), np.uint64(1)


@dataclass(frozen=True)
class Side:
    """The cells of one label image after the border rule.

    Attributes
    ----------
    ids : ndarray of uint64, shape (n,)
        Original label ids, in no particular order.
    areas : ndarray of int64, shape (n,)
        Pixels of each cell.
    excluded : ndarray
        Ids that the border rule took out.
    """

    ids: np.ndarray
    areas: np.ndarray
    excluded: np.ndarray

    @property
    def count(self) -> int:
        """Number of cells that are scored."""
        return len(self.ids)


@dataclass(frozen=True)
class Overlaps:
    """Two sets of cells and every pair of them that shares at least one pixel.

    Attributes
    ----------
    true, pred : Side
        The cells of both images.
    true_index, pred_index : ndarray of int64, shape (n,)
        Positions of each pair's cells in `true` and `pred`.
    intersection, union : ndarray of int64, shape (n,)
        Pixels in both cells and in either.
    iou : ndarray of float64, shape (n,)
        Their quotient, divided as the official script divides it.
    """

    true: Side
    pred: Side
    true_index: np.ndarray
    pred_index: np.ndarray
    intersection: np.ndarray
    union: np.ndarray
    iou: np.ndarray


def find_overlaps(table: Contingency, *, spare_lowest: bool = False) -> Overlaps:
    """Take out the cells marked as at the border, and compute the IoU of all remaining pairs.

    Parameters
    ----------
    table
        From `count_overlaps`.
    spare_lowest
        Keep the cell of lowest id on a side that has no background pixel; a slip of the official
        script that shows in images of 4 pixels or fewer across.
    """
    true, true_index = _cells_of(table.gt, table, spare_lowest)
    pred, pred_index = _cells_of(table.pred, table, spare_lowest)
    paired = np.flatnonzero((true_index >= 0) & (pred_index >= 0))
    true_index, pred_index = true_index[paired], pred_index[paired]
    intersection = table.pixels[paired]
    union = true.areas[true_index] + pred.areas[pred_index] - intersection
    return Overlaps(true, pred, true_index, pred_index, intersection, union, intersection / union)


def _cells_of(
    ids_of_pairs: np.ndarray, table: Contingency, spare_lowest: bool
) -> tuple[Side, np.ndarray]:
    """Return one side's cells, and for each pair the position of its cell (-1 if it has none)."""
    ids, areas, excluded, cell_of_pair = _group(
        ids_of_pairs.astype(np.uint64), table.pixels, table.at_border
    )
    if spare_lowest and not (table.background or (cell_of_pair < 0).any()):
        excluded[ids.argmin()] = False
    if not excluded.any():
        return Side(ids, areas, ids[:0]), cell_of_pair
    kept = ~excluded
    # One more entry, for pairs that are background on this side: -1 looks up the last place.
    position = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)
    return Side(ids[kept], areas[kept], ids[excluded]), position[cell_of_pair]


@compiled
def _group(
    ids_of_pairs: np.ndarray, pixels: np.ndarray, at_border: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Group the pairs by id: distinct ids, pixels of each, whether at the border, group of each.

    Background (id 0) is no group; its pairs get -1.
    """
    bits = 4
    while (1 << bits) < 2 * len(ids_of_pairs):
        bits += 1
    slots = np.full(1 << bits, -1, np.int64)
    shift, last = np.uint64(64 - bits), np.uint64((1 << bits) - 1)
    ids = np.empty(len(ids_of_pairs), np.uint64)
    areas = np.zeros(len(ids_of_pairs), np.int64)
    touching = np.zeros(len(ids_of_pairs), np.bool_)
    group_of_pair = np.empty(len(ids_of_pairs), np.int64)
    groups = 0
    for pair in range(len(ids_of_pairs)):
        label = ids_of_pairs[pair]
        if label == _U0:
            group_of_pair[pair] = -1
            continue
        slot = (label * _MIX) >> shift
        while slots[slot] >= 0 and ids[slots[slot]] != label:
            slot = (slot + _U1) & last
        if slots[slot] < 0:
            slots[slot] = groups
            ids[groups] = label
            groups += 1
        group = slots[slot]
        group_of_pair[pair] = group
        areas[group] += pixels[pair]
        touching[group] |= at_border[pair]
    return ids[:groups].copy(), areas[:groups].copy(), touching[:groups].copy(), group_of_pair
