"""Remedies: what each keeps and gains, by itself and beside plain fine-tuning."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cellharness.analysis.findings import gain_verdict
from cellharness.printing import wording
from cellharness.printing.table import Row, Table
from cellharness.printing.wording import NOTHING, absent, p_value, with_interval
from cellharness.records import Record, by_key, records
from cellharness.report import layout
from cellharness.report.declare import Section
from cellharness.report.label_places import Box, place_labels
from cellharness.report.study.data import StudyReport, part_title
from cellharness.report.study.sentences import of_units
from cellharness.report.style import GREY, SMALL_PT, LineStyle
from cellharness.statistics.contrasts import HIGHER
from cellharness.statistics.estimates import how_tested, images_and_units, interval_head, n_head
from cellharness.statistics.plasticity import how_compared
from cellharness.statistics.staged_scores import SEEN, UNSEEN
from cellharness.vocabulary import PRETRAINED, PRETRAINED_LABEL

plane = Section("plane", "Stability and plasticity")
remedies = Section("remedies", "Remedies")

_LEFT_MM, _RIGHT_MM, _TOP_MM, _BELOW_MM = 14.5, 3.0, 8.0, 9.5
_LARGEST_MM, _LABEL_MM = 165.0, 2.6
_WHISKER_MM, _STEP_MM = 0.5, 1.0
# Beyond this a name needs a line to its point.
_FAR_MM = 3.0
_CORNER = "learns and keeps"

_ROW_MM, _GAP_MM = 5.2, 5.0
# Panels up to this width have room for few numbers under them.
_NARROW_MM = 32.0


@plane.figure(
    "plane",
    alt="Scatter plot of the change on unseen against the gain on seen experiments, one point a "
    "remedy with intervals; the numbers stand in the table below",
    caption="""Mean change of {{ d.score }}, paired by case, last epoch of each, {{ d.under }};
{{- " " + d.n_cases }} cases. Bars, {{ d.interval }} of either axis. Diamond, the weights before
training. Up and to the right is better.
{%- if d.mixed %} Dotted line, weights between those before and after, by mixing.{% endif %}""",
    when=lambda d: len(d.findings.parts) == 2,
)
def plane_figure(d: StudyReport, width_mm: float) -> Figure:
    """Draw one point a remedy with both intervals, weights before training at the origin."""
    points = {row["remedy"]: _Point(row) for row in records(d.findings.plane)}
    shown = [n for n in d.study.remedies if n in points and not np.isnan(points[n].at).any()]
    across = min(width_mm - _LEFT_MM - _RIGHT_MM, _LARGEST_MM)
    up = min(0.8 * across, 78.0)
    sheet = layout.Sheet(width_mm, _TOP_MM + up + _BELOW_MM)
    sheet.text(_LEFT_MM, 3.0, "All images", va="baseline")
    sheet.small(_LEFT_MM, 6.0, d.n_cases)
    ax = sheet.axes(_LEFT_MM, _TOP_MM, across, up)
    ends = [point.ends for name, point in points.items() if name in shown]
    for axis, name, values in (
        (ax.xaxis, "Gain on seen experiments (mean change of F1)", [end[0] for end in ends]),
        (ax.yaxis, "Change on unseen experiments (mean F1)", [end[1] for end in ends]),
    ):
        axis.axes.set(**{f"{axis.axis_name}lim": layout.limits_of(values, 0.1)})
        axis.set_major_formatter(layout.SIGNED)
        axis.set_major_locator(MaxNLocator(nbins=9 if across > 100 else 5))
        axis.set_label_text(name)
        axis.labelpad = 2
    layout.zero_line(ax)
    layout.zero_line(ax, vertical=True)
    path = [(0.0, 0.0), *(points[name].at for name in d.mixed if name in shown)]
    if len(path) > 2:
        ax.plot(*zip(*path, strict=True), color=GREY, lw=0.9, ls=(0, (1, 1.2)), zorder=1)
    ax.plot(0, 0, "D", ms=4.5, mfc="white", mec=GREY, mew=0.9, zorder=4)
    for name in shown:
        style, (x, y) = d.looks[name], points[name].at
        bar: dict[str, Any] = {"color": style.colour, "lw": 0.8, "alpha": 0.6, "zorder": 2}
        ax.plot(points[name].ends[0][1:], [y, y], **bar)
        ax.plot([x, x], points[name].ends[1][1:], **bar)
        ax.plot(x, y, style.marker, ms=5, mfc=style.colour, mec="white", mew=0.5, zorder=5)
    ax.annotate(
        _CORNER, (1, 1), (-2, -2), xycoords="axes fraction", textcoords="offset points",
        ha="right", va="top", color=GREY, fontsize=SMALL_PT, style="italic",
    )  # fmt: skip
    _name_points(ax, d, {name: points[name] for name in shown}, path, (across, up))
    return sheet.figure


class _Point:
    """A remedy: where it stands, and (value, low, high) of either axis, up being better."""

    def __init__(self, row: Record) -> None:
        self.ends = (
            (row["gain_seen"], row["gain_low"], row["gain_high"]),
            (-row["loss_unseen"], -row["loss_high"], -row["loss_low"]),
        )
        self.at = (self.ends[0][0], self.ends[1][0])


def _name_points(
    ax: Axes,
    d: StudyReport,
    points: Mapping[str, _Point],
    path: Sequence[tuple[float, float]],
    size: tuple[float, float],
) -> None:
    """Write the name of each point beside it, with a line where it is far."""
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()

    def mm(x: float, y: float) -> tuple[float, float]:
        return (x - x0) / (x1 - x0) * size[0], (y - y0) / (y1 - y0) * size[1]

    def bar(start: tuple[float, float], end: tuple[float, float]) -> Box:
        (left, bottom), (right, top) = mm(*start), mm(*end)
        half = _WHISKER_MM
        return Box(left - half, bottom - half, right + half, top + half)

    lines = [bar((x0, 0), (x1, 0)), bar((0, y0), (0, y1)), *_along([mm(*at) for at in path])]
    for point in points.values():
        (x, y), ((_, left, right), (_, low, high)) = point.at, point.ends
        lines += [bar((left, y), (right, y))] * (not absent(left))
        lines += [bar((x, low), (x, high))] * (not absent(low))
    # The corner is taken.
    lines += [Box(size[0] - layout.text_mm(_CORNER), size[1] - 4.0, *size)] * 20
    names = {PRETRAINED: PRETRAINED_LABEL} | {name: d.study.labels[name] for name in points}
    places = [mm(0.0, 0.0), *(mm(*point.at) for point in points.values())]
    boxes = place_labels(
        places,
        [(layout.text_mm(text), _LABEL_MM) for text in names.values()],
        Box(0.5, 0.5, size[0] - 0.5, size[1] - 0.5),
        lines,
    )
    scale = np.array(size)
    for (name, text), place, box in zip(names.items(), places, boxes, strict=True):
        colour = d.looks[name].colour
        # Thin letters look lighter than marks.
        red, green, blue = (0.72 * channel for channel in to_rgb(colour))
        x, y = np.array([box.left + box.right, box.bottom + box.top]) / 2 / scale
        ax.text(
            x, y, text, transform=ax.transAxes, ha="center", va="center_baseline", zorder=6,
            color=(red, green, blue), bbox={"fc": "white", "alpha": 0.75, "lw": 0, "pad": 0.3},
        )  # fmt: skip
        nearest = np.clip(place, (box.left, box.bottom), (box.right, box.top))
        if math.dist(nearest, place) > _FAR_MM:
            xs, ys = np.array([place, nearest]).T / scale[:, None]
            ax.plot(xs, ys, color=colour, lw=0.5, transform=ax.transAxes, zorder=1)


def _along(path: Sequence[tuple[float, float]]) -> Iterator[Box]:
    """Cover a line with small boxes."""
    for start, end in itertools.pairwise(path):
        steps = max(1, math.ceil(math.dist(start, end) / _STEP_MM))
        for x, y in np.linspace(start, end, steps + 1):
            yield Box(x - _STEP_MM / 2, y - _STEP_MM / 2, x + _STEP_MM / 2, y + _STEP_MM / 2)


@plane.words(look="empty")
def _no_plane(d: StudyReport) -> str:
    gone = [part for part in (UNSEEN, SEEN) if part not in d.findings.parts]
    none = f"No case of {' or '.join(gone)} experiments was scored before and after"
    return f"{none}, and the plot needs both." if gone else ""


@plane.table(folded=True)
def plane_table(d: StudyReport) -> Table:
    """Give the gain and the loss of every remedy."""
    frame, rows = d.findings.plane, []
    found = by_key(frame, "remedy")
    for name in (name for name in d.study.remedies if (name,) in found):
        row = found[name,]
        gain = wording.change_with_ends(row, "gain_seen", "gain")
        loss = wording.without_plus(wording.change_with_ends(row, "loss_unseen", "loss"))
        seen, unseen = f"{row['n_seen']:,}", f"{row['n_unseen']:,}"
        rows.append(d.row(name, str(row["stage"]), seen, gain, unseen, loss))
    head = interval_head(frame)
    return Table(
        "stability_plasticity", "Gain on seen and loss on unseen experiments, mean F1",
        ("Weights", "Epoch", "n seen", f"Gain on seen ({head})", "n unseen",
         f"Loss on unseen ({head})"),
        tuple(rows), d.labelled(frame),
    )  # fmt: skip


@remedies.figure(
    "forest",
    alt="Forest plot of each remedy against plain fine-tuning, unseen and seen experiments; the "
    "numbers stand in the table below",
    caption="""Mean difference of the change of {{ d.score }} to
{{- " " + d.study.labels[d.study.record.plain] }}, the same cases ({{ d.n_cases }}). Left, filled:
keeps significantly more. {{ how_tested(d.findings.comparison) }} Right, filled: comparable,
{{ d.how_compared }}; dotted, that margin.
{%- if d.findings.met_again %} Small marks: without the cases of experiments that the remedy met
again in training.{% endif %}""",
    when=lambda d: d.findings.comparison is not None,
)
def forest(d: StudyReport, width_mm: float) -> Figure:
    """Draw differences to plain fine-tuning with intervals: unseen to the left, seen to the right.

    Filled marks are what was shown: that the remedy keeps more, and that its gain is comparable.
    """
    rows, own = d.findings.against_plain, d.findings.met_again
    names = [name for name in d.study.remedies if name in rows]
    labels = [d.study.labels[name] for name in names]
    left = layout.left_room(labels, 14.0, 0.4 * width_mm)
    panel = (width_mm - left - 2.5 - _GAP_MM) / 2
    grid = layout.Grid(2, 1, panel, _GAP_MM, 0.0, left)
    key = layout.Key(_samples(again=bool(own)), width_mm - 4, sample=1.6)
    height = max(14.0, _ROW_MM * len(names))
    figure, (kept, gain) = layout.panels(grid, 2, width_mm, height, 9.5, key.height_mm)
    first = next(iter(rows.values()))
    margin = float(first[1]["margin"])
    plain = f"F1 above that of {d.study.labels[d.study.record.plain]}"
    parts = ((kept, "Kept more", UNSEEN, [0.0]), (gain, "Gained more", SEEN, [margin, -margin]))
    for i, (ax, title, part, marks) in enumerate(parts):
        whole = f"{part}, {of_units(first[i])}"
        fits = layout.text_mm(whole, SMALL_PT) <= panel - 3
        images = wording.count(first[i]["n_images"], "image")
        layout.letter(ax, i, title, whole if fits else f"{part}, {images}")
        layout.zero_line(ax, vertical=True)
        ax.set_ylim(len(names) - 0.4, -0.6)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        shown = [both[i] for both in rows.values()] + list(own.values()) * (ax is kept)
        ends = [row[end] for row in shown for end in ("estimate", "low", "high")]
        ax.set_xlim(*layout.limits_of([*ends, *marks], 0.08))
        ax.xaxis.set_major_formatter(layout.SIGNED)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=4 if panel > _NARROW_MM else 2))
        ax.set_xlabel(plain if layout.text_mm(plain) <= panel else "F1 above plain", labelpad=2)
        ax.set_yticks(range(len(names)), [""] * len(names))
    kept.set_yticklabels([layout.shorten(label, left - 2) for label in labels])
    for y, name in enumerate(names):
        (unseen, seen), style, again = rows[name], d.looks[name], own.get(name)
        _bar(kept, y - 0.16 * bool(again), unseen, style, unseen["verdict"] == HIGHER)
        if again is not None:
            _bar(kept, y + 0.2, again, style, again["verdict"] == HIGHER, small=True)
        _bar(gain, y, seen, style, seen["comparable"])
    for end in (margin, -margin):
        gain.axvline(end, color=GREY, lw=0.7, ls=(0, (1, 1.5)), zorder=0)
    key.draw(figure, 1.0)
    return figure


def _bar(
    ax: Axes, y: float, row: Record, style: LineStyle, filled: bool, *, small: bool = False
) -> None:
    """Draw one difference; a small one is the repeated comparison."""
    if absent(row["estimate"]):
        ax.text(0, y, "no case", va="center", ha="center", color=GREY, fontsize=SMALL_PT)
        return
    colour = style.colour
    ax.plot([row["low"], row["high"]], [y, y], color=colour, zorder=2, lw=0.7 if small else 1.1)
    ax.plot(
        row["estimate"], y, "o" if small else style.marker, ms=3.0 if small else 4.6, mec=colour,
        mew=0.9, zorder=3, mfc=colour if filled else "white",
    )  # fmt: skip


def _samples(*, again: bool) -> list[Line2D]:
    kinds = [("Shown", GREY, 4.6), ("Not shown", "white", 4.6)]
    kinds += [("Without what it met again", "white", 3.0)] * again
    return [
        Line2D([], [], marker="o", ms=size, mfc=fill, lw=size / 4.2, label=label, color=GREY,
               mec=GREY, mew=0.9)
        for label, fill, size in kinds
    ]  # fmt: skip


@remedies.words(look="empty")
def _not_compared(d: StudyReport) -> str:
    return d.findings.notes.get("comparison", "")


@remedies.table()
def remedy_table(d: StudyReport) -> Table | None:
    """Compare each remedy with plain fine-tuning; None where nothing could be compared."""
    comparison, own = d.findings.comparison, d.findings.comparison_own
    if comparison is None:
        return None
    rows, again = [], d.findings.met_again
    for name, (unseen, seen) in d.findings.against_plain.items():
        gain = (images_and_units(seen), with_interval(seen), gain_verdict(seen))
        rows.append(d.row(name, *_kept(unseen), *gain))
        if name in again:
            cells = ("without what it met again", *_kept(again[name]), *[NOTHING] * 3)
            rows.append(Row(cells, colour=d.looks[name].colour))
    frame, head = comparison, interval_head(comparison)
    if own is not None:
        both = [frame.assign(cases="all"), own.assign(cases="without what the remedy met again")]
        frame = pd.concat(both, ignore_index=True)
    return Table(
        "remedies", f"Each remedy against {d.study.labels[d.study.record.plain]}",
        ("Remedy", "n", f"Kept more ({head})", "p", "Loses less", "n", f"Gained more ({head})",
         "Gain"),
        tuple(rows), d.labelled(frame), measure="change of F1 less that of the reference",
        spans=(("", 1), (part_title(UNSEEN), 4), (part_title(SEEN), 3)), text=frozenset({0, 4, 7}),
        notes=(
            f"Differences of the mean change of the same images; {n_head(comparison)}. "
            f"{how_tested(comparison)} Gain: comparable where {how_compared(comparison)}; lower "
            "where it is significantly lower; else not shown."
            + (_REPLAY_NOTE if again else ""),
        ),
    )  # fmt: skip


def _kept(row: Record) -> tuple[str, ...]:
    return (
        images_and_units(row), with_interval(row), p_value(row["p_adjusted"]),
        "yes" if row["verdict"] == HIGHER else row["verdict"],
    )  # fmt: skip


_REPLAY_NOTE = (
    " Met again: a remedy that replays images of an experiment has trained on it, though not on "
    "the images scored; such a row leaves out its cases."
)
