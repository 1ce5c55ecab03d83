"""Cellpose-SAM through its own library, Cellpose 4, in an environment that has it."""

from __future__ import annotations

import warnings
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from cellharness.errors import MissingDependencyError
from cellharness.methods.base import BaseSegmenter, MethodInfo, Parameters, UnsupportedCaseError
from cellharness.methods.device import Device, choose_device, choose_precision, half_where_native
from cellharness.weights import Weights
from cellharness_adapters.cellpose.normalising import Normalize
from cellharness_adapters.cellpose_sam.environment import CELLPOSE4
from cellharness_adapters.cellpose_sam.weights import resolve

if TYPE_CHECKING:
    import numpy as np

Precision = Literal["auto", "bfloat16", "float32"]

#: Fewer rows or columns the library's resizing and its squeezing of arrays do not survive.
_FEWEST_PX = 8


class CellposeSamParameters(Parameters):
    """Parameters of Cellpose-SAM; defaults are the library's."""

    weights: str = Field(
        "cpsam_v2",
        description="cpsam_v2, cpsam, cpdino, cpdino-vitb, or the path of a weight file. The two "
        "of DINOv3 need its code too, which no registry has.",
    )
    diameter: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="Of the cells, px: the image is rescaled so that it becomes 30. Empty: as it "
        "is, which is what the network was made for.",
    )
    flow_threshold: float = Field(0.4, ge=0, description="Largest flow error of a kept cell.")
    cellprob_threshold: float = Field(0.0, description="Logit above which a pixel is cell.")
    min_size: int = Field(15, ge=0, description="Smallest kept cell in px.")
    max_size_fraction: float = Field(
        0.4, gt=0, le=1, description="Cells above this share of the image are dropped."
    )
    tile_overlap: float = Field(0.1, ge=0.05, le=0.95, description="Overlap of the tiles.")
    augment: bool = Field(False, description="Test-time flips of overlapping tiles.")
    normalize: Normalize = Field(
        Normalize(),
        description="Which values of each channel become 0 and 1: {percentile: [1, 99]}, as the "
        "library does by default, or a fixed range {lowhigh: [0, 255]}.",
    )
    batch_size: int = Field(8, ge=1, description="Tiles at once.")
    precision: Precision = Field(
        "auto",
        description="bfloat16 is the library's own. auto: bfloat16 where the device computes in "
        "it, else float32, which is then faster.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the GPU if any.")


class CellposeSam(BaseSegmenter):
    """Cellpose-SAM: the encoder of Segment Anything, trained to give Cellpose's flows."""

    info: ClassVar[MethodInfo] = MethodInfo(
        summary="Cellpose's flows from the encoder of Segment Anything (Cellpose 4).",
        licence="BSD-3-Clause",
        citation="Pachitariu, Rariden and Stringer, bioRxiv 2025.04.28.651001 (2025)",
        input="native",
        url="https://github.com/MouseLand/cellpose",
        packages=("cellpose", "torch", "torchvision", "numpy", "opencv-python-headless"),
        requires=("cellpose>=4.2,<5", "torch>=2.4"),
        environment=CELLPOSE4.name,
        limits="Cannot share an environment with Cellpose 3; slow without a GPU (304 million "
        "parameters). Its list of training data is not complete.",
    )
    Parameters: ClassVar[type[Parameters]] = CellposeSamParameters
    parameters: CellposeSamParameters

    def weights(self) -> tuple[Weights, ...]:
        """Find the weights by one of the library's names or by path; no other is taken."""
        return (resolve(self.parameters.weights),)

    def resolved(self) -> dict[str, Any]:
        """Device and precision; refuses a Cellpose that is not version 4."""
        _refuse_other_cellpose()
        device, precision = self._choices()
        return {"precision": precision, "device": device}

    def _choices(self) -> tuple[Device, str]:
        device = choose_device(self.parameters.device)
        precision = choose_precision(self.parameters.precision, device, half_where_native)
        # The library has no float16, which older GPUs would take.
        return device, "float32" if precision == "float16" else precision

    def load(self) -> None:
        """Read and check the weights, and build the library's model around them."""
        _refuse_other_cellpose()
        from cellharness_adapters.cellpose_sam.network import load_model

        # The library's own sparse tensors; nothing a user of it could mend.
        warnings.filterwarnings("ignore", message=".*parse invariant.*")
        device, precision = self._choices()
        (weights,) = self.weights()
        self._model = load_model(weights.files["network"], precision, device, self.timer)
        self.timer.wait_for(device)
        self._details = {"precision": precision, "device": device}

    def warmup(self) -> None:
        """Run once, so that all is loaded before the first case is timed."""
        import numpy as np

        tile = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32)
        self.segment(tile)
        self.timer.reset()

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Segment one image.

        Parameters
        ----------
        image : ndarray, (H, W) or (H, W, C)
            Any finite range; the library scales each channel.

        Returns
        -------
        ndarray of unsigned int, (H, W)

        Raises
        ------
        UnsupportedCaseError
            The image is too small for the library.
        NotFiniteError
            The network gave NaN or infinity.
        """
        height, width = image.shape[:2]
        if min(height, width) < _FEWEST_PX:
            msg = f"an image of {height} x {width} px is too small for Cellpose-SAM"
            raise UnsupportedCaseError(msg)
        wanted = self.parameters
        return self._model.eval(
            image,
            channel_axis=-1 if image.ndim == 3 else None,
            batch_size=wanted.batch_size,
            normalize=wanted.normalize.for_library(),
            diameter=wanted.diameter,
            flow_threshold=wanted.flow_threshold,
            cellprob_threshold=wanted.cellprob_threshold,
            min_size=wanted.min_size,
            max_size_fraction=wanted.max_size_fraction,
            tile_overlap=wanted.tile_overlap,
            augment=wanted.augment,
        )[0]


def _refuse_other_cellpose() -> None:
    """Raise where Cellpose 4 is not installed in this Python."""
    try:
        found = f"cellpose {version('cellpose')} is installed"
    except PackageNotFoundError:
        found = "cellpose is not installed"
    if not found.startswith("cellpose 4."):
        name = CELLPOSE4.name
        msg = (
            f"Cellpose-SAM needs Cellpose 4, and {found} in this Python. Build the environment "
            f"with `cellharness environments create {name}` and say `environment: {name}` in the "
            f"method's configuration, or `--environment {name}` to `cellharness predict`"
        )
        raise MissingDependencyError(msg)
