"""What makes a label image look as if its ids were not one a cell: the one place that decides it.

Scores of such an image stand, for ids may be what anybody likes; but `data validate`, `score` and
`run` tell of it. All is found in one pass over the rows, so that it costs little beside scoring.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cellharness.compiled import compiled
from cellharness.errors import first_of

#: Codes of doubts that change what a score means; the others are for who looks after the data.
SERIOUS = ("binary-mask", "wrapped-ids", "duplicate-id")

# With so many pieces an id, a label of few ids is a mask of all cells, not of cells in parts.
_PIECES_OF_A_MASK = 3
_IDS_OF_CLASSES = 3
# So many pieces of the only id are a mask even if one of them is large, as where cells touch.
_PIECES_OF_ONE_ID = 10
_LARGEST_IDS = {255: 8, 65535: 16}


class Doubt(NamedTuple):
    """One thing that is odd about the ids of a label image.

    Attributes
    ----------
    code : str
        ``binary-mask``, ``wrapped-ids``, ``duplicate-id`` or ``disconnected-id``.
    message : str
        With its numbers.
    """

    code: str
    message: str


@dataclass(frozen=True)
class Pieces:
    """The 8-connected pieces of a label image, in no particular order.

    Attributes
    ----------
    ids : ndarray of uint64, shape (n,)
        Id of each piece.
    pixels : ndarray of int64, shape (n,)
        Area of each.
    boxes : ndarray of int64, shape (n, 4)
        First row, row after the last, first column, column after the last.
    """

    ids: np.ndarray
    pixels: np.ndarray
    boxes: np.ndarray


def find_pieces(labels: np.ndarray) -> Pieces:
    """Find the 8-connected pieces of a label image.

    Parameters
    ----------
    labels
        Shape (H, W), non-negative integers; 0 is background.

    Returns
    -------
    Pieces

    Examples
    --------
    >>> pieces = find_pieces(np.array([[1, 0, 1], [0, 2, 0]]))
    >>> sorted(pieces.ids.tolist()), pieces.pixels.tolist()
    ([1, 1, 2], [1, 1, 1])
    """
    # Three compiled kernels serve all dtypes.
    dtype = f"u{max(2, labels.dtype.itemsize)}"
    ids, runs = _pieces(np.ascontiguousarray(labels, dtype=dtype))
    return Pieces(ids, runs[:, 0], runs[:, 1:])


@compiled
def _pieces(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join the runs of equal ids of each row with those of the row above."""
    height, width = labels.shape
    room = 1024 + width
    # Of each run: its id, its span, its parent, and as a root pixels, top, bottom, left, right.
    ids = np.empty(room, np.uint64)
    runs = np.empty((room, 8), np.int64)
    above = here = count = 0
    for y in range(height):
        if count + width > room:
            ids, runs = _longer(ids, count, width), _taller(runs, count, width)
            room = ids.shape[0]
        above, here = here, count
        count = _add_runs(labels[y], y, ids, runs, count)
        _join_rows(ids, runs, above, here, count)
    roots = 0
    for run in range(count):
        if runs[run, 2] == run:
            ids[roots] = ids[run]
            for k in range(3, 8):
                runs[roots, k] = runs[run, k]
            roots += 1
    return ids[:roots].copy(), runs[:roots, 3:].copy()


@compiled
def _add_runs(row: np.ndarray, y: int, ids: np.ndarray, runs: np.ndarray, count: int) -> int:
    width = row.shape[0]
    start = 0
    for x in range(1, width + 1):
        if x < width and row[x] == row[x - 1]:
            continue
        if row[x - 1] != 0:
            ids[count] = row[x - 1]
            runs[count, 0], runs[count, 1], runs[count, 2] = start, x, count
            runs[count, 3] = x - start
            runs[count, 4], runs[count, 5] = y, y + 1
            runs[count, 6], runs[count, 7] = start, x
            count += 1
        start = x
    return count


@compiled
def _join_rows(ids: np.ndarray, runs: np.ndarray, above: int, here: int, count: int) -> None:
    other = above
    for run in range(here, count):
        start, end = runs[run, 0], runs[run, 1]
        # Runs above that end left of this one's left neighbour are done with.
        while other < here and runs[other, 1] < start:
            other += 1
        k = other
        while k < here and runs[k, 0] <= end:
            if ids[k] == ids[run]:
                _join(runs, k, run)
            k += 1


