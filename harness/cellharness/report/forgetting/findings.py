"""Every measure of a study, taken once; None where its scores cannot give it, with the reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from cellharness.report.forgetting.sentences import (
    COMPARABLE,
    LESS,
    OPEN,
    gain_verdict,
    rows_of,
)
from cellharness.report.forgetting.study import Study, placed
from cellharness.report.records import Record, by_key, records
from cellharness.run_directory import RunDirectoryError
from cellharness.statistics import ALL
from cellharness.statistics.change import change
from cellharness.statistics.contrasts import mean_difference
from cellharness.statistics.decomposition import decompose, judged_alike, robustness
from cellharness.statistics.forgetting import accuracy_frame, forgetting_measures
from cellharness.statistics.learning_curves import curves
from cellharness.statistics.plasticity import compare_with_plain
from cellharness.statistics.staged_scores import SEEN, UNSEEN, StagedScores
from cellharness.vocabulary import PRETRAINED, PRETRAINED_LABEL

#: How the remedy beside plain fine-tuning is chosen, in words.
BEST_RULE = (
    "the remedy that keeps most on unseen experiments, on average over their cases, of those whose "
    "gain on seen experiments is comparable; where there is none, of those whose gain is not shown "
    "to be lower; else of all"
)


@dataclass(frozen=True)
class Causes:
    """What the way of evaluating makes of the loss of one training.

    Attributes
    ----------
    split, robustness
        From the functions of `cellharness.statistics.decomposition`; None where the loss as
        published, or one with both evaluated alike, was not scored.
    protocol
        The one for both that figures and sentences speak of.
    accuracy
        Mean F1 before (stage 0) and after under each protocol: ``protocol, stage, modality, seen,
        n, mean, mean_low, mean_high``; without interval where one of the two was not scored.
    """

    split: pd.DataFrame | None
    robustness: pd.DataFrame | None
    protocol: str
    accuracy: pd.DataFrame

    @property
    def can_be_split(self) -> bool:
        """Whether a loss on unseen experiments was taken apart for at least one case."""
        split = self.split
        return split is not None and bool(
            split.loc[split["seen"] == UNSEEN, "n_images"].gt(0).any()
        )


@dataclass(frozen=True)
class Findings:
    """The measures of a study under its main protocol.

    Attributes
    ----------
    table
        All scores.
    subject
        The training that single-training figures show: plain fine-tuning, or the first with
        scores where it has none.
    best
        The remedy beside it, see `BEST_RULE`; None where there is none.
    stages
        Last scored epoch by remedy.
    changes, curves, measures
        From the functions of `cellharness.statistics` of these names (``measures``:
        `forgetting_measures`).
    plane
        The overall rows of `changes` side by side: ``remedy, stage, n_seen, gain_seen, gain_low,
        gain_high, n_unseen, loss_unseen, loss_low, loss_high``; a loss is positive.
    comparison, comparison_own
        From `compare_with_plain`; the second without the unseen cases of experiments that a
        remedy met again, None where none did.
    thresholds
        ``threshold`` and the overall rows of `change` of subject and best at every threshold.
    causes
        What the protocol explains.
    notes
        Why a measure is not there, by section.
    """

    table: StagedScores
    subject: str
    best: str | None
    stages: Mapping[str, int]
    changes: pd.DataFrame
    curves: pd.DataFrame
    plane: pd.DataFrame
    measures: pd.DataFrame
    comparison: pd.DataFrame | None
    comparison_own: pd.DataFrame | None
    thresholds: pd.DataFrame
    causes: Causes
    notes: Mapping[str, str]

    @property
    def trained(self) -> tuple[str, ...]:
        """Remedies with scores after training, in the order of the study."""
        return tuple(self.stages)

    def has(self, part: str) -> bool:
        """Whether any case of a part was scored before and after."""
        rows = self.changes[(self.changes["level"] == "overall") & (self.changes["seen"] == part)]
        return bool(rows["n_images"].gt(0).any())

    def cases(self, modality: str, part: str) -> int:
        """How many cases of a group were scored before and after, at most."""
        rows = self.changes[
            (self.changes["level"] != "experiment")
            & (self.changes["modality"] == modality)
            & (self.changes["seen"] == part)
        ]
        return int(rows["n_images"].max()) if len(rows) else 0

    @property
    def met_again(self) -> Mapping[str, Record]:
        """Rows of `comparison_own` over all cases, of remedies that met unseen ones again."""
        own, whole = self.comparison_own, self.comparison
        if own is None or whole is None:
            return {}
        before = by_key(rows_of(whole, UNSEEN), "remedy")
        return {
            row["remedy"]: row
            for row in records(rows_of(own, UNSEEN))
            if row["n_images"] < before[row["remedy"],]["n_images"]
        }

    @property
    def against_plain(self) -> Mapping[str, tuple[Record, Record]]:
        """Of every remedy, the rows of `comparison` over all unseen and all seen images."""
        if self.comparison is None:
            return {}
        unseen, seen = (by_key(rows_of(self.comparison, part), "remedy") for part in (UNSEEN, SEEN))
        return {name: (unseen[name,], seen[name,]) for (name,) in unseen}


def measure(study: Study) -> Findings:
    """Take every measure of a study.

    Raises
    ------
    RunDirectoryError
        Under the main protocol there are no scores before, or none after, any training.
    """
    table, main = study.staged(), study.record.main
    stages = {name: table.stages(name, main) for name in study.remedies}
    trained = {name: found[-1] for name, found in stages.items() if found}
    _check_whole(study, table, trained)
    notes: dict[str, str] = {}
    plain = study.record.plain
    comparison = own = None
    if plain not in trained:
        notes["comparison"] = (
            f"{study.labels[plain]} has no scores after training, so no remedy can be set beside it"
        )
    elif len(trained) == 1:
        notes["comparison"] = "There is no remedy with scores beside plain fine-tuning"
    else:
        comparison = compare_with_plain(table, plain, main, margin=study.record.margin)
        own = _without_replayed(study, plain)
    subject = plain if plain in trained else next(iter(trained))
    best = None if comparison is None else _best(comparison)
    causes = _causes(study, table, subject, notes)
    changes = change(table, main, primary=study.record.primary or plain)
    return Findings(
        table=table,
        subject=subject,
        best=best,
        stages=trained,
        changes=changes,
        curves=curves(table, main),
        plane=_plane(changes),
        measures=forgetting_measures(table, main),
        comparison=comparison,
        comparison_own=own,
        thresholds=_thresholds(study, [subject, *([best] if best else [])]),
        causes=causes,
        notes=notes,
    )


def _check_whole(study: Study, table: StagedScores, trained: Mapping[str, int]) -> None:
    main, why = study.record.main, "; ".join(f"{what}: {reason}" for what, reason in study.absent)
    lacking = next((name for name in trained if table.before(name, main) is None), None)
    if trained and lacking is None:
        return
    what = "after any training" if not trained else f"before the training {lacking!r}"
    msg = (
        f"no weights {what} have scores under the main protocol {main!r}; a forgetting report "
        f"needs scores before and after. {f'Without scores are: {why}' if why else ''}".rstrip()
    )
    raise RunDirectoryError(msg)


def _without_replayed(study: Study, plain: str) -> pd.DataFrame | None:
    """Compare once more without the unseen cases of experiments that a remedy met again."""
    scores = study.scores
    met = {name: set(map(placed, pairs)) for name, pairs in study.record.replayed.items()}
    places = zip(scores["modality"], scores["experiment"], strict=True)
    again = [
        place in met.get(remedy, ()) for remedy, place in zip(scores["remedy"], places, strict=True)
    ]
    gone = pd.Series(again, scores.index) & ~scores["seen"]
    if not gone.any():
        return None
    left = scores.assign(f1=scores["f1"].mask(gone))
    record = study.record
    return compare_with_plain(study.staged(left), plain, record.main, margin=record.margin)


def _best(comparison: pd.DataFrame) -> str | None:
    rows = rows_of(comparison, UNSEEN)
    rows = rows[rows["estimate"].notna()]
    gains = by_key(rows_of(comparison, SEEN), "remedy")
    gain = rows["remedy"].map(lambda name: gain_verdict(gains.get((name,))))
    for wanted in (COMPARABLE, OPEN, LESS):
        kept = rows[gain == wanted]
        if not kept.empty:
            return str(kept["remedy"].iloc[int(kept["estimate"].argmax())])
    return None


def _plane(changes: pd.DataFrame) -> pd.DataFrame:
    overall = changes[changes["level"] == "overall"].set_index(["remedy", "stage"])
    sides = []
    for part, name, sign, ends in (
        (SEEN, "gain", 1, ("low", "high")),
        (UNSEEN, "loss", -1, ("high", "low")),
    ):
        rows = overall[overall["seen"] == part]
        side = rows[["n_images", "n_units"]].rename(
            columns={"n_images": f"n_{part}", "n_units": f"units_{part}"}
        )
        side[f"{name}_{part}"] = sign * rows["estimate"]
        side[f"{name}_low"], side[f"{name}_high"] = (sign * rows[end] for end in ends)
        sides.append(side)
    plane = pd.concat(sides, axis="columns").reset_index()
    return plane.assign(unit=changes["unit"].iloc[0], confidence=changes["confidence"].iloc[0])


def _causes(study: Study, table: StagedScores, subject: str, notes: dict[str, str]) -> Causes:
    published, stage = study.record.published, table.stages(subject, study.record.main)[-1]
    label, protocols = study.labels[subject], study.protocol_labels
    scored = [p for p in table.protocols if (subject, p, stage) in table.runs]
    accuracy = pd.concat([_accuracy(study, subject, stage, p) for p in scored], ignore_index=True)
    nothing = Causes(None, None, "", accuracy)
    if published is None:
        notes["causes"] = "The study names no published protocols, so no loss is taken apart"
        return nothing
    before = table.before(subject, published.before)
    alike = judged_alike(table, subject, stage)
    if published.after not in scored:
        notes["causes"] = (
            f"{label} has no scores at epoch {stage} under “{protocols[published.after]}”"
        )
    elif before is None:
        notes["causes"] = (
            f"The weights before training have no scores under “{protocols[published.before]}”"
        )
    elif not alike:
        notes["causes"] = (
            f"There is no protocol under which {label} at epoch {stage} and the weights before "
            "training were both scored"
        )
    else:
        pair = (published.after, published.before)
        by_threshold = {
            threshold: study.staged(_of(study.at_threshold(threshold), subject))
            for threshold in sorted(study.run.scores["threshold"].unique())
        }
        return Causes(
            split=decompose(study.staged(_of(study.scores, subject)), *pair),
            robustness=robustness(by_threshold, subject, *pair),
            protocol=study.record.main if study.record.main in alike else alike[0],
            accuracy=accuracy,
        )
    return nothing


def _of(scores: pd.DataFrame, remedy: str) -> pd.DataFrame:
    """Scores of one training and of the weights that it may have started from."""
    return scores[scores["remedy"].isin([remedy, PRETRAINED])]


_ACCURACY = ("protocol", "stage", "modality", "seen", "n", "mean", "mean_low", "mean_high")


def _accuracy(study: Study, subject: str, stage: int, protocol: str) -> pd.DataFrame:
    """Mean F1 before and after under one protocol."""
    scores = study.scores
    mine = (scores["remedy"] == subject) & scores["stage"].isin([0, stage])
    mine |= scores["remedy"] == PRETRAINED
    table = study.staged(scores[mine & (scores["protocol"] == protocol)])
    rows = accuracy_frame(table, protocol)
    rows = rows[rows["remedy"] == subject]
    ends = [_level(table, subject, protocol, row) for row in records(rows)]
    rows = rows.assign(mean_low=[low for low, _ in ends], mean_high=[high for _, high in ends])
    return rows[list(_ACCURACY)]


def _level(table: StagedScores, subject: str, protocol: str, row: Record) -> tuple[float, float]:
    """Interval of a mean F1; none where there are no scores before and after to compare."""
    before = table.before(subject, protocol)
    if before is None:
        return math.nan, math.nan
    values = table.after(subject, protocol, row["stage"]) if row["stage"] else before
    here = table.part(row["seen"]) & (
        (table.modality == row["modality"]) | (row["modality"] == ALL)
    )
    unit, units = table.units()
    found = mean_difference(values[here], units[here], unit=unit)
    return found.low, found.high


def _thresholds(study: Study, remedies: list[str]) -> pd.DataFrame:
    """Repeat the comparison before and after at every IoU threshold, over all cases of a part."""
    blocks = []
    for threshold in sorted(study.run.scores["threshold"].unique()):
        scores = study.at_threshold(threshold)
        kept = scores[scores["remedy"].isin([*remedies, PRETRAINED])]
        rows = change(study.staged(kept), study.record.main)
        rows = rows[(rows["level"] == "overall") & rows["seen"].isin([SEEN, UNSEEN])]
        blocks.append(rows.assign(threshold=threshold))
    return pd.concat(blocks, ignore_index=True)


def stage_label(study: Study, findings: Findings, remedy: str) -> str:
    """Name weights in a sentence or a figure: the remedy and its epoch."""
    if remedy == PRETRAINED:
        return PRETRAINED_LABEL
    return f"{study.labels[remedy]}, epoch {findings.stages[remedy]}"
