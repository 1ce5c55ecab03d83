"""A forgetting study: laid out as one run, done, and described in ``study.json``.

Each remedy is a training, each stage of it a method of the run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from cellharness.config.reading import ConfigError
from cellharness.config.run import MethodConfig, RunConfig, TrainingConfig
from cellharness.config.study import (
    PLAIN,
    ProtocolConfig,
    RemedyConfig,
    StudyConfig,
)
from cellharness.data.manifest import Case, Manifest, experiments_of
from cellharness.run_directory import (
    ProtocolRecord,
    RemedyRecord,
    RunDirectory,
    StudyMethod,
    StudyRecord,
    TrainingRecord,
)
from cellharness.running.observer import Observer
from cellharness.running.result import RunResult
from cellharness.running.run import read_cases, run_comparison
from cellharness.training.observer import TrainingObserver
from cellharness.vocabulary import PRETRAINED


def expand(study: StudyConfig) -> tuple[RunConfig, list[StudyMethod]]:
    """Lay out the trainings and predictions of a study.

    Before and the end of the plain fine-tuning are evaluated under every protocol, all else
    under the main one; remedies that train, at every stage unless `curves` leaves them out;
    remedies that only predict otherwise, at the end.

    Parameters
    ----------
    study : StudyConfig

    Returns
    -------
    config : RunConfig
        What `cellharness run` would be given.
    evaluations : list of StudyMethod
        What its methods stand for; teams are not among them.

    Raises
    ------
    ConfigError
        The training's parameters contradict the stages.
    """
    methods, evaluations = [], []
    for evaluation, method in _evaluations(study):
        evaluations.append(evaluation)
        methods.append(method)
    config = RunConfig(
        name=study.name,
        title=study.title,
        dataset=study.dataset,
        training=[
            _training(study, remedy, seed)
            for remedy in (None, *(each for each in study.remedies if each.of is None))
            for seed in study.training_seeds
        ],
        methods=[*methods, *study.teams],
        limits=study.limits,
        cluster=study.cluster,
        cases_at_once=study.cases_at_once,
        scoring=study.scoring,
        report=study.report,
        seed=study.seed,
        out=study.out,
        base=study.base,
    )
    return config, evaluations


def _evaluations(study: StudyConfig) -> Iterator[tuple[StudyMethod, MethodConfig]]:
    main = next(protocol for protocol in study.protocols if protocol.name == study.main)
    for protocol in study.protocols:
        yield _method(study, PRETRAINED, 0, protocol, None)
    for stage in study.stages_of(PLAIN):
        last = stage == study.stages[-1]
        for protocol in study.protocols if last else [main]:
            for seed in study.training_seeds:
                yield _method(study, PLAIN, stage, protocol, None, seed)
    for remedy in study.remedies:
        for stage in study.stages_of(remedy.name):
            for seed in study.training_seeds:
                yield _method(study, remedy.name, stage, main, remedy, seed)


def _trained_as(study: StudyConfig, name: str, seed: int | None) -> str:
    """Name the training of a remedy with a seed; with the first, it is the remedy's own."""
    return name if seed in (None, study.training_seeds[0]) else f"{name}-seed{seed}"


def _method(
    study: StudyConfig,
    name: str,
    stage: int,
    protocol: ProtocolConfig,
    remedy: RemedyConfig | None,
    seed: int | None = None,
) -> tuple[StudyMethod, MethodConfig]:
    if name == PRETRAINED:
        title, label = f"{PRETRAINED}.{protocol.name}", study.before.label
        used, parameters = study.before.method, {**study.before.parameters, **protocol.parameters}
    else:
        title = f"{_trained_as(study, name, seed)}-{stage}.{protocol.name}"
        label = f"{remedy.display if remedy else study.finetuning.label}, {stage} epochs"
        trained = (remedy.of or name) if remedy else name
        used = study.finetuning.method
        parameters = {
            **protocol.parameters,
            "weights": f"trained:{_trained_as(study, trained, seed)}@{stage}",
            **(remedy.prediction if remedy else {}),
        }
    method = MethodConfig(
        name=title,
        method=used,
        label=f"{label}{_of_seed(study, seed)}, {protocol.display}",
        input=protocol.input,
        parameters=parameters,
    )
    meaning = StudyMethod(
        method=title,
        remedy=name,
        stage=stage,
        protocol=protocol.name,
        seed=seed if study.seeds else None,
    )
    return meaning, method


