"""Cellpose 2.0: Cellpose fine-tuned on the data at hand."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from adapters.base import MethodInfo, Parameters
from adapters.cellpose.segmenter import Cellpose, CellposeParameters


class Cellpose2Parameters(CellposeParameters):
    """Knobs of a fine-tuned Cellpose; defaults as in the paper's script ``test_cellpose2_grey``."""

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
    )
    Parameters: ClassVar[type[Parameters]] = Cellpose2Parameters
    trainer: ClassVar[str] = "adapters.cellpose.finetuning:CellposeTrainer"
