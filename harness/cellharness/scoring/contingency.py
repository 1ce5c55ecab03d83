"""Count which cell overlaps which, and by how many pixels, in one pass over the image.

The table is sparse: a hash from (gt id, pred id) to pixels, so its size follows the number of
pairs that touch, neither the number of cells squared nor the largest id. Areas, foreground sizes
and the cells at the border all follow from the same table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from cellharness.compiled import compiled
from cellharness.data.label_rows import LabelRows

#: A label image, in memory or read by rows.
Labels = np.ndarray | LabelRows

# Columns of a slot of the hash.
_GT, _PRED, _PIXELS, _BORDER = 0, 1, 2, 3
_FIRST_BITS = 10
_BLOCK_PIXELS = 1 << 18
#: Of what is read from a file, which comes in tiles of so many rows.
_FILE_ROWS = 512

_U0, _U1 = np.uint64(0), np.uint64(1)
_U56, _U64 = np.uint64(56), np.uint64(64)
# Odd constants with well-mixed bits; the top bits of the sum of products choose the slot.
_MIX_GT, _MIX_PRED = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
# Eight bytes of 0 or 1, times this, have their eight bits side by side in the top byte.
_GATHER_BITS = np.uint64(0x0102040810204080)


@dataclass(frozen=True)
class Contingency:
    """Every pair of ids that shares pixels, in no particular order.

    Attributes
    ----------
    gt, pred : ndarray of int64 or uint64, shape (n,)
        The ids of each pair. 0 is background; the pair (0, 0) is left out.
    pixels : ndarray of int64, shape (n,)
        Pixels that carry both ids.
    at_border : ndarray of bool, shape (n,)
        Whether one of those pixels lies in the outer rows or columns.
    background : int
        Pixels of the pair (0, 0) within the image.
    """

    gt: np.ndarray
    pred: np.ndarray
    pixels: np.ndarray
    at_border: np.ndarray
    background: int

    def cast(self, gt: np.dtype[Any], pred: np.dtype[Any]) -> Contingency:
        """Return the table as if both label images had been cast, wrapping, to these dtypes.

        Ids that fall together are merged, and ids that become 0 join the background.
        """
        new_gt, new_pred = self.gt.astype(gt), self.pred.astype(pred)
        if np.array_equal(new_gt, self.gt) and np.array_equal(new_pred, self.pred):
            return self
        order = np.lexsort((new_pred, new_gt))
        new_gt, new_pred = new_gt[order], new_pred[order]
        first = np.r_[True, (np.diff(new_gt) != 0) | (np.diff(new_pred) != 0)]
        starts = np.flatnonzero(first)
        pixels = np.add.reduceat(self.pixels[order], starts)
        at_border = np.logical_or.reduceat(self.at_border[order], starts)
        new_gt, new_pred = new_gt[starts], new_pred[starts]
        cells = (new_gt != 0) | (new_pred != 0)
        background = self.background + int(pixels[~cells].sum())
        return Contingency(
            new_gt[cells], new_pred[cells], pixels[cells], at_border[cells], background
        )


def count_overlaps(
    gt: Labels, pred: Labels, *, border: int, frame: tuple[int, int] | None = None
) -> Contingency:
    """Count the overlaps of two label images in one pass.

    Parameters
    ----------
    gt, pred
        Shape (H, W), checked by `check_pair`: non-negative integers of any width, byte order and
        memory layout. Neither is copied whole; rows that cannot be read in place are copied a
        quarter of a million pixels at a time. Of a `LabelRows` a few hundred rows are in memory.
    border
        Width in pixels of the outer rows and columns whose cells are marked.
    frame
        Rows and columns of the frame to which `border` refers, when the image is padded to the
        right and below; (H, W) by default.

    Returns
    -------
    Contingency
        With ids as uint64.
    """
    height, width = gt.shape
    frame_height, frame_width = frame or gt.shape
    table, used = np.zeros((1 << _FIRST_BITS, 4), np.uint64), 0
    for top, gt_rows, pred_rows in _row_blocks(gt, pred):
        table, used = _count_rows(
            gt_rows, pred_rows, top, frame_height, frame_width, border, table, used
        )
    gt_ids, pred_ids, pixels, at_border = _read_table(table, used)
    background = height * width - int(pixels.sum())
    return Contingency(gt_ids, pred_ids, pixels, at_border, background)


def _row_blocks(gt: Labels, pred: Labels) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield (first row, gt rows, pred rows), both contiguous and of one unsigned native dtype."""
    # uint16 at least and one dtype for both: three compiled kernels serve all 64 combinations.
    width = max(gt.dtype.itemsize, pred.dtype.itemsize, 2)
    dtype = np.dtype(f"u{width}")
    in_place = all(side.dtype.itemsize == width and side.dtype.isnative for side in (gt, pred))
    step = _FILE_ROWS
    if isinstance(gt, np.ndarray) and isinstance(pred, np.ndarray):
        if in_place and gt.flags.c_contiguous and pred.flags.c_contiguous:
            yield 0, np.asarray(gt).view(dtype), np.asarray(pred).view(dtype)
            return
        step = max(1, _BLOCK_PIXELS // gt.shape[1])
    for top in range(0, gt.shape[0], step):
        rows = slice(top, top + step)
        yield (
            top,
            np.ascontiguousarray(gt[rows], dtype=dtype),
            np.ascontiguousarray(pred[rows], dtype=dtype),
        )


def _trailing_zeros_code(_context: Any, _word: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


# Index of the lowest set bit of a uint64 that is not 0, in one machine instruction.
_trailing_zeros: Any = intrinsic(_trailing_zeros_code)


@compiled
def _count_rows(
    gt: np.ndarray,
    pred: np.ndarray,
    top: int,
    frame_height: int,
    frame_width: int,
    border: int,
    table: np.ndarray,
    used: int,
) -> tuple[np.ndarray, int]:
    """Add these rows to the table; return the table, grown if need be, and its filled slots.

    Each row is done in two sweeps. The first marks the columns where the pair of ids changes: it
    has no branches, so it runs as vector code. The second visits only the marked columns and adds
    each run of equal pairs at once, so the hash is touched once a run and not once a pixel.
    """
    height, width = gt.shape
    words = (width + 63) // 64
    changed = np.zeros(words * 64, np.uint8)
    changed_by_8 = changed.view(np.uint64)
    ends = np.empty(width + 1, np.int64)
    shift = _shift_of(table)
    for y in range(height):
        gt_row, pred_row = gt[y], pred[y]
        for x in range(1, width):
            changed[x] = np.uint8(gt_row[x] != gt_row[x - 1]) | np.uint8(
                pred_row[x] != pred_row[x - 1]
            )
        runs = 0
        for word in range(words):
            bits = _U0
            for byte in range(8):
                gathered = (changed_by_8[word * 8 + byte] * _GATHER_BITS) >> _U56
                bits |= gathered << np.uint64(8 * byte)
            while bits != _U0:
                ends[runs] = word * 64 + np.int64(_trailing_zeros(bits))
                runs += 1
                bits &= bits - _U1
        ends[runs] = width
        runs += 1
        # Room for a new pair in every run, at most half full.
        while 2 * (used + runs) > table.shape[0]:
            table = _grown(table)
            shift = _shift_of(table)
        edge_row = top + y < border or top + y >= frame_height - border
        start = 0
        for run in range(runs):
            end = ends[run]
            gt_id, pred_id = np.uint64(gt_row[start]), np.uint64(pred_row[start])
            if gt_id | pred_id != _U0:
                slot = _find(table, shift, gt_id, pred_id)
                if table[slot, _PIXELS] == _U0:
                    table[slot, _GT] = gt_id
                    table[slot, _PRED] = pred_id
                    used += 1
                table[slot, _PIXELS] += np.uint64(end - start)
                if edge_row or start < border or end > frame_width - border:
                    table[slot, _BORDER] = _U1
            start = end
    return table, used


@njit(inline="always")
def _shift_of(table: np.ndarray) -> np.uint64:
    return _U64 - _trailing_zeros(np.uint64(table.shape[0]))


@njit(inline="always")
def _find(table: np.ndarray, shift: np.uint64, gt_id: np.uint64, pred_id: np.uint64) -> np.uint64:
    """Return the slot of a pair, or the empty slot where it belongs (linear probing)."""
    last = np.uint64(table.shape[0]) - _U1
    slot = (gt_id * _MIX_GT + pred_id * _MIX_PRED) >> shift
    while table[slot, _PIXELS] != _U0 and (
        table[slot, _GT] != gt_id or table[slot, _PRED] != pred_id
    ):
        slot = (slot + _U1) & last
    return slot


@compiled
def _grown(table: np.ndarray) -> np.ndarray:
    larger = np.zeros((4 * table.shape[0], 4), np.uint64)
    shift = _shift_of(larger)
    for slot in range(table.shape[0]):
        if table[slot, _PIXELS] != _U0:
            larger[_find(larger, shift, table[slot, _GT], table[slot, _PRED])] = table[slot]
    return larger


@compiled
def _read_table(
    table: np.ndarray, used: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    gt_ids, pred_ids = np.empty(used, np.uint64), np.empty(used, np.uint64)
    pixels, at_border = np.empty(used, np.int64), np.empty(used, np.bool_)
    pair = 0
    for slot in range(table.shape[0]):
        if table[slot, _PIXELS] != _U0:
            gt_ids[pair] = table[slot, _GT]
            pred_ids[pair] = table[slot, _PRED]
            pixels[pair] = np.int64(table[slot, _PIXELS])
            at_border[pair] = table[slot, _BORDER] != _U0
            pair += 1
    return gt_ids, pred_ids, pixels, at_border
