"""A classical baseline: Otsu threshold, distance transform, watershed."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.morphology import remove_small_holes, remove_small_objects
from skimage.segmentation import watershed

from cellharness.methods.base import BaseSegmenter, MethodInfo, Parameters


class OtsuWatershedParameters(Parameters):
    """Parameters of the classical baseline."""

    sigma: float = Field(1.5, ge=0, description="Smoothing before the threshold, px.")
    polarity: str = Field(
        "auto",
        pattern="^(auto|bright|dark)$",
        description="Whether cells are brighter or darker than their surroundings. auto: the "
        "side of the threshold that covers less of the image's frame is cell.",
    )
    min_distance: int = Field(7, ge=1, description="Least distance of two cell centres, px.")
    min_size: int = Field(30, ge=1, description="Smallest kept cell, px.")


class OtsuWatershed(BaseSegmenter):
    """Otsu's threshold, then one watershed basin for each peak of the distance transform."""

    info: ClassVar[MethodInfo] = MethodInfo(
        summary="Classical baseline: Otsu threshold, distance transform, watershed.",
        licence="BSD-3-Clause (scikit-image)",
        citation="Otsu 1979; Beucher and Meyer 1993; van der Walt et al. 2014",
        input="gray_max",
        url="https://scikit-image.org",
        packages=("scikit-image", "scipy", "numpy"),
    )
    Parameters: ClassVar[type[Parameters]] = OtsuWatershedParameters
    parameters: OtsuWatershedParameters

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Segment one grey image.

        Parameters
        ----------
        image : ndarray, (H, W)
            A colour image is averaged over its channels.

        Returns
        -------
        ndarray of int32, (H, W)
        """
        gray = image.mean(axis=-1) if image.ndim == 3 else image
        smooth = gaussian(gray.astype(np.float32), self.parameters.sigma, preserve_range=True)
        if smooth.min() == smooth.max():
            return np.zeros(gray.shape, np.int32)
        with self.timer.phase("postprocess"):
            cells = self._foreground(smooth)
            cells = remove_small_holes(cells, max_size=self.parameters.min_size)
            cells = remove_small_objects(cells, max_size=self.parameters.min_size - 1)
            distance = ndimage.distance_transform_edt(cells)
            distance = gaussian(distance, 1.0, preserve_range=True)
            regions, _ = ndimage.label(cells)
            peaks = peak_local_max(
                distance,
                min_distance=self.parameters.min_distance,
                labels=regions,
                exclude_border=False,
            )
            seeds = np.zeros(gray.shape, np.int32)
            seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
            return watershed(-distance, seeds, mask=cells)

    def _foreground(self, smooth: np.ndarray) -> np.ndarray:
        bright = smooth > threshold_otsu(smooth)
        if self.parameters.polarity != "auto":
            return bright if self.parameters.polarity == "bright" else ~bright
        frame = np.ones(smooth.shape, bool)
        frame[5:-5, 5:-5] = False
        return bright if bright[frame].mean() <= 0.5 else ~bright
