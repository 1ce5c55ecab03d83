"""All trainings of a configuration: what is there is used again, what was cut off goes on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellharness.config.paths import absolute_parameters
from cellharness.config.run import RunConfig, TrainingConfig
from cellharness.data.manifest import Case, Manifest, experiments_of
from cellharness.errors import MissingDependencyError, UsageError
from cellharness.files import hash_file, remove_leftovers, set_aside
from cellharness.provenance import IMAGE_PACKAGES, package_versions
from cellharness.run_directory import (
    RunDirectory,
    RunDirectoryError,
    RunRecord,
    TrainingDirectory,
    TrainingRecord,
)
from cellharness.training.log import EpochRecord, TrainingLog
from cellharness.training.observer import SilentTraining, TrainingObserver
from cellharness.training.process import TrainingEnd, TrainingTask, train_in_process
from cellharness.training.sets import hold_back
from cellharness.training.trainer import build_trainer, trainer_class
from cellharness.weights import WeightsError, WeightsOfflineError

if TYPE_CHECKING:
    from cellharness.cluster.workers import Workers

#: Part of what a training is known by; raised where the same facts come to lead to other weights,
#: so that none is gone on with in two ways. 2: an epoch is seeded by seed and number together; 1,
#: which older records do not name, seeded it by their sum.
_WAY = 2

#: Files that cannot be used, of which a message names so many.
_MOST_FAULTS = 10


@dataclass(frozen=True)
class _Job:
    """One training, ready to run, and what it will be known by."""

    config: TrainingConfig
    task: TrainingTask
    record: TrainingRecord
    #: Only the network is missing to get the weights that it starts from.
    offline: bool = False


def run_trainings(
    config: RunConfig,
    manifest: Manifest,
    folder: Path,
    *,
    only: Collection[str] | None = None,
    observer: TrainingObserver | None = None,
    workers: Workers | None = None,
) -> dict[str, TrainingRecord]:
    """Run the trainings of a configuration, one after another or beside each other.

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
    workers : Workers or None
        Where they run beside each other; None for one after another on this machine.

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
    jobs = [_prepare(config, training, manifest, folder, workers) for training in chosen]
    names = {training.name for training in config.training}
    former = {job.config.name: _former(folder, job, names) for job in jobs}
    if workers is not None:
        return _run_beside(jobs, former, observer, workers)
    return {job.config.name: _run(job, former[job.config.name], observer) for job in jobs}


@dataclass(frozen=True)
class TrainingOutlook:
    """What would be done of a training, and how long it would take.

    Attributes
    ----------
    record : TrainingRecord
        What it would be known by; of one that is kept, the record of its end.
    state : str
        ``kept``, ``goes on``, ``new``, ``fetches weights first`` or ``cannot run``; ``again`` where
        weights of other cases, parameters or versions are set aside; ``put back`` where they are,
        and these were set aside before.
    epochs : int or None
        How many are left; None where its parameters do not say.
    seconds : float or None
        For these, as long as those that are logged took; None where none is.
    """

    record: TrainingRecord
    state: str
    epochs: int | None = 0
    seconds: float | None = 0.0


def look_ahead(
    config: RunConfig, manifest: Manifest, folder: Path, *, may_fetch: bool = False
) -> dict[str, TrainingOutlook]:
    """Say what :func:`run_trainings` would do; nothing is written, moved or trained.

    Parameters and errors are those of :func:`run_trainings`; with `may_fetch` weights that are
    missing only while the network is forbidden are no error.

    Returns
    -------
    dict of str to TrainingOutlook
        By name.
    """
    return {
        training.name: _outlook(_prepare(config, training, manifest, folder), may_fetch)
        for training in config.training
    }


