"""Parameters of the training, and what each recipe sets them to. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from cellharness.training.trainer import TrainingParameters
from cellharness_adapters.mediar.presets import Normalisation

#: What each recipe sets; a value given by the user wins.
RECIPES: Mapping[str, Mapping[str, Any]] = {
    # Of the published second network, the one that replays (config/step1 phase2, step2
    # finetuning2), but for a larger share of the schedule: there half a cosine is cut off.
    "paper": {
        "epochs": 110,
        "pretraining_epochs": 60,
        "batch_size": 8,
        "learning_rate": 5e-5,
        "finetuning_rate": 2e-5,
    },
    # From scratch, for a hundred or two images on a CPU.
    "short": {
        "epochs": 30,
        "pretraining_epochs": 20,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "finetuning_rate": 4e-4,
        "crop": 128,
        "clusters": 10,
        "validate_every": 10,
    },
}


class StyleTrainingParameters(TrainingParameters):
    """Parameters of the training; defaults as the challenge's winner has them."""

    recipe: Literal["paper", "short"] = Field(
        "paper",
        description="paper: 60 epochs of the first phase and 50 of the second, crops of 512 px, "
        "rates 5e-5 and 2e-5, which are the winner's and suit an encoder that has been trained "
        "before. short: 20 and 10, 128 px, 1e-3 and 4e-4, from scratch on a CPU. Other parameters "
        "win over it.",
    )
    epochs: int = Field(110, ge=1, description="Of both phases together.")
    pretraining_epochs: int = Field(
        60,
        ge=0,
        description="Of the first phase; the second is what is left of epochs. 0 for none; as many "
        "as epochs for the first alone.",
    )
    pretraining_cases: Literal["joined", "replay"] = Field(
        "joined",
        description="Of the first phase. joined: training cases and those to replay, as the "
        "winner's second network. replay: those to replay alone, as its first. Where no case is "
        "replayed both are the training cases.",
    )
    learning_rate: float = Field(
        5e-5, gt=0, description="Of AdamW at the start of the first phase; it falls as a cosine."
    )
    finetuning_rate: float = Field(2e-5, gt=0, description="The same of the second phase.")
    weight_decay: float = Field(0.01, ge=0, description="Of AdamW.")
    replay_ratio: float = Field(
        0.125,
        gt=0,
        description="In the second phase, replayed crops added to a batch for each crop in it: 1 "
        "for 8, as the winner.",
    )
    exclude_boundaries: bool = Field(
        True,
        description="In the first phase and in replayed crops, pixels at a cell's boundary count "
        "as background, save in cells below 196 px and within 2 px of the image's border.",
    )
    cell_intensity: float = Field(
        0.4,
        ge=0,
        le=1,
        description="Share of the cells in a crop that are made brighter together, by up to 70 %; "
        "0 for none.",
    )
    intensity_chance: float = Field(
        0.25,
        ge=0,
        le=1,
        description="Of noise, contrast, blur, shift of the histogram, and sharpening, each.",
    )
    zoom: tuple[float, float] = Field(
        (0.25, 1.5), description="Half of the crops are zoomed by a factor between these."
    )
    clusters: int = Field(
        40,
        ge=0,
        description="In the second phase, groups by k-means of what the encoder makes of the "
        "images, small ones of which are drawn more often. 0 for none.",
    )
    amplification: float = Field(
        2.0,
        ge=0,
        description="A cluster with fewer images than this times the mean is drawn as often as if "
        "it had so many; 50 of a mean of 25 in the winner's training.",
    )
    images_per_epoch: int | None = Field(
        None, ge=1, description="Images drawn for an epoch; empty for as many as there are."
    )
    crop: int = Field(512, ge=64, multiple_of=32, description="Side of a crop in px.")
    normalisation: Normalisation = Field(
        "image",
        description="Percentiles 0 to 99.5 of what is not zero, of the image or by channel.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_recipe(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {**RECIPES.get(str(given.get("recipe", "paper")), {}), **given}

    @model_validator(mode="after")
    def _sound(self) -> StyleTrainingParameters:
        if self.pretraining_epochs > self.epochs:
            msg = (
                f"pretraining_epochs is {self.pretraining_epochs}, more than the {self.epochs} "
                "epochs of both phases; raise epochs or lower it"
            )
            raise ValueError(msg)
        low, high = self.zoom
        if not 0 < low <= high:
            msg = f"zoom is ({low:g}, {high:g}); give two factors above 0, the smaller first"
            raise ValueError(msg)
        return self
