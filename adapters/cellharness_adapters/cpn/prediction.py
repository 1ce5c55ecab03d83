"""Contours of an image of any size, tile by tile, and labels of contours. Imports torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torchvision.ops import nms
from torchvision.ops.boxes import remove_small_boxes

from cellharness.methods.base import check_finite
from cellharness_adapters.cpn.network import celldetection


def find_contours(
    image: np.ndarray,
    network: Any,
    *,
    tile: int,
    stride: int,
    border: int,
    device: str,
) -> np.ndarray:
    """Find the contours of cells.

    Parameters
    ----------
    image : ndarray of uint8, (H, W, 3)
    network : celldetection.models.CPN
        On the device, with its thresholds set.
    tile, stride : int
        Side of a tile, and from one to the next, px.
    border : int
        Contours that come so close to the border of a tile, where another joins it, are dropped.
    device : {"cpu", "cuda"}

    Returns
    -------
    ndarray of float32, (number of cells, number of points, 2)
        x and y.

    Raises
    ------
    NotFiniteError
        The network gives NaN or infinity.
    """
    size = image.shape[:2]
    slices, shape = celldetection.get_tiling_slices(size, (tile, tile), (stride, stride))
    contours, boxes, weights = [], [], []
    for number, (rows, columns) in enumerate(slices):
        part = np.ascontiguousarray(image[rows, columns].transpose(2, 0, 1), np.float32) / 255
        with torch.inference_mode():
            found = network(torch.from_numpy(part)[None].to(device))
        contour, box, score = (found[key][0].float() for key in ("contours", "boxes", "scores"))
        doubts = found["box_uncertainties"]
        if network.uncertainty_nms and doubts is not None:
            score = score * (1 - doubts[0].float().mean(1))
        check_finite("CPN's network", contour.cpu().numpy(), score.cpu().numpy())
        row, column = np.unravel_index(number, shape)
        inner = celldetection.ops.cpn.remove_border_contours(
            contour,
            part.shape[1:],
            border,
            top=row > 0,
            bottom=row < shape[0] - 1,
            left=column > 0,
            right=column < shape[1] - 1,
        )
        kept = torch.nonzero(inner)[:, 0]
        kept = kept[remove_small_boxes(box[kept], 1.0)]
        offset = torch.tensor([columns.start, rows.start], device=device)
        contours.append(contour[kept] + offset)
        boxes.append(box[kept] + offset.repeat(2))
        weights.append(score[kept])
    together = torch.cat(contours)
    # One cell may be found in several tiles.
    chosen = nms(torch.cat(boxes), torch.cat(weights), network.nms_thresh)
    return together[chosen].cpu().numpy()


def labels_of(contours: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Draw contours; a pixel inside of several goes to the one that reaches it first.

    Parameters
    ----------
    contours : ndarray, (N, points, 2)
    size : (int, int)
        Height and width.

    Returns
    -------
    ndarray of int32, (H, W)
    """
    if not len(contours):
        return np.zeros(size, np.int32)
    layers = celldetection.data.contours2labels(contours.copy(), size, initial_depth=3)
    return celldetection.data.resolve_label_channels(layers)
