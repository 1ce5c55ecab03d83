"""Cellpose's network with its loss, its augmentation, and what helps against forgetting."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from cellpose.resnet_torch import CPnet

from cellharness.methods.device import choose_device, choose_precision
from cellharness.training.learner import Batch, Learner, Network
from cellharness.training.prefetch import batches_ahead, empty_batch
from cellharness.training.samples import LabelledImage, TrainingDataError
from cellharness.training.sampling import balanced_weights
from cellharness.weights import Weights
from cellharness_adapters.cellpose.crops import (
    Placement,
    cut,
    draw_placement,
    without_threads_of_opencv,
)
from cellharness_adapters.cellpose.examples import Example, prepared, with_diameter
from cellharness_adapters.cellpose.finetuning_parameters import FinetuningParameters
from cellharness_adapters.cellpose.library import utils
from cellharness_adapters.cellpose.network import load_network
from cellharness_adapters.cellpose.precision import automatic_precision
from cellharness_adapters.cellpose.segmenter import Cellpose, CellposeParameters
from cellharness_adapters.cellpose.weights import diam_mean_of


class CellposeLearner(Learner):
    """Cellpose's network with its loss, augmentation and learning rates.

    Parameters
    ----------
    weights : Weights
        To start from.
    train, validation : sequence of LabelledImage
        Their pixels go to the cache folder; none are kept in memory.
    parameters : FinetuningParameters
    replay : sequence of LabelledImage
        Images of an earlier domain, mixed into each batch.
    ready : mapping or None
        Examples that were prepared of these images before, by ``"train"``, ``"validation"`` and
        ``"replay"``.

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
        replay: Sequence[LabelledImage] = (),
        ready: Mapping[str, Sequence[Example]] | None = None,
    ) -> None:
        self.parameters = parameters
        # First: a file that is none is found before flows are made of all images.
        self.model: CPnet = load_network(weights.files["network"], diam_mean_of(weights))
        self._diam_mean = float(self.model.diam_mean.item())
        if ready is None:
            ready = {
                name: prepared(samples, parameters.channels)
                for name, samples in (
                    ("train", train),
                    ("validation", validation),
                    ("replay", replay),
                )
            }
        self._train = [e for e in ready["train"] if e.n_cells >= parameters.min_cells]
        if not self._train:
            msg = (
                f"none of {len(train)} training images has {parameters.min_cells} cells; give "
                "other training images or lower min_cells"
            )
            raise TrainingDataError(msg)
        self.validation = validation
        self._watched = list(ready["validation"])
        self._probabilities = self._chances(self._train)
        self._replay_labelled = parameters.replay_labels != "none"
        self._replay = [e for e in ready["replay"] if e.n_cells >= parameters.min_cells]
        # Else the loss picks the crops that have a truth.
        self.recordable = self._replay_labelled or not self._replay
        if replay and not self._replay:
            msg = (
                f"none of {len(replay)} images to replay has {parameters.min_cells} cells (truth: "
                f"{parameters.replay_labels}); choose others or lower min_cells"
            )
            raise TrainingDataError(msg)
        self._replay_probabilities = self._chances(self._replay)
        self._teacher = (
            copy.deepcopy(self.model).eval().requires_grad_(requires_grad=False)
            if parameters.distillation
            else None
        )
        self._teacher_placed = False
        known = self._train + (self._replay if self._replay_labelled else [])
        mean = _mean_diameter(known)
        self._train, self._watched, self._replay = (
            [with_diameter(example, mean) for example in examples]
            for examples in (self._train, self._watched, self._replay)
        )
        self._pinned = choose_device(parameters.device) == "cuda"
        self.model.diam_labels.data = torch.tensor([mean])
        self.optimizer = self._optimizer()
        self._rates = learning_rates(parameters.learning_rate, parameters.epochs)

    def _optimizer(self) -> torch.optim.Optimizer:
        parameters: dict[str, Any] = {
            "lr": self.parameters.learning_rate,
            "weight_decay": self.parameters.weight_decay,
        }
        groups = self._parameter_groups()
        if self.parameters.optimizer == "sgd":
            return torch.optim.SGD(groups, momentum=0.9, **parameters)
        return torch.optim.AdamW(groups, **parameters)

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Give all parameters, or those of the encoder apart with their share of the rate."""
        share = self.parameters.encoder_rate
        if share == 1:
            return [{"params": list(self.model.parameters()), "share": 1.0}]
        encoder = list(self.model.downsample.parameters())
        rest = [
            p for name, p in self.model.named_parameters() if not name.startswith("downsample.")
        ]
        groups = [{"params": rest, "share": 1.0}]
        if share:
            groups.append({"params": encoder, "share": share})
        for parameter in encoder:
            parameter.requires_grad_(share > 0)
        return groups

    def _chances(self, samples: Sequence[Example]) -> np.ndarray | None:
        """Probability of each image; None where all come equally often."""
        if self.parameters.sampling != "balanced" or not samples:
            return None
        return balanced_weights([sample.modality for sample in samples])

    def train_mode(self) -> None:
        """Put the model into training mode; a frozen encoder keeps its running means."""
        self.model.train()
        if not self.parameters.encoder_rate:
            self.model.downsample.eval()

    def start_epoch(self, epoch: int) -> None:
        """Set the rate: a rise over 10 epochs, and ten halvings towards the end."""
        for group in self.optimizer.param_groups:
            group["lr"] = float(self._rates[epoch]) * group["share"]

    def batches(self, epoch: int) -> Iterator[Batch]:  # noqa: ARG002 - seeded by the loop
        """Random crops, each image rescaled to the weights' mean diameter."""
        n = len(self._train)
        wanted = self.parameters.images_per_epoch or n
        if wanted == n and self._probabilities is None:
            order = np.random.permutation(n)  # noqa: NPY002 - one stream with the library's
        else:
            order = np.random.choice(n, wanted, p=self._probabilities)  # noqa: NPY002
        size = self.parameters.batch_size
        examples = [self._train[index] for index in order]
        groups = [examples[start : start + size] for start in range(0, len(examples), size)]
        return self._crops(groups, replay=bool(self._replay))

    def _crops(
        self, groups: Sequence[Sequence[Example]], *, replay: bool = False
    ) -> Iterator[Batch]:
        """Cut a random crop from each example; replayed ones are drawn for each group and last."""
        with without_threads_of_opencv():
            yield from batches_ahead(self._places(groups, replay=replay), self._empty, _fill)

    def _places(
        self, groups: Sequence[Sequence[Example]], *, replay: bool
    ) -> Iterator[list[_Planned]]:
        """Draw all that is random, in the library's order."""
        parameters = self.parameters
        for new in groups:
            drawn = self._drawn(len(new)) if replay else []
            yield [
                _Planned(
                    example,
                    draw_placement(
                        example.shape,
                        example.diameter / self._diam_mean,
                        parameters.scale_range,
                        parameters.crop,
                    ),
                    replayed=position >= len(new),
                )
                for position, example in enumerate([*new, *drawn])
            ]

    def _empty(self, group: Sequence[_Planned]) -> Batch:
        """Places for images and flows, and which crops have a truth."""
        n, size = len(group), self.parameters.crop
        labelled = [self._replay_labelled or not planned.replayed for planned in group]
        return (
            empty_batch(n, 2, size, size, pinned=self._pinned, layout=torch.channels_last),
            empty_batch(n, 3, size, size, pinned=self._pinned),
            torch.tensor(labelled, pin_memory=self._pinned),
        )

    def _drawn(self, n_new: int) -> list[Example]:
        """Draw the examples to replay beside so many new ones."""
        n = max(1, round(self.parameters.replay_ratio * n_new))
        chosen = np.random.choice(len(self._replay), n, p=self._replay_probabilities)  # noqa: NPY002
        return [self._replay[index] for index in chosen]

    def loss(self, network: Network, batch: Batch) -> torch.Tensor:
        """Squared error of the flows (times 5, halved) plus cross-entropy of the cell mask.

        With distillation, the same once more with the starting weights' output as truth.
        """
        images, targets, labelled = batch
        output = network(images)[0].float()
        known = output if self.recordable else output[labelled]
        truth = targets if self.recordable else targets[labelled]
        loss = _loss(known, 5.0 * truth[:, 1:], (truth[:, 0] > 0.5).float())
        if self._teacher is None:
            return loss
        taught = self._taught(images)
        second = _loss(output, taught[:, :2], torch.sigmoid(taught[:, 2]))
        return loss + self.parameters.distillation * second

    def _taught(self, images: torch.Tensor) -> torch.Tensor:
        """Output of the starting weights, in the precision of the training."""
        assert self._teacher is not None
        kind = images.device.type
        if not self._teacher_placed:
            # Once: a recorded step must find its weights where they were.
            self._teacher.to(images.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._teacher_placed = True
        dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(
            choose_precision(self.parameters.precision, kind)
        )
        with torch.no_grad(), torch.autocast(kind, dtype=dtype, enabled=dtype is not None):
            return self._teacher(images)[0].float()

    def validation_batches(self) -> Iterator[Batch] | None:
        """Give the same random crops each time, as the library's test loss."""
        np.random.seed(42)  # noqa: NPY002 - the library's own
        size, watched = self.parameters.batch_size, self._watched
        return self._crops(
            [watched[start : start + size] for start in range(0, len(watched), size)]
        )

    def segment(self, samples: Sequence[LabelledImage]) -> Iterator[np.ndarray]:
        """Label images by the weights as they are now."""
        device = next(self.model.parameters()).device
        method = Cellpose(CellposeParameters(weights=self.parameters.weights))
        model = method.model_of([self.model], automatic_precision(device.type), device)
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


@dataclass(frozen=True)
class _Planned:
    """A crop that is drawn and not yet cut."""

    example: Example
    place: Placement
    replayed: bool


def _fill(planned: _Planned, batch: Batch, position: int) -> None:
    """Cut a crop into its place in a batch."""
    images, targets, _ = batch
    cut(planned.example, planned.place, images[position].numpy(), targets[position].numpy())


def _mean_diameter(examples: Sequence[Example]) -> float:
    """Mean diameter in px over the images that have cells.

    Raises
    ------
    TrainingDataError
        There is no cell in any of them.
    """
    diameters = [example.diameter for example in examples if example.diameter]
    if not diameters:
        msg = (
            f"none of the {len(examples)} training images has a cell; give a training split whose "
            "labels hold some"
        )
        raise TrainingDataError(msg)
    return float(np.mean(diameters))


def _loss(output: torch.Tensor, flows: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """Cellpose's loss (Stringer et al. 2021, Methods)."""
    of_flows = F.mse_loss(output[:, :2], flows) / 2
    return of_flows + F.binary_cross_entropy_with_logits(output[:, 2], cells)


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
