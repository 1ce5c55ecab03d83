"""Change of F1 over the epochs of the trainings, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cellharness.report.forgetting.findings import Findings
from cellharness.report.forgetting.look import SIGNED, span, style_sample, worth_showing, zero_line
from cellharness.report.forgetting.study import Study
from cellharness.report.layout import (
    KEY_ROW_MM,
    cut,
    draw_key,
    keys_per_row,
    letter,
    panel_grid,
    panels,
    place,
)
from cellharness.report.records import group_title
from cellharness.report.style import GREY, LineStyle
from cellharness.report.wording import count
from cellharness.statistics import ALL
from cellharness.statistics.staged_scores import SEEN, UNSEEN

#: More remedies than these share no panel.
MOST_TOGETHER = 4
_BAND_ALPHA = 0.14
_LOOKS: Mapping[str, dict[str, Any]] = {
    UNSEEN: {"mfc": "white", "ls": (0, (3, 1.2))},
    SEEN: {"ls": "solid"},
}


def followed(study: Study, findings: Findings) -> list[str]:
    """Trainings that were followed over epochs: weights made from others have none of their own."""
    return [name for name in findings.trained if not study.remedies[name].is_derived]


def shown_together(study: Study, findings: Findings) -> list[str]:
    """Trainings that share the panels of `curve_figure`."""
    names = followed(study, findings)
    if len(names) <= MOST_TOGETHER:
        return names
    return [name for name in names if name in (findings.subject, findings.best)]


def curve_figure(
    study: Study, findings: Findings, styles: Mapping[str, LineStyle], width_mm: float
) -> Figure:
    """Draw the mean change since the start against the epoch, one panel a modality and part.

    Parameters
    ----------
    study, findings
        The study and its measures.
    styles : mapping of str to LineStyle
        Look of each remedy.
    width_mm : float
        Printed width.
    """
    names = shown_together(study, findings)
    rows = findings.curves[findings.curves["remedy"].isin(names)]
    groups = [
        (part, group)
        for part in (UNSEEN, SEEN)
        for group in worth_showing(study.modalities)
        if findings.cases(group, part)
    ]
    samples: list[Artist] = [style_sample(study.labels[name], styles[name]) for name in names]
    per_row = keys_per_row([study.labels[name] for name in names], width_mm - 12)
    above = -(-len(names) // per_row) * KEY_ROW_MM + 1
    grid = panel_grid(len(groups), width_mm, 31.0, 12.0)
    figure, axes = panels(grid, len(groups), width_mm, 27.0, 9.5, above)
    limits = span(rows, ("change_low", "change_high", "change"))
    for i, ((part, group), ax) in enumerate(zip(groups, axes, strict=True)):
        here = rows[(rows["seen"] == part) & (rows["modality"] == group)]
        # Plain fine-tuning, the thickest, lies under the others.
        for name in names:
            style = styles[name]
            _line(ax, here[here["remedy"] == name], style, {"ls": style.linestyle})
        row, column = place(grid, i, len(groups))
        _axes(ax, rows, limits, named=row == grid.rows - 1, first=column == 0)
        n = count(findings.cases(group, part), "case")
        letter(ax, i, group_title(group) if group != ALL else "All", f"{part}, {n}")
    draw_key(figure, samples, 10.0, per_row)
    return figure


def remedy_curves_figure(
    study: Study, findings: Findings, styles: Mapping[str, LineStyle], width_mm: float
) -> Figure:
    """Draw one panel a remedy: its change on all cases of either part, plain fine-tuning in grey.

    Parameters
    ----------
    study, findings, styles, width_mm
        See `curve_figure`.
    """
    names = [name for name in followed(study, findings) if name != findings.subject]
    rows = findings.curves[findings.curves["modality"] == ALL]
    parts = [part for part in (UNSEEN, SEEN) if findings.has(part)]
    grid = panel_grid(len(names), width_mm, 36.0, 12.0)
    samples: list[Artist] = [
        Line2D([], [], color=GREY, marker="o", ms=3.4, mec=GREY, label=part.capitalize(),
               **({"mfc": GREY} | _LOOKS[part]))
        for part in parts
    ]  # fmt: skip
    samples.append(Line2D([], [], color=GREY, lw=0.9, label=study.labels[findings.subject]))
    per_row = keys_per_row([str(s.get_label()) for s in samples], width_mm - 12)
    above = -(-len(samples) // per_row) * KEY_ROW_MM + 1
    figure, axes = panels(grid, len(names), width_mm, 27.0, 9.5, above)
    limits = span(rows, ("change_low", "change_high", "change"))
    for i, (name, ax) in enumerate(zip(names, axes, strict=True)):
        for part in parts:
            here = rows[rows["seen"] == part]
            base = LineStyle("#a6a6a6", "", (), 0.9)
            _line(ax, here[here["remedy"] == findings.subject], base, _LOOKS[part], band=False)
            _line(ax, here[here["remedy"] == name], styles[name], _LOOKS[part])
        row, column = place(grid, i, len(names))
        _axes(ax, rows, limits, named=row == grid.rows - 1, first=column == 0)
        sizes = (f"{findings.cases(ALL, part):,} {part}" for part in parts)
        letter(ax, i, cut(study.labels[name], grid.panel_mm), ", ".join(sizes))
    draw_key(figure, samples, 10.0, per_row)
    return figure


def _line(
    ax: Axes, rows: pd.DataFrame, style: LineStyle, look: Mapping[str, Any], *, band: bool = True
) -> None:
    rows = rows[rows["change"].notna()].sort_values("stage")
    if rows.empty:
        return
    if band:
        ax.fill_between(
            rows["stage"], rows["change_low"], rows["change_high"], color=style.colour,
            alpha=_BAND_ALPHA, lw=0, zorder=1,
        )  # fmt: skip
    marker = style.marker or "none"
    marks: dict[str, Any] = {"marker": marker, "ms": 3.2, "mew": 0.8, "mec": style.colour}
    ax.plot(
        rows["stage"], rows["change"], color=style.colour, lw=style.width, clip_on=False,
        zorder=3 if band else 2, **(marks | dict(look)),
    )  # fmt: skip


def _axes(
    ax: Axes, rows: pd.DataFrame, limits: Sequence[float], *, named: bool, first: bool
) -> None:
    last = max(1.0, float(rows["stage"].max()))
    ax.set_xlim(-0.03 * last, 1.03 * last)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True, min_n_ticks=2))
    ax.set_ylim(*limits)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=5))
    ax.yaxis.set_major_formatter(SIGNED)
    zero_line(ax)
    if first:
        ax.set_ylabel("Change of mean F1", labelpad=2)
    else:
        ax.set_yticklabels([])
    if named:
        ax.set_xlabel("Epoch", labelpad=2)
    else:
        ax.set_xticklabels([])
