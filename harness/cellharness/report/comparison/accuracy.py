"""How well the methods segment: by modality, by experiment, by other measures, and as published."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from cellharness.analysis.run_data import RunData
from cellharness.printing.table import Row, Table, group_title, leaders
from cellharness.printing.wording import count, f1_at, number, spread
from cellharness.records import Record, by_key
from cellharness.report.comparison.data import Comparison
from cellharness.report.declare import Section
from cellharness.report.layout import alone
from cellharness.report.published import published, published_table, published_wanted
from cellharness.report.rows import LEAST_FOR_BOX, draw_boxes, failed_key, row_grid
from cellharness.statistics import ALL, count_statuses, summarise
from cellharness.vocabulary import SEGMENTED, STATUSES

accuracy = Section("accuracy", "Accuracy")

# Longer tables than this are folded.
_LONG_TABLE = 20

_OTHER_METRICS = {
    "precision": "Precision",
    "recall": "Recall",
    "dice": "Dice",
    "ap": "AP",
    "pq": "PQ",
    "sq": "SQ",
    "aji": "AJI",
}


def method_rows(
    d: Comparison,
    groups: Iterable[str],
    cells_of: Callable[[str, str], tuple[Iterable[str], Iterable[int]]],
    head: Callable[[str], str] = group_title,
) -> tuple[Row, ...]:
    """Lay out a heading row a group, and below it a row a method."""
    rows = []
    for group in groups:
        rows.append(Row((head(group),), heading=True))
        for method in d.run.methods:
            cells, strong = cells_of(group, method)
            rows.append(
                Row((d.run.labels[method], *cells), strong=frozenset(i + 1 for i in strong),
                    colour=d.colours[method])
            )  # fmt: skip
    return tuple(rows)


def labelled(d: Comparison, frame: pd.DataFrame, at: int = 1) -> pd.DataFrame:
    """Put the name in print beside that of a method."""
    frame = frame.copy()
    frame.insert(at, "label", frame["method"].map(d.run.labels))
    return frame


@accuracy.figure(
    "f1_by_modality",
    alt="Dot and box plots of F1 per image for each method, overall and by modality; the numbers "
    "stand in the table below",
    caption="F1 of every image at IoU ≥ {{ '%g' | format(run.threshold) }}, profile "
    "{{ run.profile }}. One dot an image; box, quartiles; thick line, median; whiskers, last value "
    "within 1.5 interquartile ranges; ×, image without a mask. Groups of fewer than "
    f"{LEAST_FOR_BOX} have a median line only."
    "{% if run.oracles %} Hatched: reads the truth, an upper bound that is not ranked.{% endif %}"
    "{% if d.ranked %} Methods in the order of the ranking, which numbers them.{% endif %}"
    "{% if run.methods | length > 7 %} The best seven are coloured.{% endif %}",
)
def f1_by_modality(d: Comparison, width_mm: float) -> Figure:
    """One dot an image and one box a method, all images first: the paper's Fig. 3a and 4a-e."""
    scores = d.run.main
    return alone(
        row_grid(
            d.rows(width_mm), d.groups, width_mm, scores, draw_boxes,
            lambda here: count(here["case"].nunique(), "image"),
            label=f1_at(d.run.threshold), key=failed_key(scores),
        )
    )  # fmt: skip


@accuracy.table(folded=lambda d: len(d.run.methods) * len(d.run.groups) > _LONG_TABLE)
def accuracy_table(d: Comparison) -> Table:
    """Median, quartiles, mean, cases and failures per modality and method, in both profiles."""
    run = d.run
    frame = _with_statuses(d, d.summary[d.summary["threshold"] == run.threshold])
    profiles = [p for p in ("strict", "challenge") if p in set(frame["profile"])]
    header, spans = ["Method", "n", "Failed"], [("", 3)]
    for profile in profiles:
        # The official script leaves images out, so its own n stands with its numbers.
        heads = ["Median F1", "IQR", "Mean", *(["n"] if profile == "challenge" else [])]
        header += heads
        spans.append((f"Profile {profile}", len(heads)))
    found = by_key(frame, "profile", "modality", "method")
    best = {
        (p, g): leaders({m: found[p, g, m]["median_f1"] for m in run.competing})
        for p in profiles
        for g in run.groups
    }

    def cells_of(group: str, method: str) -> tuple[list[str], list[int]]:
        first = found[profiles[0], group, method]
        cells, strong = [_cases(first), _failures(first)], []
        for profile in profiles:
            row = found[profile, group, method]
            if method in best[profile, group]:
                strong.append(len(cells))
            cells += [number(row["median_f1"]), spread(row["q1"], row["q3"])]
            cells.append(number(row["mean_f1"]))
            if profile == "challenge":
                cells.append(f"{row['n_scored']:,}")
        return cells, strong

    notes = [
        f"F1 at IoU ≥ {run.threshold:g}, one value an image; quartiles interpolate linearly. "
        f"n, images; failed, images without a mask, by status.{_bold(run)}"
    ]
    if "strict" in profiles:
        notes.append("strict counts a failed image as F1 0.")
    if "challenge" in profiles:
        notes.append(
            "challenge is the official script, which leaves failed images out; its own n is the "
            "number of images that it scores."
        )
    sizes = {group: found[profiles[0], group, run.methods[0]]["n"] for group in run.groups}
    return Table(
        name="accuracy",
        title=f"{f1_at(run.threshold)} by modality and method",
        header=tuple(header),
        rows=method_rows(
            d, run.groups, cells_of, lambda group: f"{group_title(group)} (n = {sizes[group]:,})"
        ),
        frame=frame,
        spans=tuple(spans),
        notes=(" ".join(notes),),
    )


