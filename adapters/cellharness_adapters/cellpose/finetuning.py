"""Fine-tuning of Cellpose on a training split, the way ``python -m cellpose --train`` does it.

Differences from the library's ``train_seg``, none of which changes a number in float32: images and
flows lie on disk, crops are cut from the pixels they need on all cores, flows are made faster and
kept between runs, the network runs channels-last. What is added: mixed precision, validation F1
by modality, resuming, remedies against forgetting.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from cellharness.data.manifest import Case
from cellharness.training.loop import resolved, run
from cellharness.training.samples import LabelledCases
from cellharness.training.trainer import Trainer, TrainingParameters
from cellharness.weights import Weights
from cellharness_adapters.cellpose.channels import refuse_channels_of_grey
from cellharness_adapters.cellpose.examples import Example, prepared
from cellharness_adapters.cellpose.finetuning_parameters import FinetuningParameters
from cellharness_adapters.cellpose.learner import CellposeLearner
from cellharness_adapters.cellpose.network import load_network
from cellharness_adapters.cellpose.replay import replay_samples
from cellharness_adapters.cellpose.weights import diam_mean_of, resolve


class CellposeTrainer(Trainer):
    """Fine-tunes Cellpose's network (paper, Methods: Cellpose 2.0)."""

    Parameters: ClassVar[type[TrainingParameters]] = FinetuningParameters
    parameters: FinetuningParameters
    packages: ClassVar[tuple[str, ...]] = ("cellpose", "torch", "numpy", "opencv-python-headless")
    replays: ClassVar[bool] = True

    def __init__(self, parameters: FinetuningParameters, **how: Any) -> None:
        super().__init__(parameters, **how)
        refuse_channels_of_grey(self.parameters.channels, self.input)

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
        parameters = self.parameters
        # First: a file that is none is found before flows are made of all images.
        load_network(weights.files["network"], diam_mean_of(weights))
        learned = LabelledCases(train, self.input)
        watched = LabelledCases(validation, self.input)
        replayed = replay_samples(replay, self.input, parameters.replay_labels, parameters.weights)
        done = 0
        n_images = len(learned) + len(watched) + len(replayed)
        ready: dict[str, list[Example]] = {}
        for name, samples in (("train", learned), ("replay", replayed), ("validation", watched)):
            ready[name] = prepared(samples, parameters.channels, self._told(done, n_images))
            done += len(samples)
        # What a model has labelled is on disk now, and need not be held in memory.
        replayed = LabelledCases(replay, self.input)
        self.left_out = tuple(
            example.case
            for example in (*ready["train"], *ready["replay"])
            if example.n_cells < parameters.min_cells
        )
        build = partial(CellposeLearner, weights, learned, watched, parameters, replayed, ready)
        return run(build, self.parameters, self.seed, out, self.watch)
