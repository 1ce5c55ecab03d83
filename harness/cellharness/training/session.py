"""All trainings of a configuration: what is there is used again, what was cut off goes on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cellharness.config.paths import absolute_parameters
from cellharness.config.run import RunConfig, TrainingConfig
from cellharness.data.manifest import Case, Manifest
from cellharness.errors import MissingDependencyError, UsageError
from cellharness.files import hash_file, remove_leftovers
from cellharness.provenance import package_versions
from cellharness.run_directory import RunDirectory, TrainingDirectory, TrainingRecord
from cellharness.training.log import EpochRecord, TrainingLog
from cellharness.training.observer import SilentTraining, TrainingObserver
from cellharness.training.process import TrainingTask, train_in_process
from cellharness.training.sets import hold_back
from cellharness.training.trainer import build_trainer, trainer_class
from cellharness.weights import WeightsError


@dataclass(frozen=True)
class _Job:
    """One training, ready to run, and what it will be known by."""

    config: TrainingConfig
    task: TrainingTask
    record: TrainingRecord


def run_trainings(
    config: RunConfig,
    manifest: Manifest,
    folder: Path,
    *,
    only: Collection[str] | None = None,
    observer: TrainingObserver | None = None,
) -> dict[str, TrainingRecord]:
    """Run the trainings of a configuration, one after another.

    Parameters
    ----------
    config : RunConfig
        Its ``training`` section.
    manifest : Manifest
        All cases; each training takes its own splits.
    folder : Path
        Run directory; a training lives in ``training/<name>``.
    only : collection of str or None
        Names to run; None runs all.
    observer : TrainingObserver or None
        Told of progress.

    Returns
    -------
    dict of str to TrainingRecord
        By name. A training that failed is in it with its status; the others ran.

    Raises
    ------
    UsageError
        A training's method, parameters or cases are not usable.
    """
    observer = observer or SilentTraining()
    chosen = [training for training in config.training if only is None or training.name in only]
    for pattern in ("training/*", "training/*/checkpoints"):
        for place in folder.glob(pattern):
            remove_leftovers(place)
    jobs = [_prepare(config, training, manifest, folder) for training in chosen]
    return {job.config.name: _run(job, observer) for job in jobs}


def _prepare(config: RunConfig, training: TrainingConfig, manifest: Manifest, folder: Path) -> _Job:
    """Choose cases, check parameters, find the weights to start from."""
    cases = manifest.select(training.splits, training.modalities, training.experiments).cases
    unlabelled = [case.case for case in cases if case.label is None]
    if unlabelled:
        msg = (
            f"training '{training.name}': {len(unlabelled)} of {len(cases)} cases have no label "
            f"({', '.join(unlabelled[:3])}); give them one or choose other splits"
        )
        raise UsageError(msg)
    # Trainings that differ in their seed alone hold back the same cases.
    train, validation = hold_back(cases, training.validation, config.seed)
    seed = config.seed if training.seed is None else training.seed
    replay = _replayed(training, manifest, cases)
    model = trainer_class(training.method).Parameters
    parameters = absolute_parameters(model, training.parameters, config.resolve)
    trainer = build_trainer(
        training.method, parameters, input=training.input, seed=seed, watch=None
    )
    message, weights, resolved = "", [], {}
    try:
        weights = [found.record() for found in trainer.weights()]
        resolved = trainer.resolved()
    except (WeightsError, MissingDependencyError) as error:
        message = str(error)
    versions = package_versions(("cellharness", *trainer.packages))
    out = RunDirectory(folder).training(training.name).path
    facts = {
        "method": training.method,
        "parameters": trainer.parameters.model_dump(mode="json"),
        "resolved": resolved,
        "input": trainer.input,
        "weights": [found["sha256"] for found in weights],
        "train": [_hashes(case) for case in train],
        "validation": [_hashes(case) for case in validation],
        # Only where there is something, so that other trainings keep their identity.
        **({"replay": [_hashes(case) for case in replay]} if replay else {}),
        "seed": seed,
        "versions": versions,
    }
    record = TrainingRecord(
        name=training.name,
        label=training.display,
        method=training.method,
        identity=hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(),
        status="error" if message else "running",
        message=message,
        # As written where given, so that no machine's path ends up in a report.
        parameters={**trainer.parameters.model_dump(mode="json"), **training.parameters},
        resolved=resolved,
        weights=weights,
        train=[case.case for case in train],
        validation=[case.case for case in validation],
        replay=[case.case for case in replay],
        versions=versions,
    )
    task = TrainingTask(
        training.method, parameters, training.input, seed, train, validation, replay, out
    )
    return _Job(training, task, record)


def _replayed(training: TrainingConfig, manifest: Manifest, learned: Sequence[Case]) -> list[Case]:
    """Cases to replay: those that are not learned from anyhow."""
    wanted = training.replay
    if wanted is None:
        return []
    if not trainer_class(training.method).replays:
        msg = f"training '{training.name}': method '{training.method}' cannot replay cases"
        raise UsageError(msg)
    own = {case.case for case in learned}
    found = manifest.select(wanted.splits, wanted.modalities, wanted.experiments).cases
    cases = [case for case in found if case.case not in own]
    if not cases:
        msg = f"training '{training.name}': all {len(found)} cases of 'replay' are learned anyhow"
        raise UsageError(msg)
    return cases


def _hashes(case: Case) -> list[str]:
    """Content of a training case: other pixels or labels make another training."""
    return [hash_file(path) if path and path.is_file() else "" for path in (case.image, case.label)]


def _run(job: _Job, observer: TrainingObserver) -> TrainingRecord:
    folder, record = job.task.out, job.record
    label = record.label
    written = TrainingDirectory(folder).record
    old = TrainingRecord.find(written)
    if record.message:
        observer.training_finished(label, record, reused=False)
        return record
    if old is not None and old.identity == record.identity:
        if old.status == "ok" and (folder / old.checkpoint).is_file():
            observer.training_finished(label, old, reused=True)
            return old
        # A session that was killed has left its time in the log only.
        epochs, seconds = TrainingLog(folder).finished()
        record = record.model_copy(update={"epochs": epochs, "seconds": max(seconds, old.seconds)})
    elif folder.is_dir():
        _set_aside(folder)
    observer.training_started(label)
    record.write(written)
    begun = time.perf_counter()
    finished = [record.epochs]
    end = train_in_process(job.task, _relay(observer, label, finished))
    checkpoint = end.checkpoint.relative_to(folder).as_posix() if end.checkpoint else ""
    record = record.model_copy(
        update={
            "status": end.status,
            "message": end.message,
            "checkpoint": checkpoint,
            "left_out": list(end.left_out),
            "epochs": finished[0],
            "seconds": record.seconds + time.perf_counter() - begun,
        }
    )
    record.write(written)
    observer.training_finished(label, record, reused=False)
    return record


def _relay(
    observer: TrainingObserver, label: str, finished: list[int]
) -> Callable[[EpochRecord], None]:
    def relay(record: EpochRecord) -> None:
        finished[0] = record.epoch
        observer.epoch_finished(label, record)

    return relay


def _set_aside(folder: Path) -> None:
    """Keep a training of other data or parameters under another name: it may be days of work."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    folder.rename(folder.with_name(f"{folder.name}.replaced-{stamp}"))
