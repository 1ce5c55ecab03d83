"""What one method's training consists of; the loop does the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from cellharness.training.samples import LabelledImage

Batch = tuple[torch.Tensor, ...]
Network = Callable[..., Any]


class Learner(ABC):
    """Model, optimizer, batches and loss of one method.

    Attributes
    ----------
    model : nn.Module
        Trained in place.
    optimizer : torch.optim.Optimizer
    validation : sequence of LabelledImage
        Images whose F1 is watched; may be empty.
    pretrained : bool
        Starts from weights that segment already; they are then validated as epoch 0.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    validation: Sequence[LabelledImage]
    pretrained: bool = False

    def start_epoch(self, epoch: int) -> None:  # noqa: B027
        """Set the learning rate of an epoch (from 0)."""

    def train_mode(self) -> None:
        """Put the model into training mode."""
        self.model.train()

    @abstractmethod
    def batches(self, epoch: int) -> Iterator[Batch]:
        """Give the batches of an epoch (from 0), first dimension the crop.

        NumPy's and Python's global generators are seeded before; nothing else may be random.
        """

    @abstractmethod
    def loss(self, network: Network, batch: Batch) -> torch.Tensor:
        """Mean loss of a batch; ``network`` is the model as the devices run it."""

    def validation_loss(self, network: Network) -> float | None:  # noqa: ARG002
        """Mean loss on the validation images, model in evaluation mode."""
        return None

    @abstractmethod
    def segment(self, samples: Sequence[LabelledImage]) -> Iterator[np.ndarray]:
        """Label images of the validation images, with the method's own defaults."""

    def after_epoch(self, train_loss: float, validation_loss: float | None) -> None:  # noqa: B027
        """Step a schedule that depends on losses."""

    @abstractmethod
    def checkpoint(self) -> Mapping[str, Any]:
        """What prediction needs."""

    def state(self) -> dict[str, Any]:
        """What a resumed training needs besides model and optimizer."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Take back what :meth:`state` gave."""
