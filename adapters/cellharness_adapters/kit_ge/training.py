"""Training of the distance U-Net as published, on whatever data is at hand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from pydantic import Field, model_validator

from cellharness.data.manifest import Case
from cellharness.methods.device import choose_device, half_where_native
from cellharness.training.learner import Batch, Learner, Network
from cellharness.training.loop import resolved, run
from cellharness.training.prefetch import batches_ahead, empty_batch, results_ahead
from cellharness.training.samples import LabelledCases, LabelledImage, TrainingDataError, each
from cellharness.training.sampling import balanced_weights
from cellharness.training.trainer import Trainer, TrainingParameters
from cellharness_adapters.kit_ge.augment import augment, turn
from cellharness_adapters.kit_ge.choices import Activation, Normalisation
from cellharness_adapters.kit_ge.instances import instances_from_distances
from cellharness_adapters.kit_ge.network import DUNet
from cellharness_adapters.kit_ge.normalisation import normalise
from cellharness_adapters.kit_ge.prediction import Predictor
from cellharness_adapters.kit_ge.scaling import resize_labels, shrink
from cellharness_adapters.kit_ge.tiles import predict_tiled
from cellharness_adapters.kit_ge.training_set import (
    CropOnDisk,
    cell_sizes,
    crops_on_disk,
    normalised,
    radii_of,
)

#: What each recipe sets; a value given by the user wins.
RECIPES: Mapping[str, Mapping[str, Any]] = {
    # Epochs by the number of crops, as published; 1000 crops and more take 200.
    "paper": {"save_every": 20, "validate_every": 10},
    # For a few dozen images on a CPU.
    "short": {
        "epochs": 40,
        "learning_rate": 3e-3,
        "save_every": 10,
        "validate_every": 10,
        "filters": (16, 256),
        "crop": 128,
        "scale": 0.5,
        "sampling": "balanced",
        # Too few steps for a rate that waits for a plateau, or for images made harder.
        "schedule": "cosine",
        "augmentation": "symmetries",
    },
}


class KitGeTrainingParameters(TrainingParameters):
    """Parameters of the training; defaults as published."""

    recipe: Literal["paper", "short"] = Field(
        "paper",
        description="paper: filters 64 to 1024, epochs by the number of crops. short: filters 16 "
        "to 256, for a few dozen images on a CPU. Other parameters win over it.",
    )
    epochs: int | None = Field(  # type: ignore[assignment]
        None, ge=1, description="Empty: 200 for 1000 crops and more, up to 560 for under 50."
    )
    patience: int | None = Field(
        None,
        ge=0,
        description="Stop after so many epochs without a smaller validation loss; 0 for never. "
        "Empty: with the plateau schedule 5 and a tenth of the epochs, as published; else never.",
    )
    batch_size: int = Field(8, ge=1, description="Crops in one step.")
    learning_rate: float = Field(8e-4, gt=0, description="Of Adam at the start.")
    keep: Literal["last", "best_loss", "best_f1"] = Field(
        "best_loss", description="Which weights are the result; best_loss as published."
    )
    filters: tuple[int, int] = Field((64, 1024), description="Channels at the top and the bottom.")
    crop: int = Field(320, ge=64, multiple_of=16, description="Side of a crop in px.")
    scale: float = Field(
        1.0, gt=0, le=1, description="Shrink the images first, in prediction too: larger cells fit."
    )
    schedule: Literal["plateau", "cosine"] = Field(
        "plateau",
        description="plateau: a quarter of the rate where the loss stops falling, as published. "
        "cosine: from the full rate to none over the epochs.",
    )
    augmentation: Literal["published", "symmetries"] = Field(
        "published",
        description="published: contrast, zoom, turns, blur and noise now and then, flips always. "
        "symmetries: flips and quarter turns only.",
    )
    crops_per_epoch: int | None = Field(
        None,
        ge=1,
        description="Crops drawn for an epoch; empty for all. Where it is more than there are, "
        "all come as often as it goes, and then some.",
    )
    normalisation: Normalisation = Field(
        "min_max",
        description="min_max: each image to [-1, 1] in training as in prediction. published: in "
        "training by way of uint16, as the published code.",
    )
    activation: Activation = Field("relu", description="Of the hidden layers.")

    @model_validator(mode="before")
    @classmethod
    def _fill_from_recipe(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {**RECIPES.get(str(given.get("recipe", "paper")), {}), **given}


class KitGeTrainer(Trainer):
    """Trains the distance U-Net from scratch (paper, Methods: KIT-GE)."""

    Parameters: ClassVar[type[TrainingParameters]] = KitGeTrainingParameters
    parameters: KitGeTrainingParameters
    packages: ClassVar[tuple[str, ...]] = ("torch", "numpy", "scipy", "scikit-image")

    def resolved(self) -> dict[str, Any]:
        """Device and precision."""
        return dict(resolved(self.parameters))

    def fit(
        self,
        train: Sequence[Case],
        validation: Sequence[Case],
        out: Path,
        replay: Sequence[Case] = (),  # noqa: ARG002 - it does not replay
    ) -> Path:
        """Train, see :meth:`Trainer.fit`."""
        parameters = self.parameters
        prepared = partial(normalised, how=parameters.normalisation, scale=parameters.scale)
        samples = LabelledCases(train, self.input)
        watched = LabelledCases(validation, self.input)
        # Twice through the images, since how far distances look depends on the cells of all.
        radii = radii_of(each(samples, lambda sample: cell_sizes(prepared(sample))))

        def cut(sample: LabelledImage) -> list[CropOnDisk]:
            return crops_on_disk(prepared(sample), radii, parameters.crop)

        n_images = len(samples) + len(watched)
        cuts = each(samples, cut, self._told(0, n_images))
        self.left_out = tuple(
            case.case for case, found in zip(train, cuts, strict=True) if not found
        )
        crops = [crop for found in cuts for crop in found]
        if not crops:
            msg = (
                f"no crop of {parameters.crop} px of the {len(samples)} training images shows a "
                "whole cell; choose a larger crop or other images"
            )
            raise TrainingDataError(msg)
        told = self._told(len(samples), n_images)
        held = [crop for found in each(watched, cut, told) for crop in found]
        epochs = parameters.epochs or published_epochs(len(crops) + len(held))
        patience = parameters.patience
        if patience is None and parameters.schedule == "plateau":
            patience = 2 * (epochs // 20) + 5
        parameters = parameters.model_copy(update={"epochs": epochs, "patience": patience or None})
        build = partial(KitGeLearner, crops, held, watched, parameters, self.seed)
        return run(build, parameters, self.seed, out, self.watch)


class KitGeLearner(Learner):
    """The distance U-Net with its loss and schedule.

    Parameters
    ----------
    train, held : sequence of CropOnDisk
        To learn from, and for the validation loss.
    validation : sequence of LabelledImage
        For the validation F1.
    parameters : KitGeTrainingParameters
        ``epochs`` settled.
    seed : int
        Of the first weights.
    """

    recordable = True

    def __init__(
        self,
        train: Sequence[CropOnDisk],
        held: Sequence[CropOnDisk],
        validation: Sequence[LabelledImage],
        parameters: KitGeTrainingParameters,
        seed: int,
    ) -> None:
        self.validation = validation
        self.parameters = parameters
        self._train, self._held = train, held
        self._pinned = choose_device(parameters.device) == "cuda"
        self._probabilities = (
            balanced_weights([crop.modality for crop in train])
            if parameters.sampling == "balanced"
            else None
        )
        torch.manual_seed(seed)
        self.model: DUNet = DUNet(parameters.filters, parameters.activation)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=parameters.learning_rate, amsgrad=True
        )
        assert parameters.epochs is not None
        self._plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer, factor=0.25, patience=max(parameters.epochs // 20, 3), min_lr=3e-6
        )

    def start_epoch(self, epoch: int) -> None:
        """Set the rate, where it does not wait for a plateau."""
        parameters = self.parameters
        if parameters.schedule == "cosine":
            assert parameters.epochs is not None
            share = (1 + math.cos(math.pi * epoch / parameters.epochs)) / 2
            for group in self.optimizer.param_groups:
                group["lr"] = parameters.learning_rate * share

    def batches(self, epoch: int) -> Iterator[Batch]:  # noqa: ARG002 - seeded by the loop
        """Augmented crops in random order."""
        n = len(self._train)
        wanted = self.parameters.crops_per_epoch or n
        rng = np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002 - the loop's seed
        if self._probabilities is None and wanted > n:
            # All of them as often as it goes, then some.
            rounds = [rng.permutation(n) for _ in range(math.ceil(wanted / n))]
            order = np.concatenate(rounds)[:wanted]
        else:
            again = self._probabilities is not None
            order = rng.choice(n, wanted, replace=again, p=self._probabilities)
        # A seed for each crop, so that it does not matter which thread changes it, and when.
        seeds = rng.integers(2**63, size=len(order))
        chosen = [(self._train[i], int(seed)) for i, seed in zip(order, seeds, strict=True)]
        size = self.parameters.batch_size
        groups = (chosen[start : start + size] for start in range(0, len(chosen), size))
        return batches_ahead(groups, self._empty, self._fill)

    def _empty(self, group: Sequence[object]) -> Batch:
        n, size = len(group), self.parameters.crop
        return (
            empty_batch(n, 1, size, size, pinned=self._pinned, layout=torch.channels_last),
            empty_batch(n, 1, size, size, pinned=self._pinned),
            empty_batch(n, 1, size, size, pinned=self._pinned),
        )

    def _fill(self, chosen: tuple[CropOnDisk, int], batch: Batch, position: int) -> None:
        """Change a crop at random and write it to its place in a batch."""
        crop, seed = chosen
        change = augment if self.parameters.augmentation == "published" else turn
        _put(change(*crop.maps(), np.random.default_rng(seed)), batch, position)

    def loss(self, network: Network, batch: Batch) -> torch.Tensor:
        """Smooth L1 on both maps, summed."""
        images, cell, neighbor = batch
        predicted_neighbor, predicted_cell = network(images)
        return F.smooth_l1_loss(predicted_neighbor.float(), neighbor) + F.smooth_l1_loss(
            predicted_cell.float(), cell
        )

    def validation_batches(self) -> Iterator[Batch] | None:
        """Give the held-back crops as they are; None where there are none."""
        if not self._held:
            return None
        size = self.parameters.batch_size
        starts = range(0, len(self._held), size)
        groups = (self._held[start : start + size] for start in starts)
        return batches_ahead(groups, self._empty, _write)

    def after_epoch(self, train_loss: float, validation_loss: float | None) -> None:
        """Lower the rate where the loss has stopped falling."""
        if self.parameters.schedule == "plateau":
            self._plateau.step(train_loss if validation_loss is None else validation_loss)

    def segment(self, samples: Sequence[LabelledImage]) -> Iterator[np.ndarray]:
        """Label images by the weights as they are now; cells are found beside the network."""
        device = next(self.model.parameters()).device.type
        predict = Predictor(self.model, device, half_where_native(device))

        def predicted() -> Iterator[tuple[LabelledImage, np.ndarray, np.ndarray]]:
            for sample in samples:
                image = normalise(sample.image, self.parameters.normalisation)
                shrunk = shrink(image, self.parameters.scale)
                neighbor, cell = predict_tiled(shrunk, predict, divisor=self.model.divisor)
                yield sample, neighbor, cell

        return results_ahead(predicted(), _cells)

    def checkpoint(self) -> Mapping[str, Any]:
        """Give weights and what they cannot say themselves."""
        model = {
            name: value.detach().cpu().contiguous()
            for name, value in self.model.state_dict().items()
        }
        meta = {
            "activation": self.parameters.activation,
            "filters": list(self.parameters.filters),
            "normalisation": self.parameters.normalisation,
            "scale": self.parameters.scale,
        }
        return {"model": model, "meta": meta}

    def state(self) -> dict[str, Any]:
        """Where the schedule stands."""
        return {"plateau": self._plateau.state_dict()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take the schedule up again."""
        self._plateau.load_state_dict(dict(state["plateau"]))


def _cells(predicted: tuple[LabelledImage, np.ndarray, np.ndarray]) -> np.ndarray:
    """Find the cells of an image in its neighbour and cell distances."""
    sample, neighbor, cell = predicted
    return resize_labels(instances_from_distances(cell, neighbor), sample.labels.shape)


def _write(crop: CropOnDisk, batch: Batch, position: int) -> None:
    """Write a crop as it is to its place in a batch."""
    _put(crop.maps(), batch, position)


def _put(maps: Sequence[np.ndarray], batch: Batch, position: int) -> None:
    for part, values in zip(batch, maps, strict=True):
        part[position, 0].numpy()[:] = values


def published_epochs(crops: int) -> int:
    """Epochs for a number of training and validation crops (published training script).

    Examples
    --------
    >>> [published_epochs(n) for n in (10, 50, 100, 200, 500, 1000)]
    [560, 480, 400, 320, 240, 200]
    """
    for least, epochs in ((1000, 200), (500, 240), (200, 320), (100, 400), (50, 480)):
        if crops >= least:
            return epochs
    return 560