@compiled
def _join(runs: np.ndarray, first: int, second: int) -> None:
    while runs[first, 2] != first:
        runs[first, 2] = runs[runs[first, 2], 2]
        first = runs[first, 2]
    while runs[second, 2] != second:
        runs[second, 2] = runs[runs[second, 2], 2]
        second = runs[second, 2]
    if first == second:
        return
    if first > second:
        first, second = second, first
    runs[second, 2] = first
    runs[first, 3] += runs[second, 3]
    runs[first, 4] = min(runs[first, 4], runs[second, 4])
    runs[first, 5] = max(runs[first, 5], runs[second, 5])
    runs[first, 6] = min(runs[first, 6], runs[second, 6])
    runs[first, 7] = max(runs[first, 7], runs[second, 7])


@compiled
def _longer(array: np.ndarray, used: int, more: int) -> np.ndarray:
    longer = np.empty(2 * array.shape[0] + more, array.dtype)
    longer[:used] = array[:used]
    return longer


@compiled
def _taller(array: np.ndarray, used: int, more: int) -> np.ndarray:
    taller = np.empty((2 * array.shape[0] + more, array.shape[1]), array.dtype)
    taller[:used] = array[:used]
    return taller


def doubts(labels: np.ndarray) -> tuple[Doubt, ...]:
    """Tell what is odd about the ids of a label image.

    Parameters
    ----------
    labels
        Shape (H, W), non-negative integers; 0 is background.

    Returns
    -------
    tuple of Doubt
        Empty if nothing is. ``binary-mask``: one id in many pieces, or a few ids in many more;
        ``wrapped-ids``: the largest id is the largest of 8 or 16 bits and ids have several bodies;
        ``duplicate-id``: ids in places further apart than a cell is wide; ``disconnected-id``: ids
        in pieces near each other. Of the first three at most one is told.

    Examples
    --------
    >>> mask = np.kron(np.eye(5, dtype=np.uint8), np.pad(np.ones((3, 3), np.uint8), 2)) * 255
    >>> [doubt.code for doubt in doubts(mask)]
    ['binary-mask']
    """
    return doubts_of(find_pieces(labels))


def serious_doubts(labels: np.ndarray) -> list[str]:
    """Messages of the `SERIOUS` doubts about a label image."""
    return [doubt.message for doubt in doubts(labels) if doubt.code in SERIOUS]


def doubts_of(pieces: Pieces) -> tuple[Doubt, ...]:
    """Tell what is odd about ids, from their pieces; see `doubts`."""
    ids, inverse, counts = np.unique(pieces.ids, return_inverse=True, return_counts=True)
    broken = np.flatnonzero(counts > 1)
    if not len(broken):
        return ()
    order = np.argsort(inverse, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)])
    far = np.array(
        [_is_far_apart(pieces, order[starts[k] : starts[k + 1]]) for k in broken], np.bool_
    )
    split, double = ids[broken[~far]], ids[broken[far]]
    total = len(pieces.ids)
    few = len(ids) <= _IDS_OF_CLASSES and total >= _PIECES_OF_A_MASK * len(ids)
    if (few and len(double)) or (len(ids) == 1 and total >= _PIECES_OF_ONE_ID):
        named = f"one id, {ids[0]}," if len(ids) == 1 else f"{len(ids)} ids ({first_of(ids)})"
        kind = "a binary mask" if len(ids) == 1 else "a mask of classes"
        return (Doubt("binary-mask", f"{named} in {total} pieces: {kind}, not labels?"),)
    found = []
    bits = _LARGEST_IDS.get(int(ids[-1]))
    if len(double) and bits:
        text = (
            f"the largest id is {ids[-1]} and {len(double)} ids{_some(double)} are in places far "
            f"apart ({total} pieces, {len(ids)} ids): ids wrapped at {bits} bits?"
        )
        found.append(Doubt("wrapped-ids", text))
    elif len(double):
        text = (
            f"Ids in places further apart than a cell is wide, as if given twice: {len(double)}"
            f"{_some(double)}; scoring takes each id as one cell."
        )
        found.append(Doubt("duplicate-id", text))
    if len(split):
        text = f"Cells in several pieces: {len(split)}{_some(split)}."
        found.append(Doubt("disconnected-id", text))
    return tuple(found)


def _is_far_apart(pieces: Pieces, mine: np.ndarray) -> bool:
    """Whether pieces of one id lie further apart than the largest is wide.

    A speck far away is a slip of the pen; a second body of cell size is a second cell.
    """
    pixels, boxes = pieces.pixels[mine], pieces.boxes[mine]
    largest = int(np.argmax(pixels))
    width = 2 * math.sqrt(pixels[largest] / math.pi)
    top, bottom, left, right = boxes.T
    rows = np.maximum(0, np.maximum(top - bottom[largest], top[largest] - bottom))
    columns = np.maximum(0, np.maximum(left - right[largest], left[largest] - right))
    bodies = pixels >= pixels[largest] / 4
    return bool(np.any(bodies & (np.hypot(rows, columns) > width)))


def _some(ids: np.ndarray) -> str:
    return f" (ids {first_of(ids)})"
