"""What changed, in tables: by modality and experiment, as published measures, by seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from cellharness.printing.table import Row, Table, blocks, group_title
from cellharness.printing.wording import (
    NOTHING,
    number,
    p_value,
    signed,
    with_interval,
    without_plus,
)
from cellharness.records import Record, by_key
from cellharness.report.declare import Section
from cellharness.report.study.data import StudyReport, part_title
from cellharness.statistics.change import seed_changes
from cellharness.statistics.contrasts import HIGHER, LOWER, fewest_units
from cellharness.statistics.estimates import how_tested, images_and_units, interval_head, n_head
from cellharness.statistics.forgetting import BACKWARD_TRANSFER, BEST_MINUS_LAST
from cellharness.statistics.staged_scores import SEEN, UNSEEN

change = Section("change", "Gained and lost")

_VERDICTS = {HIGHER: "gain", LOWER: "loss"}


@change.words()
def _words(d: StudyReport) -> str:
    return d.words.change


@change.table(folded=True)
def change_table(d: StudyReport) -> Table:
    """Give the numbers behind the heat map: mean change by remedy, modality and part."""
    study, changes = d.study, d.findings.changes
    found = by_key(changes[changes["level"] != "experiment"], "remedy", "modality", "seen")

    def row(name: str, group: str) -> Row:
        sides = (_cells(found[name, group, part]) for part in (UNSEEN, SEEN))
        return d.row(name, str(d.findings.stages[name]), *(cell for side in sides for cell in side))

    few = changes[(changes["why_not"] != "") & (changes["n_images"] > 0)]
    fewest = f"fewer than {fewest_units(1 - changes['confidence'].iloc[0])} {d.unit}s"
    primary = study.labels[study.record.primary or study.record.plain]
    return Table(
        "change", "Mean F1 before and after, unseen and seen experiments",
        ("Weights", "Epoch", *(_fields(changes) * 2)),
        blocks((group_title(g), [row(n, g) for n in d.findings.trained]) for g in study.groups),
        d.labelled(changes), measure="change of F1", text=frozenset({0, 7, 13}),
        spans=(("", 2), (part_title(UNSEEN), 6), (part_title(SEEN), 6)),
        notes=(
            f"Images are paired; {n_head(changes)}. {how_tested(changes)} "
            f"Primary, not corrected: {primary} on all unseen experiments. "
            + f"No interval and no test with {fewest}. " * (not few.empty)
            + "The csv has medians, experiments and families as well.",
        ),
    )  # fmt: skip


def _fields(rows: pd.DataFrame) -> tuple[str, ...]:
    return ("n", "Before", "After", f"Change ({interval_head(rows)})", "p", "Verdict")


def _cells(row: Record) -> tuple[str, ...]:
    if not row["n_images"]:
        return ("0", *[NOTHING] * 5)
    return (
        images_and_units(row), number(row["mean_before"]), number(row["mean_after"]),
        with_interval(row), p_value(row["p_adjusted"]),
        _VERDICTS.get(row["verdict"], str(row["verdict"])),
    )  # fmt: skip


@change.table(folded=True)
def experiment_change_table(d: StudyReport) -> Table | None:
    """List the changes by experiment; None where there is one experiment or none is named."""
    changes = d.findings.changes[d.findings.changes["level"] == "experiment"]
    places = changes[["modality", "experiment", "seen"]].drop_duplicates()
    if len(places) < 2:
        return None
    found, names = by_key(changes, "remedy", *places.columns), d.findings.trained
    return Table(
        "change_by_experiment", "Mean F1 before and after, by experiment",
        ("Weights", *_fields(changes)),
        blocks(
            (f"{place[0]}, {place[1] or 'unnamed'} ({place[2]})",
             [d.row(name, *_cells(found[name, *place])) for name in names])
            for place in places.itertuples(index=False, name=None)
        ),
        d.labelled(changes), text=frozenset({0, 6}),
    )  # fmt: skip


@change.table()
def measure_table(d: StudyReport) -> Table | None:
    """Give the published measures, averaged over the modalities of unseen experiments."""
    measures = d.findings.measures
    if UNSEEN not in d.findings.parts:
        return None
    found = by_key(measures, "measure", "remedy")
    rows = [
        d.row(name, with_interval(found[BACKWARD_TRANSFER, name]),
              without_plus(with_interval(found[BEST_MINUS_LAST, name])))
        for name in d.findings.trained
    ]  # fmt: skip
    n = int(measures["modalities"].max())
    over = f"the average of {n} modalities, each weighing the same"
    return Table(
        "forgetting_measures", "Published measures of forgetting, unseen experiments",
        ("Weights", "Backward transfer", "Best − last"), tuple(rows), d.labelled(measures),
        measure="measures of forgetting", spans=(("", 2), ("Forgetting", 1)),
        notes=(
            f"Of mean F1, {over if n > 1 else 'of one modality'}: backward transfer of Lopez-Paz & "
            "Ranzato 2017 (forgetting from the start is minus this), and forgetting from the best "
            "epoch before the last, of Chaudhry et al. 2018, which overstates where images are few "
            f"and epochs many; only where several were scored. {how_tested(measures)}",
        ),
    )  # fmt: skip


@change.table()
def seed_table(d: StudyReport) -> Table | None:
    """Give the mean change of every training of a remedy; None where each was trained once."""
    study = d.study
    if study.by_seed.empty:
        return None
    frame = seed_changes(study.by_seed, d.findings.table, study.record.main)
    found = by_key(frame, "remedy", "seen", "seed")

    def cells(name: str, part: str) -> list[str]:
        each = [found.get((name, part, seed)) for seed in study.seeds]
        values = [row["change"] for row in each if row is not None]
        sd = number(float(np.std(values, ddof=1))) if len(values) > 1 else NOTHING
        told = [NOTHING if row is None else signed(row["change"]) for row in each]
        return [str(len(values)), signed(float(np.mean(values))), sd, *told]

    return Table(
        "seeds", "Mean change of F1 of every training, by its seed",
        ("Weights", "Trainings", "Mean", "SD", *(f"Seed {seed}" for seed in study.seeds)),
        _by_part(d, d.findings.trained, cells), d.labelled(frame),
        notes=(
            f"Under “{study.protocol_labels[study.record.main]}”, at the last epoch, over the "
            "images scored before and after. SD, standard deviation over the trainings.",
        ),
    )  # fmt: skip


@change.table(folded=True)
def threshold_table(d: StudyReport) -> Table | None:
    """Repeat the mean change at every IoU threshold; None where only one was scored."""
    frame = d.findings.thresholds
    levels = sorted(frame["threshold"].unique())
    if len(levels) < 2:
        return None
    found = by_key(frame, "remedy", "seen", "threshold")

    def cells(name: str, part: str) -> list[str]:
        here = [found[name, part, level] for level in levels]
        return [signed(r["estimate"]) + "*" * (r["verdict"] in (HIGHER, LOWER)) for r in here]

    return Table(
        "thresholds", "Mean change of F1 at other IoU thresholds",
        ("Weights", *(f"IoU ≥ {level:g}" for level in levels)),
        _by_part(d, dict.fromkeys(frame["remedy"]), cells), d.labelled(frame),
        measure="change of F1",
        notes=(f"*, significant. {how_tested(frame)} Each threshold for itself.",),
    )  # fmt: skip


def _by_part(
    d: StudyReport, names: Iterable[str], cells: Callable[[str, str], Iterable[str]]
) -> tuple[Row, ...]:
    return blocks(
        (part_title(part), [d.row(name, *cells(name, part)) for name in names])
        for part in d.findings.parts
    )
