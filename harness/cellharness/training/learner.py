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


class Losses:
    """Mean losses of batches, left on their device until they are asked for.

    To read one number of a GPU is to wait for all that it has been given to do.

    Examples
    --------
    >>> losses = Losses()
    >>> losses.add(torch.tensor(1.0), 3)
    >>> losses.add(torch.tensor(2.0), 1)
    >>> losses.read()
    [(1.0, 3), (2.0, 1)]
    >>> losses.mean()
    1.25
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[torch.Tensor, int]] = []
        self._known: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._known) + len(self._waiting)

    def add(self, loss: torch.Tensor, crops: int) -> None:
        """Take the mean loss of a batch of so many crops; a copy, whatever becomes of it."""
        self._waiting.append((loss.detach().clone(), crops))

    def read(self) -> list[tuple[float, int]]:
        """Wait for the device; loss and crops of each batch."""
        if self._waiting:
            values = torch.stack([loss for loss, _ in self._waiting]).tolist()
            crops = [n for _, n in self._waiting]
            self._known += zip(values, crops, strict=True)
            self._waiting.clear()
        return self._known

    def mean(self) -> float:
        """Mean over the crops of all batches, of which there is at least one."""
        total, crops = 0.0, 0
        for loss, n in self.read():
            total += loss * n
            crops += n
        return total / crops


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
    recordable : bool
        Which operations a step takes, and all numbers that Python gives to them, follow from the
        shapes of its batch alone, so that a GPU may record them once and repeat them
        (:mod:`cellharness.training.steps`). Not so: a loss that picks some of the crops by their
        values, a weight of the loss that changes by epoch, a number that the host draws, layers
        that are frozen on the way.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    validation: Sequence[LabelledImage]
    pretrained: bool = False
    recordable: bool = False

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

    def validation_batches(self) -> Iterator[Batch] | None:
        """Give the same batches of the validation images each time; None where there are none."""
        return None

    def validation_loss(self, network: Network) -> float | None:
        """Mean loss over the crops of :meth:`validation_batches`, model in evaluation mode."""
        batches = self.validation_batches()
        if batches is None:
            return None
        device = next(self.model.parameters()).device
        losses = Losses()
        for batch in batches:
            moved = tuple(part.to(device, non_blocking=True) for part in batch)
            losses.add(self.loss(network, moved), len(batch[0]))
        return losses.mean()

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
