"""Fine-tuning of Cellpose on a training split, the way ``python -m cellpose --train`` does it.

Differences from the library's ``train_seg``, none of which changes a number in float32:
flows are kept between runs, batches are made in the background, the network runs
channels-last. What is added: mixed precision, validation F1 by modality, resuming.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from cellpose import models, transforms, utils
from cellpose.resnet_torch import CPnet
from pydantic import Field, model_validator

from adapters.cellpose.flows import flows_of
from adapters.cellpose.network import choose_precision, load_network
from adapters.cellpose.segmenter import Cellpose, CellposeParameters
from adapters.cellpose.weights import diam_mean_of, resolve
from adapters.training.learner import Batch, Learner, Network
from adapters.training.loop import resolved, run
from adapters.training.prefetch import prefetched
from adapters.training.sampling import balanced_weights
from adapters.training.trainer import Trainer, TrainingParameters
from harness.dataset import Case
from harness.training.samples import LabelledImage, TrainingDataError, read_labelled
from harness.weights import Weights

_CROP = 224
_SMALLEST_DIAMETER = 5.0

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
    """Knobs of the fine-tuning; ``recipe`` sets all that are not given."""

    recipe: Literal["paper", "short"] = Field(
        "paper",
        description="paper: 500 epochs, batch 32, SGD at 0.2. short: 20 epochs, batch 8, SGD at "
        "0.05, for a few dozen images on a CPU. Other knobs win over it.",
    )
    weights: str = Field("cyto2", description="Registered weights, or the path of a weight file.")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="sgd has momentum 0.9.")
    weight_decay: float = Field(1e-5, ge=0, description="Of the optimizer.")
    scale_range: float = Field(
        0.5, ge=0, le=2, description="Random zoom, 1 - half of it to 1 + half of it."
    )
    min_cells: int = Field(
        5, ge=0, description="Training images with fewer cells are left out, as in the library."
    )
    images_per_epoch: int | None = Field(
        None, ge=1, description="Images drawn for an epoch; empty for as many as there are."
    )
    channels: tuple[int, int] = Field(
        (0, 0), description="Cell and nucleus channel; 0 grey or none, 1 red, 2 green, 3 blue."
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


class CellposeTrainer(Trainer):
    """Fine-tunes Cellpose's network (paper, Methods: Cellpose 2.0)."""

    Parameters: ClassVar[type[TrainingParameters]] = FinetuningParameters
    parameters: FinetuningParameters
    packages: ClassVar[tuple[str, ...]] = ("cellpose", "torch", "numpy", "opencv-python-headless")

    def weights(self) -> tuple[Weights, ...]:
        """Weights that the fine-tuning starts from."""
        return (resolve(self.parameters.weights),)

    def resolved(self) -> dict[str, Any]:
        """Device and precision."""
        return dict(resolved(self.parameters))

    def fit(self, train: Sequence[Case], validation: Sequence[Case], out: Path) -> Path:
        """Fine-tune, see :meth:`Trainer.fit`; the checkpoint is a state dict cellpose reads."""
        (weights,) = self.weights()
        build = partial(
            CellposeLearner,
            weights,
            read_labelled(train, self.input),
            read_labelled(validation, self.input),
            self.parameters,
        )
        return run(build, self.parameters, self.seed, out, self.watch)


