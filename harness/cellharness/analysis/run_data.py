"""Read a run directory once, check it, and hand the rest of the report plain data."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from cellharness.run_directory import (
    LEDGER_TEXT,
    SCORE_TEXT,
    RunDirectory,
    RunDirectoryError,
    RunRecord,
)
from cellharness.statistics import ALL, UNKNOWN_MODALITY, check_scores
from cellharness.statistics.contrasts import Unit
from cellharness.statistics.efficiency import running_times
from cellharness.tables import TableError, read_table
from cellharness.vocabulary import MODALITIES, SEGMENTED

#: The threshold at which the paper reports, and this report where it was scored.
PAPER_THRESHOLD = 0.5


#: What the score table says of an image: its experiment is in the training split, is not, unknown.
SEEN, UNSEEN, NOT_STATED = "seen", "unseen", "not stated"
_KINDS = {"true": SEEN, "false": UNSEEN}


@dataclass(frozen=True)
class RunData:
    """Everything a report is made of.

    Attributes
    ----------
    path
        The run directory.
    record
        Contents of ``run.json``.
    scores
        The checked long score table.
    ledger
        One row a method and case.
    manifest
        One row a case, empty strings where a column is absent.
    root
        Folder that relative image and label paths start from.
    methods
        Method names in the order of the configuration.
    labels
        How the report spells them; unique.
    profile
        The profile that headline, figures and examples use: ``strict`` where it was scored.
    threshold
        The IoU threshold they use: 0.5 where it was scored, otherwise the smallest.
    groups
        `ALL`, then the modalities that occur, in the paper's order.
    for_print
        Whether figures are written as png and pdf too.
    """

    path: Path
    record: RunRecord
    scores: pd.DataFrame
    ledger: pd.DataFrame
    manifest: pd.DataFrame
    root: Path
    methods: tuple[str, ...]
    labels: Mapping[str, str]
    profile: str
    threshold: float
    groups: tuple[str, ...]
    for_print: bool = False

    @cached_property
    def main(self) -> pd.DataFrame:
        """Score rows of the main profile and threshold, one a method and case."""
        scores = self.scores
        chosen = (scores["profile"] == self.profile) & (scores["threshold"] == self.threshold)
        return scores[chosen]

    @cached_property
    def thresholds(self) -> tuple[float, ...]:
        """IoU thresholds that were scored, ascending."""
        return tuple(sorted(self.scores["threshold"].unique().tolist()))

    @cached_property
    def cases(self) -> pd.DataFrame:
        """What `main` says of each case, by its name, sorted."""
        return self.main.drop_duplicates("case").set_index("case").sort_index()

    @cached_property
    def times(self) -> pd.DataFrame:
        """Running times of every method and case, from `running_times`."""
        return running_times(self.ledger)

    @cached_property
    def untimed(self) -> dict[str, int]:
        """Competing methods that made masks without a running time, and how many of these.

        Where there is one, time and memory are neither shown nor ranked: the others would be
        compared among themselves, and look as if they were compared with all.
        """
        return self.masks_without("warm_seconds")

    def masks_without(self, time: str) -> dict[str, int]:
        """Competing methods with masks that lack a column of `times`, and how many of these."""
        times, made = self.times, self.ledger["status"].isin(SEGMENTED)
        lacking = times.loc[made & times[time].isna(), "method"].value_counts()
        return {name: int(lacking[name]) for name in self.competing if name in lacking}

    def f1_of(self, methods: Collection[str]) -> pd.DataFrame:
        """F1 of `main`, one row of `cases` and one column a method, in their order."""
        values = self.main.pivot_table("f1", "case", "method", "first", dropna=False)
        return values.reindex(index=self.cases.index, columns=list(methods))

    @property
    def unit(self) -> Unit | None:
        """What the configuration takes as independent; None where it leaves that open."""
        unit: Unit | None = (self.config.get("report") or {}).get("unit")
        return unit

    @property
    def oracles(self) -> frozenset[str]:
        """Methods that read the truth: an upper bound, ranked and tested against nobody."""
        return frozenset(record.name for record in self.record.methods if record.reads_truth)

    @property
    def competing(self) -> tuple[str, ...]:
        """Methods that do not read the truth: the others lead nothing."""
        return tuple(method for method in self.methods if method not in self.oracles)

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration of the run."""
        return self.record.config

    def prediction(self, method: str, case: str) -> Path:
        """Where the mask of a method for a case lies, if there is one."""
        return RunDirectory(self.path).prediction(method, case)


