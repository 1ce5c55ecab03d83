"""Dot-and-box figures in the manner of the paper's Fig. 4a-e, and the published medians."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.ledger import SEGMENTED
from harness.report.layout import (
    TickLabels,
    f1_axis,
    fit_labels,
    letter,
    panels,
    place,
    plan,
)
from harness.report.loading import RunData
from harness.report.records import group_title
from harness.report.style import GREY, INK, MethodStyle
from harness.report.wording import count, f1_at
from harness.statistics import ALL

# Below this many values a box would pretend to know the quartiles.
_LEAST_FOR_BOX = 5
_RASTERISE_ABOVE = 3000


def distribution_figure(run: RunData, styles: dict[str, MethodStyle], width_mm: float) -> Figure:
    """Draw one dot an image and one box a method, all images first, then each modality.

    As in the paper's Fig. 3a and 4a-e the box spans the quartiles, its line is the median, and
    the whiskers reach the last value within 1.5 interquartile ranges. Cases without a mask are
    crosses at their value; with fewer than five values there is a median line and no box.

    Parameters
    ----------
    run : RunData
        Scores of the main profile and threshold are drawn.
    styles : dict of str to MethodStyle
        Colour of each method.
    width_mm : float
        Printed width.
    """
    scores = run.main
    groups = groups_of(run)
    names = [run.labels[m] for m in run.methods]
    grid = plan(len(groups), width_mm, max(24.0, 5.2 * len(names) + 10))
    labels = fit_labels(names, grid.panel_mm / len(names) - 0.5)
    failed = ~scores["status"].isin(SEGMENTED)
    figure, axes = panels(
        grid, len(groups), width_mm, 36.0, labels.height_mm, above_mm=4.0 if failed.any() else 0.0
    )
    rasterise = len(scores) > _RASTERISE_ABOVE
    for i, (group, ax) in enumerate(zip(groups, axes, strict=True)):
        here = scores if group == ALL else scores[scores["modality"] == group]
        for x, method in enumerate(run.methods):
            rows = here[here["method"] == method]
            _dots_and_box(ax, x, rows, styles[method].colour, rasterise)
        row, column = place(grid, i, len(groups))
        _method_axis(ax, labels if row == grid.rows - 1 else None, len(names))
        f1_axis(ax, column == 0, f1_at(run.threshold))
        letter(ax, i, group_title(group), count(here["case"].nunique(), "image"))
    if failed.any():
        _key(figure, width_mm)
    return figure


def groups_of(run: RunData) -> list[str]:
    """Name the groups worth a panel: a run of one modality has no separate overall group."""
    modalities = [group for group in run.groups if group != ALL]
    return modalities if len(modalities) == 1 else [ALL, *modalities]


def published_figure(values: pd.DataFrame, width_mm: float) -> Figure:
    """Draw the published medians with their interquartile ranges, in grey and with open marks.

    Parameters
    ----------
    values : DataFrame
        From `harness.report.published.published`.
    width_mm : float
        Printed width.
    """
    groups = list(dict.fromkeys(values["modality"]))
    methods = list(dict.fromkeys(values["method"]))
    grid = plan(len(groups), width_mm, max(24.0, 3.2 * len(methods) + 7))
    labels = fit_labels(methods, grid.panel_mm / len(methods) - 0.5)
    figure, axes = panels(grid, len(groups), width_mm, 30.0, labels.height_mm)
    for i, (group, ax) in enumerate(zip(groups, axes, strict=True)):
        rows = values[values["modality"] == group].set_index("method").reindex(methods)
        ax.set_facecolor("#f5f5f5")
        at = np.flatnonzero(rows["median_f1"].notna())
        ax.vlines(at, rows["q1"].iloc[at], rows["q3"].iloc[at], color=GREY, lw=0.8)
        ax.plot(
            at, rows["median_f1"].iloc[at], "D", ms=4, mfc="white", mec=GREY, mew=0.8, ls="none"
        )
        row, column = place(grid, i, len(groups))
        _method_axis(ax, labels if row == grid.rows - 1 else None, len(methods))
        f1_axis(ax, column == 0, "Median F1")
        letter(ax, i, group_title(group), count(int(rows["n"].iloc[0]), "image"))
    return figure


def _dots_and_box(ax: Axes, x: float, rows: pd.DataFrame, colour: str, rasterise: bool) -> None:
    rows = rows[rows["f1"].notna()]
    values = rows["f1"].to_numpy(float)
    if not values.size:
        return
    # Seeded, so that the same scores give the same picture.
    jitter = np.random.default_rng(0).uniform(-0.27, 0.27, values.size) * (values.size > 1)
    masked = rows["status"].isin(SEGMENTED).to_numpy()
    size = float(np.clip(140 / values.size, 1.2, 7.0))
    ax.scatter(
        x + jitter[masked], values[masked], s=size, c=colour, alpha=0.65, lw=0,
        rasterized=rasterise, clip_on=False, zorder=2,
    )  # fmt: skip
    ax.scatter(
        x + jitter[~masked], values[~masked], s=max(size, 5.0), c=colour, marker="x", lw=0.6,
        rasterized=rasterise, clip_on=False, zorder=2,
    )  # fmt: skip
    if values.size >= _LEAST_FOR_BOX:
        line = {"color": INK, "lw": 0.7}
        q1, q3 = np.percentile(values, (25, 75))
        ax.fill_between([x - 0.31, x + 0.31], q1, q3, color=colour, alpha=0.18, lw=0, zorder=1)
        ax.boxplot(
            [values], positions=[x], widths=0.62, whis=1.5, showfliers=False, manage_ticks=False,
            boxprops=line, whiskerprops=line, capprops=line,
            medianprops={"color": INK, "lw": 1.6, "solid_capstyle": "butt"}, zorder=3,
        )  # fmt: skip
    else:
        ax.hlines(np.median(values), x - 0.31, x + 0.31, color=INK, lw=1.0, zorder=1)


def _method_axis(ax: Axes, labels: TickLabels | None, n: int) -> None:
    ax.set_xlim(-0.6, n - 0.4)
    ax.tick_params(axis="x", length=0)
    if labels is None:
        ax.set_xticks([])
        return
    turned: dict[str, Any] = {}
    if labels.angle:
        turned = {"rotation": labels.angle, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(range(n), labels.texts, linespacing=1.1, **turned)


def _key(figure: Figure, width_mm: float) -> None:
    height_mm = figure.get_size_inches()[1] * 25.4
    figure.text(
        10 / width_mm, 1 - 2.6 / height_mm, "Dot, one image; ×, failed case (F1 = 0)",
        color=GREY, fontsize=6.5, va="center",
    )  # fmt: skip
