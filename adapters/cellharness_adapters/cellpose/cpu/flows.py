"""Flows that Cellpose learns from, made once for each label image and kept.

Equal to the library's to the last bit, see :mod:`.heat`.
"""

from __future__ import annotations

from importlib.metadata import version

import fastremap
import numpy as np
from scipy.ndimage import find_objects

from cellharness.training.arrays_on_disk import ArrayOnDisk, content_key, kept
from cellharness_adapters.cellpose.cpu.heat import flows_of_cells


def flows_of(labels: np.ndarray) -> np.ndarray:
    """Give cell mask and flows of a label image.

    Parameters
    ----------
    labels : ndarray of unsigned int, (H, W)
        0 background.

    Returns
    -------
    ndarray of float32, (3, H, W)
        1 inside cells, flow in y, flow in x: what ``cellpose.dynamics.labels_to_flows`` gives
        after the labels.
    """
    cells, flows = flows_on_disk(labels)
    return np.concatenate([cells.open()[None], flows.open()]).astype(np.float32)


def flows_on_disk(labels: np.ndarray) -> tuple[ArrayOnDisk, ArrayOnDisk]:
    """Give cell mask and flows of a label image from the cache, made first where they are not.

    Parameters
    ----------
    labels : ndarray of unsigned int, (H, W)
        0 background.

    Returns
    -------
    cells : ArrayOnDisk of uint8, (H, W)
        1 inside cells.
    flows : ArrayOnDisk of float32, (2, H, W)
        In y and in x.

    Raises
    ------
    UsageError
        The cache cannot be written.
    """
    # Numbers and order of the labels make no difference to the library either.
    key = content_key(labels.astype(np.uint32), version("cellpose"))
    cells = kept("flows", f"{key}-cells", lambda: (labels > 0).astype(np.uint8))
    return cells, kept("flows", f"{key}-flows", lambda: make_flows(labels))


def make_flows(labels: np.ndarray) -> np.ndarray:
    """Make the flows of a label image, on one core.

    Parameters
    ----------
    labels : ndarray of unsigned int, (H, W)
        0 background, one positive label a cell.

    Returns
    -------
    ndarray of float32, (2, H, W)
        Flow in y and in x, of length 1; 0 outside of cells and where no heat came.
    """
    flows = np.zeros((2, *labels.shape), np.float32)
    # Cells one after the other whatever their numbers, so that their boxes make a short list.
    numbered = fastremap.renumber(labels.astype(np.uint32), in_place=True)[0].astype(np.int32)
    boxes = np.array(
        [[s[0].start, s[0].stop, s[1].start, s[1].stop] for s in find_objects(numbered)], np.int64
    ).reshape(-1, 4)
    flows_of_cells(numbered, boxes, flows)
    return flows
