"""The whole comparison: every method on every case, recorded, resumable, scored."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import yaml

from cellharness.config.cluster import check_cluster
from cellharness.config.run import RunConfig
from cellharness.data.manifest import Case, Manifest
from cellharness.data.modality_guess import with_guessed_modalities
from cellharness.errors import UsageError, first_of
from cellharness.files import hash_file, remove_leftovers, set_aside, whole_file, write_atomic
from cellharness.methods.shared_results import SharedBy
from cellharness.provenance import environment
from cellharness.run_directory import (
    DatasetRecord,
    RunDirectory,
    RunRecord,
    TrainingRecord,
    details_of,
)
from cellharness.running.claim import locked
from cellharness.running.identity import is_done, prediction_identity
from cellharness.running.in_turn import Wanted, in_turn
from cellharness.running.kept_process import KeptProcess, needs_of
from cellharness.running.ledger import NOT_SCORED, Known, Ledger, open_ledger
from cellharness.running.observer import Observer, Silent
from cellharness.running.plan import Plan, check_methods, make_plan
from cellharness.running.result import RunResult
from cellharness.running.score_table import score_run
from cellharness.training.observer import TrainingObserver
from cellharness.training.session import run_trainings
from cellharness.vocabulary import SEGMENTED

if TYPE_CHECKING:
    from cellharness.cluster.workers import Workers
    from cellharness.running.on_workers import MethodsOnWorkers

#: Ends the message of a case that cannot be made or checked now, but was made before.
_STAYS = "Its mask of an earlier run stays, and counts again once this is put right"


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
        parameters, weights, image or versions changed. What finished and cannot be made now, as
        where its image or weights are not to be had, has status ``error`` and keeps its mask.
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
    check_cluster(config.cluster, config.timing.repeats, config.cases_at_once)
    check_methods(config, folder)
    run = RunDirectory(folder)
    with locked(folder), ExitStack() as stack:
        _refuse_old_run(folder, resume)
        for place in (folder, *run.predictions("").glob("*")):
            remove_leftovers(place)
        everything = read_cases(config, folder)
        manifest = select_cases(config, everything, limit)
        workers = workers_of(config, observer.noted, stack)
        trainings = run_trainings(
            config, everything, folder, observer=training_observer, workers=workers
        )
        methods_on_workers = _methods_on(workers, stack)
        resolve = methods_on_workers.resolve if methods_on_workers is not None else None
        plans = [make_plan(config, method, folder, trainings, resolve) for method in config.methods]
        ledger, note = open_ledger(run)
        if note:
            observer.noted(note)
        created = ledger.first_finished()
        _write_head(config, run, manifest, plans, trainings, limit, "running", created)
        renamed = ledger.of_others({method.name for method in config.methods})
        with closing(KeptProcess()) as kept:
            shared = _sharing(plans) if config.timing.repeats == 1 else set()
            for plan in plans:
                _run_method(
                    config,
                    plan,
                    manifest,
                    run,
                    ledger,
                    renamed,
                    retry_failed,
                    observer,
                    methods_on_workers,
                    kept if plan.config.name in shared else None,
                )
        _flush(ledger)
        names = [plan.config.name for plan in plans]
        rows = _in_order(ledger.frame(), names, manifest)
        unscored, doubts = score_run(run, manifest, rows, names, config.scoring, observer)
        _export(rows, unscored, run.ledger)
        status = "partial" if limit else "complete"
        _write_head(config, run, manifest, plans, trainings, limit, status, created)
    return _result(folder, rows, unscored, doubts, len(ledger.suspended))


def _sharing(plans: Sequence[Plan]) -> set[str]:
    """Names of the methods that need what another one needs too, and can have its process."""
    able = [plan for plan in plans if plan.segmenter is not None and not plan.problem]
    needs = [needs_of(plan.spec) for plan in able]
    return {
        plan.config.name
        for plan, each in zip(able, needs, strict=True)
        if each and needs.count(each) > 1
    }


def workers_of(config: RunConfig, noted: Callable[[str], None], stack: ExitStack) -> Workers | None:
    """Start or find the workers of a configuration; None where it has no cluster.

    Parameters
    ----------
    config : RunConfig
    noted : callable
        Told of the dashboard and of lost workers.
    stack : ExitStack
        They are left, or ended, with it.
    """
    if config.cluster is None:
        return None
    # Dask is imported only for who uses it.
    from cellharness.cluster.workers import connected

    return stack.enter_context(connected(config.cluster, noted))


def _methods_on(workers: Workers | None, stack: ExitStack) -> MethodsOnWorkers | None:
    if workers is None:
        return None
    from cellharness.running.on_workers import methods_on

    return stack.enter_context(methods_on(workers))


def _refuse_old_run(folder: Path, resume: bool) -> None:
    run = RunDirectory(folder)
    if (run.database.is_file() or run.record.is_file()) and not resume:
        msg = f"'{folder}' holds a run; go on with --resume, or choose another --out"
        raise UsageError(msg)


def read_cases(config: RunConfig, folder: Path, *, generated: bool = False) -> Manifest:
    """Read all cases of a configuration's data set, whatever their split.

    With ``guess_modality``, cases to train on have a modality; others may not have one yet.

    Parameters
    ----------
    config : RunConfig
    folder : Path
        Run directory, where embedded data are generated.
    generated : bool
        The embedded data are there already, and are only read.
    """
    dataset = config.dataset
    if dataset.phantom is not None:
        if generated:
            return Manifest.read(RunDirectory(folder).data / "manifest.csv")
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
    renamed: Mapping[str, tuple[str, str, str]],
    retry_failed: bool,
    observer: Observer,
    workers: MethodsOnWorkers | None,
    kept: KeptProcess | None,
) -> None:
    """Segment what is not there yet; every case ends with a row."""
    name, label = plan.config.name, plan.config.display
    known = ledger.known(name)
    todo: list[Wanted] = []
    former: list[str] = []
    suspended: set[str] = set()
    for case in manifest.cases:
        sha256, problem = image_hash(case)
        identity = prediction_identity(plan, case, sha256)
        mask = run.prediction(name, case.case)
        if is_done(known.get(case.case), identity, mask, retry_failed):
            continue
        if identity in renamed:
            other, other_case, made = renamed[identity]
            if _take_over(run.prediction(other, other_case), made, mask):
                ledger.copy(other, other_case, to=(name, case.case))
                former.append(other)
                continue
        problem = problem or plan.problem
        if problem and _has_mask(known.get(case.case), mask):
            problem = f"{problem.rstrip('.')}. {_STAYS}"
            suspended.add(case.case)
        todo.append(Wanted(case, identity, sha256, mask, problem))
    if former:
        observer.noted(
            f"{label}: {len(former)} masks of '{former[0]}' are used again; it was the same method"
        )
    changed = [
        each.case.case
        for each in todo
        if not each.problem and _is_other(known.get(each.case.case), each.identity)
    ]
    if changed:
        observer.noted(
            f"{label}: {len(changed)} masks are made again, as parameters, weights, images or "
            f"versions are not those of the last run ({first_of(changed, most=3)})"
        )
    observer.method_started(label, len(manifest.cases), len(manifest.cases) - len(todo))

    def with_room() -> Iterator[Wanted]:
        """Clear the place of a mask when its case's turn comes, and no sooner."""
        for each in todo:
            # A case that cannot be made must not cost the mask that it has.
            if not each.problem:
                _make_room(each.prediction, known.get(each.case.case))
            yield each

    alone = workers is None and config.timing.repeats == 1
    spec = replace(
        plan.spec,
        cases=tuple(each.case for each in todo if not each.problem),
        shared=SharedBy(str(run.shared_results), name) if alone else None,
    )
    timeout_s = plan.config.timeout_s or config.limits.timeout_s
    if workers is None:
        outcomes = in_turn(spec, with_room(), timeout_s, config.limits, kept)
    else:
        outcomes = workers.segment(replace(plan, spec=spec), with_room(), timeout_s, config.limits)
    with closing(outcomes):
        begun = time.perf_counter()
        for each, outcome in outcomes:
            now = time.perf_counter()
            own = outcome.seconds.get("phases", outcome.seconds.get("total", 0.0))
            # Of cases beside each other it is nobody's.
            measured = workers is None and spec.at_once == 1
            overhead = now - begun - own if measured else None
            if each.case.case in suspended:
                ledger.suspend(name, each.case.case, each.identity, outcome)
            else:
                ledger.record(name, each.case.case, each.identity, outcome, overhead)
            begun = now
            observer.case_finished(label, each.case.case, outcome)