def _outlook(job: _Job, may_fetch: bool) -> TrainingOutlook:
    record, folder = job.record, job.task.out
    if job.offline and may_fetch:
        # Without its weights its identity is not known, nor so whether it has begun.
        epochs = record.parameters.get("epochs")
        left = epochs if isinstance(epochs, int) else None
        return TrainingOutlook(
            record.model_copy(update={"message": ""}), "fetches weights first", left, None
        )
    if record.message:
        return TrainingOutlook(record, "cannot run")
    old = TrainingRecord.find(TrainingDirectory(folder).record)
    known = old is not None and old.identity == record.identity
    if known and old is not None and _is_whole(old, folder):
        return TrainingOutlook(old, "kept")
    if old is not None and not known and _set_aside_before(folder, record.identity):
        return TrainingOutlook(record, "put back")
    wanted = record.parameters.get("epochs")
    done, seconds = TrainingLog(folder).finished()
    each = seconds / done if done else None
    left = wanted - (done if known else 0) if isinstance(wanted, int) else None
    state = "goes on" if known and done else "again" if old is not None and not known else "new"
    time_left = None if each is None or left is None else each * left
    return TrainingOutlook(record, state, left, time_left)


def _prepare(
    config: RunConfig,
    training: TrainingConfig,
    manifest: Manifest,
    folder: Path,
    workers: Workers | None = None,
) -> _Job:
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
    message, weights, resolved, offline = "", [], {}, False
    versions = package_versions(("cellharness", *IMAGE_PACKAGES, *trainer.packages))
    out = RunDirectory(folder).training(training.name).path
    task = TrainingTask(
        training.method, parameters, training.input, seed, train, validation, replay, out
    )
    try:
        weights = [found.record() for found in trainer.weights()]
        resolved = trainer.resolved() if workers is None else _resolved_there(workers, task)
    except (WeightsError, MissingDependencyError) as error:
        message = str(error)
        offline = isinstance(error, WeightsOfflineError)
    contents, fault = _contents({"train": train, "validation": validation, "replay": replay})
    if fault:
        message, offline = fault, False
    facts = {
        "method": training.method,
        "parameters": trainer.parameters.model_dump(mode="json"),
        "resolved": resolved,
        "input": trainer.input,
        "weights": [found["sha256"] for found in weights],
        **contents,
        "seed": seed,
        "way": _WAY,
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
        experiments=experiments_of([*train, *validation, *replay]),
        versions=versions,
    )
    return _Job(training, task, record, offline)


def _resolved_there(workers: Workers, task: TrainingTask) -> dict[str, Any]:
    """What automatic choices come to on a worker: it may have a GPU, and we none."""
    from cellharness.training.on_workers import what_it_is_there

    return workers.ask(what_it_is_there, (task, ()))["resolved"]


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


def _contents(parts: Mapping[str, Sequence[Case]]) -> tuple[dict[str, list[list[str]]], str]:
    """What a training depends on of its cases, by part, and why some cannot be used, or ""."""
    faults: list[str] = []
    found = {part: [_content(case, faults) for case in cases] for part, cases in parts.items()}
    if not faults:
        return found, ""
    lines = [f"  {fault}" for fault in faults[:_MOST_FAULTS]]
    more = ["  ..."] if faults[_MOST_FAULTS:] else []
    msg = (
        f"{len(faults)} of its cases' files cannot be used; put them back and give the command "
        "again, or mend the manifest. What was trained before is left as it is:"
    )
    return found, "\n".join([msg, *lines, *more])


def _content(case: Case, faults: list[str]) -> list[str]:
    """Pixels, labels and modality of a training case: others make another training.

    Balanced sampling and the validation scores go by the modality. Files that cannot be read, or
    are not the listed ones, are added to ``faults``: without them it is not known which training
    is wanted.
    """
    hashes = []
    for path in (case.image, case.label):
        try:
            hashes.append("" if path is None else hash_file(path))
        except OSError as error:
            hashes.append("")
            faults.append(f"{case.case}: '{path}': {error.strerror}")
    if case.sha256 and hashes[0] not in ("", case.sha256):
        faults.append(
            f"{case.case}: '{case.image}' has SHA256 {hashes[0]}, the manifest says {case.sha256}"
        )
    return [*hashes, case.modality or ""]


