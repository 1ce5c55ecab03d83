"""MiSiC: bacteria in any modality, from the shape index of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from cellharness.installation import missing_package
from cellharness.methods.base import (
    MethodInfo,
    Parameters,
    UnsupportedCaseError,
    truth_identity,
)
from cellharness.methods.device import choose_device, choose_precision, settled
from cellharness.methods.registry import resolve_weights
from cellharness.methods.replicas import SharedPredictor
from cellharness.weights import Weights

if TYPE_CHECKING:
    import numpy as np

    from cellharness.data.manifest import Case
    from cellharness.slides.image import SlideImage
    from cellharness.slides.layout import Tile
    from cellharness_adapters.misic.whole_image import WholeImage

#: Where the plug-in's guide says which it is.
_BACKGROUNDS: dict[str, Literal["light", "dark"]] = {
    "Phase-contrast": "light",
    "Fluorescent": "dark",
}


class MisicParameters(Parameters):
    """Parameters of MiSiC; defaults are those of the authors' plug-in (misic-napari 0.2.3)."""

    weights: str = Field("misic", description="Registered weights, or the path of a Keras file.")
    width: Literal["estimate", "truth_median"] | Annotated[float, Field(gt=0)] = Field(
        "estimate",
        description="Mean width of the cells, which is scaled to 9.87 px. estimate: the scale at "
        "which the image's ridges are strongest, mended once by the cells found. truth_median: the "
        "median of the case's true cells (an oracle). A number: px, as the plug-in's users "
        "measure it.",
    )
    background: Literal["modality", "auto", "light", "dark"] = Field(
        "modality",
        description="light: cells are darker, as in phase contrast. dark: they are brighter, as in "
        "fluorescence. modality: as the plug-in's guide says for these two modalities of the "
        "case, else as auto. auto: both are tried on one tile, and that is kept which finds fewer "
        "and surer cells; often wrong on dense colonies.",
    )
    gamma: float = Field(0.5, gt=0, description="Exponent of the grey values, 0 to 1.")
    gaussian_laplace: bool = Field(
        False, description="Smoothed Laplacian first; the authors advise it for fluorescence."
    )
    noise: float = Field(
        0.001, ge=0, description="Noise on ridges, on a range of 1; more of it means fewer cells."
    )
    th_seed: float = Field(0.999, gt=0, lt=1, description="Probability above which a seed lies.")
    th_cell: float = Field(0.5, gt=0, lt=1, description="Probability above which a pixel is cell.")
    batch_size: int = Field(4, ge=1, description="Tiles of 256 px at once.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 where the processor computes in it, else float32."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the GPU if any.")


class Misic(SharedPredictor):
    """A small U-Net that sees shape indices and not grey values (Panigrahi et al. 2021)."""

    info: ClassVar[MethodInfo] = MethodInfo(
        summary="Small U-Net on the image's shape index, made for bacteria in any modality.",
        licence="MIT (weights); own code after the published method",
        citation="Panigrahi et al., eLife 10, e65151 (2021)",
        input="gray_max",
        url="https://github.com/pswapnesh/misic",
        extra="misic",
        packages=("torch", "h5py", "numpy", "scipy", "scikit-image"),
        requires=("torch>=2.4", "h5py>=3.10"),
        limits="Made for rods of one width: finds no large round cells. Its authors contributed "
        "images to the challenge.",
        maps=("probability",),
    )
    Parameters: ClassVar[type[Parameters]] = MisicParameters
    parameters: MisicParameters
    self_check: ClassVar[str] = "cellharness_adapters.misic.self_check:MISIC"

    def __init__(self, parameters: MisicParameters | None = None) -> None:
        super().__init__(parameters)
        self._case: Case | None = None
        #: Whether an image comes by tiles, and what was found of it; None if it is constant.
        self._by_tiles = False
        self._whole: WholeImage | None = None
        self._tile: Tile | None = None

    def weights(self) -> tuple[Weights, ...]:
        """Find the weights by name or path."""
        return (resolve_weights(self.parameters.weights),)

    def load(self) -> None:
        """Build the network and fill it."""
        try:
            from cellharness_adapters.misic.network import load_network
            from cellharness_adapters.misic.prediction import Predictor
        except ImportError as error:
            raise missing_package(what="MiSiC", error=error, extra="misic") from error
        (weights,) = self.weights()
        device = choose_device(self.parameters.device)
        precision = choose_precision(self.parameters.precision, device)
        self.timer.wait_for(device)
        self._predict = Predictor(load_network(weights.files["network"]), device, precision)
        self._how = {"device": device, "precision": precision}

    def resolved(self) -> dict[str, Any]:
        """What ``auto`` comes to on this machine; torch is imported only to answer that."""
        return settled(self.parameters.device, self.parameters.precision)

    def warmup(self) -> None:
        """Run one tile."""
        import numpy as np

        from cellharness_adapters.misic.tiles import TILE

        self._predict(np.zeros((1, 3, TILE, TILE), np.float32))
        self.timer.reset()

    def case_identity(self, case: Case) -> str:
        """What is read of the case besides its image: background by modality, oracle width."""
        known = "" if self.parameters.background != "modality" else self._background(case)
        return known + truth_identity(case) if self.parameters.width == "truth_median" else known

    def _background(self, case: Case | None) -> Literal["auto", "light", "dark"]:
        """Settle the policy for a case."""
        if self.parameters.background != "modality":
            return self.parameters.background
        return _BACKGROUNDS.get((case.modality if case is not None else None) or "", "auto")

    def begin_case(self, case: Case) -> None:
        """Keep the case: the oracle width needs its label image."""
        self._case = case

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Segment one image.

        Parameters
        ----------
        image : ndarray, (H, W) or (H, W, C)
            Any finite range; a colour image is averaged over its channels.

        Returns
        -------
        ndarray of int32, (H, W)

        Raises
        ------
        UnsupportedCaseError
            The image is but one pixel high or wide, or the oracle width has no label image.
        """
        import numpy as np

        from cellharness_adapters.misic.prediction import predict_cells

        gray = _as_gray(image)
        if self._by_tiles:
            if self._whole is None:
                return np.zeros(gray.shape, np.int32)
            assert self._tile is not None
            with self.timer.phase("postprocess"):
                return self._whole.cells_of(self._tile, gray)
        chosen, true_width = self._choices(gray.shape)
        if gray.min() == gray.max():
            return np.zeros(gray.shape, np.int32)
        found = predict_cells(gray, self._predict, chosen, true_width, self.timer)
        self._details |= {"width": found.width, "background": found.background}
        if self.maps is not None:
            self.maps["probability"] = found.probability
        return found.labels

    def _choices(self, shape: tuple[int, ...]) -> tuple[MisicParameters, float | None]:
        """Parameters with the background of the present case, and its true width if asked for."""
        if min(shape) < 2:
            msg = f"an image of {shape[0]} x {shape[1]} px has no shape index"
            raise UnsupportedCaseError(msg)
        policy = self.parameters.width
        self._details = {
            "width_policy": policy if isinstance(policy, str) else "fixed",
            "background_policy": self.parameters.background,
            **self._how,
        }
        true_width = self._true_width() if policy == "truth_median" else None
        background = self._background(self._case)
        return self.parameters.model_copy(update={"background": background}), true_width

    def begin_tiles(self, image: SlideImage) -> None:
        """Find width and background of the whole image, and run the network on all of it."""
        from cellharness_adapters.misic.prediction import Seer
        from cellharness_adapters.misic.whole_image import Gray, look_at_whole

        chosen, fixed = self._choices(image.shape)
        self._by_tiles, self._whole = True, None
        gray = Gray(image, _as_gray)
        if gray.low == gray.high:
            return
        if not isinstance(chosen.width, str):
            fixed = chosen.width
        with self.timer.phase("network"):
            self._whole = look_at_whole(gray, Seer(self._predict, chosen), chosen, fixed)
        background = "light" if self._whole.light else "dark"
        self._details |= {"width": self._whole.width, "background": background}

    def begin_tile(self, tile: Tile) -> None:
        """Keep where the tile lies in what the network gave."""
        self._tile = tile

    def end_tiles(self) -> None:
        """Forget what was found of one image."""
        self._by_tiles, self._whole, self._tile = False, None, None

    def _true_width(self) -> float:
        """Median width of the true cells; the network's own where there are none."""
        import numpy as np

        from cellharness.data.images import read_label
        from cellharness_adapters.misic.width import STANDARD_WIDTH, cell_widths

        if self._case is None or self._case.label is None:
            msg = "width 'truth_median' needs the case's label image, and it has none"
            raise UnsupportedCaseError(msg)
        widths = cell_widths(read_label(self._case.label))
        return float(np.median(widths)) if widths.size else STANDARD_WIDTH


def _as_gray(image: np.ndarray) -> np.ndarray:
    """Mean of the colours, in float."""
    import numpy as np

    gray = image if image.ndim == 2 else image.mean(axis=-1)
    # It is made negative further on, and integers without a sign would wrap around.
    return gray if gray.dtype.kind == "f" else gray.astype(np.float32)
