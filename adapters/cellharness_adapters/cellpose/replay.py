"""Images of an earlier domain that a fine-tuning goes on seeing, with one truth or another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from cellharness.data.manifest import Case
from cellharness.training.samples import LabelledCases, LabelledImage, read_unlabelled
from cellharness.vocabulary import InputMode
from cellharness_adapters.cellpose.segmenter import Cellpose, CellposeParameters
from cellharness_adapters.cellpose.weights import resolve


def replay_samples(
    cases: Sequence[Case],
    mode: InputMode,
    truth: Literal["given", "model", "none"],
    weights: str,
) -> Sequence[LabelledImage]:
    """Read images to replay and give them a truth.

    Parameters
    ----------
    cases : sequence of Case
        Need labels only where ``truth`` is "given".
    mode : {"gray_max", "gray", "native"}
        Form of the image, as in training.
    truth : {"given", "model", "none"}
        Their own labels, or else what the weights segment in them at the diameter that their size
        model estimates (their training mean where they have none). For "none" these serve as a
        scale only.
    weights : str
        Name or path of the weights that the training starts from.

    Returns
    -------
    sequence of LabelledImage
        In the order of ``cases``. With labels of their own they are read when they are asked for.

    Raises
    ------
    TrainingDataError
        Images without labels of their own cannot be read.
    """
    if truth == "given" or not cases:
        return LabelledCases(cases, mode)
    samples = read_unlabelled(cases, mode)
    policy: Literal["estimate", "training_mean"]
    policy = "estimate" if "size" in resolve(weights).files else "training_mean"
    model = Cellpose(CellposeParameters(weights=weights, diameter=policy))
    model.load()
    return [replace(sample, labels=model.segment(sample.image)) for sample in samples]
