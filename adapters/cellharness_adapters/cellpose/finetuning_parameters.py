"""Parameters of the fine-tuning of Cellpose, and what each recipe sets them to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from cellharness.training.trainer import TrainingParameters
from cellharness_adapters.cellpose.channels import Channels

#: What each recipe sets; a value given by the user wins.
RECIPES: Mapping[str, Mapping[str, Any]] = {
    # Ma et al. (2024), script of Cellpose 2.0; optimiser and rate are that version's defaults.
    "paper": {
        "epochs": 500,
        "batch_size": 32,
        "learning_rate": 0.2,
        "optimizer": "sgd",
        "weight_decay": 1e-5,
        "save_every": 100,
        "validate_every": 10,
    },
    # For a few dozen images on a CPU.
    "short": {
        "epochs": 20,
        "batch_size": 8,
        "learning_rate": 0.05,
        "optimizer": "sgd",
        "weight_decay": 1e-5,
        "save_every": 5,
        "validate_every": 5,
    },
}


class FinetuningParameters(TrainingParameters):
    """Parameters of the fine-tuning; ``recipe`` sets all that are not given."""

    recipe: Literal["paper", "short"] = Field(
        "paper",
        description="paper: 500 epochs, batch 32, SGD at 0.2. short: 20 epochs, batch 8, SGD at "
        "0.05, for a few dozen images on a CPU. Other parameters win over it.",
    )
    weights: str = Field("cyto2", description="Registered weights, or the path of a weight file.")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="sgd has momentum 0.9.")
    weight_decay: float = Field(1e-5, ge=0, description="Of the optimizer.")
    scale_range: float = Field(
        0.5, ge=0, le=2, description="Random zoom, 1 - half of it to 1 + half of it."
    )
    crop: int = Field(
        224,
        ge=64,
        multiple_of=8,
        description="Height and width of the random crops in px, 224 as in the library; smaller "
        "ones are cheaper.",
    )
    min_cells: int = Field(
        5, ge=0, description="Training images with fewer cells are left out, as in the library."
    )
    images_per_epoch: int | None = Field(
        None, ge=1, description="Images drawn for an epoch; empty for as many as there are."
    )
    channels: Channels = Field(
        (0, 0), description="Cell and nucleus channel; 0 grey or none, 1 red, 2 green, 3 blue."
    )
    encoder_rate: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Learning rate of the encoder as a share of learning_rate; 0 freezes it, its "
        "running means included.",
    )
    distillation: float = Field(
        0.0,
        ge=0,
        description="Weight of a second loss, in which the starting weights' own output is the "
        "truth (Li and Hoiem 2016).",
    )
    replay_ratio: float = Field(
        0.125,
        gt=0,
        description="Replayed crops added to a mini-batch for each crop in it; the paper's winner "
        "has 1 for 8.",
    )
    replay_labels: Literal["given", "model", "none"] = Field(
        "given",
        description="Truth of the replayed images. given: their labels. model: what the starting "
        "weights segment in them, so no labels are needed. none: no truth but distillation's.",
    )
    validation_diameter: Literal["truth_median", "training_mean"] = Field(
        "truth_median",
        description="Diameter for the validation F1: of the image's own cells, so that the curve "
        "shows the network alone, or the training mean, as prediction uses it.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_recipe(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {**RECIPES.get(str(given.get("recipe", "paper")), {}), **given}

    @model_validator(mode="after")
    def _some_truth(self) -> FinetuningParameters:
        if self.replay_labels == "none" and not self.distillation:
            msg = "replay_labels 'none' leaves nothing to learn from; give distillation a weight"
            raise ValueError(msg)
        return self