def _former(run: Path, job: _Job, names: Collection[str]) -> TrainingRecord | None:
    """What is there of a training, whole or begun; looked at before any training runs.

    A record that was cut is taken from ``run.json``, where a finished run repeats it; a training
    that only changed its name is moved to it, and one that was finished and set aside before it
    was wanted again is put back.

    Raises
    ------
    RunDirectoryError
        The record, or a checkpoint of a finished training, is not as it was written.
    """
    folder = job.task.out
    written = TrainingDirectory(folder).record
    if not folder.exists():
        _move_renamed(folder, job.record.identity, names)
    if not written.exists():
        return None
    old = TrainingRecord.find(written)
    if old is None:
        head = RunRecord.find(RunDirectory(run).record)
        kept = {record.name: record for record in head.trainings} if head else {}
        old = kept.get(job.config.name)
        if old is None:
            msg = (
                f"'{written}' is empty or cut, and it alone says what the weights beside it were "
                f"trained from. Put it back from a copy, or rename '{folder}', which keeps the "
                "weights, and train again"
            )
            raise RunDirectoryError(msg)
        old.write(written)
    if old.identity != job.record.identity:
        old = _put_back(folder, job.record.identity) or old
    if old.identity == job.record.identity and old.status == "ok":
        _check_checkpoints(folder, old)
    return old


def _move_renamed(folder: Path, identity: str, names: Collection[str]) -> None:
    for path in sorted(folder.parent.glob("*/training.json")):
        if path.parent.name not in names:
            record = TrainingRecord.find(path)
            if record is None or record.identity != identity:
                continue
            last = TrainingDirectory(path.parent).checkpoint("last")
            # One that is refused for other checkpoints is renamed by hand, to train again.
            if record.status != "ok" or {last}.issuperset(_damaged(path.parent, record)):
                path.parent.rename(folder)
                return


def _put_back(folder: Path, identity: str) -> TrainingRecord | None:
    """Exchange what is there for the finished training of that identity, if it was set aside."""
    found = _set_aside_before(folder, identity)
    if found is None:
        return None
    set_aside(folder)
    found.rename(folder)
    return TrainingRecord.read(TrainingDirectory(folder).record)


def _set_aside_before(folder: Path, identity: str) -> Path | None:
    """Find a training that was set aside, finished and with all its checkpoints as they were."""
    for path in sorted(folder.parent.glob(f"{folder.name}.replaced-*")):
        record = TrainingRecord.find(TrainingDirectory(path).record)
        if (
            record is not None
            and (record.identity, record.status) == (identity, "ok")
            and not any(_damaged(path, record))
        ):
            return path
    return None


def _damaged(folder: Path, record: TrainingRecord) -> Iterator[Path]:
    """Give the checkpoints that are not there as their training left them."""
    expected = {record.checkpoint: "", **record.sha256}
    for name, sha256 in expected.items():
        path = folder / name
        if not path.is_file() or (sha256 and hash_file(path) != sha256):
            yield path


def _check_checkpoints(folder: Path, record: TrainingRecord) -> None:
    """Raise where a checkpoint is not as the training left it and cannot be made from its state."""
    for path in _damaged(folder, record):
        if path == TrainingDirectory(folder).checkpoint("last"):
            # The state after the last epoch holds the same weights: going on writes them again.
            if path.is_file():
                set_aside(path)
            continue
        what = "is not as its training left it (another SHA256)" if path.is_file() else "is gone"
        msg = (
            f"the checkpoint '{path}' {what}. Put it back from a copy, or rename the folder "
            f"'{folder}' and go on with --resume, which trains again"
        )
        raise RunDirectoryError(msg)


def _is_whole(record: TrainingRecord, folder: Path) -> bool:
    """Whether a training came to its end and its checkpoints are there."""
    checkpoints = (record.checkpoint, *record.sha256)
    return record.status == "ok" and all((folder / name).is_file() for name in checkpoints)


def _run(job: _Job, old: TrainingRecord | None, observer: TrainingObserver) -> TrainingRecord:
    record, trains = _begin(job, old, observer)
    if not trains:
        return record
    begun = time.perf_counter()
    finished = [record.epochs]
    end = train_in_process(
        job.task,
        _relay(observer, record.label, finished),
        partial(observer.images_prepared, record.label),
    )
    return _finish(job, record, end, finished[0], time.perf_counter() - begun, observer)


