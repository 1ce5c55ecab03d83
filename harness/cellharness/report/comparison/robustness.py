"""Whether the result holds: other thresholds, seen and unseen experiments, the two profiles."""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cellharness.analysis.run_data import NOT_STATED, SEEN, UNSEEN, RunData, with_kinds
from cellharness.data.images import ImageError, read_label
from cellharness.printing.table import Row, Table, group_title
from cellharness.printing.wording import NOTHING, count, f1_at, listing, number, signed, spread
from cellharness.records import Record, by_key, records
from cellharness.report.comparison.accuracy import labelled, method_rows
from cellharness.report.comparison.data import Comparison
from cellharness.report.declare import Section
from cellharness.report.layout import (
    Key,
    alone,
    f1_axis,
    letter,
    line_sample,
    panel_grid,
    panels,
)
from cellharness.report.rows import Rows, row_grid
from cellharness.report.style import GREY
from cellharness.scoring.challenge import is_patched
from cellharness.statistics import ALL, profile_differences, summarise
from cellharness.vocabulary import SEGMENTED

sweep = Section("sweep", "Threshold sweep")
seen = Section("seen", "Seen and unseen experiments", "Seen and unseen")
profiles = Section("profiles", "Two profiles, and where they differ", "Two profiles")

# More bands than these would only hide each other.
_MOST_BANDS = 3


@sweep.figure(
    "threshold_sweep",
    alt="Median F1 against the IoU threshold for each method, overall and by modality; the numbers "
    "stand in the table below",
    caption="Median F1 over images against the IoU from which on a cell counts as correct, profile "
    "{{ run.profile }}."
    f"{{% if run.methods | length <= {_MOST_BANDS} %}} Band, interquartile range.{{% endif %}}",
    when=lambda d: len(d.run.thresholds) > 1,
)
def sweep_figure(d: Comparison, width_mm: float) -> Figure:
    """Each method's median F1 over images against the threshold."""
    rows, thresholds = d.summary[d.summary["profile"] == d.run.profile], d.run.thresholds
    grid = panel_grid(len(d.groups), width_mm, 33.0)
    # Grey methods have no line of their own in the key; the table has all.
    named = [m for m in d.run.methods if d.styles[m].colour != GREY]
    samples = [line_sample(d.run.labels[m], d.styles[m]) for m in named]
    grey = len(d.run.methods) - len(named)
    if grey:
        samples.append(Line2D([], [], color=GREY, lw=0.5, label=count(grey, "other method")))
    key = Key(samples, width_mm - 10)
    figure, axes = panels(grid, len(d.groups), width_mm, 32.0, 10.0, key.height_mm)
    margin = 0.04 * (thresholds[-1] - thresholds[0])
    tenths = [t for t in thresholds if abs(t * 10 - round(t * 10)) < 1e-6]
    for i, (group, ax) in enumerate(zip(d.groups, axes, strict=True)):
        here = rows[rows["modality"] == group]
        for method in sorted(d.run.methods, key=lambda m: m in named):
            line = here[here["method"] == method].sort_values("threshold")
            x, style = line["threshold"], d.styles[method]
            if method not in named:
                ax.plot(x, line["median_f1"], color=GREY, lw=0.5, alpha=0.7)
                continue
            if len(d.run.methods) <= _MOST_BANDS:
                ax.fill_between(x, line["q1"], line["q3"], color=style.colour, alpha=0.13, lw=0)
            ax.plot(
                x, line["median_f1"], color=style.colour, ls=style.linestyle, marker=style.marker,
                ms=2.6, mew=0, clip_on=False,
            )  # fmt: skip
        row, column = grid.place(i, len(d.groups))
        ax.set_xlim(thresholds[0] - margin, thresholds[-1] + margin)
        ax.set_xticks(tenths if len(tenths) >= 2 else thresholds)
        if row == grid.rows - 1:
            ax.set_xlabel("IoU threshold", labelpad=2)
        else:
            ax.set_xticklabels([])
        f1_axis(ax, column == 0, "Median F1")
        letter(ax, i, group_title(group), count(int(here["n"].iloc[0]), "image"))
    key.draw(figure, 8.0)
    return figure


