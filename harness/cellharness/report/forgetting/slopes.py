"""Paired slopes: every case before and after a training, by modality, unseen beside seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from cellharness.report.boxes import RASTERISE_ABOVE
from cellharness.report.forgetting.findings import Findings
from cellharness.report.forgetting.look import GAIN_COLOUR, LOSS_COLOUR
from cellharness.report.forgetting.study import Study
from cellharness.report.layout import (
    KEY_ROW_MM,
    draw_key,
    f1_axis,
    keys_per_row,
    letter,
    panel_grid,
    panels,
    place,
)
from cellharness.report.records import by_key
from cellharness.report.style import GREY, INK
from cellharness.report.wording import absent, f1_at
from cellharness.statistics.staged_scores import SEEN, UNSEEN, Group

_LEVEL_COLOUR = "#8c8c8c"
#: Where before and after stand, for either part.
_PLACES: Mapping[str, tuple[float, float]] = {UNSEEN: (0.0, 1.0), SEEN: (2.0, 3.0)}
_HEIGHT_MM = 36.0

Floats = NDArray[np.float64]


def slope_figure(study: Study, findings: Findings, remedy: str, width_mm: float) -> Figure:
    """Draw one line a case from its F1 before to that after a training, medians over them.

    Parameters
    ----------
    study, findings
        The study and its measures.
    remedy : str
        One of those with scores.
    width_mm : float
        Printed width.
    """
    table, main = findings.table, study.record.main
    pair = next(pair for pair in table.pairs(main) if pair.remedy == remedy)
    medians = by_key(
        findings.changes[findings.changes["level"] == "modality"], "remedy", "modality", "seen"
    )
    groups = {
        (group.modality, group.seen): group
        for group in table.groups(("modality",))
        if group.seen in _PLACES
    }
    samples = _samples()
    grid = panel_grid(len(study.modalities), width_mm, 37.0)
    per_row = keys_per_row([str(s.get_label()) for s in samples], width_mm - 10)
    above = -(-len(samples) // per_row) * KEY_ROW_MM + 1
    figure, axes = panels(grid, len(study.modalities), width_mm, _HEIGHT_MM, 9.5, above)
    rasterise = len(table.cases) > RASTERISE_ABOVE
    for i, (modality, ax) in enumerate(zip(study.modalities, axes, strict=True)):
        sizes = []
        for part in _PLACES:
            row = medians[remedy, modality, part]
            group = groups[modality, part]
            _cases(ax, pair.before, pair.after, group, rasterise=rasterise)
            _median(ax, part, row["median_before"], row["median_after"])
            sizes.append(f"{row['n_images']:,} {part}")
        rows, column = place(grid, i, len(study.modalities))
        _axis(ax, named=rows == grid.rows - 1)
        f1_axis(ax, column == 0, f1_at(study.run.threshold))
        letter(ax, i, modality, ", ".join(sizes))
    draw_key(figure, samples, 8.0, per_row, sample=1.8)
    return figure


def _cases(ax: Axes, before: Floats, after: Floats, group: Group, *, rasterise: bool) -> None:
    """Draw a line a case; those that lost lie on top, as they are what is looked for."""
    first, last = before[group.rows], after[group.rows]
    paired = ~(np.isnan(first) | np.isnan(last))
    first, last = first[paired], last[paired]
    start, end = _PLACES[group.seen]
    if not first.size:
        ax.text((start + end) / 2, 0.5, "no case", ha="center", va="center", color=GREY)
        return
    alpha = float(np.clip(8 / first.size, 0.25, 0.75))
    for colour, chosen in (
        (_LEVEL_COLOUR, first == last),
        (GAIN_COLOUR, last > first),
        (LOSS_COLOUR, last < first),
    ):
        ends = [[(start, a), (end, b)] for a, b in zip(first[chosen], last[chosen], strict=True)]
        style: dict[str, Any] = {"alpha": alpha, "rasterized": rasterise, "clip_on": False}
        ax.add_collection(LineCollection(ends, colors=colour, linewidths=0.7, zorder=2, **style))
        for x, values in ((start, first[chosen]), (end, last[chosen])):
            ax.scatter(np.full(values.size, x), values, s=3.5, c=colour, lw=0, zorder=2, **style)


def _median(ax: Axes, part: str, before: float, after: float) -> None:
    if absent(before) or absent(after):
        return
    line: dict[str, Any] = {"color": INK, "lw": 1.5, "solid_capstyle": "round", "clip_on": False}
    # A white casing keeps it readable over a thicket of lines.
    ax.plot(_PLACES[part], (before, after), **(line | {"color": "white", "lw": 2.5}), zorder=3)
    ax.plot(_PLACES[part], (before, after), **line, marker="o", ms=3.6, mec="white", mew=0.6,
            zorder=4)  # fmt: skip


def _axis(ax: Axes, *, named: bool) -> None:
    ax.set_xlim(-0.25, 3.25)
    ax.tick_params(axis="x", length=2)
    places = [x for pair in _PLACES.values() for x in pair]
    ax.set_xticks(places, ["before", "after"] * len(_PLACES) if named else [""] * len(places))
    ax.spines["bottom"].set_visible(False)
    for part, (start, end) in _PLACES.items():
        ax.plot([start, end], [-0.04, -0.04], color=INK, lw=0.5, clip_on=False)
        if named:
            ax.annotate(
                part, ((start + end) / 2, 0), (0, -13.5), xycoords=("data", "axes fraction"),
                textcoords="offset points", ha="center", va="top", fontweight="bold",
                annotation_clip=False,
            )  # fmt: skip


def _samples() -> list[Line2D]:
    kinds = (("Case that lost", LOSS_COLOUR, 0.9), ("Case that gained", GAIN_COLOUR, 0.9),
             ("Unchanged", _LEVEL_COLOUR, 0.9), ("Median", INK, 1.5))  # fmt: skip
    return [
        Line2D([], [], color=colour, lw=width, marker="o", ms=3 if width < 1 else 3.6, mew=0,
               label=label)
        for label, colour, width in kinds
    ]  # fmt: skip
