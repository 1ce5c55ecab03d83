"""Cellpose 2.0: Cellpose fine-tuned on the data at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from cellharness.methods.base import MethodInfo, Parameters
from cellharness.weights import Weights
from cellharness_adapters.cellpose.segmenter import Cellpose, CellposeParameters
from cellharness_adapters.cellpose.weights import diam_mean_of, resolve

if TYPE_CHECKING:
    from cellpose.resnet_torch import CPnet


class Cellpose2Parameters(CellposeParameters):
    """Parameters of a fine-tuned Cellpose; as in the paper's script ``test_cellpose2_grey``."""

    weights: str = Field(
        description="trained:NAME for a training of the same configuration, or a path."
    )
    diameter: (
        Literal["estimate", "training_mean", "truth_median"] | Annotated[float, Field(gt=0)]
    ) = Field(
        "training_mean",
        description="training_mean: one diameter for every image, the mean of the training cells, "
        "as the paper did. estimate: by the size model that size_weights names. truth_median: the "
        "median of the case's true cells (an oracle). A number: px.",
    )
    base_weights: str | None = Field(
        None, description="Weights before the fine-tuning, to mix in; see interpolation."
    )
    interpolation: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the fine-tuned weights; the rest are base_weights (Wortsman et al. "
        "2022). 1 for the fine-tuned ones alone.",
    )

    @model_validator(mode="after")
    def _base_to_mix(self) -> Cellpose2Parameters:
        if self.interpolation < 1 and self.base_weights is None:
            msg = f"interpolation {self.interpolation:g} needs base_weights, such as cyto"
            raise ValueError(msg)
        return self


class Cellpose2(Cellpose):
    """Cellpose 2.0 with a user's own training data (paper, Methods; Fig. 4)."""

    info: ClassVar[MethodInfo] = MethodInfo(
        summary="Cellpose fine-tuned on the training split.",
        licence="BSD-3-Clause",
        citation="Pachitariu and Stringer, Nature Methods 19, 1634 (2022)",
        input="gray_max",
        url="https://github.com/MouseLand/cellpose",
        extra="cellpose",
        packages=Cellpose.info.packages,
        requires=Cellpose.info.requires,
        limits="Needs a training; may lose modalities that it is not fine-tuned on.",
        maps=Cellpose.info.maps,
    )
    Parameters: ClassVar[type[Parameters]] = Cellpose2Parameters
    parameters: Cellpose2Parameters
    trainer: ClassVar[str] = "cellharness_adapters.cellpose.finetuning:CellposeTrainer"
    self_check: ClassVar[str] = "cellharness_adapters.cellpose.self_check:CELLPOSE2"

    def weights(self) -> tuple[Weights, ...]:
        """Find the weights by name; those to mix in come last."""
        base = self._base()
        return super().weights() if base is None else (*super().weights(), base)

    def networks(self, weights: Weights, *, mkldnn: bool) -> list[CPnet]:
        """Build the network, its weights on the straight line between base and fine-tuned."""
        (network,) = super().networks(weights, mkldnn=mkldnn)
        base = self._base()
        if base is None:
            return [network]
        from cellharness_adapters.cellpose.interpolation import interpolate
        from cellharness_adapters.cellpose.network import load_network

        start = load_network(base.files["network"], diam_mean_of(base), mkldnn=mkldnn)
        interpolate(start, network, self.parameters.interpolation)
        return [network]

    def once(
        self, what: str, key: Mapping[str, Any], compute: Callable[[], dict[str, float]]
    ) -> dict[str, float]:
        """Share nothing where the size model sees the style of a network that is mixed here."""
        mixed = self._base() is not None and self.parameters.size_weights is None
        return compute() if mixed else super().once(what, key, compute)

    def _base(self) -> Weights | None:
        name = self.parameters.base_weights
        return resolve(name) if name is not None and self.parameters.interpolation < 1 else None
