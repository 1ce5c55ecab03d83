"""From a study to the run that answers it: one training a remedy, one method a stage."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

from harness.config import ConfigError, MethodConfig, RunConfig, TrainingConfig
from harness.forgetting.config import (
    BEFORE,
    PLAIN,
    ForgettingConfig,
    ProtocolConfig,
    RemedyConfig,
)


@dataclass(frozen=True)
class Evaluation:
    """What one method of the run stands for.

    Attributes
    ----------
    method : str
        Its name in the run.
    remedy : str
        Name of a remedy, ``plain`` or ``before``.
    stage : int
        Epochs trained; 0 before any training.
    protocol : str
        Name of the protocol it predicts under.
    """

    method: str
    remedy: str
    stage: int
    protocol: str


def expand(study: ForgettingConfig) -> tuple[RunConfig, list[Evaluation]]:
    """Lay out the trainings and predictions of a study.

    Before and the end of the plain fine-tuning are evaluated under every protocol, all else
    under the main one; remedies that train, at every stage unless `curves` leaves them out;
    remedies that only predict otherwise, at the end.

    Parameters
    ----------
    study : ForgettingConfig

    Returns
    -------
    config : RunConfig
        What `cellharness run` would be given.
    evaluations : list of Evaluation
        What its methods stand for; teams are not among them.

    Raises
    ------
    ConfigError
        The training's knobs contradict the stages.
    """
    methods, evaluations = [], []
    for evaluation, method in _evaluations(study):
        evaluations.append(evaluation)
        methods.append(method)
    config = RunConfig(
        name=study.name,
        title=study.title,
        dataset=study.dataset,
        training=[_training(study, PLAIN, study.finetuning.label, None)]
        + [
            _training(study, remedy.name, remedy.display, remedy)
            for remedy in study.remedies
            if remedy.of is None
        ],
        methods=[*methods, *study.teams],
        limits=study.limits,
        scoring=study.scoring,
        report=study.report,
        seed=study.seed,
        out=study.out,
        base=study.base,
    )
    return config, evaluations


def _evaluations(study: ForgettingConfig) -> Iterator[tuple[Evaluation, MethodConfig]]:
    main = next(protocol for protocol in study.protocols if protocol.name == study.main)
    for protocol in study.protocols:
        yield _method(study, BEFORE, 0, protocol, None)
    for stage in study.stages_of(PLAIN):
        last = stage == study.stages[-1]
        for protocol in study.protocols if last else [main]:
            yield _method(study, PLAIN, stage, protocol, None)
    for remedy in study.remedies:
        for stage in study.stages_of(remedy.name):
            yield _method(study, remedy.name, stage, main, remedy)


def _method(
    study: ForgettingConfig,
    name: str,
    stage: int,
    protocol: ProtocolConfig,
    remedy: RemedyConfig | None,
) -> tuple[Evaluation, MethodConfig]:
    if name == BEFORE:
        title, label = f"{BEFORE}.{protocol.name}", study.before.label
        used, parameters = study.before.method, {**study.before.parameters, **protocol.parameters}
    else:
        title = f"{name}-{stage}.{protocol.name}"
        label = f"{remedy.display if remedy else study.finetuning.label}, {stage} epochs"
        trained = (remedy.of or name) if remedy else name
        used = study.finetuning.method
        parameters = {
            **protocol.parameters,
            "weights": f"trained:{trained}@{stage}",
            **(remedy.prediction if remedy else {}),
        }
    method = MethodConfig(
        name=title,
        method=used,
        label=f"{label}, {protocol.display}",
        input=protocol.input,
        parameters=parameters,
    )
    return Evaluation(title, name, stage, protocol.name), method


def _training(
    study: ForgettingConfig, name: str, label: str, remedy: RemedyConfig | None
) -> TrainingConfig:
    plain = study.finetuning
    own = {**plain.parameters, **(remedy.parameters if remedy else {})}
    return TrainingConfig(
        name=name,
        label=label,
        method=plain.method,
        input=plain.input,
        parameters={**own, **_checkpoints(study.stages, name, own)},
        splits=plain.splits,
        modalities=(remedy.modalities if remedy else None) or plain.modalities,
        experiments=plain.experiments,
        validation=plain.validation,
        replay=remedy.replay if remedy else None,
    )


def _checkpoints(stages: list[int], name: str, given: dict[str, Any]) -> dict[str, int]:
    """Epochs and checkpoints that the stages ask for; other ones are refused, not overruled."""
    wanted = {"epochs": stages[-1], "save_every": reduce(math.gcd, stages)}
    for key, value in wanted.items():
        if given.get(key, value) != value:
            msg = (
                f"training '{name}': {key} {given[key]} does not go with the stages {stages}; "
                f"leave it out, it will be {value}"
            )
            raise ConfigError(msg)
    return wanted
