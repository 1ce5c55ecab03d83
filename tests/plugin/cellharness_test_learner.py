"""What the training for tests learns: one grey value, with the real loop's tools."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from cellharness.data.manifest import Case
from cellharness.training.learner import Batch, Learner, Network
from cellharness.training.samples import LabelledImage, read_labelled


class Level(nn.Module):
    """One number: the grey value that parts cells from background."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Distance of the level from what lies half way between the images' extremes."""
        low, high = images.amin(dim=(1, 2, 3)), images.amax(dim=(1, 2, 3))
        return self.level - (low + high) / 2


class GreyLearner(Learner):
    """Learns the level from crops drawn at random."""

    def __init__(self, train: Sequence[Case], nap: float) -> None:
        torch.manual_seed(0)
        self.model = Level()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.5)
        self.validation: list[LabelledImage] = []
        self.samples = read_labelled(train, "gray_max")
        self.nap = nap

    def batches(self, epoch: int) -> Iterator[Batch]:
        """One random crop of each image."""
        time.sleep(self.nap)
        for sample in self.samples:
            top = int(np.random.randint(0, sample.image.shape[0] - 64))  # noqa: NPY002
            yield (torch.from_numpy(sample.image[None, None, top : top + 64].astype(np.float32)),)

    def loss(self, network: Network, batch: Batch) -> torch.Tensor:
        """Squared distance, mean over the batch."""
        return network(batch[0]).square().mean()

    def validation_loss(self, network: Network) -> float | None:
        """Nothing is held back."""
        return None

    def segment(self, samples: Sequence[LabelledImage]) -> Iterator[np.ndarray]:
        """Nothing is held back."""
        return iter(())

    def checkpoint(self) -> Mapping[str, Any]:
        """The level."""
        return self.model.state_dict()