class CellposeLearner(Learner):
    """Cellpose's network with its loss, augmentation and learning rates.

    Parameters
    ----------
    weights : Weights
        To start from.
    train, validation : sequence of LabelledImage
    parameters : FinetuningParameters

    Raises
    ------
    TrainingDataError
        No training image has enough cells.
    """

    pretrained = True

    def __init__(
        self,
        weights: Weights,
        train: Sequence[LabelledImage],
        validation: Sequence[LabelledImage],
        parameters: FinetuningParameters,
    ) -> None:
        self.parameters = parameters
        kept = [sample for sample in train if sample.n_cells >= parameters.min_cells]
        if not kept:
            msg = (
                f"none of {len(train)} training images has {parameters.min_cells} cells; give "
                "other training images or lower min_cells"
            )
            raise TrainingDataError(msg)
        self.validation = validation
        self._train = [_Example(sample, parameters.channels) for sample in kept]
        self._watched = [_Example(sample, parameters.channels) for sample in validation]
        self._probabilities = (
            balanced_weights([sample.case.modality for sample in kept])
            if parameters.sampling == "balanced"
            else None
        )
        self.model: CPnet = load_network(weights.files["network"], diam_mean_of(weights))
        self._diam_mean = float(self.model.diam_mean.item())
        mean = float(np.mean([example.diameter for example in self._train]))
        self.model.diam_labels.data = torch.tensor([mean])
        self.optimizer = self._optimizer()
        self._rates = learning_rates(parameters.learning_rate, parameters.epochs)

    def _optimizer(self) -> torch.optim.Optimizer:
        knobs: dict[str, Any] = {
            "lr": self.parameters.learning_rate,
            "weight_decay": self.parameters.weight_decay,
        }
        if self.parameters.optimizer == "sgd":
            return torch.optim.SGD(self.model.parameters(), momentum=0.9, **knobs)
        return torch.optim.AdamW(self.model.parameters(), **knobs)

    def start_epoch(self, epoch: int) -> None:
        """Set the rate: a rise over 10 epochs, and ten halvings towards the end."""
        for group in self.optimizer.param_groups:
            group["lr"] = float(self._rates[epoch])

    def batches(self, epoch: int) -> Iterator[Batch]:  # noqa: ARG002 - seeded by the loop
        """Random crops of 224 px, each image rescaled to the weights' mean diameter."""
        n = len(self._train)
        wanted = self.parameters.images_per_epoch or n
        if wanted == n and self._probabilities is None:
            order = np.random.permutation(n)  # noqa: NPY002 - one stream with the library's
        else:
            order = np.random.choice(n, wanted, p=self._probabilities)  # noqa: NPY002
        return prefetched(self._crops([self._train[index] for index in order]))

    def _crops(self, examples: Sequence[_Example]) -> Iterator[Batch]:
        size = self.parameters.batch_size
        for start in range(0, len(examples), size):
            group = examples[start : start + size]
            images, targets, _ = transforms.random_rotate_and_resize(
                [example.image for example in group],
                Y=[example.target for example in group],
                rescale=np.array([example.diameter / self._diam_mean for example in group]),
                scale_range=self.parameters.scale_range,
                xy=(_CROP, _CROP),
            )
            yield (
                torch.from_numpy(images).contiguous(memory_format=torch.channels_last),
                torch.from_numpy(targets),
            )

    def loss(self, network: Network, batch: Batch) -> torch.Tensor:
        """Squared error of the flows (times 5, halved) plus cross-entropy of the cell mask."""
        images, targets = batch
        output = network(images)[0].float()
        flows = F.mse_loss(output[:, :2], 5.0 * targets[:, 1:]) / 2
        cells = F.binary_cross_entropy_with_logits(output[:, 2], (targets[:, 0] > 0.5).float())
        return flows + cells

    def validation_loss(self, network: Network) -> float | None:
        """Mean loss on the same random crops each time, as the library's test loss."""
        device = next(self.model.parameters()).device
        np.random.seed(42)  # noqa: NPY002 - the library's own
        total = 0.0
        for batch in self._crops(self._watched):
            moved = tuple(part.to(device) for part in batch)
            total += float(self.loss(network, moved)) * len(batch[0])
        return total / len(self._watched)

    def segment(self, samples: Sequence[LabelledImage]) -> Iterator[np.ndarray]:
        """Label images by the weights as they are now."""
        device = next(self.model.parameters()).device
        method = Cellpose(CellposeParameters(weights=self.parameters.weights))
        model = method.model_of([self.model], choose_precision("auto", device), device)
        use_truth = self.parameters.validation_diameter == "truth_median"
        for sample in samples:
            diameter = utils.diameters(sample.labels)[0] if use_truth else 0
            yield model.eval(
                sample.image,
                channels=list(self.parameters.channels),
                channel_axis=-1 if sample.image.ndim == 3 else None,
                diameter=float(diameter) or None,
                batch_size=64 if device.type == "cpu" else 8,
            )[0]

    def checkpoint(self) -> Mapping[str, Any]:
        """Give the state dict, contiguous, training mean diameter included."""
        return {
            name: value.detach().cpu().contiguous()
            for name, value in self.model.state_dict().items()
        }


class _Example:
    """A training image as the augmentation wants it."""

    def __init__(self, sample: LabelledImage, channels: tuple[int, int]) -> None:
        axis = -1 if sample.image.ndim == 3 else None
        image = transforms.convert_image(
            sample.image, channels=list(channels), channel_axis=axis
        ).transpose(2, 0, 1)
        normalise = {**models.normalize_default, "normalize": True}
        self.image = transforms.normalize_img(image, normalize=normalise, axis=0)
        self.target = flows_of(sample.labels)
        self.diameter = max(float(utils.diameters(sample.labels)[0]), _SMALLEST_DIAMETER)


def learning_rates(largest: float, epochs: int) -> np.ndarray:
    """Learning rate of each epoch, as in cellpose 2 and 3.

    Parameters
    ----------
    largest : float
        Reached after a linear rise over 10 epochs.
    epochs : int
        Above 300 the last 100 (above 100 the last 50) are ten steps of halved rates.

    Returns
    -------
    ndarray of float64, (epochs,)

    Examples
    --------
    >>> learning_rates(0.9, 3)
    array([0. , 0.1, 0.2])
    """
    rates = np.concatenate([np.linspace(0, largest, 10), np.full(max(0, epochs - 10), largest)])
    step = 10 if epochs > 300 else 5 if epochs > 100 else 0
    if step:
        kept = rates[: -10 * step]
        halved = kept[-1] / 2.0 ** np.arange(1, 11)
        rates = np.concatenate([kept, np.repeat(halved, step)])
    return rates[:epochs]