def _of_seed(study: StudyConfig, seed: int | None) -> str:
    return "" if seed is None or len(study.training_seeds) == 1 else f", seed {seed}"


def _training(study: StudyConfig, remedy: RemedyConfig | None, seed: int) -> TrainingConfig:
    plain = study.finetuning
    name, label = (remedy.name, remedy.display) if remedy else (PLAIN, plain.label)
    own = {**plain.parameters, **(remedy.parameters if remedy else {})}
    return TrainingConfig(
        name=_trained_as(study, name, seed),
        label=f"{label}{_of_seed(study, seed)}",
        seed=seed if study.seeds else None,
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


def run_study(
    study: StudyConfig,
    folder: Path,
    *,
    limit: int | None = None,
    resume: bool = False,
    retry_failed: bool = False,
    observer: Observer | None = None,
    training_observer: TrainingObserver | None = None,
) -> RunResult:
    """Train, predict and score all that a study asks for.

    Parameters
    ----------
    study : StudyConfig
    folder : Path
        Run directory; ``study.json`` says what its methods stand for.
    limit, resume, retry_failed, observer, training_observer
        As for :func:`cellharness.running.run.run_comparison`.

    Returns
    -------
    RunResult

    Raises
    ------
    UsageError
        The configuration or data cannot be used.
    """
    config, evaluations = expand(study)
    result = run_comparison(
        config,
        folder,
        limit=limit,
        resume=resume,
        retry_failed=retry_failed,
        observer=observer,
        training_observer=training_observer,
    )
    cases = read_cases(config, folder, generated=True)
    record = describe(study, evaluations, folder, cases)
    record.write(RunDirectory(folder).study)
    return result


def describe(
    study: StudyConfig, evaluations: list[StudyMethod], folder: Path, manifest: Manifest
) -> StudyRecord:
    """Say what the methods of a run stand for, and what was trained on what."""
    cases = {case.case: case for case in manifest.cases}
    run = RunDirectory(folder)
    records = {
        name: TrainingRecord.find(run.training(name).record)
        for name in (PLAIN, *(remedy.name for remedy in study.remedies if remedy.of is None))
    }
    plain = records[PLAIN]
    learned = [*plain.train, *plain.validation] if plain else []
    own = RemedyRecord(
        name=PLAIN,
        label=study.finetuning.label,
        training=PLAIN,
        stages=study.stages_of(PLAIN),
        modalities=study.finetuning.modalities,
    )
    others = [
        RemedyRecord(
            name=remedy.name,
            label=remedy.display,
            training=remedy.of or remedy.name,
            stages=study.stages_of(remedy.name),
            modalities=remedy.modalities or study.finetuning.modalities,
            mixing=remedy.prediction.get("interpolation") if remedy.of else None,
        )
        for remedy in study.remedies
    ]
    return StudyRecord(
        name=study.name,
        title=study.title or study.name,
        plain=PLAIN,
        main=study.main,
        primary=study.primary,
        margin=study.margin,
        published=study.published.model_dump(),
        protocols=[
            ProtocolRecord(name=protocol.name, label=protocol.display)
            for protocol in study.protocols
        ],
        remedies=[own, *others],
        methods=evaluations,
        seen=experiments_of([cases[name] for name in learned if name in cases]),
        replayed=_met_again(records, learned, cases),
        teams=[team.name for team in study.teams],
        config=study.model_dump(mode="json", exclude_none=True),
    )


def _met_again(
    records: Mapping[str, TrainingRecord | None], learned: list[str], cases: Mapping[str, Case]
) -> dict[str, list[tuple[str, str]]]:
    """Experiments that a remedy met in its training, by replay or else, and the plain one not."""
    own = experiments_of([cases[name] for name in learned if name in cases])
    met: dict[str, list[tuple[str, str]]] = {}
    for name, record in records.items():
        if name == PLAIN or record is None:
            continue
        used = (*record.train, *record.validation, *record.replay)
        others = experiments_of([cases[case] for case in used if case in cases])
        again = [pair for pair in others if pair not in own]
        if again:
            met[name] = again
    return met
