"""Read a forgetting study: the run that scored it, and what each of its methods stands for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from cellharness.analysis.run_data import RunData, load_run, placed, unique_labels
from cellharness.records import records
from cellharness.run_directory import (
    RemedyRecord,
    RunDirectory,
    RunDirectoryError,
    StudyMethod,
    StudyRecord,
)
from cellharness.statistics import ALL
from cellharness.statistics.staged_scores import COUNTS, StagedScores, read_scores
from cellharness.vocabulary import PRETRAINED, PRETRAINED_LABEL, SEGMENTED

_KEPT = ("case", "modality", "experiment", "f1", *COUNTS)


@dataclass(frozen=True)
class Study:
    """A run and its record.

    The methods of the run carry the names that the study gives them; `methods` are those of the
    record that have a mask of some case. `scores` has one row a remedy, stage, protocol and case of
    the main profile and threshold, as `read_scores` wants them: where a remedy was trained with
    several seeds, the mean over its trainings, of which `by_seed` has each. `absent` says what has
    no scores, and why; `teams` are those in the score table.
    """

    run: RunData
    record: StudyRecord
    methods: tuple[StudyMethod, ...]
    scores: pd.DataFrame
    by_seed: pd.DataFrame
    absent: tuple[tuple[str, str], ...]
    teams: tuple[str, ...]

    @cached_property
    def remedies(self) -> Mapping[str, RemedyRecord]:
        """Remedies by name, plain fine-tuning first."""
        named = {remedy.name: remedy for remedy in self.record.remedies}
        return {self.record.plain: named.pop(self.record.plain), **named}

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """How remedies, and the weights before any, are called in print."""
        named = {name: remedy.label for name, remedy in self.remedies.items()}
        return unique_labels({**named, PRETRAINED: PRETRAINED_LABEL})

    @cached_property
    def protocol_labels(self) -> Mapping[str, str]:
        """How protocols are called in print."""
        return unique_labels({protocol.name: protocol.label for protocol in self.record.protocols})

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities of the scored cases in the report's order."""
        return self.run.groups[1:]

    @property
    def groups(self) -> list[str]:
        """Groups that deserve a panel: of a study of one modality only that of all cases."""
        return [ALL] if len(self.modalities) == 1 else [ALL, *self.modalities]

    def method(self, remedy: str, stage: int, protocol: str) -> str:
        """Name the method that scored some weights under a protocol, of the first seed."""
        mine = (e for e in self.methods if (e.remedy, e.stage) == (remedy, stage))
        return next(e.method for e in mine if e.protocol == protocol)

    def staged(self, scores: pd.DataFrame | None = None) -> StagedScores:
        """Lay out scores, by default `scores`, as the statistics want them."""
        return read_scores(self.scores if scores is None else scores, self.run.unit)

    @cached_property
    def by_threshold(self) -> Mapping[float, pd.DataFrame]:
        """Rows as those of `scores` at every IoU threshold."""
        rows = self.run.scores[self.run.scores["profile"] == self.run.profile]
        return {
            threshold: _mean_over_seeds(
                _stage(rows[rows["threshold"] == threshold], self.methods, self.record.seen)
            )
            for threshold in self.run.thresholds
        }

    @property
    def seeds(self) -> list[int]:
        """Seeds that remedies were trained with, where there are several."""
        return sorted(self.by_seed["seed"].dropna().astype(int).unique().tolist())


def load_study(run_dir: Path, *, for_print: bool | None = None) -> Study:
    """Read a run directory with a ``study.json``; see `cellharness.report.build_report`.

    Methods without a single mask, as after a training that failed, are no measurement of their
    weights: they are left out, and named in `Study.absent`. Of others every case counts.

    Raises
    ------
    RunDirectoryError
        A file is absent, cannot be read or contradicts itself, or no weights have scores.
    """
    run = load_run(run_dir, for_print=for_print)
    record = StudyRecord.read(RunDirectory(Path(run_dir)).study)
    main = run.main
    usable = set(main.loc[main["status"].isin(SEGMENTED), "method"])
    kept = tuple(entry for entry in record.methods if entry.method in usable)
    if not kept:
        msg = (
            f"none of the {len(record.methods)} methods that study.json names has a mask in "
            f"'{run_dir}'; run the study again, or see why they failed in its ledger.csv"
        )
        raise RunDirectoryError(msg)
    labels = unique_labels({**run.labels, **dict(_spelled(record, run.methods))})
    # The manifest knows a training split only; a study may learn from a part of it.
    seen = _learned_from(run.scores, record.seen)
    run = replace(run, labels=labels, scores=run.scores.assign(seen=seen))
    staged = _stage(main, kept, record.seen)
    several = _several_seeds(staged)
    return Study(
        run=run,
        record=record,
        methods=kept,
        scores=_mean_over_seeds(staged),
        by_seed=staged if several else staged.iloc[:0],
        absent=tuple(_absences(run, record, {entry.method for entry in kept}, usable)),
        teams=tuple(team for team in record.teams if team in usable),
    )