@sweep.table(folded=True)
def sweep_table(d: Comparison) -> Table | None:
    """Median F1 at every threshold; None where there is only one."""
    thresholds = d.run.thresholds
    if len(thresholds) < 2:
        return None
    frame = labelled(d, d.summary[d.summary["profile"] == d.run.profile])
    found = by_key(frame, "modality", "method", "threshold")

    def cells_of(group: str, method: str) -> tuple[list[str], list[int]]:
        return [number(found[group, method, t]["median_f1"]) for t in thresholds], []

    return Table(
        name="threshold_sweep",
        title=f"Median F1 by IoU threshold, profile {d.run.profile}",
        header=("Method", *(f"{t:g}" for t in thresholds)),
        rows=method_rows(d, d.run.groups, cells_of),
        frame=frame,
    )


# From the middle of the row, upwards and downwards.
_OFFSETS = {SEEN: -0.18, UNSEEN: 0.18}


def not_stated(run: RunData) -> int:
    """Count the images of which the score table does not say whether they were seen."""
    scores = with_kinds(run)
    return int(scores.loc[scores["seen"] == NOT_STATED, "case"].nunique())


def _both(d: Comparison) -> bool:
    """Whether there are images of seen and of unseen experiments."""
    return set(with_kinds(d.run)["seen"]) >= {SEEN, UNSEEN}


@seen.figure(
    "seen_unseen",
    alt="For each method median and quartiles of F1 on experiments seen in training and on unseen "
    "ones, overall and by modality; the numbers stand in the table below",
    caption="F1 at IoU ≥ {{ '%g' | format(run.threshold) }}, profile {{ run.profile }}, median and "
    "quartiles; a line joins the two medians of a method. Filled: seen, the experiment of the "
    "image has images in the training split of the manifest. Hollow: unseen, it has none. Numbers "
    "over the panels, images of either kind.",
    when=_both,
)
def seen_figure(d: Comparison, width_mm: float) -> Figure:
    """Two medians a method, joined: on seen and on unseen experiments."""
    scores = with_kinds(d.run)
    scores = scores[scores["seen"].isin((SEEN, UNSEEN))]
    return alone(
        row_grid(
            d.rows(width_mm), d.groups, width_mm, scores, _draw_pairs, _sizes,
            label=f1_at(d.run.threshold), key="●, seen experiments; ○, unseen; lines, quartiles",
        )
    )  # fmt: skip


def _sizes(scores: pd.DataFrame) -> str:
    n = scores.drop_duplicates("case")["seen"].value_counts()
    return f"{n.get(SEEN, 0):,} ●  {n.get(UNSEEN, 0):,} ○"


def _draw_pairs(ax: Axes, rows: Rows, scores: pd.DataFrame) -> None:
    parts = {key: part.dropna() for key, part in scores.groupby(["method", "seen"])["f1"]}
    for i, (method, colour) in enumerate(zip(rows.methods, rows.colours, strict=True)):
        middles = []
        for kind, offset in _OFFSETS.items():
            f1 = parts.get((method, kind))
            if f1 is None or f1.empty:
                continue
            low, middle, high = np.percentile(f1.to_numpy(float), (25, 50, 75))
            middles.append((middle, i + offset))
            draw = partial(ax.plot, color=colour, clip_on=False)
            draw([low, high], [i + offset] * 2, lw=0.7, zorder=2)
            fill = colour if kind == SEEN else "white"
            draw(middle, i + offset, marker="o", ms=2.7, mfc=fill, mec=colour, mew=0.7, zorder=3)
        if len(middles) > 1:
            ax.plot(*zip(*middles, strict=True), color=colour, lw=1.4, alpha=0.35, zorder=1)


@seen.words("note")
def _left_out(d: Comparison) -> str:
    n = not_stated(d.run) if _both(d) else 0
    return f"Images of which it is not stated are left out: {n}." if n else ""


@seen.table(folded=_both)
def seen_table(d: Comparison) -> Table | None:
    """Split by whether the experiment occurs in the training split; None where not recorded."""
    scores = with_kinds(d.run)
    kinds = [k for k in (SEEN, UNSEEN, NOT_STATED) if k in set(scores["seen"])]
    if kinds == [NOT_STATED]:
        return None
    frame = labelled(d, summarise(scores, by=("modality", "seen")))
    frame = frame[frame["seen"] != ALL]
    found = by_key(frame, "modality", "method", "seen")

    def cells_of(group: str, method: str) -> tuple[list[str], list[int]]:
        cells: list[str] = []
        for kind in kinds:
            row = found.get((group, method, kind))
            cells += ["0", *[NOTHING] * 3] if row is None else _seen_cells(row)
        return cells, []

    return Table(
        name="seen_unseen",
        title=f"{f1_at(d.run.threshold)} on seen and unseen experiments",
        header=("Method", *("n", "Failed", "Median F1", "IQR") * len(kinds)),
        rows=method_rows(d, d.run.groups, cells_of),
        frame=frame,
        spans=(("", 1), *((f"{kind.capitalize()} experiments", 4) for kind in kinds)),
        notes=(
            "Seen, the image's experiment has images in the training split of the manifest. "
            "It says what a method trained on that split has met; a method trained elsewhere "
            "has not necessarily met either." + _partly_trained(d.run),
        ),
    )


