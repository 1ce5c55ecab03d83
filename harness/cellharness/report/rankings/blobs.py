"""How often each method takes each rank in the bootstrap samples: the paper's Fig. 3d."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection

from cellharness.report import lettering
from cellharness.report.rankings.panel import Panel
from cellharness.report.rankings.ranked import MAIN, Ranked
from cellharness.report.rankings.rows import HEAD_PT, plan_rows
from cellharness.report.sheet import Sheet
from cellharness.report.style import GREY, HAIRLINE, INK, LineStyle

_HEAD_MM, _BELOW_MM, _RIGHT_MM = 5.0, 8.5, 3.0
_KEY_SHARES = (1.0, 0.5, 0.1)
# Diameter for all samples in steps of the rows or ranks, and at most.
_LARGEST, _LARGEST_MM = 1.25, 4.0
_WIDEST_STEP = 3.2
_EDGE_MM = 0.5
_KEY_GAP_MM, _KEY_STEP_MM, _KEY_WORDS = 0.7, 2.2, "of samples"


def blob_panel(ranked: Ranked, styles: Mapping[str, LineStyle], width_mm: float) -> Panel:
    """Draw a circle a method and rank, its area the share of samples, by the main scheme.

    Parameters
    ----------
    ranked : Ranked
        Rankings of the run.
    styles : mapping of str to LineStyle
        Colours of the methods.
    width_mm : float
        Of the panel.
    """
    rows = plan_rows(ranked.order, ranked.run.labels, styles, width_mm)
    count = len(ranked.order)
    step = min((width_mm - rows.left_mm - _RIGHT_MM) / count, _WIDEST_STEP * rows.pitch_mm)
    largest = min(_LARGEST * min(step, rows.pitch_mm), _LARGEST_MM)
    shares = ranked.accuracy.frequencies()
    shares = shares[shares["scheme"] == MAIN]
    spread = ranked.accuracy.intervals(ranked.resampling.confidence)
    spread = spread[spread["scheme"] == MAIN].set_index("method").loc[list(ranked.order)]
    place = {method: i for i, method in enumerate(ranked.order)}

    def draw(sheet: Sheet, x: float, y: float) -> None:
        left, top = x + rows.left_mm, y + _HEAD_MM
        ax = sheet.axes(left, top, step * count, rows.height_mm)
        ax.set_xlim(0.5, count + 0.5)
        rows.scale(ax)
        at = shares["method"].map(place).to_numpy()
        ax.plot([1, count], [0, count - 1], color=GREY, lw=0.5, ls=(0, (1, 2)), zorder=0)
        sizes = largest * np.sqrt(shares["share"].to_numpy())
        _circles(ax, shares["rank"].to_numpy(float), at, sizes, [rows.colours[i] for i in at])
        lines = range(count)
        ax.hlines(lines, spread["low"], spread["high"], color=INK, lw=0.8, zorder=3)
        ax.plot(spread["median"], lines, "x", color=INK, ms=3, mew=0.9, ls="none", zorder=4)
        ax.set_xticks(rank_ticks(count))
        ax.set_xlabel("Rank", labelpad=2)
        rows.write_names(sheet, left, top)
        _key(sheet, min(left, x + width_mm - _key_mm(largest)), y, largest)

    return Panel(width_mm, _HEAD_MM + rows.height_mm + _BELOW_MM, draw)


def rank_ticks(count: int) -> list[int]:
    """Ranks to write at an axis: all of few, otherwise the first and every fifth.

    Examples
    --------
    >>> rank_ticks(3), rank_ticks(12)
    ([1, 2, 3], [1, 5, 10, 12])
    """
    if count <= 10:
        return list(range(1, count + 1))
    fifths = [tick for tick in range(5, count + 1, 5) if count - tick >= 2]
    return [1, *fifths, count]


def _circles(
    ax: Axes, x: np.ndarray, y: np.ndarray, sizes_mm: np.ndarray, colours: list[str]
) -> None:
    points = sizes_mm * 72 / 25.4
    circles = EllipseCollection(
        points, points, np.zeros(len(x)), units="points", offsets=np.column_stack([x, y]),
        offset_transform=ax.transData, facecolors=colours, alpha=0.55, linewidths=0, zorder=2,
        clip_on=False,
    )  # fmt: skip
    ax.add_collection(circles, autolim=False)
    ax.spines["bottom"].set_color(INK)
    ax.grid(visible=False)
    ax.set_axisbelow(True)


def _key(sheet: Sheet, left: float, y: float, largest: float) -> None:
    """Show what the areas mean."""
    ax = sheet.axes(left, y - 0.4, 40.0, 4.0)
    ax.set_xlim(0, 40.0)
    ax.set_ylim(0, 4.0)
    ax.set_axis_off()
    x = 0.0
    for share in _KEY_SHARES:
        size = _diameter(share, largest)
        _circles(ax, np.array([x + size / 2]), np.array([2.0]), np.array([size]), [HAIRLINE])
        x += size + _KEY_GAP_MM
        ax.text(x, 2.0, _percent(share), va="center_baseline", fontsize=HEAD_PT, color=GREY)
        x += lettering.width_mm(_percent(share), HEAD_PT) + _KEY_STEP_MM
    ax.text(x, 2.0, _KEY_WORDS, va="center_baseline", fontsize=HEAD_PT, color=GREY)


def _key_mm(largest: float) -> float:
    """Width of the key."""
    shares = sum(
        _diameter(share, largest) + lettering.width_mm(_percent(share), HEAD_PT)
        for share in _KEY_SHARES
    )
    gaps = len(_KEY_SHARES) * (_KEY_GAP_MM + _KEY_STEP_MM)
    return shares + gaps + lettering.width_mm(_KEY_WORDS, HEAD_PT) + _EDGE_MM


def _diameter(share: float, largest: float) -> float:
    return largest * float(np.sqrt(share))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
