"""Boxes and dots that lie: one row a method, the score along the horizontal axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cbook import boxplot_stats
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.patches import Rectangle

from cellharness.report.boxes import LEAST_FOR_BOX, RASTERISE_ABOVE
from cellharness.report.rankings.rows import Rows
from cellharness.report.style import INK
from cellharness.vocabulary import SEGMENTED

_HALF_BOX, _HALF_DOTS, _HALF_CAP = 0.32, 0.27, 0.14
_INK_PT, _MEDIAN_PT = 0.6, 1.5
_FILL, _DOT = 0.25, 0.55
_POINTS_PER_MM = 72 / 25.4

_Line = list[tuple[float, float]]


def draw_boxes(ax: Axes, rows: Rows, scores: pd.DataFrame) -> None:
    """Draw a dot an image, quartiles as a box and the median as a thick line, row by row.

    As `cellharness.report.boxes.dots_and_box` does upright: whiskers reach the last value within
    1.5 interquartile ranges, images without a mask are crosses, and fewer than five values have a
    median and no box.

    Parameters
    ----------
    ax : Axes
        Scaled by `Rows.scale`.
    rows : Rows
        Methods and their colours.
    scores : DataFrame
        Columns ``method``, ``f1``, ``status``; those without a number are not drawn.
    """
    scores = scores[scores["f1"].notna()]
    by_method = {str(name): block for name, block in scores.groupby("method", sort=False)}
    _draw_dots(ax, rows, by_method, rasterise=len(scores) > RASTERISE_ABOVE)
    boxes: list[Rectangle] = []
    fills: list[str] = []
    lines: list[_Line] = []
    medians: list[_Line] = []
    for y, (method, colour) in enumerate(zip(rows.methods, rows.colours, strict=True)):
        if method not in by_method:
            continue
        values = by_method[method]["f1"].to_numpy(float)
        middle = float(np.median(values))
        medians.append([(middle, y - _HALF_BOX), (middle, y + _HALF_BOX)])
        if values.size < LEAST_FOR_BOX:
            continue
        (found,) = boxplot_stats(values, whis=1.5)
        q1, q3 = found["q1"], found["q3"]
        boxes.append(Rectangle((q1, y - _HALF_BOX), q3 - q1, 2 * _HALF_BOX))
        fills.append(colour)
        for end, side in ((found["whislo"], q1), (found["whishi"], q3)):
            lines.append([(end, y), (side, y)])
            lines.append([(end, y - _HALF_CAP), (end, y + _HALF_CAP)])
    filled = PatchCollection(boxes, facecolors=fills, alpha=_FILL, linewidths=0, zorder=1)
    outlines = PatchCollection(
        boxes, facecolors="none", edgecolors=INK, linewidths=_INK_PT, zorder=3
    )
    ax.add_collection(filled, autolim=False)
    ax.add_collection(outlines, autolim=False)
    for shapes, width in ((lines, _INK_PT), (medians, _MEDIAN_PT)):
        drawn = LineCollection(
            shapes, colors=INK, linewidths=width, capstyle="butt", clip_on=False, zorder=3
        )
        ax.add_collection(drawn, autolim=False)


def score_axis(ax: Axes, label: str, *, few_ticks: bool = False) -> None:
    """Scale the horizontal axis for a score in 0..1, with a grid to read it by."""
    ax.set_xlim(-0.02, 1.02)
    ticks = [0, 0.5, 1] if few_ticks else [0, 0.2, 0.4, 0.6, 0.8, 1]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.spines["bottom"].set_bounds(0, 1)
    ax.set_xlabel(label, labelpad=2)
    for tick in ticks:
        ax.axvline(tick, color="#e4e4e4", lw=0.5, zorder=0)


def _draw_dots(
    ax: Axes, rows: Rows, by_method: Mapping[str, pd.DataFrame], *, rasterise: bool
) -> None:
    at, values, colours, masked = [], [], [], []
    for y, (method, colour) in enumerate(zip(rows.methods, rows.colours, strict=True)):
        block = by_method.get(method)
        if block is None:
            continue
        # Seeded, so that the same scores give the same picture.
        spread = np.random.default_rng(0).uniform(-_HALF_DOTS, _HALF_DOTS, len(block))
        at.append(y + spread * (len(block) > 1))
        values.append(block["f1"].to_numpy(float))
        masked.append(block["status"].isin(SEGMENTED).to_numpy())
        colours += [colour] * len(block)
    if not at:
        return
    x, y, whole = np.concatenate(values), np.concatenate(at), np.concatenate(masked)
    per_method = len(x) / len(at)
    # No larger than a third of the row, and smaller the more there are.
    most = (rows.pitch_mm / 3 * _POINTS_PER_MM) ** 2
    size = float(np.clip(140 / per_method, 0.8, min(7.0, most)))
    shade = np.array(colours, dtype=object)
    common: dict[str, Any] = {"clip_on": False, "rasterized": rasterise, "zorder": 2}
    ax.scatter(x[whole], y[whole], s=size, c=list(shade[whole]), alpha=_DOT, lw=0, **common)
    ax.scatter(
        x[~whole], y[~whole], s=max(size, 4.0), c=list(shade[~whole]), marker="x", lw=0.5, **common
    )


def failed_key(scores: pd.DataFrame) -> str:
    """Say what a cross is, where there is one."""
    failed = scores["f1"].notna() & ~scores["status"].isin(SEGMENTED)
    return "×, failed case (F1 = 0)" if failed.any() else ""
