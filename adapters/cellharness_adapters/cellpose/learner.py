"""Cellpose's network with its loss, its augmentation, and what helps against forgetting."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from cellpose.resnet_torch import CPnet

from cellharness.methods.device import choose_precision
from cellharness.training.learner import Batch, Learner, Network
from cellharness.training.prefetch import prefetched
from cellharness.training.samples import LabelledImage, TrainingDataError
from cellharness.training.sampling import balanced_weights
from cellharness.weights import Weights
from cellharness_adapters.cellpose.cpu.flows import flows_of
from cellharness_adapters.cellpose.finetuning_parameters import FinetuningParameters
from cellharness_adapters.cellpose.library import models, transforms, utils
from cellharness_adapters.cellpose.network import load_network
from cellharness_adapters.cellpose.precision import automatic_precision
from cellharness_adapters.cellpose.segmenter import Cellpose, CellposeParameters
from cellharness_adapters.cellpose.weights import diam_mean_of

_CROP = 224
_SMALLEST_DIAMETER = 5.0


class CellposeLearner(Learner):
    """Cellpose's network with its loss, augmentation and learning rates.

    Parameters
    ----------
    weights : Weights
        To start from.
    train, validation : sequence of LabelledImage
    parameters : FinetuningParameters
    replay : sequence of LabelledImage
        Images of an earlier domain, mixed into each batch.

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
    ) -> None:
        self.parameters = parameters
        # First: a file that is none is found before flows are made of all images.
        self.model: CPnet = load_network(weights.files["network"], diam_mean_of(weights))
        self._diam_mean = float(self.model.diam_mean.item())
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
        self._probabilities = self._chances(kept)
        self._replay_labelled = parameters.replay_labels != "none"
        usable = [sample for sample in replay if sample.n_cells >= parameters.min_cells]
        if replay and not usable:
            msg = (
                f"none of {len(replay)} images to replay has {parameters.min_cells} cells (truth: "
                f"{parameters.replay_labels}); choose others or lower min_cells"
            )
            raise TrainingDataError(msg)
        self._replay = [_Example(sample, parameters.channels) for sample in usable]
        self._replay_probabilities = self._chances(usable)
        self._teacher = (
            copy.deepcopy(self.model).eval().requires_grad_(requires_grad=False)
            if parameters.distillation
            else None
        )
        known = self._train + (self._replay if self._replay_labelled else [])
        mean = float(np.mean([example.diameter for example in known]))
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

    def _chances(self, samples: Sequence[LabelledImage]) -> np.ndarray | None:
        """Probability of each image; None where all come equally often."""
        if self.parameters.sampling != "balanced" or not samples:
            return None
        return balanced_weights([sample.case.modality for sample in samples])

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
        """Random crops of 224 px, each image rescaled to the weights' mean diameter."""
        n = len(self._train)
        wanted = self.parameters.images_per_epoch or n
        if wanted == n and self._probabilities is None:
            order = np.random.permutation(n)  # noqa: NPY002 - one stream with the library's
        else:
            order = np.random.choice(n, wanted, p=self._probabilities)  # noqa: NPY002
        size = self.parameters.batch_size
        examples = [self._train[index] for index in order]
        groups = [examples[start : start + size] for start in range(0, len(examples), size)]
        return prefetched(self._crops(groups, replay=bool(self._replay)))

    def _crops(
        self, groups: Sequence[Sequence[_Example]], *, replay: bool = False
    ) -> Iterator[Batch]:
        """Cut a random crop from each example; replayed ones are drawn for each group and last."""
        for new in groups:
            group = [*new, *(self._drawn(len(new)) if replay else ())]
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
                torch.arange(len(group)) < (len(group) if self._replay_labelled else len(new)),
            )

    def _drawn(self, n_new: int) -> list[_Example]:
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
        known = output if self._replay_labelled else output[labelled]
        truth = targets if self._replay_labelled else targets[labelled]
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
        self._teacher.to(images.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(
            choose_precision(self.parameters.precision, kind)
        )
        with torch.no_grad(), torch.autocast(kind, dtype=dtype, enabled=dtype is not None):
            return self._teacher(images)[0].float()

    def validation_loss(self, network: Network) -> float | None:
        """Mean loss on the same random crops each time, as the library's test loss."""
        device = next(self.model.parameters()).device
        np.random.seed(42)  # noqa: NPY002 - the library's own
        total = 0.0
        size = self.parameters.batch_size
        watched = self._watched
        groups = [watched[start : start + size] for start in range(0, len(watched), size)]
        for batch in self._crops(groups):
            moved = tuple(part.to(device) for part in batch)
            total += float(self.loss(network, moved)) * len(batch[0])
        return total / len(self._watched)

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
