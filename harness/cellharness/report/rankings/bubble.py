"""Accuracy against time and memory: the paper's Fig. 3b."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.colors import to_rgba

from cellharness.report import lettering
from cellharness.report.rankings.bubble_names import place_names
from cellharness.report.rankings.bubble_scale import MIB_PER_GIB, key_sizes, plan_scale
from cellharness.report.rankings.costs import GPU, HOST
from cellharness.report.rankings.panel import Panel
from cellharness.report.rankings.ranked import Ranked
from cellharness.report.records import records
from cellharness.report.sheet import Sheet
from cellharness.report.style import GREY, HAIRLINE, LineStyle
from cellharness.statistics import ALL

_HEAD_MM, _LEFT_MM, _RIGHT_MM, _BELOW_MM = 7.0, 10.5, 3.0, 8.5
#: Lowest panel that leaves room for the plot.
LEAST_HEIGHT_MM = 44.0
#: Up to so many methods are named beside their bubbles, more are numbered.
MOST_NAMED = 12
# Radius of the largest bubble where methods are named, and where they are numbered.
_LARGEST_MM = {True: 3.1, False: 2.6}
_POINT_MM = 25.4 / 72
_OPACITY = 0.45


def points_of(ranked: Ranked) -> pd.DataFrame:
    """Give what the bubbles show.

    Returns
    -------
    DataFrame
        ``method, number`` (place in the order of the ranking, from 1), ``median_f1, seconds,
        memory_mb, memory_of``, best first; only methods with a median and a time.
    """
    medians = ranked.groups[ALL].table[["method", "median_f1"]]
    points = medians.assign(number=range(1, len(medians) + 1)).merge(ranked.costs, on="method")
    points = points[points["median_f1"].notna() & (points["seconds"] > 0)]
    return points.reset_index(drop=True)


def bubble_panel(
    ranked: Ranked,
    styles: Mapping[str, LineStyle],
    width_mm: float,
    height_mm: float = LEAST_HEIGHT_MM,
) -> Panel | None:
    """Draw a bubble a method: median seconds across, median F1 up, area the peak of memory.

    GPU memory is a filled bubble; of a method that used no GPU, host memory is a hollow one. Where
    memory was not measured there is a small cross.

    Parameters
    ----------
    ranked : Ranked
        Rankings of the run.
    styles : mapping of str to LineStyle
        Colours of the methods.
    width_mm, height_mm : float
        Of the panel.

    Returns
    -------
    Panel or None
        None where no method has both a score and a time.
    """
    points = points_of(ranked)
    if points.empty:
        return None
    rows = records(points)
    named = len(rows) <= MOST_NAMED
    biggest = float(points["memory_mb"].max())
    unit = _LARGEST_MM[named] / math.sqrt(biggest) if biggest > 0 else 0.0
    radii = [unit * math.sqrt(r["memory_mb"]) if r["memory_mb"] > 0 else 0.0 for r in rows]
    up, across = height_mm - _HEAD_MM - _BELOW_MM, width_mm - _LEFT_MM - _RIGHT_MM
    scale = plan_scale(points, across, up)
    names = place_names(
        [ranked.run.labels[row["method"]] if named else str(row["number"]) for row in rows],
        [scale.place(row["seconds"], row["median_f1"]) for row in rows],
        radii,
        (across + _RIGHT_MM - 0.5, up),
    )

    def draw(sheet: Sheet, x: float, y: float) -> None:
        ax = sheet.axes(x + _LEFT_MM, y + _HEAD_MM, across, up)
        scale.apply(ax)
        # Small ones over large ones.
        for row, radius in sorted(zip(rows, radii, strict=True), key=lambda pair: -pair[1]):
            colour = styles[row["method"]].colour
            _bubble(ax, row["seconds"], row["median_f1"], radius, colour, row["memory_of"])
        names.write(ax, across, up)
        if unit:
            _key(sheet, x + _LEFT_MM, y, unit, biggest, set(points["memory_of"]))

    return Panel(width_mm, height_mm, draw)


def _bubble(ax: Axes, x: float, y: float, radius: float, colour: str, kind: str) -> None:
    if radius <= 0:
        ax.plot(x, y, "+", color=colour, ms=4, mew=0.8, zorder=3)
        return
    size = [2 * radius / _POINT_MM]
    filled = kind == GPU
    ax.add_collection(
        EllipseCollection(
            size, size, [0], units="points", offsets=[(x, y)], offset_transform=ax.transData,
            facecolors=[to_rgba(colour, _OPACITY if filled else 0.0)], edgecolors=[colour],
            linewidths=0.7 if filled else 1.0, zorder=2, clip_on=False,
        ),
        autolim=False,
    )  # fmt: skip
    ax.plot(x, y, ".", color=colour, ms=1.6, zorder=3)


def _key(sheet: Sheet, left: float, y: float, unit: float, biggest: float, kinds: set[str]) -> None:
    """Show what the areas mean, over the plot."""
    room = sheet.width - left
    ax = sheet.axes(left, y - 0.6, room, _HEAD_MM)
    ax.set_xlim(0, room)
    ax.set_ylim(0, _HEAD_MM)
    ax.set_axis_off()
    kind = GPU if GPU in kinds else HOST
    x, middle = 0.0, 0.55 * _HEAD_MM
    style: dict[str, Any] = {"va": "center_baseline", "fontsize": 6.5, "color": GREY}
    for size in key_sizes(biggest):
        radius = unit * math.sqrt(size * MIB_PER_GIB)
        _bubble(ax, x + radius, middle, radius, HAIRLINE if kind == GPU else GREY, kind)
        x += 2 * radius + 0.7
        ax.text(x, middle, f"{size:g}", **style)
        x += lettering.width_mm(f"{size:g}", 6.5) + 1.8
    words = f"GiB of {kind} memory"
    if {GPU, HOST} <= kinds:
        words = "GiB, GPU (filled) or host (hollow)"
    ax.text(x, middle, words, **style)