def _run_beside(
    jobs: Sequence[_Job],
    former: Mapping[str, TrainingRecord | None],
    observer: TrainingObserver,
    workers: Workers,
) -> dict[str, TrainingRecord]:
    """Run trainings on workers; their records are written here."""
    from cellharness.training.on_workers import TrainingOrder, train_beside

    begun = {job.config.name: _begin(job, former[job.config.name], observer) for job in jobs}
    records = {name: record for name, (record, _) in begun.items()}
    trained = {job.config.name: job for job in jobs if begun[job.config.name][1]}
    epochs = {name: [records[name].epochs] for name in trained}
    relays = {
        name: _relay(observer, records[name].label, finished) for name, finished in epochs.items()
    }
    orders = [
        TrainingOrder(
            name,
            job.task,
            hash_file(TrainingDirectory(job.task.out).record),
            {
                "weights": [weights["sha256"] for weights in records[name].weights],
                "resolved": dict(records[name].resolved),
                "versions": dict(records[name].versions),
            },
            workers.topic,
            workers.threads(),
        )
        for name, job in trained.items()
    ]
    if not orders:
        return records
    ends = train_beside(
        workers,
        orders,
        lambda name, record: relays[name](record),
        lambda name, *count: observer.images_prepared(records[name].label, *count),
    )
    with closing(ends):
        for name, made in ends:
            records[name] = _finish(
                trained[name], records[name], made.end, epochs[name][0], made.seconds, observer
            )
    return records


def _begin(
    job: _Job, old: TrainingRecord | None, observer: TrainingObserver
) -> tuple[TrainingRecord, bool]:
    """Write the record of a training that begins or goes on; whether there is anything to train."""
    folder, record = job.task.out, job.record
    label = record.label
    if record.message:
        observer.training_finished(label, record, reused=False)
        return record, False
    if old is not None and old.identity == record.identity:
        if _is_whole(old, folder):
            old = _as_configured(old, record)
            observer.training_finished(label, old, reused=True)
            return old, False
        # A session that was killed has left its time in the log only.
        epochs, seconds = TrainingLog(folder).finished()
        record = record.model_copy(update={"epochs": epochs, "seconds": max(seconds, old.seconds)})
    elif folder.is_dir():
        # Kept: it may be days of work.
        set_aside(folder)
    observer.training_started(label)
    record.write(TrainingDirectory(folder).record)
    return record, True


def _as_configured(old: TrainingRecord, record: TrainingRecord) -> TrainingRecord:
    """Record of a finished training by the names and experiments that it and its cases have now.

    Weights depend on neither; which images and experiments count as seen does.
    """
    before, now = ([*each.train, *each.validation, *each.replay] for each in (old, record))
    names = dict(zip(before, now, strict=True))
    same = ("name", "label", "train", "validation", "replay", "experiments")
    left_out = [names.get(case, case) for case in old.left_out]
    return old.model_copy(
        update={**{name: getattr(record, name) for name in same}, "left_out": left_out}
    )


def _finish(
    job: _Job,
    record: TrainingRecord,
    end: TrainingEnd,
    epochs: int,
    seconds: float,
    observer: TrainingObserver,
) -> TrainingRecord:
    """Write the record of a training that ended, well or not."""
    folder = job.task.out
    checkpoint = ""
    if end.checkpoint:
        # On a worker the same folder may have been reached by an absolute path.
        checkpoint = end.checkpoint.absolute().relative_to(folder.absolute()).as_posix()
    record = record.model_copy(
        update={
            "status": end.status,
            "message": end.message,
            "checkpoint": checkpoint,
            "sha256": _hash_checkpoints(folder),
            "left_out": list(end.left_out),
            "epochs": epochs,
            "seconds": record.seconds + seconds,
        }
    )
    record.write(TrainingDirectory(folder).record)
    observer.training_finished(record.label, record, reused=False)
    return record


def _hash_checkpoints(folder: Path) -> dict[str, str]:
    paths = sorted(TrainingDirectory(folder).checkpoints.glob("*.pt"))
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in paths}


def _relay(
    observer: TrainingObserver, label: str, finished: list[int]
) -> Callable[[EpochRecord], None]:
    def relay(record: EpochRecord) -> None:
        finished[0] = record.epoch
        observer.epoch_finished(label, record)

    return relay
