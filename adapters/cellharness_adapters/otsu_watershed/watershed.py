"""Find cells by Otsu's threshold and one watershed basin for each peak of the distances."""

from __future__ import annotations

from dataclasses import dataclass
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


#: Width of the frame that tells which side of the threshold is cell, px.
FRAME = 5


@dataclass(frozen=True)
class Foreground:
    """What tells cells from background.

    Attributes
    ----------
    threshold : float or None
        Of the smoothed grey values; None where all are alike, so that there are no cells.
    bright : bool
        Whether cells are what is brighter.
    """

    threshold: float | None
    bright: bool = True


def find_cells(
    image: np.ndarray,
    parameters: OtsuWatershedParameters,
    timer: PhaseTimer,
    whole: Foreground | None = None,
) -> np.ndarray:
    """Segment one image, see :meth:`.segmenter.OtsuWatershed.segment`.

    Parameters
    ----------
    whole : Foreground or None
        That of the whole image, of which `image` is a part; None for its own.
    """
    smooth = smoothed(image, parameters.sigma)
    found = whole or _foreground(smooth, parameters.polarity)
    if found.threshold is None:
        return np.zeros(smooth.shape, np.int32)
    with timer.phase("postprocess"):
        bright = smooth > found.threshold
        cells = bright if found.bright else ~bright
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
        seeds = np.zeros(smooth.shape, np.int32)
        seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        return watershed(-distance, seeds, mask=cells)


def smoothed(image: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth the grey values; those of a colour image are means of its channels."""
    gray = image.mean(axis=-1) if image.ndim == 3 else image
    return gaussian(gray.astype(np.float32), sigma, preserve_range=True)


def _foreground(smooth: np.ndarray, polarity: str) -> Foreground:
    if smooth.min() == smooth.max():
        return Foreground(None)
    threshold = threshold_otsu(smooth)
    if polarity != "auto":
        return Foreground(threshold, polarity == "bright")
    frame = np.ones(smooth.shape, bool)
    frame[FRAME:-FRAME, FRAME:-FRAME] = False
    return Foreground(threshold, bool((smooth > threshold)[frame].mean() <= 0.5))
