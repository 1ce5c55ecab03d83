"""The small network trained with MEDIAR's recipe, as a method."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cellharness.installation import missing_package
from cellharness.methods.base import MethodInfo, Parameters
from cellharness.weights import Weights, find_weights, local_weights
from cellharness_adapters.mediar.presets import PRESETS, Flips, Normalisation, Preset
from cellharness_adapters.mediar.segmenter import Mediar
from cellharness_adapters.mediar.windowed import WindowedSegmenter

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


class MediarStyle(WindowedSegmenter):
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
            import cellharness_adapters.mediar.prediction  # noqa: F401 - for `get_ready`
            from cellharness_adapters.mediar_style.network import load_small_network
        except ImportError as error:
            raise missing_package(what="MEDIAR-style", error=error, extra="mediar") from error
        wanted = self.parameters
        path = find_weights(wanted.weights) or self.weights()[0].files["network"]
        network, meta = load_small_network(path)
        window = int(wanted.window or meta.get("crop", 512))
        preset = Preset(
            wanted.normalisation or meta.get("normalisation", _PRESET.normalisation),
            wanted.flips,
            wanted.cellprob_threshold,
            wanted.flow_threshold,
            wanted.clean,
        )
        self.get_ready([network], window, preset)
        self._how |= {"window": window, "normalisation": preset.normalisation}
