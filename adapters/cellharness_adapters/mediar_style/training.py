"""Training of the small network with MEDIAR's recipe, on whatever data are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from cellharness.data.manifest import Case
from cellharness.training.loop import resolved, run
from cellharness.training.samples import (
    LabelledCases,
    Preparing,
    TrainingDataError,
    read_labelled,
)
from cellharness.training.trainer import Trainer, TrainingParameters
from cellharness_adapters.mediar_style.examples import Example, examples_of
from cellharness_adapters.mediar_style.learner import StyleLearner
from cellharness_adapters.mediar_style.parameters import StyleTrainingParameters
from cellharness_adapters.mediar_style.segmenter import MediarStyle


class MediarStyleTrainer(Trainer):
    """Trains the small network from scratch, in the two phases of Lee et al. 2022.

    Faults of the published training that are not repeated: excluded boundaries of which nothing is
    excluded; labels turned without their images; the last cell of a crop that is never drawn;
    a best score that is forgotten after each epoch.
    """

    Parameters: ClassVar[type[TrainingParameters]] = StyleTrainingParameters
    parameters: StyleTrainingParameters
    packages: ClassVar[tuple[str, ...]] = MediarStyle.info.packages
    replays: ClassVar[bool] = True

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
        """Train, see :meth:`Trainer.fit`."""
        watched = read_labelled(validation, self.input)
        n_images = len(train) + len(replay)
        build = partial(
            StyleLearner,
            self._examples(train, "training images", self._told(0, n_images)),
            self._examples(replay, "images to replay", self._told(len(train), n_images)),
            watched,
            self.parameters,
            self.seed,
        )
        return run(build, self.parameters, self.seed, out, self.watch)

    def _examples(self, cases: Sequence[Case], what: str, told: Preparing) -> list[Example]:
        """Prepare cases; of the images only 8 bit are held.

        Raises
        ------
        TrainingDataError
            None of them has a cell.
        """
        found = examples_of(LabelledCases(cases, self.input), self.parameters.normalisation, told)
        if found and not any(example.labels.any() for example in found):
            msg = (
                f"none of the {len(found)} {what} has a cell; choose splits or experiments whose "
                "labels hold some"
            )
            raise TrainingDataError(msg)
        return found
