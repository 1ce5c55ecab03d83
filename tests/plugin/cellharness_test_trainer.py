"""A training for tests: the real loop on a network of one number, a state after each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from cellharness.data.manifest import Case
from cellharness.training.samples import LabelledCases, each
from cellharness.training.trainer import Trainer, TrainingParameters


class GreyParameters(TrainingParameters):
    """How long an epoch takes."""

    nap: float = Field(0.0, ge=0, description="Seconds to sleep in each epoch.")


class GreyTrainer(Trainer):
    """Trains `cellharness_test_methods.Trained`."""

    Parameters: ClassVar[type[TrainingParameters]] = GreyParameters
    parameters: GreyParameters

    def fit(
        self,
        train: Sequence[Case],
        validation: Sequence[Case],
        out: Path,
        replay: Sequence[Case] = (),
    ) -> Path:
        """Run the loop; what a kill costs is the epoch at hand."""
        import torch

        from cellharness.training import loop
        from cellharness_test_learner import GreyLearner

        torch.set_num_threads(1)
        loop.STATE_EVERY_S = 0.0
        cases = [*train, *validation]
        # Nothing is kept of it, but it is told of as in the trainings that do prepare images.
        told = self._told(0, len(cases))
        each(LabelledCases(cases, "gray_max"), lambda sample: sample.n_cells, told)
        build = partial(GreyLearner, cases, self.parameters.nap)
        return loop.run(build, self.parameters, self.seed, out, self.watch)
