"""What a run would do, and how long it would take, without doing any of it."""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cellharness.config.references import references_in
from cellharness.config.run import MethodConfig, RunConfig
from cellharness.data.manifest import Manifest
from cellharness.downloading import is_offline, without_network
from cellharness.errors import first_of
from cellharness.run_directory import RunDirectory, TrainingRecord, referenced
from cellharness.running.claim import refuse_foreign
from cellharness.running.identity import is_done, prediction_identity
from cellharness.running.ledger import Ledger, copy_ledger
from cellharness.running.plan import Plan, check_methods, make_plan
from cellharness.running.run import image_hash, may_take_over, read_cases, select_cases
from cellharness.training.session import TrainingOutlook, look_ahead
from cellharness.weights import WeightsOfflineError


@dataclass(frozen=True)
class MethodOutlook:
    """What would be done of a method.

    Attributes
    ----------
    name, label : str
        As configured.
    kept, to_make : int
        Cases that nothing needs to be done for, and those to segment; neither has those whose image
        cannot be used, which `note` counts.
    seconds : float or None
        For the latter, as long as earlier cases of the method took; None where none ran.
    note : str
        Why no case can be made, or some cannot; or what comes first.
    """

    name: str
    label: str
    kept: int
    to_make: int
    seconds: float | None
    note: str = ""


@dataclass(frozen=True)
class RunOutlook:
    """What a run would do.

    Attributes
    ----------
    folder : Path
        Run directory.
    holds_run : bool
        Whether it holds a run, which goes on with ``--resume`` only.
    cases : Counter
        Number of cases to segment, by modality; "unknown" where it is not known.
    trainings : sequence of TrainingOutlook
    methods : sequence of MethodOutlook
    notes : sequence of str
        What else there is to know.
    """

    folder: Path
    holds_run: bool
    cases: Counter[str]
    trainings: Sequence[TrainingOutlook]
    methods: Sequence[MethodOutlook]
    notes: Sequence[str] = field(default=())

    @property
    def seconds(self) -> float | None:
        """Of all that would be done; None where that of a part is not known."""
        parts = [
            *(training.seconds for training in self.trainings),
            *(method.seconds for method in self.methods),
        ]
        return None if None in parts else float(sum(part for part in parts if part is not None))


def foresee(
    config: RunConfig, folder: Path, *, limit: int | None = None, retry_failed: bool = False
) -> RunOutlook:
    """Say what `cellharness.running.run.run_comparison` would do; nothing is written or fetched.

    Synthetic data are made in a temporary folder, since what is kept depends on their pixels.

    Parameters
    ----------
    config, folder, limit, retry_failed
        As for `run_comparison`.

    Returns
    -------
    RunOutlook

    Raises
    ------
    UsageError
        As `run_comparison` would raise: the configuration or data cannot be used, or the folder
        is somebody else's.
    """
    check_methods(config, folder)
    refuse_foreign(folder)
    run = RunDirectory(folder)
    may_fetch = not is_offline()
    with tempfile.TemporaryDirectory() as scratch, without_network():
        ledger, notes = _open(run, Path(scratch))
        renamed = ledger.of_others({method.name for method in config.methods})
        everything = read_cases(config, Path(scratch))
        manifest = select_cases(config, everything, limit)
        trainings = look_ahead(config, everything, folder, may_fetch=may_fetch)
        methods = [
            _method(
                config, method, run, manifest, trainings, ledger, renamed, retry_failed, may_fetch
            )
            for method in config.methods
        ]
    return RunOutlook(
        folder,
        run.database.is_file() or run.record.is_file(),
        Counter(case.modality or "unknown" for case in manifest.cases),
        list(trainings.values()),
        methods,
        [*notes, *_of_workers(config)],
    )


def _of_workers(config: RunConfig) -> list[str]:
    if config.cluster is None:
        return []
    return [
        "workers share out the work, which then takes less than the sum of its seconds; what "
        "automatic choices come to on them, such as the precision, is taken here from this machine"
    ]


def _open(run: RunDirectory, scratch: Path) -> tuple[Ledger, list[str]]:
    try:
        return copy_ledger(run.database, scratch / "ledger.sqlite"), []
    except sqlite3.Error as error:
        note = f"'{run.database}' cannot be read ({error}); what is done is not known"
        return Ledger(scratch / "empty.sqlite"), [note]


def _method(
    config: RunConfig,
    method: MethodConfig,
    run: RunDirectory,
    manifest: Manifest,
    trainings: Mapping[str, TrainingOutlook],
    ledger: Ledger,
    renamed: Mapping[str, tuple[str, str, str]],
    retry_failed: bool,
    may_fetch: bool,
) -> MethodOutlook:
    waits = sorted(
        name
        for name in referenced(method.parameters) & trainings.keys()
        if trainings[name].state != "kept"
    )
    note = f"after training {', '.join(waits)}" if waits else ""
    todo = [case.case for case in manifest.cases]
    unusable: list[str] = []
    if not waits:
        records = {name: outlook.record for name, outlook in trainings.items()}
        plan, note = _plan(config, method, run.path, records, may_fetch)
        known = ledger.known(method.name)
        todo = []
        for case in manifest.cases:
            sha256, problem = image_hash(case)
            identity = prediction_identity(plan, case, sha256)
            mask = run.prediction(method.name, case.case)
            if is_done(known.get(case.case), identity, mask, retry_failed):
                continue
            if identity in renamed:
                other, other_case, made = renamed[identity]
                if may_take_over(run.prediction(other, other_case), made, mask):
                    continue
            if problem:
                unusable.append(problem)
            else:
                todo.append(case.case)
        if plan.problem and not note:
            kept = len(manifest.cases) - len(todo) - len(unusable)
            note = f"cannot run: {plan.problem}"
            return MethodOutlook(method.name, method.display, kept, len(todo), 0.0, note)
    if unusable:
        told = f"{len(unusable)} cannot be made: {first_of(unusable, most=1)}"
        note = "; ".join(filter(None, (note, told)))
    kept = len(manifest.cases) - len(todo) - len(unusable)
    seconds = _seconds(ledger, method.name, todo)
    return MethodOutlook(method.name, method.display, kept, len(todo), seconds, note)


def _plan(
    config: RunConfig,
    method: MethodConfig,
    folder: Path,
    records: Mapping[str, TrainingRecord],
    may_fetch: bool,
) -> tuple[Plan, str]:
    """Plan a method without fetching anything; tell of weights that would be fetched."""
    plan = make_plan(config, method, folder, records)
    if plan.segmenter is None or not plan.problem or references_in(method.parameters):
        return plan, ""
    try:
        plan.segmenter.weights()
    except WeightsOfflineError:
        if not may_fetch:
            return plan, ""
        return replace(plan, problem=""), "its weights are fetched first"
    except Exception:
        return plan, ""
    return plan, ""


def _seconds(ledger: Ledger, method: str, todo: Sequence[str]) -> float | None:
    """How long cases will take: each as long as before, else as the mean of the method's."""
    rows = ledger.frame()
    rows = rows[(rows["method"] == method) & (rows["seconds_total"] > 0)]
    spent = rows["seconds_total"] * rows["repeats"].fillna(1) + rows["seconds_overhead"].fillna(0)
    took = dict(zip(rows["case"], spent.astype(float), strict=True))
    if not todo:
        return 0.0
    if not took:
        return None
    mean = sum(took.values()) / len(took)
    return sum(took.get(case, mean) for case in todo)
