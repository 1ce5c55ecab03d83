"""Fine-tuning of Cellpose on a training split, the way ``python -m cellpose --train`` does it.

Differences from the library's ``train_seg``, none of which changes a number in float32:
flows are kept between runs, batches are made in the background, the network runs
channels-last. What is added: mixed precision, validation F1 by modality, resuming,
remedies against forgetting.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from cellharness.data.manifest import Case
from cellharness.training.loop import resolved, run
from cellharness.training.samples import read_labelled
from cellharness.training.trainer import Trainer, TrainingParameters
from cellharness.weights import Weights
from cellharness_adapters.cellpose.finetuning_parameters import FinetuningParameters
from cellharness_adapters.cellpose.learner import CellposeLearner
from cellharness_adapters.cellpose.replay import replay_samples
from cellharness_adapters.cellpose.weights import resolve


class CellposeTrainer(Trainer):
    """Fine-tunes Cellpose's network (paper, Methods: Cellpose 2.0)."""

    Parameters: ClassVar[type[TrainingParameters]] = FinetuningParameters
    parameters: FinetuningParameters
    packages: ClassVar[tuple[str, ...]] = ("cellpose", "torch", "numpy", "opencv-python-headless")
    replays: ClassVar[bool] = True

    def weights(self) -> tuple[Weights, ...]:
        """Weights that the fine-tuning starts from."""
        return (resolve(self.parameters.weights),)

    def resolved(self) -> dict[str, Any]:
        """Device and precision."""
        return dict(resolved(self.parameters))

    def fit(
        self,
        train: Sequence[Case],
        validation: Sequence[Case],
        out: Path,
        replay: Sequence[Case] = (),
    ) -> Path:
        """Fine-tune, see :meth:`Trainer.fit`; the checkpoint is a state dict cellpose reads."""
        (weights,) = self.weights()
        labels = self.parameters.replay_labels
        learned = read_labelled(train, self.input)
        replayed = replay_samples(replay, self.input, labels, self.parameters.weights)
        self.left_out = tuple(
            sample.case.case
            for sample in (*learned, *replayed)
            if sample.n_cells < self.parameters.min_cells
        )
        build = partial(
            CellposeLearner,
            weights,
            learned,
            read_labelled(validation, self.input),
            self.parameters,
            replayed,
        )
        return run(build, self.parameters, self.seed, out, self.watch)
