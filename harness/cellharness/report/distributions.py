"""Dot-and-box figures in the manner of the paper's Fig. 4a-e, and the published medians."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cellharness.report.boxes import ORACLE, PLAIN, RASTERISE_ABOVE, dots_and_box, method_axis
from cellharness.report.layout import f1_axis, letter, panels, place, plan_named
from cellharness.report.loading import RunData
from cellharness.report.records import group_title
from cellharness.report.style import GREY, LineStyle
from cellharness.report.wording import count, f1_at
from cellharness.statistics import ALL
from cellharness.vocabulary import SEGMENTED


def distribution_figure(run: RunData, styles: dict[str, LineStyle], width_mm: float) -> Figure:
    """Draw one dot an image and one box a method, all images first, then each modality.

    After the paper's Fig. 3a and 4a-e; see `cellharness.report.boxes.dots_and_box`.

    Parameters
    ----------
    run : RunData
        Scores of the main profile and threshold are drawn.
    styles : dict of str to LineStyle
        Colour of each method.
    width_mm : float
        Printed width.
    """
    scores = run.main
    groups = groups_of(run)
    names = [run.labels[m] for m in run.methods]
    grid, labels = plan_named(len(groups), names, width_mm, max(24.0, 5.2 * len(names) + 10))
    failed = ~scores["status"].isin(SEGMENTED)
    figure, axes = panels(
        grid, len(groups), width_mm, 36.0, labels.height_mm, above_mm=4.0 if failed.any() else 0.0
    )
    rasterise = len(scores) > RASTERISE_ABOVE
    for i, (group, ax) in enumerate(zip(groups, axes, strict=True)):
        here = scores if group == ALL else scores[scores["modality"] == group]
        for x, method in enumerate(run.methods):
            rows = here[here["method"] == method]
            look = ORACLE if method in run.oracles else PLAIN
            dots_and_box(ax, x, rows, styles[method].colour, look, rasterise=rasterise)
        row, column = place(grid, i, len(groups))
        method_axis(ax, labels if row == grid.rows - 1 else None, len(names))
        f1_axis(ax, column == 0, f1_at(run.threshold))
        letter(ax, i, group_title(group), count(here["case"].nunique(), "image"))
    if failed.any():
        _key(figure, grid.left_mm)
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
        From `cellharness.report.published.published`.
    width_mm : float
        Printed width.
    """
    groups = list(dict.fromkeys(values["modality"]))
    methods = list(dict.fromkeys(values["method"]))
    grid, labels = plan_named(len(groups), methods, width_mm, max(24.0, 3.2 * len(methods) + 7))
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
        method_axis(ax, labels if row == grid.rows - 1 else None, len(methods))
        f1_axis(ax, column == 0, "Median F1")
        letter(ax, i, group_title(group), count(int(rows["n"].iloc[0]), "image"))
    return figure


def _key(figure: Figure, left_mm: float) -> None:
    width_mm, height_mm = figure.get_size_inches() * 25.4
    figure.text(
        left_mm / width_mm, 1 - 2.6 / height_mm, "Dot, one image; ×, failed case (F1 = 0)",
        color=GREY, fontsize=6.5, va="center",
    )  # fmt: skip