def _seen_cells(row: Record) -> list[str]:
    counts = (f"{row['n']:,}", f"{row['n_failed']:,}")
    return [*counts, number(row["median_f1"]), spread(row["q1"], row["q3"])]


def _partly_trained(run: RunData) -> str:
    """Name the trainings of the run that learned from a part of the training split only."""
    partly = [
        str(training.get("label") or training.get("name"))
        for training in run.config.get("training") or []
        if training.get("experiments") or training.get("modalities")
    ]
    if not partly:
        return ""
    return f" Trained in this run on a part of that split only, see Training: {listing(partly)}."


@profiles.words()
def _two_profiles(d: Comparison) -> str:
    if set(d.run.scores["profile"]) < {"strict", "challenge"}:
        return ""
    cases = d.differing
    found = "In this run the two agree on every image to four decimals."
    if len(cases):
        found = (
            f"In this run they differ on {count(len(cases), 'score')}, of which the challenge "
            f"profile leaves out {int(cases['dropped'].sum())}."
        )
    return (
        "The challenge profile reproduces the official script of the NeurIPS 2022 challenge, which "
        "scores only the masks that it finds. The strict profile counts every image of the "
        "manifest. A method that fails on hard images therefore looks better under the first. "
        + found
    )


@profiles.table(folded=lambda d: d.differing.empty)
def difference_table(d: Comparison) -> Table | None:
    """What the choice of profile does to each method; None where only one was scored."""
    frame = profile_differences(d.run.scores, d.run.threshold)
    if frame.empty:
        return None
    why = reasons(d)
    frame = labelled(d, frame.set_index("method").reindex(list(d.run.methods)).reset_index())
    frame["reasons"] = [why.get(method, "") for method in frame["method"]]
    rows = []
    for row in records(frame):
        cells = [row["label"], f"{row['n']:,}", f"{row['n_dropped']:,}", f"{row['n_differ']:,}"]
        for what in ("median", "mean"):
            strict, challenge = row[f"{what}_strict"], row[f"{what}_challenge"]
            cells += [number(strict), number(challenge), signed(challenge - strict)]
        cells.append(row["reasons"] or NOTHING)
        rows.append(Row(tuple(cells), colour=d.colours[row["method"]]))
    heads = ("strict", "challenge", "Δ")
    return Table(
        name="profile_differences",
        title="What the choice of profile changes, all images",
        header=("Method", "n", "Dropped", "Differ", *heads, *heads, "Why"),
        rows=tuple(rows),
        frame=frame,
        spans=(("", 4), ("Median F1", 3), ("Mean F1", 3), ("", 1)),
        text=frozenset({0, 10}),
        notes=(
            "Dropped, images that the challenge profile leaves out; differ, other images whose "
            "F1 differs by more than the four decimals that it keeps; Δ, challenge − strict.",
        ),
    )


def reasons(d: Comparison) -> dict[str, str]:
    """Say for each method with a difference why, such as ``"2 timeout; 1 both empty"``.

    Masks of differing cases are opened to learn their size.
    """
    strict = by_key(d.run.main, "method", "case")
    counts: dict[str, Counter[str]] = {}
    for row in records(d.differing):
        score = strict[row["method"], row["case"]]
        reason = _reason(d.run, score, row["status_challenge"])
        counts.setdefault(row["method"], Counter())[reason] += 1
    return {
        method: "; ".join(f"{n} {reason}" for reason, n in counter.most_common())
        for method, counter in counts.items()
    }


def _reason(run: RunData, score: Record, status_challenge: str) -> str:
    if score["status"] not in SEGMENTED:
        return f"failed ({score['status']})"
    if status_challenge not in SEGMENTED:
        return f"not scored by the official script ({status_challenge})"
    if score.get("n_true") == 0 and score.get("n_pred") == 0:
        return "without cells on either side"
    try:
        mask = read_label(run.prediction(score["method"], score["case"]))
    except (ImageError, OSError):
        return "not explained (mask not readable)"
    return "scored in patches" if is_patched(mask) else "other"
