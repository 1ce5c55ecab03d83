"""F1 against the IoU threshold: how strict a match each method survives."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cellharness.report.distributions import groups_of
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
from cellharness.report.loading import RunData
from cellharness.report.records import group_title
from cellharness.report.style import GREY, LineStyle
from cellharness.report.wording import count


def sweep_figure(
    run: RunData, summary: pd.DataFrame, styles: dict[str, LineStyle], width_mm: float
) -> Figure:
    """Draw each method's median F1 over images against the threshold, with its quartiles.

    Parameters
    ----------
    run : RunData
        Names and order.
    summary : DataFrame
        From `cellharness.statistics.summarise`, grouped by modality, all thresholds.
    styles : dict of str to LineStyle
        Colour, marker and dash pattern of each method.
    width_mm : float
        Printed width.

    Raises
    ------
    ValueError
        If fewer than two thresholds were scored.
    """
    rows = summary[summary["profile"] == run.profile]
    thresholds = sorted(rows["threshold"].unique())
    if len(thresholds) < 2:
        msg = f"a sweep needs at least two thresholds; scored were {thresholds}"
        raise ValueError(msg)
    groups = groups_of(run)
    grid = panel_grid(len(groups), width_mm, 33.0)
    samples = _samples(run, styles)
    per_row = keys_per_row([str(sample.get_label()) for sample in samples], width_mm - 10)
    key_rows = -(-len(samples) // per_row)
    figure, axes = panels(grid, len(groups), width_mm, 32.0, 10.0, key_rows * KEY_ROW_MM)
    for i, (group, ax) in enumerate(zip(groups, axes, strict=True)):
        here = rows[rows["modality"] == group]
        # Grey ones below those that the key names.
        for method in sorted(run.methods, key=lambda m: styles[m].colour != GREY):
            line = here[here["method"] == method].sort_values("threshold")
            style = styles[method]
            # Bands of many methods would only hide each other.
            if len(run.methods) <= 7:
                ax.fill_between(
                    line["threshold"], line["q1"], line["q3"], color=style.colour, alpha=0.13, lw=0
                )
            if style.colour == GREY:
                ax.plot(line["threshold"], line["median_f1"], color=GREY, lw=0.5, alpha=0.7)
                continue
            ax.plot(
                line["threshold"], line["median_f1"], color=style.colour, ls=style.linestyle,
                marker=style.marker, ms=2.6, mew=0, clip_on=False,
            )  # fmt: skip
        row, column = place(grid, i, len(groups))
        margin = 0.04 * (thresholds[-1] - thresholds[0])
        ax.set_xlim(thresholds[0] - margin, thresholds[-1] + margin)
        ax.set_xticks(_ticks(thresholds))
        if row == grid.rows - 1:
            ax.set_xlabel("IoU threshold", labelpad=2)
        else:
            ax.set_xticklabels([])
        f1_axis(ax, column == 0, "Median F1")
        n = int(here["n"].iloc[0])
        letter(ax, i, group_title(group), count(n, "image"))
    draw_key(figure, samples, 8.0, per_row)
    return figure


def _ticks(thresholds: list[float]) -> list[float]:
    tenths = [t for t in thresholds if abs(t * 10 - round(t * 10)) < 1e-6]
    return tenths if len(tenths) >= 2 else thresholds


def _samples(run: RunData, styles: dict[str, LineStyle]) -> list[Line2D]:
    """Name the methods that have a colour; the others are in the table."""
    samples = [
        Line2D([], [], color=styles[m].colour, ls=styles[m].linestyle, marker=styles[m].marker,
               ms=3, mew=0, label=run.labels[m])
        for m in run.methods if styles[m].colour != GREY
    ]  # fmt: skip
    grey = len(run.methods) - len(samples)
    if grey:
        samples.append(Line2D([], [], color=GREY, lw=0.5, label=count(grey, "other method")))
    return samples
