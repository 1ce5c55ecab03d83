"""From flows to label image as Cellpose does it on the CPU, on all cores and bit by bit the same.

Following the flows, seeding and checking the found cells against the flows are nearly all of
the work in ``cellpose.dynamics.resize_and_compute_masks``; they are done here, resizing and
filling holes are the library's own.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from cv2 import INTER_NEAREST

from cellharness_adapters.cellpose.cpu.flow_consistency import flow_errors
from cellharness_adapters.cellpose.cpu.flow_following import follow
from cellharness_adapters.cellpose.cpu.seeding import cells_from_ends
from cellharness_adapters.cellpose.library import dynamics, transforms, utils


def reconstruct(
    flows: np.ndarray,
    cellprob: np.ndarray,
    *,
    niter: float = 200,
    cellprob_threshold: float = 0.0,
    flow_threshold: float | None = 0.4,
    interp: bool = True,
    min_size: int = 15,
    max_size_fraction: float = 0.4,
    resize: list[int] | None = None,
    threads: int | None = None,
) -> np.ndarray:
    """Turn the network's output for one image into labels.

    Parameters
    ----------
    flows : ndarray of float32, (2, H, W)
        Flow in y and in x, times 5.
    cellprob : ndarray of float32, (H, W)
        Logit of a pixel being cell.
    niter : float
        Steps along the flows; the fraction is dropped.
    cellprob_threshold, flow_threshold, min_size, max_size_fraction : float
        As in ``cellpose.dynamics.resize_and_compute_masks``, and so are the defaults.
    interp : bool
        Interpolate flows between pixels.
    resize : list of int, optional
        Height and width of the label image, if they are others than of the flows.
    threads : int, optional
        Default: as many as torch uses.

    Returns
    -------
    ndarray of uint16 or uint32, (H, W)
        Equal to the library's.
    """
    cpu = torch.device("cpu")
    inside = cellprob > cellprob_threshold
    if not inside.any() or not np.isfinite(flows).all():
        return dynamics.resize_and_compute_masks(
            flows,
            cellprob,
            niter=niter,
            cellprob_threshold=cellprob_threshold,
            flow_threshold=flow_threshold,
            interp=interp,
            min_size=min_size,
            max_size_fraction=max_size_fraction,
            resize=resize,
            device=cpu,
        )
    threads = threads or torch.get_num_threads()
    with ThreadPoolExecutor(threads) as pool:
        rows, columns = np.nonzero(inside)
        start = (rows, columns)
        ends = follow(
            flows * inside / 5.0,
            start,
            int(niter),
            interpolate=interp,
            pool=pool,
            threads=threads,
        )
        masks = cells_from_ends(ends, start, max_size_fraction, *cellprob.shape)
        if flow_threshold and flow_threshold > 0 and masks.any():
            errors = flow_errors(masks, flows, pool=pool, threads=threads)
            keep = np.concatenate([[True], ~(errors > flow_threshold)])
            masks *= keep[masks]
    if masks.max() < 2**16:
        masks = masks.astype(np.uint16, copy=False)
    if resize is not None:
        masks = transforms.resize_image(
            masks, *resize, no_channels=True, interpolation=INTER_NEAREST
        )
    return utils.fill_holes_and_remove_small_masks(masks, min_size=min_size)


def compile_ahead() -> None:
    """Compile all loops, or load them from where an earlier process left them, on a small cell."""
    y, x = np.mgrid[-20:20, -20:20].astype(np.float32)
    distance = np.hypot(y, x) + 1
    flows = np.stack([-5 * y / distance, -5 * x / distance])
    for interp in (False, True):
        reconstruct(flows, 10 - distance, interp=interp)
