"""Tables of what changed: by modality and experiment, over epochs, at other thresholds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cellharness.report.forgetting.findings import Findings
from cellharness.report.forgetting.look import worth_showing
from cellharness.report.forgetting.study import Study
from cellharness.report.records import Record, by_key, group_title, records
from cellharness.report.rendering import Row, Table
from cellharness.report.wording import (
    NOTHING,
    change_with_ends,
    number,
    p_value,
    signed,
    with_interval,
    without_plus,
)
from cellharness.statistics import ALL
from cellharness.statistics.change import seed_changes
from cellharness.statistics.contrasts import FEWEST_UNITS, HIGHER, LOWER
from cellharness.statistics.estimates import how_tested
from cellharness.statistics.forgetting import BACKWARD_TRANSFER, BEST_MINUS_LAST
from cellharness.statistics.staged_scores import SEEN, UNSEEN

_PARTS = (UNSEEN, SEEN)
_FIELDS = ("n", "Before", "After", "Change (95 % interval)", "p", "Verdict")

Colours = Mapping[str, str]


def change_table(study: Study, findings: Findings, colours: Colours) -> Table:
    """Give the numbers behind the heat map: mean change by remedy, modality and part."""
    changes = findings.changes
    found = by_key(changes[changes["level"] != "experiment"], "remedy", "modality", "seen")
    rows = []
    for group in worth_showing(study.modalities):
        rows.append(Row((group_title(group),), heading=True))
        for name in findings.trained:
            cells = [study.labels[name], str(findings.stages[name])]
            for part in _PARTS:
                cells += _cells(found[name, group, part])
            rows.append(Row(tuple(cells), colour=colours[name]))
    return Table(
        name="change",
        title="Mean F1 before and after, unseen and seen experiments",
        header=("Weights", "Epoch", *(_FIELDS * 2)),
        rows=tuple(rows),
        frame=labelled(study, changes),
        measure="change of F1",
        spans=(("", 2), ("Unseen experiments", 6), ("Seen experiments", 6)),
        text=frozenset({0, 7, 13}),
        notes=(
            f"Images are paired; n, images / {changes['unit'].iloc[0]}s. {how_tested(changes)} "
            f"Primary, not corrected: {primary_words(study)}. {too_few_note(changes)} The csv "
            "has medians, experiments and families as well.",
        ),
    )


def experiment_change_table(study: Study, findings: Findings, colours: Colours) -> Table | None:
    """List the changes by experiment; None where there is one experiment or none is named."""
    changes = findings.changes[findings.changes["level"] == "experiment"]
    places = changes[["modality", "experiment", "seen"]].drop_duplicates()
    if len(places) < 2:
        return None
    found = by_key(changes, "remedy", "modality", "experiment", "seen")
    rows = []
    for place in records(places):
        key = (place["modality"], place["experiment"], place["seen"])
        name = f"{place['modality']}, {place['experiment'] or 'unnamed'} ({place['seen']})"
        rows.append(Row((name,), heading=True))
        for remedy in findings.trained:
            cells = (study.labels[remedy], *_cells(found[remedy, *key]))
            rows.append(Row(cells, colour=colours[remedy]))
    return Table(
        name="change_by_experiment",
        title="Mean F1 before and after, by experiment",
        header=("Weights", *_FIELDS),
        rows=tuple(rows),
        frame=labelled(study, changes),
        text=frozenset({0, 6}),
    )


def measure_table(study: Study, findings: Findings, colours: Colours) -> Table | None:
    """Give the published measures, averaged over the modalities of unseen experiments."""
    if not findings.has(UNSEEN):
        return None
    found = by_key(findings.measures, "measure", "remedy")
    rows = [
        Row(
            (
                study.labels[name],
                with_interval(found[BACKWARD_TRANSFER, name]),
                without_plus(with_interval(found[BEST_MINUS_LAST, name])),
            ),
            colour=colours[name],
        )
        for name in findings.trained
    ]
    tasks = int(findings.measures["modalities"].max())
    return Table(
        name="forgetting_measures",
        title="Published measures of forgetting, unseen experiments",
        header=("Weights", "Backward transfer", "Best − last"),
        rows=tuple(rows),
        frame=labelled(study, findings.measures),
        measure="measures of forgetting",
        spans=(("", 2), ("Forgetting", 1)),
        notes=(
            f"Of mean F1, {_averaged(tasks)}: backward transfer of Lopez-Paz & Ranzato 2017 "
            "(forgetting from the start is minus this), and forgetting from the best epoch before "
            "the last, of Chaudhry et al. 2018, which overstates where images are few and epochs "
            f"many. {how_tested(findings.measures)}",
        ),
    )  # fmt: skip


def curve_table(study: Study, findings: Findings, colours: Colours) -> Table:
    """Give mean F1 and its change at every epoch, over all cases of a part."""
    curves = findings.curves
    rows = []
    for part in (p for p in _PARTS if findings.has(p)):
        rows.append(Row((f"{part.capitalize()} experiments",), heading=True))
        here = curves[(curves["modality"] == ALL) & (curves["seen"] == part)]
        for name in findings.trained:
            for row in records(here[here["remedy"] == name]):
                counts = (str(row["stage"]), str(row["n"]))
                levels = (number(row["mean"]), number(row["median"]))
                change = change_with_ends(row, "change", "change")
                cells = (study.labels[name], *counts, *levels, change)
                rows.append(Row(cells, colour=colours[name]))
    return Table(
        name="curves",
        title="F1 over the epochs",
        header=("Weights", "Epoch", "n", "Mean F1", "Median F1", "Mean change since epoch 0"),
        rows=tuple(rows),
        frame=labelled(study, curves),
        notes=("All cases of a part; the csv has modalities and intervals as well.",),
    )


def threshold_table(study: Study, findings: Findings, colours: Colours) -> Table | None:
    """Repeat the mean change at every IoU threshold; None where only one was scored."""
    frame = findings.thresholds
    levels = sorted(frame["threshold"].unique())
    if len(levels) < 2:
        return None
    found = by_key(frame, "remedy", "seen", "threshold")
    rows = []
    for part in (p for p in _PARTS if findings.has(p)):
        rows.append(Row((f"{part.capitalize()} experiments",), heading=True))
        for name in dict.fromkeys(frame["remedy"]):
            cells = [study.labels[name]]
            for level in levels:
                row = found[name, part, level]
                mark = "*" if row["verdict"] in (HIGHER, LOWER) else ""
                cells.append(signed(row["estimate"]) + mark)
            rows.append(Row(tuple(cells), colour=colours[name]))
    return Table(
        name="thresholds",
        title="Mean change of F1 at other IoU thresholds",
        header=("Weights", *(f"IoU ≥ {level:g}" for level in levels)),
        rows=tuple(rows),
        frame=labelled(study, frame),
        measure="change of F1",
        notes=(f"*, significant. {how_tested(frame)} Each threshold for itself.",),
    )


def seed_table(study: Study, findings: Findings, colours: Colours) -> Table | None:
    """Give the mean change of every training of a remedy; None where each was trained once."""
    if study.by_seed.empty:
        return None
    main, frame = study.record.main, seed_changes(study.by_seed, findings.table, study.record.main)
    found = by_key(frame, "remedy", "seen", "seed")
    rows = []
    for part in (p for p in _PARTS if findings.has(p)):
        rows.append(Row((f"{part.capitalize()} experiments",), heading=True))
        for name in findings.trained:
            each = [found.get((name, part, seed)) for seed in study.seeds]
            values = [row["change"] for row in each if row is not None]
            sd = number(float(np.std(values, ddof=1))) if len(values) > 1 else NOTHING
            cells = [study.labels[name], str(len(values)), signed(float(np.mean(values))), sd]
            cells += [NOTHING if row is None else signed(row["change"]) for row in each]
            rows.append(Row(tuple(cells), colour=colours[name]))
    return Table(
        name="seeds",
        title="Mean change of F1 of every training, by its seed",
        header=("Weights", "Trainings", "Mean", "SD", *(f"Seed {seed}" for seed in study.seeds)),
        rows=tuple(rows),
        frame=labelled(study, frame),
        notes=(
            f"Under “{study.protocol_labels[main]}”, at the last epoch, over the images scored "
            "before and after. SD, standard deviation over the trainings.",
        ),
    )


def labelled(study: Study, frame: pd.DataFrame) -> pd.DataFrame:
    """Put the name in print beside that of a remedy."""
    if "remedy" not in frame:
        return frame
    frame = frame.copy()
    at = list(frame.columns).index("remedy") + 1
    frame.insert(at, "label", [study.labels[name] for name in frame["remedy"]])
    return frame


def _cells(row: Record) -> list[str]:
    if not row["n_images"]:
        return ["0", *[NOTHING] * 5]
    n = f"{row['n_images']:,}"
    return [
        n if row["unit"] == "image" else f"{n} / {row['n_units']:,}",
        number(row["mean_before"]), number(row["mean_after"]), with_interval(row),
        p_value(row["p_adjusted"]), _VERDICTS.get(row["verdict"], str(row["verdict"])),
    ]  # fmt: skip


_VERDICTS = {HIGHER: "gain", LOWER: "loss"}


def primary_words(study: Study) -> str:
    """Name the one contrast that was chosen beforehand."""
    record = study.record
    return f"{study.labels[record.primary or record.plain]} on all unseen experiments"


def too_few_note(rows: pd.DataFrame) -> str:
    """Say what has no interval, and why."""
    few = rows[(rows["why_not"] != "") & (rows["n_images"] > 0)]
    if few.empty:
        return ""
    return f"No interval and no test with fewer than {FEWEST_UNITS} {few['unit'].iloc[0]}s."


def _averaged(modalities: int) -> str:
    if modalities == 1:
        return "of one modality"
    return f"the average of {modalities} modalities, each weighing the same"
