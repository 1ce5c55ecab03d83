"""The whole comparison: every method on every case, recorded, resumable, scored."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from filelock import FileLock, Timeout

from adapters.base import BaseSegmenter
from adapters.registry import build
from harness.config import MethodConfig, RunConfig
from harness.dataset import Case, Manifest, hash_file
from harness.errors import MissingDependencyError, UsageError
from harness.ledger import SEGMENTED, Ledger, Outcome
from harness.modality_guess import with_guessed_modalities
from harness.observer import Observer, Silent
from harness.process import MethodProcess, WorkerStartError
from harness.provenance import environment, package_versions
from harness.result import RunResult
from harness.score_table import score_run
from harness.weights import WeightsError, write_atomic
from harness.worker import MethodSpec, Task


@dataclass(frozen=True)
class _Plan:
    """A method, built but not loaded, with what makes its predictions what they are."""

    config: MethodConfig
    segmenter: BaseSegmenter
    spec: MethodSpec
    weights: list[dict[str, object]]
    problem: str


def run_comparison(
    config: RunConfig,
    folder: Path,
    *,
    limit: int | None = None,
    resume: bool = False,
    retry_failed: bool = False,
    observer: Observer | None = None,
) -> RunResult:
    """Run all methods of a configuration on all its cases, and score them.

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
    plans = [_plan(config, method) for method in config.methods]
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        msg = f"another run is busy in '{folder}'; wait for it, or choose another --out"
        raise UsageError(msg) from None
    try:
        _refuse_old_run(folder, resume)
        manifest = _cases(config, folder, limit)
        ledger = Ledger(folder / "ledger.sqlite")
        _write_head(config, folder, manifest, plans, limit, "running")
        for plan in plans:
            _run_method(config, plan, manifest, folder, ledger, retry_failed, observer)
        _flush(ledger)
        names = [plan.config.name for plan in plans]
        rows = _in_order(ledger.frame(), names, manifest)
        unscored = score_run(folder, manifest, rows, names, config.scoring, observer)
        _export(rows, unscored, folder / "ledger.csv")
        _write_head(config, folder, manifest, plans, limit, "partial" if limit else "complete")
    finally:
        lock.release()
    return _result(folder, rows, unscored)


def _plan(config: RunConfig, method: MethodConfig) -> _Plan:
    """Build a method and find its weights; what it lacks is kept as its problem."""
    parameters = config.parameters_of(method)
    spec = MethodSpec(method.method, parameters, method.input, config.seed)
    segmenter = build(method.method, parameters)
    try:
        weights = [found.record() for found in getattr(segmenter, "weights", tuple)()]
        problem = ""
    except (WeightsError, MissingDependencyError) as error:
        weights, problem = [], str(error)
    return _Plan(method, segmenter, spec, weights, problem)


def _refuse_old_run(folder: Path, resume: bool) -> None:
    if (folder / "ledger.sqlite").is_file() and not resume:
        msg = f"'{folder}' holds a run; go on with --resume, or choose another --out"
        raise UsageError(msg)


def _cases(config: RunConfig, folder: Path, limit: int | None) -> Manifest:
    dataset = config.dataset
    if dataset.phantom is not None:
        from harness.phantom import generate

        options = dataset.phantom.model_dump(exclude_none=True)
        manifest = generate(folder / "data", **options)
    else:
        assert dataset.manifest is not None
        root = config.resolve(dataset.root) if dataset.root is not None else None
        manifest = Manifest.read(config.resolve(dataset.manifest), root)
    if dataset.guess_modality:
        # Before the selection, which may be by modality and spreads a limit over them.
        manifest = with_guessed_modalities(manifest.select(dataset.splits))
    return manifest.select(dataset.splits, dataset.modalities, dataset.experiments, limit)


