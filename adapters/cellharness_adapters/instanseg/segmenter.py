"""InstanSeg through its own library, from named models or a TorchScript file of the user's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from cellharness.installation import missing_package
from cellharness.methods.base import (
    FLAT_IMAGE,
    BaseSegmenter,
    MethodInfo,
    Parameters,
    UnsupportedCaseError,
)
from cellharness.methods.device import choose_device
from cellharness.methods.registry import resolve_weights
from cellharness.weights import Weights

if TYPE_CHECKING:
    import numpy as np

Share = Annotated[float, Field(ge=0, le=1)]

#: The library takes the shortest axis for the channels, and its network halves an image thrice.
_FEWEST_PX = 16
_CHANNELS = re.compile(r"to have (\d+) channels, but got (\d+) channels")


class InstansegParameters(Parameters):
    """Parameters of InstanSeg; what is left empty is as in the model."""

    weights: str = Field(
        "fluorescence_nuclei_and_cells",
        description="fluorescence_nuclei_and_cells (any number of channels), "
        "single_channel_nuclei (with `input: gray`), brightfield_nuclei (colour), or the path of a "
        "TorchScript model.",
    )
    pixel_size: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="Micrometres a pixel of the images; they are rescaled to the model's, 0.5 as a "
        "rule. Empty: taken to have the model's already.",
    )
    target: Literal["cells", "nuclei"] = Field(
        "cells", description="Of a model that finds both; without effect on others."
    )
    seed_threshold: Share | None = Field(None, description="Value from which a pixel is a seed.")
    mask_threshold: Share | None = Field(None, description="Probability from which a pixel is in.")
    overlap_threshold: Share | None = Field(
        None, description="Overlap above which two objects are one."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the GPU if any.")


class Instanseg(BaseSegmenter):
    """InstanSeg: seeds and embeddings of pixels, joined by a small network (Goldsborough 2024)."""

    info: ClassVar[MethodInfo] = MethodInfo(
        summary="Seeds and pixel embeddings for nuclei and cells of tissue (InstanSeg).",
        licence="Apache-2.0",
        citation="Goldsborough et al., arXiv 2408.15954 (2024); bioRxiv 2024.09.04.611150 (2024)",
        input="native",
        url="https://github.com/instanseg/instanseg",
        extra="instanseg",
        packages=("instanseg-torch", "torch", "numpy", "scikit-image"),
        requires=("instanseg-torch>=0.1.1,<0.2", "torch>=2.4"),
        limits="Wants the size of a pixel. Post-processing is inside the model and counts as the "
        "network's time. The published models were not run here: their host was out of reach. A "
        "small model with random weights was, with the labels of the library.",
    )
    Parameters: ClassVar[type[Parameters]] = InstansegParameters
    parameters: InstansegParameters

    def weights(self) -> tuple[Weights, ...]:
        """Find the model by name or path."""
        return (resolve_weights(self.parameters.weights),)

    def resolved(self) -> dict[str, Any]:
        """What ``auto`` comes to on this machine; torch is imported only to answer that."""
        wanted = self.parameters.device
        return {"device": choose_device(wanted)} if wanted == "auto" else {}

    def load(self) -> None:
        """Read the model and check that it knows the thresholds that are set."""
        try:
            from cellharness_adapters.instanseg.network import load_model
        except ImportError as error:
            raise missing_package(what="InstanSeg", error=error, extra="instanseg") from error
        (weights,) = self.weights()
        device = choose_device(self.parameters.device)
        self.timer.wait_for(device)
        self._model = load_model(weights.files["network"], device, self._thresholds())
        pixel_size = float(self._model.instanseg.pixel_size)
        self._how = {"device": device, "model_pixel_size": pixel_size}

    def _thresholds(self) -> dict[str, float]:
        given = self.parameters.model_dump(
            include={"seed_threshold", "mask_threshold", "overlap_threshold"}
        )
        return {name: value for name, value in given.items() if value is not None}

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Segment one image.

        Parameters
        ----------
        image : ndarray, (H, W) or (H, W, C)
            Any finite range; the library scales each channel to its percentiles 0.1 and 99.9.

        Returns
        -------
        ndarray of int32, (H, W)

        Raises
        ------
        UnsupportedCaseError
            The image is too small, or the model is for another number of channels.
        """
        import numpy as np

        from cellharness_adapters.instanseg.network import predict

        self._details = dict(self._how)
        height, width = image.shape[:2]
        if min(height, width) < _FEWEST_PX:
            msg = f"an image of {height} x {width} px is too small for InstanSeg"
            raise UnsupportedCaseError(msg)
        channels = image[None] if image.ndim == 2 else np.moveaxis(image, -1, 0)
        if channels.min() == channels.max():
            self._details["remark"] = FLAT_IMAGE
            return np.zeros((height, width), np.int32)
        wanted = self.parameters
        try:
            return predict(
                self._model,
                np.array(channels, np.float32, order="C"),
                wanted.pixel_size,
                wanted.target,
                self._thresholds(),
            )
        except RuntimeError as error:
            other = _CHANNELS.search(str(error))
            if other is None:
                raise
            msg = (
                f"the model of InstanSeg is for {other[1]} channels, and the image was handed over "
                f"with {other[2]}; choose another model, or `input: gray` for one channel"
            )
            raise UnsupportedCaseError(msg) from error
