"""Every measure of a study, taken once; None where its scores cannot give it, with the reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from cellharness.analysis.run_data import placed
from cellharness.analysis.study import Study
from cellharness.records import Record, by_key, records
from cellharness.run_directory import RunDirectoryError
from cellharness.statistics import ALL
from cellharness.statistics.change import change
from cellharness.statistics.contrasts import LOWER, mean_difference
from cellharness.statistics.decomposition import decompose, judged_alike, robustness
from cellharness.statistics.forgetting import accuracy_frame, forgetting_measures
from cellharness.statistics.learning_curves import curves
from cellharness.statistics.plasticity import compare_with_plain
from cellharness.statistics.staged_scores import SEEN, UNSEEN, StagedScores
from cellharness.vocabulary import PRETRAINED

#: How the remedy beside plain fine-tuning is chosen, in words.
BEST_RULE = (
    "the remedy that keeps most on unseen experiments, on average over their cases, of those whose "
    "gain on seen experiments is comparable; where there is none, of those whose gain is not shown "
    "to be lower; else of all"
)


#: What can be said of the gain of a remedy beside that of plain fine-tuning.
COMPARABLE, LESS, OPEN = "comparable", "lower", "not shown"


def gain_verdict(row: Record) -> str:
    """Say whether a remedy gains as much on seen experiments as plain fine-tuning."""
    if row["comparable"]:
        return COMPARABLE
    return LESS if row["verdict"] == LOWER else OPEN


def rows_of(comparison: pd.DataFrame, part: str) -> pd.DataFrame:
    """Choose the rows of `compare_with_plain` on a part and all modalities."""
    return comparison[(comparison["modality"] == ALL) & (comparison["seen"] == part)]


@dataclass(frozen=True)
class Causes:
    """What the way of evaluating makes of the loss of one training.

    `split` and `robustness` are None where the loss as published, or one with both evaluated alike,
    was not scored. `protocol` is the one for both that figures and sentences speak of. `accuracy`
    has mean F1 before (stage 0) and after under each protocol, with an interval where both were
    scored.
    """

    split: pd.DataFrame | None
    robustness: pd.DataFrame | None
    protocol: str
    accuracy: pd.DataFrame

    @property
    def parts(self) -> pd.DataFrame | None:
        """Rows of `split` on unseen experiments; None where no case was taken apart."""
        if self.split is None:
            return None
        rows = self.split[self.split["seen"] == UNSEEN]
        return rows if rows["n_images"].gt(0).any() else None


@dataclass(frozen=True)
class Findings:
    """The measures of a study under its main protocol.

    `subject` is the training that single-training figures show: plain fine-tuning, or the first
    with scores where it has none; `best` the remedy beside it, see `BEST_RULE`. `stages` are the
    last scored epochs. `changes, curves, measures` are from the functions of
    `cellharness.statistics` of these names, `comparison` from `compare_with_plain`, and
    `comparison_own` that without the unseen cases of experiments that a remedy met again. `plane`
    has the overall rows of `changes` side by side, a loss being positive; `thresholds` those of
    subject and best at every threshold; `notes` say why a measure is not there, by section.
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

    @property
    def parts(self) -> list[str]:
        """Parts of which any case was scored before and after, unseen first."""
        return [part for part in (UNSEEN, SEEN) if self.cases(ALL, part)]

    def cases(self, modality: str, part: str) -> int:
        """How many cases of a group were scored before and after, at most."""
        rows = self.changes[self.changes["level"] != "experiment"]
        rows = rows[(rows["modality"] == modality) & (rows["seen"] == part)]
        return int(rows["n_images"].max()) if len(rows) else 0

    @cached_property
    def met_again(self) -> Mapping[str, Record]:
        """Rows of `comparison_own` over all cases, of remedies that met unseen ones again."""
        if self.comparison is None or self.comparison_own is None:
            return {}
        before = by_key(rows_of(self.comparison, UNSEEN), "remedy")
        return {
            row["remedy"]: row
            for row in records(rows_of(self.comparison_own, UNSEEN))
            if row["n_images"] < before[row["remedy"],]["n_images"]
        }

    @cached_property
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
        why = "has no scores after training, so no remedy can be set beside it."
        notes["comparison"] = f"{study.labels[plain]} {why}"
    elif len(trained) == 1:
        notes["comparison"] = "There is no remedy with scores beside plain fine-tuning."
    else:
        comparison = compare_with_plain(table, plain, main, margin=study.record.margin)
        own = _without_replayed(study, plain)
    subject = plain if plain in trained else next(iter(trained))
    best = None if comparison is None else _best(comparison)
    causes = _causes(study, table, subject, notes)
    changes = change(table, main, primary=study.record.primary or plain)
    return Findings(
        table, subject, best, trained, changes, curves(table, main), _plane(changes),
        forgetting_measures(table, main), comparison, own,
        _thresholds(study, [subject, *([best] if best else [])]), causes, notes,
    )  # fmt: skip


