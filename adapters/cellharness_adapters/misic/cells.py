"""From probabilities to cells: sure pixels are seeds of a watershed on the image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.morphology import remove_small_holes, remove_small_objects
from skimage.segmentation import watershed

if TYPE_CHECKING:
    from cellharness_adapters.misic.segmenter import MisicParameters


def find_cells(
    image: np.ndarray, probability: np.ndarray, width: float, parameters: MisicParameters
) -> np.ndarray:
    """Label cells as the plug-in does.

    Parameters
    ----------
    image : ndarray, (H, W)
        With dark cells; a watershed line, one px wide, is left between cells that touch.
    probability : ndarray, (H, W)
    width : float
        Mean width of the cells in px of the image; seeds and holes are judged by its square.
    parameters : MisicParameters
        Thresholds.

    Returns
    -------
    ndarray of int32, (H, W)
    """
    square = float(int(width)) ** 2
    seeds = remove_small_objects(
        probability > parameters.th_seed, max_size=_below(0.5 * square), connectivity=1
    )
    markers, _ = ndimage.label(seeds)
    cell = remove_small_holes(
        probability > parameters.th_cell, max_size=_below(0.1 * square), connectivity=1
    )
    return watershed(image, markers=markers, mask=cell, watershed_line=True)


def _below(area: float) -> int:
    """Largest whole number of px below an area."""
    return max(0, math.ceil(area) - 1)
