"""The small network trained with MEDIAR's recipe, as a method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from cellharness.installation import missing_package
from cellharness.methods.base import FLAT_IMAGE, BaseSegmenter, MethodInfo, Parameters
from cellharness.methods.device import choose_device, choose_precision, settled
from cellharness.weights import Weights, find_weights, local_weights
from cellharness_adapters.mediar.presets import PRESETS, Flips, Normalisation, passes_of
from cellharness_adapters.mediar.segmenter import Mediar

if TYPE_CHECKING:
    import numpy as np

_PRESET = PRESETS["repo"]


class MediarStyleParameters(Parameters):
    """Parameters of prediction; defaults as in MEDIAR's repository."""

    weights: str = Field(
        description="trained:NAME for a training of the same configuration, or a path."
    )
    normalisation: Normalisation | None = Field(
        None,
        description="Percentiles 0 to 99.5 of what is not zero, of the image or by channel. Empty: "
        "as in the training.",
    )
    flips: Flips = Field(
        _PRESET.flips,
        description="all: the mean over the image and both its flips. by_size: one flip below 4 "
        "Mpx, both below 25 Mpx, none above. none: the image as it is.",
    )
    cellprob_threshold: float = Field(
        _PRESET.cellprob_threshold,
        ge=0,
        le=1,
        description="Probability above which a pixel is cell.",
    )
    flow_threshold: float = Field(
        _PRESET.flow_threshold, ge=0, description="Largest error of a cell's flows; 0 keeps all."
    )
    clean: bool = Field(
        _PRESET.clean,
        description="Fill holes, drop cells below 15 px and 2.7 standard deviations below the "
        "mean area.",
    )
    overlap: float = Field(0.6, ge=0, lt=1, description="Of neighbouring windows.")
    window: int | None = Field(
        None,
        ge=64,
        multiple_of=32,
        description="Side of a window in px. Empty: of the training's crops.",
    )
    batch_size: int = Field(4, ge=1, description="Windows at once.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "float32", description="auto: bfloat16 where the processor computes in it, else float32."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the GPU if any.")


class MediarStyle(BaseSegmenter):
    """A network of 7.7 million parameters, trained with the recipe of Lee et al. 2022."""

    info: ClassVar[MethodInfo] = MethodInfo(
        summary="A small network trained here in the style of MEDIAR, which won the challenge; it "
        "is not the winner.",
        licence="BSD-3-Clause (own code after the published method, which is MIT)",
        citation="after Lee et al., arXiv 2212.03465 (2022)",
        input="native",
        url=Mediar.info.url,
        extra="mediar",
        packages=Mediar.info.packages,
        requires=(*Mediar.info.requires, "lightning-fabric>=2.4"),
        limits="A sixteenth of the winner's size, trained from scratch on the images at hand; the "
        "winner's encoder knew ImageNet. It must be trained first.",
    )
    Parameters: ClassVar[type[Parameters]] = MediarStyleParameters
    parameters: MediarStyleParameters
    trainer: ClassVar[str] = "cellharness_adapters.mediar_style.training:MediarStyleTrainer"

    def weights(self) -> tuple[Weights, ...]:
        """Find the checkpoint."""
        return (local_weights(self.parameters.weights),)

    def load(self) -> None:
        """Build the network and fill it."""
        try:
            from cellharness_adapters.mediar.prediction import Predictor
            from cellharness_adapters.mediar_style.network import load_small_network
        except ImportError as error:
            raise missing_package(what="MEDIAR-style", error=error, extra="mediar") from error
        wanted = self.parameters
        path = find_weights(wanted.weights) or self.weights()[0].files["network"]
        network, meta = load_small_network(path)
        device = choose_device(wanted.device)
        precision = choose_precision(wanted.precision, device)
        self.timer.wait_for(device)
        self._window = int(wanted.window or meta.get("crop", 512))
        self._normalisation: Normalisation = wanted.normalisation or meta.get(
            "normalisation", _PRESET.normalisation
        )
        self._predict = Predictor([network], device, precision, self._window, wanted.batch_size)
        self._how = {
            "device": device,
            "precision": precision,
            "window": self._window,
            "normalisation": self._normalisation,
        }

    def resolved(self) -> dict[str, Any]:
        """What ``auto`` comes to on this machine; torch is imported only to answer that."""
        return settled(self.parameters.device, self.parameters.precision)

    def warmup(self) -> None:
        """Run one window."""
        import numpy as np

        side = self._window
        self._predict(np.zeros((3, side, side), np.float32), passes_of("none", side, side, 1), 0.0)
        self.timer.reset()

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Segment one image.

        Parameters
        ----------
        image : ndarray, (H, W) or (H, W, C)
            Any finite range; grey becomes three equal channels.

        Returns
        -------
        ndarray of unsigned int, (H, W)
        """
        import numpy as np

        from cellharness_adapters.mediar.cells import find_cells
        from cellharness_adapters.mediar.preparing import prepare

        wanted = self.parameters
        ready = prepare(image, self._normalisation)
        height, width = image.shape[:2]
        passes = passes_of(wanted.flips, height, width, 1)
        self._details = self._how | {"passes": len(passes)}
        if ready is None:
            self._details["remark"] = FLAT_IMAGE
            return np.zeros((height, width), np.uint32)
        with self.timer.phase("network"):
            output = self._predict(ready, passes, wanted.overlap)
        with self.timer.phase("postprocess"):
            return find_cells(
                output,
                cellprob_threshold=wanted.cellprob_threshold,
                flow_threshold=wanted.flow_threshold,
                clean=wanted.clean,
            )
