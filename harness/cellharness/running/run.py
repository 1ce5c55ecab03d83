"""The whole comparison: every method on every case, recorded, resumable, scored."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import yaml
from filelock import FileLock, Timeout

from cellharness.config.run import RunConfig
from cellharness.data.manifest import Case, Manifest
from cellharness.data.modality_guess import with_guessed_modalities
from cellharness.errors import UsageError
from cellharness.files import hash_file, remove_leftovers, write_atomic
from cellharness.provenance import environment
from cellharness.run_directory import DatasetRecord, RunDirectory, RunRecord, TrainingRecord
from cellharness.running.identity import is_done, prediction_identity
from cellharness.running.ledger import Ledger, Outcome
from cellharness.running.observer import Observer, Silent
from cellharness.running.plan import Plan, check_methods, make_plan
from cellharness.running.process import MethodProcess
from cellharness.running.result import RunResult
from cellharness.running.score_table import score_run
from cellharness.running.worker import Task
from cellharness.training.observer import TrainingObserver
from cellharness.training.session import run_trainings
from cellharness.vocabulary import SEGMENTED


def run_comparison(
    config: RunConfig,
    folder: Path,
    *,
    limit: int | None = None,
    resume: bool = False,
    retry_failed: bool = False,
    observer: Observer | None = None,
    training_observer: TrainingObserver | None = None,
) -> RunResult:
    """Run all trainings and methods of a configuration on all its cases, and score them.

    Parameters
    ----------
    config : RunConfig
        The comparison.
    folder : Path
        Run directory, see ``docs/run-directory.md``.
    limit : int or None
        Cases at most, spread over the modalities; the result is marked partial.
    resume : bool
        Go on in a directory that holds a run. What finished is not made again unless
        parameters, weights, image or versions changed.
    retry_failed : bool
        With ``resume``: try cases again that failed.
    observer : Observer or None
        Told of progress.
    training_observer : TrainingObserver or None
        Told of the progress of trainings.

    Returns
    -------
    RunResult

    Raises
    ------
    UsageError
        The configuration or data cannot be used, the directory holds a run and
        ``resume`` is off, or another run is busy in it.
    """
    observer = observer or Silent()
    check_methods(config, folder)
    run = RunDirectory(folder)
    with locked(folder):
        _refuse_old_run(folder, resume)
        for place in (folder, *run.predictions("").glob("*")):
            remove_leftovers(place)
        everything = read_cases(config, folder)
        manifest = select_cases(config, everything, limit)
        trainings = run_trainings(config, everything, folder, observer=training_observer)
        plans = [make_plan(config, method, folder, trainings) for method in config.methods]
        ledger = Ledger(run.database)
        _write_head(config, run, manifest, plans, trainings, limit, "running")
        for plan in plans:
            _run_method(config, plan, manifest, run, ledger, retry_failed, observer)
        _flush(ledger)
        names = [plan.config.name for plan in plans]
        rows = _in_order(ledger.frame(), names, manifest)
        unscored = score_run(run, manifest, rows, names, config.scoring, observer)
        _export(rows, unscored, run.ledger)
        status = "partial" if limit else "complete"
        _write_head(config, run, manifest, plans, trainings, limit, status)
    return _result(folder, rows, unscored)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a run directory to oneself.

    Raises
    ------
    UsageError
        Another run is busy in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(RunDirectory(folder).lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        msg = f"another run is busy in '{folder}'; wait for it, or choose another --out"
        raise UsageError(msg) from None
    try:
        yield
    finally:
        lock.release()


def _refuse_old_run(folder: Path, resume: bool) -> None:
    if RunDirectory(folder).database.is_file() and not resume:
        msg = f"'{folder}' holds a run; go on with --resume, or choose another --out"
        raise UsageError(msg)


def read_cases(config: RunConfig, folder: Path) -> Manifest:
    """Read all cases of a configuration's data set, whatever their split.

    With ``guess_modality``, cases to train on have a modality; others may not have one yet.

    Parameters
    ----------
    config : RunConfig
    folder : Path
        Run directory, where embedded data are generated.
    """
    dataset = config.dataset
    if dataset.phantom is not None:
        from cellharness.data.phantom import generate

        options = dataset.phantom.model_dump(exclude_none=True)
        return generate(RunDirectory(folder).data, **options)
    assert dataset.manifest is not None
    root = config.resolve(dataset.root) if dataset.root is not None else None
    manifest = Manifest.read(config.resolve(dataset.manifest), root)
    if dataset.guess_modality:
        learned = [part for each in config.training for part in (each, each.replay) if part]
        manifest = _guessed(manifest, {split for part in learned for split in part.splits})
    return manifest


def _guessed(manifest: Manifest, splits: Collection[str]) -> Manifest:
    """Guess the modalities of some splits; the others are not read."""
    wanted = tuple(case for case in manifest.cases if case.split in splits)
    filled = with_guessed_modalities(replace(manifest, cases=wanted))
    found = {case.case: case for case in filled.cases}
    return replace(manifest, cases=tuple(found.get(case.case, case) for case in manifest.cases))


def select_cases(config: RunConfig, manifest: Manifest, limit: int | None = None) -> Manifest:
    """Choose the cases to segment."""
    dataset = config.dataset
    if dataset.guess_modality:
        # Before the selection, which may be by modality and spreads a limit over them.
        manifest = with_guessed_modalities(manifest.select(dataset.splits))
    return manifest.select(
        dataset.splits, dataset.modalities, dataset.experiments, limit, dataset.per_experiment
    )


def _run_method(
    config: RunConfig,
    plan: Plan,
    manifest: Manifest,
    run: RunDirectory,
    ledger: Ledger,
    retry_failed: bool,
    observer: Observer,
) -> None:
    """Segment what is not there yet; every case ends with a row."""
    name, label = plan.config.name, plan.config.display
    known = ledger.known(name)
    todo: list[tuple[Case, str, str]] = []
    for case in manifest.cases:
        sha256, problem = _image_hash(case)
        identity = prediction_identity(plan, case, sha256)
        if not is_done(
            known.get(case.case), identity, run.prediction(name, case.case), retry_failed
        ):
            todo.append((case, identity, problem or plan.problem))
    observer.method_started(label, len(manifest.cases), len(manifest.cases) - len(todo))
    process = MethodProcess(
        plan.spec,
        plan.config.timeout_s or config.limits.timeout_s,
        config.limits.load_timeout_s,
        config.limits.memory_gb,
    )
    try:
        begun = time.perf_counter()
        for case, identity, problem in todo:
            mask = run.prediction(name, case.case)
            # A mask of other weights or parameters must not outlive its row.
            mask.unlink(missing_ok=True)
            outcome = Outcome("error", problem) if problem else process.segment(Task(case, mask))
            now = time.perf_counter()
            own = outcome.seconds.get("phases", outcome.seconds.get("total", 0.0))
            ledger.record(name, case.case, identity, outcome, now - begun - own)
            begun = now
            observer.case_finished(label, case.case, outcome)
    finally:
        process.stop()


def _image_hash(case: Case) -> tuple[str, str]:
    """SHA256 of the image as it is now, and what is wrong with it."""
    try:
        found = hash_file(case.image)
    except OSError as error:
        return "", f"cannot read the image '{case.image.name}': {error.strerror}"
    if case.sha256 and found != case.sha256:
        return found, (
            f"the image '{case.image.name}' has SHA256 {found}, the manifest says {case.sha256}: "
            "it is not the image that was listed; see `cellharness data validate`"
        )
    return found, ""


def _in_order(rows: pd.DataFrame, methods: list[str], manifest: Manifest) -> pd.DataFrame:
    """Keep the rows of this configuration's methods and cases, in its order."""
    wanted = [(method, case.case) for method in methods for case in manifest.cases]
    return rows.set_index(["method", "case"]).loc[wanted].reset_index()


