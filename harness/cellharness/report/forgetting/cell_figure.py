"""Recall of the true cells before and after, by their size, contrast and density."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from cellharness.report.forgetting.cells import CellFindings
from cellharness.report.forgetting.findings import Findings
from cellharness.report.forgetting.look import say_nothing, style_sample
from cellharness.report.forgetting.study import Study
from cellharness.report.layout import (
    KEY_ROW_MM,
    Grid,
    draw_key,
    f1_axis,
    keys_per_row,
    letter,
    panels,
    place,
)
from cellharness.report.style import LineStyle
from cellharness.report.wording import count
from cellharness.statistics.staged_scores import SEEN, UNSEEN
from cellharness.vocabulary import PRETRAINED, PRETRAINED_LABEL

#: Property to title and axis.
_PROPERTIES = {
    "area": ("Size", "Area (px)"),
    "contrast": ("Contrast", "Contrast"),
    "density": ("Density", "Density"),
}
_LEFT_MM, _RIGHT_MM, _GAP_MM, _BETWEEN_MM = 10.0, 2.5, 5.0, 9.0


def cell_figure(
    study: Study,
    findings: Findings,
    cells: CellFindings,
    styles: Mapping[str, LineStyle],
    width_mm: float,
) -> Figure:
    """Draw recall in bins of a property: before, after the subject, after the remedy beside it.

    Parameters
    ----------
    study, findings, cells
        The study, its measures and its cells.
    styles : mapping of str to LineStyle
        Look of each remedy.
    width_mm : float
        Printed width.

    Raises
    ------
    ValueError
        If no cell was measured.
    """
    remedies = [name for name in (findings.subject, findings.best) if name is not None]
    parts = [part for part in (UNSEEN, SEEN) if (findings.subject, part) in cells.curves]
    if not parts:
        msg = "there is no cell to draw"
        raise ValueError(msg)
    names = [PRETRAINED, *remedies]
    labels = [PRETRAINED_LABEL, *(study.labels[name] for name in remedies)]
    samples: list[Artist] = [
        style_sample(label, styles[name]) for label, name in zip(labels, names, strict=True)
    ]
    per_row = keys_per_row(labels, width_mm - 12)
    above = -(-len(samples) // per_row) * KEY_ROW_MM + 1
    panel = min(54.0, (width_mm - _LEFT_MM - _RIGHT_MM - 2 * _GAP_MM) / len(_PROPERTIES))
    grid = Grid(len(_PROPERTIES), len(parts), panel, _GAP_MM, _BETWEEN_MM, _LEFT_MM)
    shown = [(part, name) for part in parts for name in _PROPERTIES]
    figure, axes = panels(grid, len(shown), width_mm, 28.0, 9.5, above)
    for i, ((part, prop), ax) in enumerate(zip(shown, axes, strict=True)):
        title, axis = _PROPERTIES[prop]
        curve = cells.curves[findings.subject, part]
        rows = curve[curve["property"] == prop]
        _line(ax, rows, "before", styles[PRETRAINED])
        for name in reversed(remedies):
            curve = cells.curves[name, part]
            _line(ax, curve[curve["property"] == prop], "after", styles[name])
        _, column = place(grid, i, len(shown))
        _scale(ax, prop, rows)
        f1_axis(ax, column == 0, "Recall")
        ax.set_xlabel(axis, labelpad=1)
        letter(ax, i, f"{title}, {part}", count(int(rows["n"].sum()), "cell"))
        if rows.empty:
            say_nothing(ax, "not known")
    draw_key(figure, samples, 8.0, per_row)
    return figure


def _line(ax: Axes, rows: pd.DataFrame, stem: str, style: LineStyle) -> None:
    if rows.empty:
        return
    ax.fill_between(
        rows["middle"], rows[f"{stem}_low"], rows[f"{stem}_high"], color=style.colour, alpha=0.13,
        lw=0, zorder=1,
    )  # fmt: skip
    ax.plot(
        rows["middle"], rows[f"recall_{stem}"], color=style.colour, ls=style.linestyle,
        lw=style.width, marker=style.marker, ms=3, mew=0, clip_on=False, zorder=3,
    )  # fmt: skip


def _scale(ax: Axes, prop: str, rows: pd.DataFrame) -> None:
    """Scale the horizontal axis; areas span orders of magnitude."""
    if rows.empty:
        ax.set_xticks([])
        return
    low, high = float(rows["middle"].min()), float(rows["middle"].max())
    if prop == "area" and low > 0:
        ax.set_xscale("log")
        ratio = max(high / low, 1.2)
        ax.set_xlim(low / ratio**0.07, high * ratio**0.07)
        # The ends tell the range; between them there may be no power of ten.
        middle = (low * high) ** 0.5
        ticks = [low, middle, high] if high / low > 4 else [low, high] if high > low else [low]
        ax.set_xticks(ticks)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{_rounded(value):,}"))
        ax.xaxis.set_minor_locator(NullLocator())
        return
    room = 0.07 * max(high - low, 0.02)
    ax.set_xlim(low - room, high + room)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=3, min_n_ticks=2))


def _rounded(area: float) -> int:
    """Keep two digits, which is what an axis needs."""
    return int(float(f"{area:.2g}"))
