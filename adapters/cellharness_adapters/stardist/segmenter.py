"""StarDist through its own library, in an environment that has it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from cellharness.errors import MissingDependencyError, UsageError
from cellharness.methods.base import (
    FLAT_IMAGE,
    BaseSegmenter,
    MethodInfo,
    Parameters,
    UnsupportedCaseError,
)
from cellharness.weights import Weights
from cellharness_adapters.stardist.environment import STARDIST
from cellharness_adapters.stardist.weights import resolve

if TYPE_CHECKING:
    import numpy as np

Share = Annotated[float, Field(gt=0, lt=1)]


class StardistParameters(Parameters):
    """Parameters of StarDist; defaults are the library's."""

    weights: str = Field(
        "2D_versatile_fluo",
        description="2D_versatile_fluo or 2D_paper_dsb2018 (fluorescent nuclei), 2D_versatile_he "
        "(H&E, colour), or the path of a model's folder, or of a weight file in one.",
    )
    prob_threshold: Share | None = Field(
        None, description="Probability above which a pixel proposes a cell. Empty: the model's."
    )
    nms_threshold: Share | None = Field(
        None, description="Overlap from which two proposals are one cell. Empty: the model's."
    )
    percentiles: tuple[float, float] = Field(
        (1.0, 99.8), description="Percentiles of the image that become 0 and 1."
    )
    joint_channels: bool = Field(
        False, description="Percentiles of all channels together, not of each by itself."
    )
    scale: float = Field(
        1.0,
        gt=0,
        description="The image is scaled by it first, so that cells have the size of "
        "those in training; labels come back in the image's own size.",
    )
    tiles: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = Field(
        (1, 1), description="Rows and columns of overlapping tiles; more need less memory."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the GPU if any.")

    @model_validator(mode="after")
    def _rising(self) -> StardistParameters:
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            msg = f"percentiles {low:g} and {high:g} must rise and lie within 0 to 100"
            raise ValueError(msg)
        return self


class Stardist(BaseSegmenter):
    """StarDist: each pixel proposes a star-convex polygon, the best of those that overlap stay."""

    info: ClassVar[MethodInfo] = MethodInfo(
        summary="Star-convex polygons proposed by each pixel; made for nuclei (StarDist).",
        licence="BSD-3-Clause",
        citation="Schmidt et al., MICCAI 2018, 265 (2018)",
        input="native",
        url="https://github.com/stardist/stardist",
        packages=("stardist", "csbdeep", "tensorflow", "keras", "h5py", "numpy", "scikit-image"),
        requires=("stardist>=0.9.1,<0.10", "tensorflow>=2.16"),
        environment=STARDIST.name,
        limits="Finds round, star-convex objects; the named models find nuclei only. They were not "
        "run here: their host was out of reach. Seeded random weights were, with the labels of the "
        "library.",
    )
    Parameters: ClassVar[type[Parameters]] = StardistParameters
    parameters: StardistParameters

    def weights(self) -> tuple[Weights, ...]:
        """Find the model by one of the library's names or by path; no other is taken."""
        return (resolve(self.parameters.weights),)

    def resolved(self) -> dict[str, Any]:
        """Device; TensorFlow is imported to answer that."""
        return {"device": self._device()}

    def _device(self) -> str:
        tensorflow = _tensorflow()
        wanted = self.parameters.device
        gpus = [] if wanted == "cpu" else tensorflow.config.list_physical_devices("GPU")
        if wanted == "cuda" and not gpus:
            msg = (
                "device 'cuda' was asked for and TensorFlow finds no GPU; its CUDA libraries come "
                "with `pip install tensorflow[and-cuda]`, for which the method may be given a "
                "Python of your own"
            )
            raise UsageError(msg)
        return "cuda" if gpus else "cpu"

    def load(self) -> None:
        """Read and check the model, and build the library's around it."""
        tensorflow = _tensorflow()
        from cellharness_adapters.stardist.network import load_model

        device = self._device()
        if device == "cpu":
            tensorflow.config.set_visible_devices([], "GPU")
        for gpu in tensorflow.config.get_visible_devices("GPU"):
            # Else all of its memory is taken at once, also what other methods need.
            tensorflow.config.experimental.set_memory_growth(gpu, True)
        (weights,) = self.weights()
        self._model = load_model(weights, self.timer)
        thresholds = self._model.thresholds
        wanted = self.parameters
        self._how = {
            "device": device,
            "prob_threshold": wanted.prob_threshold or thresholds.prob,
            "nms_threshold": wanted.nms_threshold or thresholds.nms,
        }

    def warmup(self) -> None:
        """Run once, so that TensorFlow has built all before the first case is timed."""
        import numpy as np

        channels = self._model.config.n_channel_in
        noise = np.random.default_rng(0).normal(size=(256, 256, channels))
        self.segment(noise[..., 0] if channels == 1 else noise)
        self.timer.reset()

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Segment one image.

        Parameters
        ----------
        image : ndarray, (H, W) or (H, W, C)
            Any finite range. A model for one channel is shown the luminance of a colour image.

        Returns
        -------
        ndarray of int32, (H, W)

        Raises
        ------
        UnsupportedCaseError
            The model is for another number of channels.
        NotFiniteError
            The network gave NaN or infinity.
        """
        import numpy as np
        from csbdeep.utils import normalize

        wanted = self.parameters
        self._details = dict(self._how)
        ready = self._shown(image)
        if ready.min() == ready.max():
            self._details["remark"] = FLAT_IMAGE
            return np.zeros(image.shape[:2], np.int32)
        axes = (0, 1, 2) if wanted.joint_channels and ready.ndim == 3 else (0, 1)
        low, high = wanted.percentiles
        labels, _ = self._model.predict_instances(
            normalize(ready, low, high, axis=axes),
            prob_thresh=self._how["prob_threshold"],
            nms_thresh=self._how["nms_threshold"],
            scale=None if wanted.scale == 1 else wanted.scale,
            n_tiles=(*wanted.tiles, 1)[: ready.ndim],
            show_tile_progress=False,
            predict_kwargs={"verbose": 0},
        )
        return labels

    def _shown(self, image: np.ndarray) -> np.ndarray:
        """The image with as many channels as the model is for."""
        from cellharness.data.images import prepare  # with NumPy, which a list of methods needs not

        channels = self._model.config.n_channel_in
        if channels == 1:
            return prepare(image, "gray")
        given = 1 if image.ndim == 2 else image.shape[2]
        if given != channels:
            msg = (
                f"the model of StarDist is for {channels} channels, and the image was handed over "
                f"with {given}; choose another model, or `input: native` for colour images"
            )
            raise UnsupportedCaseError(msg)
        return image


def _tensorflow() -> Any:
    """Import TensorFlow quietly; raise where it or StarDist is not in this Python."""
    # It tells of each missing GPU library otherwise.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import stardist  # noqa: F401
        import tensorflow
    except ImportError as error:
        name = STARDIST.name
        msg = (
            f"StarDist is not in this Python ({error}). Build its environment with `cellharness "
            f"environments create {name}` and say `environment: {name}` in the method's "
            f"configuration, or `--environment {name}` to `cellharness predict`"
        )
        raise MissingDependencyError(msg) from error
    return tensorflow