def _export(rows: pd.DataFrame, unscored: dict[tuple[str, str], str], path: Path) -> None:
    """Write the rows as CSV, with the reason where a mask could not be scored."""
    places = zip(rows["method"], rows["case"], strict=True)
    reasons = [unscored.get(place, "") for place in places]
    messages = [
        f"not scored: {reason}" if reason else message
        for message, reason in zip(rows["message"], reasons, strict=True)
    ]
    rows.assign(message=messages).to_csv(path, index=False)


def _flush(ledger: Ledger) -> None:
    try:
        ledger.flush()
    except sqlite3.OperationalError as error:
        msg = (
            f"the last cases could not be recorded in '{ledger.path}' ({error}); free some space "
            "and go on with --resume, which makes only those again"
        )
        raise UsageError(msg) from error


def _write_head(
    config: RunConfig,
    run: RunDirectory,
    manifest: Manifest,
    plans: list[Plan],
    trainings: Mapping[str, TrainingRecord],
    limit: int | None,
    status: str,
) -> None:
    """Write what describes the run: ``config.yaml``, ``manifest.csv``, ``run.json``."""
    written = config.model_dump(mode="json", exclude_none=True)
    write_atomic(run.config, yaml.safe_dump(written, sort_keys=False).encode())
    manifest.write(run.manifest)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    created = RunRecord.read(run.record).created if run.record.is_file() else now
    record = RunRecord(
        name=config.name,
        title=config.title or config.name,
        created=created,
        finished=None if status == "running" else now,
        status=status,
        limit=limit,
        seed=config.seed,
        config=written,
        **environment(name for plan in plans for name in plan.info.packages),
        dataset=DatasetRecord(
            manifest=str(config.dataset.manifest or "phantom"),
            sha256=hash_file(manifest.path) if manifest.path else "",
            root=str(manifest.root),
            n_cases=len(manifest.cases),
        ),
        trainings=list(trainings.values()),
        methods=[plan.record() for plan in plans],
    )
    record.write(run.record)


def _result(folder: Path, rows: pd.DataFrame, unscored: dict[tuple[str, str], str]) -> RunResult:
    statuses = {
        str(method): Counter(group["status"])
        for method, group in rows.groupby("method", sort=False)
    }
    bad = rows[~rows["status"].isin(SEGMENTED)]
    messages = {str(method): group["message"].iloc[0] for method, group in bad.groupby("method")}
    return RunResult(folder, statuses, messages, unscored)