def _stage(
    rows: pd.DataFrame, methods: Iterable[StudyMethod], seen: Iterable[tuple[str, str]]
) -> pd.DataFrame:
    """Put remedy, stage and protocol in place of the method, and what was trained on into seen."""
    about = pd.DataFrame([entry.model_dump() for entry in methods])
    kept = rows[["method", *(name for name in _KEPT if name in rows)]]
    staged = about.merge(kept, on="method", how="inner").drop(columns="method")
    return staged.assign(seen=_learned_from(staged, seen))


def _several_seeds(staged: pd.DataFrame) -> bool:
    return len(set(staged["seed"].dropna())) > 1


def _mean_over_seeds(staged: pd.DataFrame) -> pd.DataFrame:
    """One row a remedy, stage, protocol and case: the mean over its trainings."""
    if not _several_seeds(staged):
        return staged.drop(columns="seed")
    numbers = [name for name in ("f1", *COUNTS) if name in staged]
    keys = [name for name in staged.columns if name not in (*numbers, "seed")]
    return staged.groupby(keys, sort=False, dropna=False)[numbers].mean().reset_index()


def _learned_from(rows: pd.DataFrame, seen: Iterable[tuple[str, str]]) -> list[bool]:
    trained = set(map(placed, seen))
    return [pair in trained for pair in zip(rows["modality"], rows["experiment"], strict=True)]


def _spelled(record: StudyRecord, scored: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Name the methods of the run by what they are."""
    several, known = len({entry.seed for entry in record.methods} - {None}) > 1, set(scored)
    for entry in (entry for entry in record.methods if entry.method in known):
        yield entry.method, _weights(record, entry, seed=several)


def _weights(record: StudyRecord, entry: StudyMethod, *, seed: bool) -> str:
    names = {remedy.name: remedy.label for remedy in record.remedies}
    parts = [names.get(entry.remedy, PRETRAINED_LABEL)]
    parts += [f"epoch {entry.stage}"] * bool(entry.stage)
    parts += [f"seed {entry.seed}"] * (seed and entry.seed is not None)
    label = next(p.label for p in record.protocols if p.name == entry.protocol)
    return ", ".join([*parts, label])


def _absences(
    run: RunData, record: StudyRecord, kept: set[str], masked: set[str]
) -> Iterator[tuple[str, str]]:
    """Say what has no scores: whole remedies first, then single methods of others."""
    gone = []
    for remedy in record.remedies:
        trained = [e for e in record.methods if e.remedy == remedy.name and e.stage > 0]
        mine = [e.method for e in trained if e.protocol == record.main]
        if not kept.intersection(mine):
            gone.append(remedy.name)
            yield remedy.label, _reason(run, remedy, mine)
    for entry in record.methods:
        if entry.method not in kept and entry.remedy not in gone:
            yield _weights(record, entry, seed=True), _failure(run, entry.method)
    for team in record.teams:
        if team not in masked:
            yield run.labels.get(team, team), _failure(run, team)


def _reason(run: RunData, remedy: RemedyRecord, methods: list[str]) -> str:
    """Why a remedy has no scores after training: its training, or else its methods."""
    for training in run.record.trainings:
        if training.name == remedy.training and training.status not in ("ok", ""):
            why = f" ({training.message})" if training.message else ""
            return f"its training ended with status {training.status}{why}"
    if not methods:
        return "study.json names no weights of it after training under the main protocol"
    return _failure(run, methods[-1])


def _failure(run: RunData, method: str) -> str:
    rows = run.main[run.main["method"] == method]
    if rows.empty:
        return "not in the score table"
    scored = run.ledger[(run.ledger["method"] == method) & run.ledger["message"].notna()]
    messages = [row["message"] for row in records(scored) if row["message"]]
    statuses = ", ".join(dict.fromkeys(rows["status"]))
    return f"no mask for any case ({statuses})" + (f": {messages[0]}" if messages else "")
