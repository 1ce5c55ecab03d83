"""Cells from the places where pixels ended, as Cellpose finds them.

Same result as ``cellpose.dynamics.get_masks_torch`` (cellpose 3.1.1.3) in 2-D: the library
works on whole images and on one small tensor a cell, here each step is one compiled loop.
"""

from __future__ import annotations

import numpy as np
import torch

from cellharness.compiled import compiled

_MARGIN = 20
_REACH = 5


def cells_from_ends(
    ends: np.ndarray,
    start: tuple[np.ndarray, np.ndarray],
    max_size_fraction: float,
    height: int,
    width: int,
) -> np.ndarray:
    """Gather pixels that ended close together into cells.

    Parameters
    ----------
    ends : ndarray of float32, (2, N)
        Final row and column of each pixel, inside the image.
    start : tuple of two ndarray of int, each (N,)
        Its own row and column; in the order of the image's memory.
    max_size_fraction : float
        Largest part of the image that a cell may cover.
    height, width : int
        Of the image in px.

    Returns
    -------
    ndarray of uint16 or uint32, (H, W)
        Labels 1 to n in the order in which they appear.
    """
    counts = _count(ends, height + 2 * _MARGIN, width + 2 * _MARGIN)
    seeds = _peaks(counts)
    # The library's own sort: which of two equally strong seeds wins depends on its order of ties.
    heights = torch.from_numpy(counts[seeds[:, 0], seeds[:, 1]])
    seeds = seeds[heights.argsort().numpy()]
    of_place = _grow(counts, seeds)
    dtype = np.uint16 if len(seeds) < 2**16 else np.uint32
    labels = np.zeros((height, width), dtype)
    largest = height * width * max_size_fraction
    _label(ends, start[0], start[1], of_place, len(seeds), largest, labels)
    return labels


@compiled
def _count(ends, height, width):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """How many pixels ended at each place; with a margin around the image."""
    counts = np.zeros((height, width), np.int32)
    for i in range(ends.shape[1]):
        counts[np.int32(ends[0, i]) + _MARGIN, np.int32(ends[1, i]) + _MARGIN] += 1
    return counts


@compiled
def _peaks(counts):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Places with more than ten pixels and no stronger place within two px."""
    found = []
    height, width = counts.shape
    for y in range(_MARGIN, height - _MARGIN):
        for x in range(_MARGIN, width - _MARGIN):
            count = counts[y, x]
            if count <= 10:
                continue
            highest = True
            for v in range(y - 2, y + 3):
                for u in range(x - 2, x + 3):
                    highest = highest and counts[v, u] <= count
            if highest:
                found.append((y, x))
    peaks = np.empty((len(found), 2), np.int64)
    for i in range(len(found)):
        peaks[i, 0], peaks[i, 1] = found[i]
    return peaks


@compiled
def _grow(counts, seeds):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Number of the seed that takes each place; a later one takes from an earlier one."""
    taken = np.zeros(counts.shape, np.int32)
    side = 2 * _REACH + 1
    for k in range(len(seeds)):
        top, left = seeds[k, 0] - _REACH, seeds[k, 1] - _REACH
        patch = np.zeros((side + 2, side + 2), np.bool_)
        patch[_REACH + 1, _REACH + 1] = True
        for _ in range(_REACH):
            before = patch.copy()
            for y in range(side):
                for x in range(side):
                    near = before[y : y + 3, x : x + 3].any()
                    patch[y + 1, x + 1] = near and counts[top + y, left + x] > 2
        for y in range(side):
            for x in range(side):
                if patch[y + 1, x + 1]:
                    taken[top + y, left + x] = k + 1
    return taken


@compiled
def _label(  # type: ignore[no-untyped-def]
    ends, rows, columns, of_place, n_seeds, largest, labels
):  # pragma: no cover - compiled
    """Write each pixel's seed, without cells that are too large, numbered by appearance."""
    sizes = np.zeros(n_seeds + 1, np.int64)
    seed_of = np.empty(len(rows), np.int32)
    for i in range(len(rows)):
        seed = of_place[np.int32(ends[0, i]) + _MARGIN, np.int32(ends[1, i]) + _MARGIN]
        seed_of[i] = seed
        sizes[seed] += 1
    number = np.zeros(n_seeds + 1, labels.dtype)
    given = 0
    for i in range(len(rows)):
        seed = seed_of[i]
        if seed == 0 or sizes[seed] > largest:
            continue
        if number[seed] == 0:
            given += 1
            number[seed] = given
        labels[rows[i], columns[i]] = number[seed]
