"""From flows to cells as MEDIAR does it, by the flow following that Cellpose runs with here.

The original is an old copy of Cellpose's code with faults of its own. Each is mended here and has
a name, by which it can be had back.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from scipy.ndimage import binary_fill_holes, find_objects
from scipy.special import expit
from skimage.morphology import remove_small_holes, remove_small_objects

from cellharness.methods.base import CaseError
from cellharness_adapters.cellpose.cpu.flow_consistency import flow_errors
from cellharness_adapters.cellpose.cpu.flow_following import follow
from cellharness_adapters.cellpose.cpu.seeding import cells_from_ends
from cellharness_adapters.mediar.presets import Fault

_STEPS = 200
#: Specks and holes of the foreground up to so many px are no cells and no holes.
_SPECK = 15
#: Cells below so many px, and so many standard deviations below the mean area, are cleaned away.
_SMALLEST, _DEVIATIONS = 15, 2.7
_TILE, _TILED_FROM = 2000, 5000**2
_LARGEST_SHARE = 0.9


def find_cells(
    output: np.ndarray,
    *,
    cellprob_threshold: float,
    flow_threshold: float,
    clean: bool,
    faults: Collection[Fault] = (),
    threads: int | None = None,
    whole: bool = True,
) -> np.ndarray:
    """Turn the network's output for one image into labels.

    Parameters
    ----------
    output : ndarray of float32, (3, H, W)
        Flow in y and in x (times 5), logit of cell.
    cellprob_threshold : float
        Probability above which a pixel is cell.
    flow_threshold : float
        Largest error of a cell's flows; 0 keeps all cells.
    clean : bool
        Fill holes, drop cells below 15 px and those far below the mean area.
    faults : collection of str
        Of the original, to be had back.
    threads : int, optional
        Default: as many as torch uses.
    whole : bool
        Whether this is all of an image; of a part, cells are not compared with the mean area.

    Returns
    -------
    ndarray of unsigned int, (H, W)

    Raises
    ------
    CaseError
        There is no pixel of cell and the fault ``no_foreground`` is asked for.
    """
    threads = threads or torch.get_num_threads()
    flows, probability = output[:2], expit(output[2])
    height, width = probability.shape
    side = _TILE if "tile_ids" in faults and height * width >= _TILED_FROM else max(height, width)
    labels = np.zeros((height, width), np.uint32)
    share = _LARGEST_SHARE if "large_dropped" in faults else 1.0
    with ThreadPoolExecutor(threads) as pool:
        for top in range(0, height, side):
            for left in range(0, width, side):
                part = np.s_[top : top + side, left : left + side]
                inside = _foreground(probability[part] > cellprob_threshold)
                if not inside.any():
                    if "no_foreground" in faults:
                        msg = (
                            "no pixel is cell, for which the original breaks off without a mask; "
                            "take 'no_foreground' out of faults to have an empty one"
                        )
                        raise CaseError(msg)
                    continue
                found = _follow_and_check(
                    np.ascontiguousarray(flows[:, *part]),
                    inside,
                    flow_threshold,
                    share,
                    (pool, threads),
                )
                labels[part] = _filled(found) if clean else found
    if not (clean and whole):
        return labels
    areas = np.bincount(labels.ravel())
    kept = are_kept(areas[1:])
    return np.where(np.concatenate([[True], kept])[labels], labels, 0)


def _foreground(inside: np.ndarray) -> np.ndarray:
    closed = remove_small_holes(inside, max_size=_SPECK)
    return remove_small_objects(closed, max_size=_SPECK)


def _follow_and_check(
    flows: np.ndarray,
    inside: np.ndarray,
    flow_threshold: float,
    largest_share: float,
    workers: tuple[ThreadPoolExecutor, int],
) -> np.ndarray:
    """Cells of one image or tile, numbered without gaps unless some are dropped."""
    pool, threads = workers
    rows, columns = np.nonzero(inside)
    start = (rows, columns)
    ends = follow(flows * inside / 5.0, start, _STEPS, interpolate=True, pool=pool, threads=threads)
    labels = cells_from_ends(ends, start, largest_share, *inside.shape)
    if flow_threshold > 0 and labels.any():
        errors = flow_errors(labels, flows, pool=pool, threads=threads)
        labels *= np.concatenate([[True], ~(errors > flow_threshold)])[labels]
    return labels


def _filled(labels: np.ndarray) -> np.ndarray:
    """Fill holes and drop the smallest; what lies in a hole of another cell goes to that one."""
    labels = labels.copy()
    for number, place in enumerate(find_objects(labels), start=1):
        if place is None:
            continue
        cell = labels[place] == number
        if np.count_nonzero(cell) < _SMALLEST:
            labels[place][cell] = 0
        else:
            labels[place][binary_fill_holes(cell)] = number
    return labels


def are_kept(areas: np.ndarray) -> np.ndarray:
    """Choose the cells of an image whose area is not far below the mean.

    Parameters
    ----------
    areas : ndarray of int, (n,)
        Px of each; 0 for one that is not there.

    Returns
    -------
    ndarray of bool, (n,)
    """
    there = areas[areas > 0]
    if not there.size:
        return np.ones(areas.shape, bool)
    return areas >= there.mean() - _DEVIATIONS * there.std()
