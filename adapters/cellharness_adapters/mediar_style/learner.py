"""The small network with its loss, its two phases, and what is drawn in each. Imports torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention

from cellharness.methods.device import choose_device, half_where_native
from cellharness.training.learner import Batch, Learner, Network
from cellharness.training.prefetch import batches_ahead, empty_batch
from cellharness.training.samples import LabelledImage
from cellharness.training.sampling import balanced_weights
from cellharness_adapters.mediar.cells import find_cells
from cellharness_adapters.mediar.network import MediarFormer
from cellharness_adapters.mediar.prediction import Predictor
from cellharness_adapters.mediar.preparing import prepare
from cellharness_adapters.mediar.presets import PRESETS, passes_of
from cellharness_adapters.mediar_style.augmenting import Augmentation, Crop
from cellharness_adapters.mediar_style.clusters import amplified_weights, clusters_of
from cellharness_adapters.mediar_style.examples import Example, examples_of
from cellharness_adapters.mediar_style.network import SMALL
from cellharness_adapters.mediar_style.parameters import StyleTrainingParameters

#: Flows are learned times this.
_FLOW_SCALE = 5.0
#: Longer side in px at which the encoder looks at an image to group it.
_LOOK = 256
#: Overlap of windows while a training is watched; prediction's own costs four times as much.
_WATCHED_OVERLAP = 0.25


class StyleLearner(Learner):
    """The network, AdamW, and the batches of both phases.

    Parameters
    ----------
    train, replay : sequence of Example
        To learn from, and to mix in; the second may be empty.
    validation : sequence of LabelledImage
    parameters : StyleTrainingParameters
    seed : int
        Of the first weights and of the clusters.
    """

    def __init__(
        self,
        train: Sequence[Example],
        replay: Sequence[Example],
        validation: Sequence[LabelledImage],
        parameters: StyleTrainingParameters,
        seed: int,
    ) -> None:
        self.validation = validation
        self.parameters = parameters
        self._train, self._replay, self._seed = train, replay, seed
        self._held = examples_of(validation, parameters.normalisation)
        self._augment = Augmentation(
            parameters.crop, parameters.zoom, parameters.cell_intensity, parameters.intensity_chance
        )
        torch.manual_seed(seed)
        self.model: MediarFormer = MediarFormer(SMALL)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=parameters.learning_rate,
            weight_decay=parameters.weight_decay,
        )
        self._pinned = choose_device(parameters.device) == "cuda"
        #: Group of each training image; found when the second phase begins.
        self._groups: np.ndarray | None = None

    def _pretraining(self, epoch: int) -> bool:
        return epoch < self.parameters.pretraining_epochs

    def start_epoch(self, epoch: int) -> None:
        """Set the rate; where the second phase begins, group the images and start AdamW anew."""
        parameters = self.parameters
        first = parameters.pretraining_epochs
        if self._pretraining(epoch):
            largest, share = parameters.learning_rate, epoch / first
        else:
            largest, share = (
                parameters.finetuning_rate,
                (epoch - first) / (parameters.epochs - first),
            )
        for group in self.optimizer.param_groups:
            group["lr"] = largest * (1 + math.cos(math.pi * share)) / 2
        if epoch == first:
            self.optimizer.state.clear()
            if parameters.clusters:
                self._groups = clusters_of(self._embeddings(), parameters.clusters, self._seed)

    def _embeddings(self) -> np.ndarray:
        """Mean over the image of the encoder's last features, (N, D)."""
        device = next(self.model.parameters()).device
        self.model.eval()
        found = []
        with torch.no_grad():
            for example in self._train:
                image = torch.from_numpy(example.image).to(device).float()[None] / 255
                scale = _LOOK / max(image.shape[-2:])
                # The encoder halves five times.
                size = [max(32, 32 * round(length * scale / 32)) for length in image.shape[-2:]]
                features = self.model.encoder(F.interpolate(image, size, mode="area"))[-1]
                found.append(features.float().mean(dim=(0, 2, 3)).cpu().numpy())
        return np.stack(found)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Augmented crops: of all cases first; then of the training's, replayed ones last."""
        rng = np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002 - the loop's seed
        parameters = self.parameters
        first = self._pretraining(epoch)
        pool: Sequence[Example] = self._train
        if first and self._replay:
            joined = parameters.pretraining_cases == "joined"
            pool = [*self._train, *self._replay] if joined else self._replay
        order = self._order(pool, rng, first=first)
        size = parameters.batch_size
        groups = [order[start : start + size] for start in range(0, len(order), size)]
        return batches_ahead(self._planned(groups, rng, first=first), self._empty, self._fill)

    def _order(
        self, pool: Sequence[Example], rng: np.random.Generator, *, first: bool
    ) -> list[Example]:
        parameters = self.parameters
        chances = None
        if not first and self._groups is not None:
            chances = amplified_weights(self._groups, parameters.amplification)
        elif parameters.sampling == "balanced":
            chances = balanced_weights([example.modality for example in pool])
        n, wanted = len(pool), parameters.images_per_epoch or len(pool)
        if chances is None:
            rounds = [rng.permutation(n) for _ in range(math.ceil(wanted / n))]
            order = np.concatenate(rounds)[:wanted]
        else:
            order = rng.choice(n, wanted, p=chances)
        return [pool[index] for index in order]

    def _planned(
        self, groups: Sequence[Sequence[Example]], rng: np.random.Generator, *, first: bool
    ) -> Iterator[list[_Planned]]:
        """Draw what crops are made of; each has its own seed, whichever thread makes it."""
        for group in groups:
            chosen = [(example, False) for example in group]
            if self._replay and not first:
                n = max(1, round(self.parameters.replay_ratio * len(group)))
                chosen += [
                    (self._replay[index], True) for index in rng.choice(len(self._replay), n)
                ]
            excluded = self.parameters.exclude_boundaries
            yield [
                _Planned(
                    example, int(rng.integers(2**63)), replayed, excluded and (replayed or first)
                )
                for example, replayed in chosen
            ]

    def _empty(self, group: Sequence[_Planned]) -> Batch:
        n, side = len(group), self.parameters.crop
        images = empty_batch(n, 3, side, side, pinned=self._pinned, layout=torch.channels_last)
        return images, empty_batch(n, 3, side, side, pinned=self._pinned)

    def _fill(self, planned: _Planned, batch: Batch, position: int) -> None:
        """Make a crop in its place in a batch; replayed ones keep their intensities."""
        rng = np.random.default_rng(planned.seed)
        if planned.replayed:
            crop = self._augment.placed(
                planned.example, rng, exclude_boundaries=planned.exclude_boundaries
            )
        else:
            crop = self._augment(
                planned.example, rng, exclude_boundaries=planned.exclude_boundaries
            )
        images, targets = batch
        images[position] = torch.from_numpy(np.ascontiguousarray(crop.image))
        targets[position] = torch.from_numpy(crop.target)

    def loss(self, network: Network, batch: Batch) -> torch.Tensor:
        """Half the squared error of the flows times 5, plus cross-entropy of cell."""
        images, targets = batch
        output = network(images).float()
        flows = F.mse_loss(output[:, :2], _FLOW_SCALE * targets[:, :2]) / 2
        return flows + F.binary_cross_entropy_with_logits(output[:, 2], targets[:, 2])

    def validation_batches(self) -> Iterator[Batch] | None:
        """Give the same crops of the held-back images each time; None where there are none."""
        if not self._held:
            return None
        rng = np.random.default_rng(0)
        size = self.parameters.batch_size
        groups = (self._held[start : start + size] for start in range(0, len(self._held), size))
        return (
            _batch([self._augment.placed(one, rng, exclude_boundaries=False) for one in group])
            for group in groups
        )

    def segment(self, samples: Sequence[LabelledImage]) -> Iterator[np.ndarray]:
        """Label images by the weights as they are now, without flips and with a small overlap."""
        device = next(self.model.parameters()).device.type
        parameters, preset = self.parameters, PRESETS["repo"]
        predict = Predictor([self.model], device, half_where_native(device), parameters.crop, 4)
        for sample in samples:
            height, width = sample.labels.shape
            ready = prepare(sample.image, parameters.normalisation)
            if ready is None:
                yield np.zeros((height, width), np.uint32)
                continue
            output = predict(ready, passes_of("none", height, width, 1), _WATCHED_OVERLAP)
            yield find_cells(
                output,
                cellprob_threshold=preset.cellprob_threshold,
                flow_threshold=preset.flow_threshold,
                clean=preset.clean,
            )

    def checkpoint(self) -> Mapping[str, Any]:
        """Give weights and how images were prepared."""
        model = {
            name: value.detach().cpu().contiguous()
            for name, value in self.model.state_dict().items()
        }
        meta = {"crop": self.parameters.crop, "normalisation": self.parameters.normalisation}
        return {"model": model, "meta": meta}

    def state(self) -> dict[str, Any]:
        """Groups of the training images, which come of weights that are no more."""
        return {"groups": None if self._groups is None else self._groups.tolist()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take the groups back."""
        groups = state["groups"]
        self._groups = None if groups is None else np.array(groups)


@dataclass(frozen=True)
class _Planned:
    """A crop that is drawn and not yet made."""

    example: Example
    seed: int
    replayed: bool
    exclude_boundaries: bool


def _batch(crops: Sequence[Crop]) -> Batch:
    images = torch.from_numpy(np.stack([crop.image for crop in crops]))
    targets = torch.from_numpy(np.stack([crop.target for crop in crops]))
    return images.contiguous(memory_format=torch.channels_last), targets