def _check_whole(study: Study, table: StagedScores, trained: Mapping[str, int]) -> None:
    main, why = study.record.main, "; ".join(f"{what}: {reason}" for what, reason in study.absent)
    lacking = next((name for name in trained if table.before(name, main) is None), None)
    if trained and lacking is None:
        return
    what = "after any training" if not trained else f"before the training {lacking!r}"
    msg = (
        f"no weights {what} have scores under the main protocol {main!r}; a forgetting report "
        "needs scores before and after."
    )
    raise RunDirectoryError(msg + f" Without scores are: {why}" * bool(why))


def _without_replayed(study: Study, plain: str) -> pd.DataFrame | None:
    """Compare those that met unseen experiments again once more, without the cases of these.

    Others have no such cases: the same comparison would be tested a second time.
    """
    met = study.record.replayed
    scores = study.scores[study.scores["remedy"].isin([PRETRAINED, plain, *met])]
    again = {(name, *placed(pair)) for name, pairs in met.items() for pair in pairs}
    places = scores[["remedy", "modality", "experiment"]].itertuples(index=False, name=None)
    gone = pd.Series([place in again for place in places], scores.index) & ~scores["seen"]
    if not gone.any():
        return None
    left = scores.assign(f1=scores["f1"].mask(gone))
    record = study.record
    return compare_with_plain(study.staged(left), plain, record.main, margin=record.margin)


def _best(comparison: pd.DataFrame) -> str | None:
    rows = rows_of(comparison, UNSEEN)
    rows = rows[rows["estimate"].notna()]
    gains = by_key(rows_of(comparison, SEEN), "remedy")
    gain = rows["remedy"].map(lambda name: gain_verdict(gains[name,]))
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
        side = rows[["n_images", "n_units"]].set_axis([f"n_{part}", f"units_{part}"], axis=1)
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
    alike = judged_alike(table, subject, stage)
    why = ""
    if published is None:
        why = "The study names no published protocols, so no loss is taken apart"
    elif published.after not in scored:
        why = f"{label} has no scores at epoch {stage} under “{protocols[published.after]}”"
    elif table.before(subject, published.before) is None:
        why = f"The weights before training have no scores under “{protocols[published.before]}”"
    elif not alike:
        why = (
            f"There is no protocol under which {label} at epoch {stage} and the weights before "
            "training were both scored"
        )
    if published is None or why:
        notes["causes"] = why
        return Causes(None, None, "", accuracy)
    pair = (published.after, published.before)
    by_threshold = {
        threshold: study.staged(_of(scores, subject))
        for threshold, scores in study.by_threshold.items()
    }
    return Causes(
        split=decompose(study.staged(_of(study.scores, subject)), *pair),
        robustness=robustness(by_threshold, subject, *pair),
        protocol=study.record.main if study.record.main in alike else alike[0],
        accuracy=accuracy,
    )


def _of(scores: pd.DataFrame, remedy: str) -> pd.DataFrame:
    """Scores of one training and of the weights that it may have started from."""
    return scores[scores["remedy"].isin([remedy, PRETRAINED])]


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
    kept = ["protocol", "stage", "modality", "seen", "n", "mean", "mean_low", "mean_high"]
    return rows[kept]


def _level(table: StagedScores, subject: str, protocol: str, row: Record) -> tuple[float, float]:
    """Interval of a mean F1; none where there are no scores before and after to compare."""
    before = table.before(subject, protocol)
    if before is None:
        return math.nan, math.nan
    values = table.after(subject, protocol, row["stage"]) if row["stage"] else before
    here = table.part(row["seen"])
    if row["modality"] != ALL:
        here = here & (table.modality == row["modality"])
    unit, units = table.units()
    found = mean_difference(values[here], units[here], unit=unit, bounds=(0.0, 1.0))
    return found.low, found.high


def _thresholds(study: Study, remedies: list[str]) -> pd.DataFrame:
    """Repeat the comparison before and after at every IoU threshold."""
    blocks = []
    for threshold, scores in study.by_threshold.items():
        kept = scores[scores["remedy"].isin([*remedies, PRETRAINED])]
        rows = change(study.staged(kept), study.record.main)
        rows = rows[(rows["level"] == "overall") & rows["seen"].isin([SEEN, UNSEEN])]
        blocks.append(rows.assign(threshold=threshold))
    return pd.concat(blocks, ignore_index=True)
