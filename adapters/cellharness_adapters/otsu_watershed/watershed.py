"""Find cells by Otsu's threshold and one watershed basin for each peak of the distances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.morphology import remove_small_holes, remove_small_objects
from skimage.segmentation import watershed

from cellharness.methods.timing import PhaseTimer

if TYPE_CHECKING:
    from cellharness_adapters.otsu_watershed.segmenter import OtsuWatershedParameters


def find_cells(
    image: np.ndarray, parameters: OtsuWatershedParameters, timer: PhaseTimer
) -> np.ndarray:
    """Segment one image, see :meth:`.segmenter.OtsuWatershed.segment`."""
    gray = image.mean(axis=-1) if image.ndim == 3 else image
    smooth = gaussian(gray.astype(np.float32), parameters.sigma, preserve_range=True)
    if smooth.min() == smooth.max():
        return np.zeros(gray.shape, np.int32)
    with timer.phase("postprocess"):
        cells = _foreground(smooth, parameters.polarity)
        cells = remove_small_holes(cells, max_size=parameters.min_size)
        cells = remove_small_objects(cells, max_size=parameters.min_size - 1)
        distance = ndimage.distance_transform_edt(cells)
        distance = gaussian(distance, 1.0, preserve_range=True)
        regions, _ = ndimage.label(cells)
        peaks = peak_local_max(
            distance,
            min_distance=parameters.min_distance,
            labels=regions,
            exclude_border=False,
        )
        seeds = np.zeros(gray.shape, np.int32)
        seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        return watershed(-distance, seeds, mask=cells)


def _foreground(smooth: np.ndarray, polarity: str) -> np.ndarray:
    bright = smooth > threshold_otsu(smooth)
    if polarity != "auto":
        return bright if polarity == "bright" else ~bright
    frame = np.ones(smooth.shape, bool)
    frame[5:-5, 5:-5] = False
    return bright if bright[frame].mean() <= 0.5 else ~bright
