"""How scores moved: case by case from before to after, and over the epochs of the trainings."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cellharness.analysis.findings import BEST_RULE
from cellharness.printing.table import Row, Table, blocks
from cellharness.printing.wording import absent, change_with_ends, count, number
from cellharness.records import Record, by_key, records
from cellharness.report import layout
from cellharness.report.declare import Section
from cellharness.report.rows import RASTERISE_ABOVE
from cellharness.report.study.data import (
    GAIN_COLOUR,
    LOSS_COLOUR,
    StudyReport,
    part_title,
)
from cellharness.report.style import GREY, INK
from cellharness.statistics import ALL
from cellharness.statistics.estimates import interval_head
from cellharness.statistics.staged_scores import SEEN, UNSEEN, Floats

slopes = Section("slopes", "Case by case")
curves = Section("curves", "Over the epochs")

_LEVEL_COLOUR = "#8c8c8c"
#: Where before and after stand, for either part.
_PLACES: Mapping[str, tuple[float, float]] = {UNSEEN: (0.0, 1.0), SEEN: (2.0, 3.0)}
_MEDIAN_PT = 1.5
_SAMPLES = (("Case that lost", LOSS_COLOUR, 0.9), ("Case that gained", GAIN_COLOUR, 0.9),
            ("Unchanged", _LEVEL_COLOUR, 0.9), ("Median", INK, _MEDIAN_PT))  # fmt: skip
_BAND_ALPHA, _THIN_PT = 0.14, 0.7
#: How far a band is shown, in times the largest change.
_BAND_REACH = 2.0
# No figure is higher than this if it can be helped.
_HIGHEST_MM = 190.0

_SLOPE_ALT = (
    "Slope plots by modality, one line a case from its F1 before to that after training, unseen "
    "beside seen experiments; medians stand in the csv of the table above"
)
_SLOPE_CAPTION = (
    "{{ d.score }} of every case before and after, {{ d.under }}. Thick line, medians. Numbers "
    "over the panels, cases. For the tests see the heat map."
)


@slopes.figure(
    "slopes", alt=_SLOPE_ALT, caption=_SLOPE_CAPTION,
    heading="{{ d.stage_label(d.findings.subject) }}",
)  # fmt: skip
def subject_slopes(d: StudyReport, width_mm: float) -> Figure:
    """Draw the slopes of the subject."""
    return _slopes(d, d.findings.subject, width_mm)


@slopes.figure(
    "slopes_best", alt=_SLOPE_ALT, caption=_SLOPE_CAPTION + " Chosen is " + BEST_RULE + ".",
    heading="{{ d.stage_label(d.findings.best) }}", when=lambda d: d.findings.best is not None,
)  # fmt: skip
def best_slopes(d: StudyReport, width_mm: float) -> Figure:
    """Draw the slopes of the remedy beside it."""
    return _slopes(d, d.findings.best or "", width_mm)


def _slopes(d: StudyReport, remedy: str, width_mm: float) -> Figure:
    """Draw one line a case from its F1 before to that after a training, medians over them."""
    table, modalities = d.findings.table, d.study.modalities
    pair = next(p for p in table.pairs(d.study.record.main) if p.remedy == remedy)
    changes = d.findings.changes
    medians = by_key(changes[changes["level"] == "modality"], "remedy", "modality", "seen")
    groups = {(group.modality, group.seen): group.rows for group in table.groups(("modality",))}
    samples = [
        Line2D([], [], color=colour, lw=width, marker="o", ms=3.3, mew=0, label=label)
        for label, colour, width in _SAMPLES
    ]
    key = layout.Key(samples, width_mm - 10, sample=1.8)
    grid = layout.panel_grid(len(modalities), width_mm, 37.0)
    height = _height(grid, 36.0, key)
    figure, axes = layout.panels(grid, len(modalities), width_mm, height, 9.5, key.height_mm)
    for i, (modality, ax) in enumerate(zip(modalities, axes, strict=True)):
        here = {part: medians[remedy, modality, part] for part in _PLACES}
        for part, row in here.items():
            rows = groups[modality, part]
            _cases(ax, _PLACES[part], pair.before[rows], pair.after[rows], len(table.cases))
            _median(ax, _PLACES[part], row["median_before"], row["median_after"])
        line, column = grid.place(i, len(modalities))
        _before_after(ax, named=line == grid.rows - 1)
        layout.f1_axis(ax, column == 0, d.score)
        layout.letter(
            ax, i, modality, ", ".join(f"{r['n_images']:,} {part}" for part, r in here.items())
        )
    key.draw(figure, 8.0)
    return figure


def _height(grid: layout.Grid, wanted_mm: float, key: layout.Key) -> float:
    """Height of a panel, lower where there are many rows."""
    return max(15.0, min(wanted_mm, (_HIGHEST_MM - key.height_mm) / grid.rows - 12.0))


def _cases(
    ax: Axes, ends: tuple[float, float], before: Floats, after: Floats, n_drawn: int
) -> None:
    """Draw a line a case; those that lost lie on top, as they are what is looked for."""
    paired = ~(np.isnan(before) | np.isnan(after))
    before, after = before[paired], after[paired]
    if not before.size:
        ax.text(sum(ends) / 2, 0.5, "no case", ha="center", va="center", color=GREY)
        return
    style: dict[str, Any] = {
        "alpha": float(np.clip(8 / before.size, 0.25, 0.75)), "clip_on": False, "zorder": 2,
        "rasterized": n_drawn > RASTERISE_ABOVE,
    }  # fmt: skip
    for colour, chosen in (
        (_LEVEL_COLOUR, before == after),
        (GAIN_COLOUR, after > before),
        (LOSS_COLOUR, after < before),
    ):
        sides = list(zip(ends, (before[chosen], after[chosen]), strict=True))
        lines = np.stack([np.column_stack([np.full(y.size, x), y]) for x, y in sides], axis=1)
        ax.add_collection(LineCollection(list(lines), colors=colour, linewidths=0.7, **style))
        for x, y in sides:
            ax.scatter(np.full(y.size, x), y, s=3.5, c=colour, lw=0, **style)


def _median(ax: Axes, ends: tuple[float, float], before: float, after: float) -> None:
    if absent(before) or absent(after):
        return
    line: dict[str, Any] = {"solid_capstyle": "round", "clip_on": False}
    # A white casing keeps it readable over a thicket of lines.
    ax.plot(ends, (before, after), color="white", lw=_MEDIAN_PT + 1, zorder=3, **line)
    line |= {"marker": "o", "ms": 3.6, "mec": "white", "mew": 0.6, "zorder": 4}
    ax.plot(ends, (before, after), color=INK, lw=_MEDIAN_PT, **line)


def _before_after(ax: Axes, *, named: bool) -> None:
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


@curves.figure(
    "curves",
    alt="Line plots of the mean change of F1 since the start against the epoch by modality, unseen "
    "and seen experiments; the numbers stand in the table below",
    caption="""Mean change of {{ d.score }} since epoch 0, paired by case, {{ d.under }}. Band
{%- if d.banded != d.followed %} of {{ d.study.labels[d.findings.subject] }} alone{% endif %},
{{ d.interval }}, epoch by epoch: where it leaves 0, so does the curve at that epoch; cut
where it reaches further than twice the largest change. Marks without a line, scored at the end
alone.
{%- if d.followed != d.findings.trained | list %} Weights made from those of others have no epochs
of their own.{% endif %}""",
    when=lambda d: d.has_course,
)
def curve_figure(d: StudyReport, width_mm: float) -> Figure:
    """Draw the mean change since the start against the epoch, one panel a modality and part."""
    findings, names = d.findings, d.followed
    banded = d.banded
    rows = findings.curves[findings.curves["remedy"].isin(names)]
    looks = {
        name: d.looks[name] if name in banded else replace(d.looks[name], width=_THIN_PT)
        for name in names
    }
    key = layout.Key(
        [layout.line_sample(d.study.labels[name], looks[name]) for name in names], width_mm - 12
    )
    groups = {p: [g for g in d.study.groups if findings.cases(g, p)] for p in findings.parts}
    grid = layout.panel_grid(max(map(len, groups.values())), width_mm, 31.0, 14.5)
    shown: list[tuple[str, str] | None] = []
    for part, names_of in groups.items():
        # Each part begins a row of panels.
        shown += [(part, group) for group in names_of] + [None] * (-len(names_of) % grid.columns)
    grid = replace(grid, rows=len(shown) // grid.columns)
    height = _height(grid, 27.0, key)
    figure, axes = layout.panels(grid, len(shown), width_mm, height, 9.5, key.height_mm)
    with_band = rows[rows["remedy"].isin(banded)]
    # One wide interval would flatten all lines.
    most = _BAND_REACH * float(rows["change"].abs().max())
    ends = [with_band[end].clip(-most, most) for end in ("change_low", "change_high")]
    ends.append(rows["change"])
    limits = layout.limits_of(np.concatenate([column.to_numpy(float) for column in ends]))
    last = max(1.0, float(rows["stage"].max()))
    letters = itertools.count()
    for i, (place, ax) in enumerate(zip(shown, axes, strict=True)):
        if place is None:
            ax.remove()
            continue
        part, group = place
        here = rows[(rows["seen"] == part) & (rows["modality"] == group)]
        for name in names:
            # The subject, the thickest, lies under the others.
            mine = here[(here["remedy"] == name) & here["change"].notna()].sort_values("stage")
            style = looks[name]
            if name in banded:
                ax.fill_between(
                    mine["stage"], mine["change_low"], mine["change_high"], color=style.colour,
                    alpha=_BAND_ALPHA, lw=0, zorder=1,
                )  # fmt: skip
            ax.plot(
                mine["stage"], mine["change"], color=style.colour,
                ls=style.linestyle if len(mine) > 2 else "none", lw=style.width,
                marker=style.marker, ms=2.8, mew=0, clip_on=False, zorder=3,
            )  # fmt: skip
        ax.set_xlim(-0.03 * last, 1.03 * last)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True, min_n_ticks=2))
        ax.set_ylim(*limits)
        ax.yaxis.set_major_locator(MaxNLocator(nbins=5))
        ax.yaxis.set_major_formatter(layout.SIGNED)
        layout.zero_line(ax)
        if i % grid.columns == 0:
            ax.set_ylabel("Change of mean F1", labelpad=2)
        else:
            ax.set_yticklabels([])
        if i + grid.columns >= len(shown) or shown[i + grid.columns] is None:
            ax.set_xlabel("Epoch", labelpad=2)
        else:
            ax.set_xticklabels([])
        title = "All" if group == ALL else group
        layout.letter(
            ax, next(letters), title, f"{part}, {count(findings.cases(group, part), 'case')}"
        )
    key.draw(figure, 10.0)
    return figure


@curves.words(look="empty")
def _not_followed(d: StudyReport) -> str:
    return "No training was followed over epochs." * (not d.followed)


@curves.words(look="note")
def _two_points(d: StudyReport) -> str:
    told = "Weights were scored at the start and the end alone; the table has both."
    return told * (bool(d.followed) and not d.has_course)


@curves.table(folded=True)
def curve_table(d: StudyReport) -> Table:
    """Give mean F1 and its change at every epoch, over all cases of a part."""
    frame = d.findings.curves
    order = dict(zip(d.findings.trained, range(len(d.findings.trained)), strict=True))
    whole = frame[frame["modality"] == ALL]
    whole = whole.sort_values("remedy", key=lambda names: names.map(order), kind="stable")

    def row(mine: Record) -> Row:
        return d.row(
            mine["remedy"], str(mine["stage"]), str(mine["n"]), number(mine["mean"]),
            number(mine["median"]), change_with_ends(mine, "change", "change"),
        )  # fmt: skip

    rows = blocks(
        (part_title(part), map(row, records(whole[whole["seen"] == part])))
        for part in d.findings.parts
    )
    change = f"Mean change since epoch 0 ({interval_head(frame)})"
    return Table(
        "curves", "F1 over the epochs",
        ("Weights", "Epoch", "n", "Mean F1", "Median F1", change), rows, d.labelled(frame),
        notes=(f"All cases of a part; intervals by {d.unit}. The csv has modalities as well.",),
    )  # fmt: skip
