"""Experiments that occur in the training split against those that do not: table and figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cellharness.report.boxes import RASTERISE_ABOVE, BoxLook, dots_and_box, method_axis
from cellharness.report.distributions import groups_of
from cellharness.report.layout import (
    KEY_ROW_MM,
    draw_key,
    f1_axis,
    keys_per_row,
    letter,
    panels,
    place,
    plan_named,
)
from cellharness.report.loading import RunData
from cellharness.report.records import Record, by_key, group_title
from cellharness.report.rendering import Row, Table
from cellharness.report.style import GREY, LineStyle
from cellharness.report.wording import NOTHING, f1_at, listing, number, spread
from cellharness.statistics import ALL, summarise
from cellharness.vocabulary import SEGMENTED

SEEN, UNSEEN, _NOT_STATED = "seen", "unseen", "not stated"
_KINDS = {"true": SEEN, "false": UNSEEN}

# Two boxes beside each other in the room of one method, which is 1 wide.
_OFFSET = 0.22
_LOOK = BoxLook(0.36, True, 0.38, dot_alpha=0.55, dot_scale=0.6, line_pt=0.5, few_median_pt=1.6)
_SIDES = (
    (SEEN, -_OFFSET, _LOOK),
    (UNSEEN, _OFFSET, replace(_LOOK, filled=False)),
)
#: Panels are lower where there are more rows of them than these: a page has 247 mm.
_MANY_ROWS = 4


def seen_table(run: RunData, colours: Mapping[str, str]) -> Table | None:
    """Split by whether the experiment occurs in the training split; None where not recorded."""
    scores = with_kinds(run)
    kinds = [k for k in (SEEN, UNSEEN, _NOT_STATED) if k in set(scores["seen"])]
    if kinds == [_NOT_STATED]:
        return None
    frame = summarise(scores, by=("modality", "seen"))
    frame.insert(1, "label", frame["method"].map(run.labels))
    frame = frame[frame["seen"] != ALL]
    found = by_key(frame, "modality", "method", "seen")
    rows = []
    for group in run.groups:
        rows.append(Row((group_title(group),), heading=True))
        for method in run.methods:
            cells = [run.labels[method]]
            for kind in kinds:
                row = found.get((group, method, kind))
                cells += ["0", *[NOTHING] * 3] if row is None else _cells(row)
            rows.append(Row(tuple(cells), colour=colours[method]))
    return Table(
        name="seen_unseen",
        title=f"{f1_at(run.threshold)} on seen and unseen experiments",
        header=("Method", *("n", "Failed", "Median F1", "IQR") * len(kinds)),
        rows=tuple(rows),
        frame=frame,
        spans=(("", 1), *((f"{kind.capitalize()} experiments", 4) for kind in kinds)),
        notes=(
            "Seen, the image's experiment has images in the training split of the manifest. "
            "It says what a method trained on that split has met; a method trained elsewhere "
            "has not necessarily met either." + _partly_trained(run.config),
        ),
    )


def _partly_trained(config: Mapping[str, Any]) -> str:
    """Name the trainings of the run that learned from a part of the training split only."""
    partly = [
        str(training.get("label") or training.get("name"))
        for training in config.get("training") or []
        if training.get("experiments") or training.get("modalities")
    ]
    if not partly:
        return ""
    return f" Trained in this run on a part of that split only, see Training: {listing(partly)}."


def both_occur(run: RunData) -> bool:
    """Whether there are images of seen and of unseen experiments."""
    return {SEEN, UNSEEN} <= set(with_kinds(run)["seen"])


def not_stated(run: RunData) -> int:
    """Count the images of which the score table does not say whether they were seen."""
    scores = with_kinds(run)
    return int(scores.loc[scores["seen"] == _NOT_STATED, "case"].nunique())


def seen_figure(run: RunData, styles: dict[str, LineStyle], width_mm: float) -> Figure:
    """Draw two boxes a method side by side: filled for seen, hollow for unseen experiments.

    Otherwise as `cellharness.report.distributions.distribution_figure`. Images of which the score
    table does not say whether their experiment was seen are left out.

    Parameters
    ----------
    run : RunData
        Scores of the main profile and threshold are drawn.
    styles : dict of str to LineStyle
        Colour of each method.
    width_mm : float
        Printed width.
    """
    scores = with_kinds(run)
    scores = scores[scores["seen"].isin((SEEN, UNSEEN))]
    groups = groups_of(run)
    names = [run.labels[m] for m in run.methods]
    grid, labels = plan_named(len(groups), names, width_mm, max(29.0, 5.2 * len(names) + 10))
    crosses = scores["f1"].notna() & ~scores["status"].isin(SEGMENTED)
    samples = _samples(failed=bool(crosses.any()))
    per_row = keys_per_row([str(s.get_label()) for s in samples], width_mm - grid.left_mm)
    above = -(-len(samples) // per_row) * KEY_ROW_MM + 1
    height = 36.0 if grid.rows < _MANY_ROWS else 28.0
    figure, axes = panels(grid, len(groups), width_mm, height, labels.height_mm, above)
    rasterise = len(scores) > RASTERISE_ABOVE
    for i, (group, ax) in enumerate(zip(groups, axes, strict=True)):
        here = scores if group == ALL else scores[scores["modality"] == group]
        parts = {kind: here[here["seen"] == kind] for kind, _, _ in _SIDES}
        for x, method in enumerate(run.methods):
            colour = styles[method].colour
            for kind, shift, look in _SIDES:
                rows = parts[kind][parts[kind]["method"] == method]
                dots_and_box(ax, x + shift, rows, colour, look, rasterise=rasterise)
        row, column = place(grid, i, len(groups))
        method_axis(ax, labels if row == grid.rows - 1 else None, len(names))
        f1_axis(ax, column == 0, f1_at(run.threshold))
        sizes = (f"{part['case'].nunique():,} {kind}" for kind, part in parts.items())
        letter(ax, i, group_title(group), ", ".join(sizes))
    draw_key(figure, samples, grid.left_mm - 2, per_row, sample=1.3)
    return figure


def with_kinds(run: RunData) -> pd.DataFrame:
    """Scores of the main profile and threshold, ``seen`` in words."""
    scores = run.main.copy()
    scores["seen"] = [_KINDS.get(str(seen).lower(), _NOT_STATED) for seen in scores["seen"]]
    return scores


def _samples(*, failed: bool) -> list[Artist]:
    edge: dict[str, Any] = {"edgecolor": GREY, "linewidth": 0.7}
    samples: list[Artist] = [
        Patch(facecolor="#c9c9c9", label="Seen experiments", **edge),
        Patch(facecolor="white", label="Unseen experiments", **edge),
    ]
    if failed:
        cross: dict[str, Any] = {"marker": "x", "ms": 3, "mew": 0.6, "ls": "none"}
        samples.append(Line2D([], [], color=GREY, label="Failed case (F1 = 0)", **cross))
    return samples


def _cells(row: Record) -> Sequence[str]:
    return (
        f"{row['n']:,}",
        f"{row['n_failed']:,}",
        number(row["median_f1"]),
        spread(row["q1"], row["q3"]),
    )