def load_run(run_dir: Path, *, for_print: bool | None = None) -> RunData:
    """Read the tables of a run directory.

    Parameters
    ----------
    run_dir : Path
        Folder with ``scores.csv``, ``ledger.csv``, ``manifest.csv`` and ``run.json``.
    for_print : bool, optional
        See `RunData`; by default as the configuration says.

    Returns
    -------
    RunData
        Checked and in a fixed order.

    Raises
    ------
    RunDirectoryError
        If a file is absent or cannot be read, or the score table is not whole.
    """
    run_dir = Path(run_dir)
    files = RunDirectory(run_dir)
    record = RunRecord.read(files.record)
    for path in (files.scores, files.ledger, files.manifest):
        if not path.is_file():
            msg = (
                f"'{run_dir}' has no {path.name}; give the folder that `cellharness run` wrote, "
                "after the run has finished"
            )
            raise RunDirectoryError(msg)
    scores = _read_scores(files.scores)
    manifest = _read_manifest(files.manifest)
    ledger = _read(files.ledger, LEDGER_TEXT)
    methods, labels = _methods(record, scores)
    thresholds = sorted(scores["threshold"].unique())
    profiles = list(scores["profile"].unique())
    return RunData(
        path=run_dir,
        record=record,
        scores=scores,
        ledger=ledger,
        manifest=manifest,
        root=root_of(run_dir, record),
        methods=methods,
        labels=labels,
        profile="strict" if "strict" in profiles else profiles[0],
        threshold=PAPER_THRESHOLD if PAPER_THRESHOLD in thresholds else thresholds[0],
        groups=ordered_groups(scores["modality"]),
        for_print=bool(
            (record.config.get("report") or {}).get("for_print", False)
            if for_print is None
            else for_print
        ),
    )


def root_of(run_dir: Path, record: RunRecord) -> Path:
    """Folder that relative image and label paths of a run start from, also after it was moved."""
    root = Path(record.dataset.root or ".")
    if not root.is_absolute():
        return run_dir / root
    # A run directory that was moved may carry its data along.
    return root if root.is_dir() else run_dir / root.name


def _read_scores(path: Path) -> pd.DataFrame:
    scores = _read(path, (*SCORE_TEXT, "status"))
    try:
        scores = check_scores(scores)
    except ValueError as error:
        msg = f"cannot report on '{path}': {error}"
        raise RunDirectoryError(msg) from error
    scores["threshold"] = scores["threshold"].astype(float).round(6)
    if "modality_source" in scores:
        scores["modality_source"] = scores["modality_source"].fillna("")
    return scores


def _read_manifest(path: Path) -> pd.DataFrame:
    """Read a table of text; the columns that the report asks for are there even if empty."""
    table = _read(path, None)
    for name in ("case", "image", "label", "licence", "source", "experiment", "sha256"):
        if name not in table:
            table[name] = ""
    return table.fillna("")


def _read(path: Path, text: Collection[str] | None) -> pd.DataFrame:
    try:
        return read_table(path, text)
    except TableError as error:
        raise RunDirectoryError(str(error)) from error


def _methods(record: RunRecord, scores: pd.DataFrame) -> tuple[tuple[str, ...], dict[str, str]]:
    scored = list(scores["method"].unique())
    listed = {method.name: method.label or method.name for method in record.methods}
    order = [name for name in listed if name in scored]
    order += [name for name in scored if name not in listed]
    return tuple(order), unique_labels({name: listed.get(name, name) for name in order})


def with_kinds(run: RunData) -> pd.DataFrame:
    """Scores of the main profile and threshold, ``seen`` in words."""
    kinds = [_KINDS.get(str(value).lower(), NOT_STATED) for value in run.main["seen"]]
    return run.main.assign(seen=kinds)


def placed(pair: tuple[str, str]) -> tuple[str, str]:
    """Spell a modality and experiment of a training as the scores do."""
    modality, experiment = pair
    return modality or UNKNOWN_MODALITY, experiment


def failure_message(entry: Mapping[str, Any]) -> str:
    """Say why a case has no mask, from its row of the ledger; "" where nothing is known."""
    text = entry.get("message")
    if isinstance(text, str) and text:
        return text
    made = entry.get("status") in SEGMENTED
    return "a mask was made, but it is gone or cannot be scored" if made else ""


def unique_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Tell names with the same label apart, as a reader of a figure could not.

    Examples
    --------
    >>> unique_labels({"a": "Net", "b": "Net", "c": "Tree"})
    {'a': 'Net (a)', 'b': 'Net (b)', 'c': 'Tree'}
    """
    spelled = list(labels.values())
    return {
        name: f"{label} ({name})" if spelled.count(label) > 1 and label != name else label
        for name, label in labels.items()
    }


def ordered_groups(modalities: Iterable[str]) -> tuple[str, ...]:
    """Put `ALL` first, then modalities in the paper's order, others and unknown ones last.

    Examples
    --------
    >>> ordered_groups(["DIC", "Electron", "Brightfield"])
    ('All', 'Brightfield', 'DIC', 'Electron')
    """
    found = set(modalities) - {ALL}
    known = [name for name in MODALITIES if name in found]
    other = sorted(found - set(MODALITIES) - {UNKNOWN_MODALITY})
    unknown = [UNKNOWN_MODALITY] if UNKNOWN_MODALITY in found else []
    return (ALL, *known, *other, *unknown)
