"""A classical baseline: Otsu threshold, distance transform, watershed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field

from cellharness.methods.base import BaseSegmenter, MethodInfo, Parameters

if TYPE_CHECKING:
    import numpy as np

    from cellharness.slides.image import SlideImage
    from cellharness_adapters.otsu_watershed.watershed import Foreground


class OtsuWatershedParameters(Parameters):
    """Parameters of the classical baseline."""

    sigma: float = Field(1.5, ge=0, description="Smoothing before the threshold, px.")
    polarity: Literal["auto", "bright", "dark"] = Field(
        "auto",
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
        limits="One threshold an image: uneven light defeats it, and cells no brighter or darker "
        "than their surroundings.",
    )
    Parameters: ClassVar[type[Parameters]] = OtsuWatershedParameters
    parameters: OtsuWatershedParameters
    self_check: ClassVar[str] = "cellharness_adapters.otsu_watershed.self_check:OTSU_WATERSHED"

    def __init__(self, parameters: OtsuWatershedParameters | None = None) -> None:
        super().__init__(parameters)
        self._whole: Foreground | None = None

    def load(self) -> None:
        """Import what segments, so that the first case does not wait for it."""
        import cellharness_adapters.otsu_watershed.watershed  # noqa: F401

    def replica(self) -> Self:
        """Give another: a mask depends on its image alone."""
        return self.own_copy()

    def begin_tiles(self, image: SlideImage) -> None:
        """Find the whole image's threshold, and which side of it is cell."""
        from cellharness_adapters.otsu_watershed.whole_image import foreground_of_whole

        self._whole = foreground_of_whole(image, self.parameters)

    def end_tiles(self) -> None:
        """Forget them."""
        self._whole = None

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
        from cellharness_adapters.otsu_watershed.watershed import find_cells

        return find_cells(image, self.parameters, self.timer, self._whole)
