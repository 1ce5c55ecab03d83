"""The threshold of an image that is read by window, as of the image in one piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from skimage.filters import threshold_otsu

from cellharness_adapters.otsu_watershed.watershed import FRAME, Foreground, smoothed

if TYPE_CHECKING:
    from cellharness.slides.image import SlideImage
    from cellharness_adapters.otsu_watershed.segmenter import OtsuWatershedParameters

#: Bins of the histogram of `skimage.filters.threshold_otsu`.
_BINS = 256
#: Where SciPy's Gaussian ends, in sigmas.
_TRUNCATE = 4


def foreground_of_whole(image: SlideImage, parameters: OtsuWatershedParameters) -> Foreground:
    """Find threshold and polarity of a whole image, in a few passes over it.

    Parameters
    ----------
    image : SlideImage
    parameters : OtsuWatershedParameters

    Returns
    -------
    Foreground
        That of the image in one piece.
    """
    ends = [(band.min(), band.max()) for _, band in _smooth_bands(image, parameters.sigma)]
    lowest, highest = min(low for low, _ in ends), max(high for _, high in ends)
    if lowest == highest:
        return Foreground(None)
    counts = np.zeros(_BINS, np.int64)
    for _, band in _smooth_bands(image, parameters.sigma):
        found, edges = np.histogram(band, _BINS, (lowest, highest))
        counts += found
    threshold = threshold_otsu(hist=(counts, (edges[:-1] + edges[1:]) / 2))
    if parameters.polarity != "auto":
        return Foreground(threshold, parameters.polarity == "bright")
    height = image.shape[0]
    bright = size = 0
    for rows, band in _smooth_bands(image, parameters.sigma):
        frame = np.ones(band.shape, bool)
        inner = slice(max(0, FRAME - rows.start), max(0, height - FRAME - rows.start))
        frame[inner, FRAME:-FRAME] = False
        bright += int(np.count_nonzero((band > threshold)[frame]))
        size += int(np.count_nonzero(frame))
    return Foreground(threshold, bright / size <= 0.5)


def _smooth_bands(image: SlideImage, sigma: float) -> Iterator[tuple[slice, np.ndarray]]:
    margin = int(_TRUNCATE * sigma + 0.5)
    for rows, band, inner in image.bands(margin):
        yield rows, smoothed(band, sigma)[inner]
