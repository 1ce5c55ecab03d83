"""Flows that Cellpose learns from, made once for each label image and kept."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tifffile
import torch

from cellharness.caching import cache_dir
from cellharness.files import whole_file
from cellharness_adapters.cellpose.library import dynamics


def flows_of(labels: np.ndarray) -> np.ndarray:
    """Give cell mask and flows of a label image.

    Parameters
    ----------
    labels : ndarray of unsigned int, (H, W)
        0 background.

    Returns
    -------
    ndarray of float32, (3, H, W)
        1 inside cells, flow in y, flow in x (Stringer et al. 2021, Methods), as
        ``cellpose.dynamics.labels_to_flows`` gives them.
    """
    path = _cached(labels)
    if path.is_file():
        try:
            return np.concatenate([(labels > 0)[None], tifffile.imread(path)]).astype(np.float32)
        except (OSError, ValueError, tifffile.TiffFileError):
            path.unlink(missing_ok=True)  # cut off by a kill
    # The library numbers the labels anew in place.
    own = labels.astype(np.int32).copy()
    flows = dynamics.labels_to_flows([own], device=torch.device("cpu"))[0][1:]
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        tifffile.imwrite(partial, flows[1:], compression="zlib")
    return flows


def _cached(labels: np.ndarray) -> Path:
    content = hashlib.sha256(np.ascontiguousarray(labels, dtype=np.uint32).tobytes())
    content.update(repr(labels.shape).encode() + version("cellpose").encode())
    return cache_dir() / "flows" / f"{content.hexdigest()}.tif"