def _has_mask(known: Known | None, mask: Path) -> bool:
    return known is not None and known.status in SEGMENTED and mask.is_file()


def _is_other(known: Known | None, identity: str) -> bool:
    return known is not None and known.status in SEGMENTED and known.identity != identity


def may_take_over(source: Path, sha256: str, mask: Path) -> bool:
    """Whether a mask that was made under another name is as it was written, and wanted."""
    return not mask.exists() and source.is_file() and hash_file(source) == sha256


def _take_over(source: Path, sha256: str, mask: Path) -> bool:
    """Use a mask that was made under another name of the method, if it is as it was written."""
    if not may_take_over(source, sha256, mask):
        return False
    mask.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(mask) as partial:
        shutil.copyfile(source, partial)
    return True


def _make_room(mask: Path, known: Known | None) -> None:
    """Delete a mask of other weights or parameters, which must not outlive its row.

    One that is not as it was recorded may have been mended by hand, or drawn where a case has none,
    and is kept. Only a kill leaves one without a row.
    """
    if not mask.is_file():
        return
    if known is None or hash_file(mask) == known.prediction_sha256:
        mask.unlink()
    else:
        set_aside(mask)


def image_hash(case: Case) -> tuple[str, str]:
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
        f"{NOT_SCORED}{reason}" if reason else message
        for message, reason in zip(rows["message"], reasons, strict=True)
    ]
    with whole_file(path) as partial:
        rows.assign(message=messages).to_csv(partial, index=False)


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
    created: str | None,
) -> None:
    """Write what describes the run: ``config.yaml``, ``manifest.csv``, ``run.json``."""
    written = config.model_dump(mode="json", exclude_none=True)
    write_atomic(run.config, yaml.safe_dump(written, sort_keys=False).encode())
    manifest.write(run.manifest)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    former = RunRecord.find(run.record)
    created = (former.created if former else None) or created or now
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


def _result(
    folder: Path,
    rows: pd.DataFrame,
    unscored: dict[tuple[str, str], str],
    doubts: list[str],
    suspended: int,
) -> RunResult:
    statuses = {
        str(method): Counter(group["status"])
        for method, group in rows.groupby("method", sort=False)
    }
    bad = rows[~rows["status"].isin(SEGMENTED)]
    messages = {str(method): group["message"].iloc[0] for method, group in bad.groupby("method")}
    details = [details_of(text) for text in rows["details"]]
    remarked = rows.assign(remark=[str(each.get("remark", "")) for each in details])
    remarked = remarked[remarked["remark"] != ""]
    remarks = {
        str(method): Counter(group["remark"])
        for method, group in remarked.groupby("method", sort=False)
    }
    told = dict.fromkeys(
        f"{case}: image: {message}"
        for case, each in zip(rows["case"], details, strict=True)
        for message in each.get("image", ())
    )
    return RunResult(
        folder, statuses, messages, unscored, (*told, *doubts), remarks, suspended=suspended
    )