def _run_method(
    config: RunConfig,
    plan: _Plan,
    manifest: Manifest,
    folder: Path,
    ledger: Ledger,
    retry_failed: bool,
    observer: Observer,
) -> None:
    """Segment what is not there yet; every case ends with a row."""
    name, label = plan.config.name, plan.config.display
    known = ledger.identities(name)
    todo: list[tuple[Case, str, str]] = []
    for case in manifest.cases:
        sha256, problem = _image_hash(case)
        identity = _identity(plan, case, sha256)
        if not _is_done(known.get(case.case), identity, _mask(folder, name, case), retry_failed):
            todo.append((case, identity, problem or plan.problem))
    observer.method_started(label, len(manifest.cases), len(manifest.cases) - len(todo))
    process = MethodProcess(
        plan.spec,
        plan.config.timeout_s or config.limits.timeout_s,
        config.limits.load_timeout_s,
        config.limits.memory_gb,
    )
    dead = ""
    try:
        for case, identity, problem in todo:
            mask = _mask(folder, name, case)
            # A mask of other weights or parameters must not outlive its row.
            mask.unlink(missing_ok=True)
            if problem or dead:
                outcome = Outcome("error", problem or dead)
            else:
                try:
                    outcome = process.segment(Task(case, mask))
                except WorkerStartError as error:
                    dead = str(error)
                    outcome = Outcome("error", dead)
            ledger.record(name, case.case, identity, outcome)
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


def _identity(plan: _Plan, case: Case, image_sha256: str) -> str:
    """Hash of all that a prediction depends on (design: run identity)."""
    segmenter = plan.segmenter
    case_identity = getattr(segmenter, "case_identity", lambda _case: "")
    facts = {
        "method": plan.spec.method,
        "parameters": segmenter.parameters.model_dump(mode="json")
        if hasattr(segmenter, "parameters")
        else dict(plan.spec.parameters),
        "input": plan.spec.input or segmenter.info.input,
        "weights": [weights["sha256"] for weights in plan.weights],
        "image": image_sha256,
        "case": "" if plan.problem else case_identity(case),
        "seed": plan.spec.seed,
        "versions": package_versions(("cellharness", *segmenter.info.packages)),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _is_done(known: tuple[str, str] | None, identity: str, mask: Path, retry_failed: bool) -> bool:
    if known is None or known[0] != identity:
        return False
    if known[1] in SEGMENTED:
        return mask.is_file()
    return not retry_failed


def _mask(folder: Path, method: str, case: Case) -> Path:
    return folder / "predictions" / method / f"{case.case}_label.tiff"


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
    folder: Path,
    manifest: Manifest,
    plans: list[_Plan],
    limit: int | None,
    status: str,
) -> None:
    """Write what describes the run: ``config.yaml``, ``manifest.csv``, ``run.json``."""
    written = config.model_dump(mode="json", exclude_none=True)
    write_atomic(folder / "config.yaml", yaml.safe_dump(written, sort_keys=False).encode())
    manifest.write(folder / "manifest.csv")
    head_path = folder / "run.json"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    created = json.loads(head_path.read_text())["created"] if head_path.is_file() else now
    head = {
        "name": config.name,
        "title": config.title or config.name,
        "created": created,
        "finished": None if status == "running" else now,
        "status": status,
        "limit": limit,
        "seed": config.seed,
        "config": written,
        **environment(name for plan in plans for name in plan.segmenter.info.packages),
        "dataset": {
            "manifest": str(config.dataset.manifest or "phantom"),
            "sha256": hash_file(manifest.path) if manifest.path else "",
            "root": str(manifest.root),
            "n_cases": len(manifest.cases),
        },
        "methods": [_method_record(plan) for plan in plans],
    }
    write_atomic(head_path, json.dumps(head, indent=1).encode())


def _method_record(plan: _Plan) -> dict[str, Any]:
    info = plan.segmenter.info
    parameters = getattr(plan.segmenter, "parameters", None)
    return {
        "name": plan.config.name,
        "label": plan.config.display,
        "adapter": plan.spec.method,
        "input": plan.spec.input or info.input,
        "parameters": {
            # As written where given, so that no machine's path ends up in a report.
            **(parameters.model_dump(mode="json") if parameters is not None else {}),
            **plan.config.parameters,
        },
        "weights": plan.weights,
        "problem": plan.problem,
        "info": {
            "summary": info.summary,
            "citation": info.citation,
            "licence": info.licence,
            "training_data": list(info.training_data),
            "url": info.url,
            "needs_truth": info.needs_truth,
        },
    }


def _result(folder: Path, rows: pd.DataFrame, unscored: dict[tuple[str, str], str]) -> RunResult:
    statuses = {
        str(method): Counter(group["status"])
        for method, group in rows.groupby("method", sort=False)
    }
    bad = rows[~rows["status"].isin(SEGMENTED)]
    messages = {str(method): group["message"].iloc[0] for method, group in bad.groupby("method")}
    return RunResult(folder, statuses, messages, unscored)
