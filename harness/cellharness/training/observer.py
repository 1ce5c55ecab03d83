"""Whoever watches trainings: a progress bar, a test, or nobody."""

from __future__ import annotations

from typing import Protocol

from cellharness.run_directory import TrainingRecord
from cellharness.training.log import EpochRecord


class TrainingObserver(Protocol):
    """Somebody who watches trainings."""

    def training_started(self, label: str) -> None:
        """A training begins or goes on."""

    def images_prepared(self, label: str, done: int, total: int) -> None:
        """So many of the training's images are prepared for the first epoch."""

    def epoch_finished(self, label: str, record: EpochRecord) -> None:
        """One more epoch is done and logged."""

    def training_finished(self, label: str, record: TrainingRecord, reused: bool) -> None:
        """A training ended, well or not; ``reused`` if it was there already."""


class SilentTraining:
    """An observer that does nothing."""

    def training_started(self, label: str) -> None:
        """Ignore."""

    def images_prepared(self, label: str, done: int, total: int) -> None:
        """Ignore."""

    def epoch_finished(self, label: str, record: EpochRecord) -> None:
        """Ignore."""

    def training_finished(self, label: str, record: TrainingRecord, reused: bool) -> None:
        """Ignore."""