@accuracy.table(folded=True)
def metric_table(d: Comparison) -> Table | None:
    """Medians of the other measures in the main profile; None where none was scored."""
    run = d.run
    have = [m for m in _OTHER_METRICS if m in run.main and run.main[m].notna().any()]
    if not have:
        return None
    parts = {m: by_key(summarise(run.main, value=m), "modality", "method") for m in have}
    best = {
        (m, g): leaders({k: part[g, k][f"median_{m}"] for k in run.competing})
        for m, part in parts.items()
        for g in run.groups
    }

    def cells_of(group: str, method: str) -> tuple[list[str], list[int]]:
        cells = [number(parts[m][group, method][f"median_{m}"]) for m in have]
        return cells, [i for i, m in enumerate(have) if method in best[m, group]]

    raw: list[Mapping[str, Any]] = [
        {
            "modality": group, "method": method, "label": run.labels[method],
            **{f"{what}_{m}": parts[m][group, method][f"{what}_{m}"]
               for what in ("median", "mean") for m in have},
        }
        for group in run.groups
        for method in run.methods
    ]  # fmt: skip
    return Table(
        name="other_metrics",
        title=f"Other measures, medians over images at IoU ≥ {run.threshold:g}",
        header=("Method", *(_OTHER_METRICS[m] for m in have)),
        rows=method_rows(d, run.groups, cells_of),
        frame=pd.DataFrame(raw),
        notes=(f"Profile {run.profile}. AP, TP/(TP + FP + FN) at this one threshold.{_bold(run)}",),
    )


@accuracy.table(folded=True)
def experiment_table(d: Comparison) -> Table:
    """Median F1 of every experiment, one column a method."""
    run = d.run
    frame = summarise(run.main, by=("modality", "experiment"))
    frame = frame[(frame["modality"] != ALL) & (frame["experiment"] != ALL)]
    frame = frame.assign(label=frame["method"].map(run.labels))
    found = by_key(frame, "modality", "experiment", "method")
    rows = []
    for group in run.groups[1:]:
        rows.append(Row((group,), heading=True))
        for experiment in sorted({key[1] for key in found if key[0] == group}):
            block = {m: found[group, experiment, m] for m in run.methods}
            best = leaders({m: block[m]["median_f1"] for m in run.competing})
            cells = [experiment or "not stated", f"{block[run.methods[0]]['n']:,}"]
            cells += [number(row["median_f1"]) for row in block.values()]
            strong = frozenset(2 + i for i, m in enumerate(run.methods) if m in best)
            rows.append(Row(tuple(cells), strong=strong))
    return Table(
        name="experiments",
        title=f"Median {f1_at(run.threshold)} by experiment",
        header=("Experiment", "n", *(run.labels[m] for m in run.methods)),
        rows=tuple(rows),
        frame=frame,
        notes=(
            f"n, images. Experiments have few images each: read single rows with care.{_bold(run)}",
        ),
    )


@accuracy.table(folded=True)
def published_values(d: Comparison) -> Table | None:
    """Medians that the paper prints, of other images; None where they are not wanted."""
    return published_table(published()) if published_wanted(d.run) else None


def _bold(run: RunData) -> str:
    """Say what is bold, where anything can be."""
    if len(run.competing) < 2:
        return ""
    return f" Bold, the highest{' that does not read the truth' if run.oracles else ''}."


def _with_statuses(d: Comparison, summary: pd.DataFrame) -> pd.DataFrame:
    """Add the label of each method and a column ``n_<status>`` for every status."""
    counts = by_key(count_statuses(d.run.scores), "method", "profile", "modality", "status")
    frame = labelled(d, summary)
    places = list(zip(frame["method"], frame["profile"], frame["modality"], strict=True))
    for status in STATUSES:
        frame[f"n_{status}"] = [counts.get((*p, status), {"n": 0})["n"] for p in places]
    return frame


def _cases(row: Record) -> str:
    """Count the cases, and those with a number where the strict profile lacks some."""
    if row["profile"] == "challenge" or row["n_scored"] == row["n"]:
        return f"{row['n']:,}"
    return f"{row['n']:,} ({row['n_scored']:,} scored)"


def _failures(row: Record) -> str:
    counts = {s: int(row[f"n_{s}"]) for s in STATUSES if s not in SEGMENTED}
    parts = [f"{n} {status}" for status, n in counts.items() if n]
    return f"{sum(counts.values()):,}" + (f" ({', '.join(parts)})" if parts else "")
