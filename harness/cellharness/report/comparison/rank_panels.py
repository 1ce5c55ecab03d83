"""Panels of rankings: who beats whom, ranks in the samples, by scheme and by measure, and tau."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.patches import Patch, PathPatch, Rectangle
from matplotlib.path import Path
from numpy.typing import ArrayLike, NDArray

from cellharness.analysis.ranked import BETTER, LEVEL, MAIN, PAPER_SCHEMES, RAW, Column, Ranked
from cellharness.printing.wording import NOTHING, number, percent
from cellharness.report.layout import Key, Panel, Sheet, ink_on, shorten, text_mm
from cellharness.report.rows import Rows, plan_rows
from cellharness.report.style import GREY, INK, SMALL_PT, LineStyle

#: Colours and words of the states of a pair; the others are blank.
STATES = {
    BETTER: ("#2f4b7c", "row significantly better"),
    RAW: ("#e3a73a", "only before correction"),
    LEVEL: ("#e6e6e6", "not significant"),
}
# Over and under the rows of every panel, and to the right of them.
_HEAD_MM, _BELOW_MM, _RIGHT_MM = 4.6, 8.5, 9.0
_WIDEST_STEP, _HALF_CELL, _KEY_GAP_MM = 2.2, 0.46, 2.0
# Narrower columns than this are not all numbered.
_NUMBERED_MM = 3.0

# Circles: diameter for all samples, and shares in the key. Rows below `_LOW_MM` have finer marks.
_LARGEST_MM, _KEY_SHARES, _LOW_MM = 4.0, (1.0, 0.5, 0.1), 3.2

# Lines: room beside the outer schemes, and most that marks of one rank move apart, in steps.
_SIDE, _APART, _SCHEME_LINE_MM, _RANKS_MM = 0.4, 0.62, 2.9, 7.0

#: Share of the lowest taus that may lie beyond the axis.
TAU_CUT = 0.001
# Violins; fewer different values are bars: a smooth outline would invent the ones between.
_LEAST_PITCH_MM, _MOST_PITCH_MM, _HALF_VIOLIN, _FEWEST_FOR_OUTLINE = 5.0, 9.5, 0.42, 12
_TAU_RIGHT_MM, _TAU_GAP_MM = 12.0, 1.6
_FILLS = {"F1": "#7d9cc0", "time": "#c9a66b", "F1 and time": "#a9a9a9"}

# Ranks side by side: the ends of the map are white and nearly black.
_MAP, _LIGHTEST, _DARKEST = mpl.colormaps["YlGnBu"], 0.04, 0.82
_NO_RANK = (0.95, 0.95, 0.95, 1.0)
_BLOCK_GAP_MM, _WIDEST_CELL_MM, _OVER_MM = 2.5, 13.0, 4.0


def _rows(ranked: Ranked, styles: Mapping[str, LineStyle], width_mm: float) -> Rows:
    return plan_rows(ranked.order, ranked.run.labels, styles, width_mm)


def significance_panel(ranked: Ranked, styles: Mapping[str, LineStyle], width_mm: float) -> Panel:
    """Draw which method is significantly better than which: the paper's Fig. 3c."""
    rows, states = _rows(ranked, styles, width_mm), ranked.pair_states
    count = len(states)
    cell = min((width_mm - rows.left_mm - _RIGHT_MM) / count, _WIDEST_STEP * rows.pitch_mm)
    there = {state: look for state, look in STATES.items() if (states == state).any()}
    samples = [Patch(facecolor=colour, lw=0, label=words) for colour, words in there.values()]
    key = Key(samples, width_mm - 2.0, sample=1.0)

    def draw(sheet: Sheet, x: float, y: float) -> None:
        left, top = x + rows.left_mm, y + _HEAD_MM
        ax = sheet.axes(left, top, cell * count, rows.height_mm)
        ax.set_xlim(-0.5, count - 0.5)
        rows.scale(ax)
        ax.set_xticks([])
        ax.spines["bottom"].set_visible(False)
        for state, (colour, _) in there.items():
            _fill(ax, states == state, colour)
        ax.plot(range(count), range(count), ".", color=GREY, ms=1.5)
        for place in range(1, count + 1) if cell > _NUMBERED_MM else rank_ticks(count):
            sheet.small(left + (place - 0.5) * cell, top - 1.2, str(place), ha="center")
        rows.write_names(sheet, left, top)
        wins = (states == BETTER).sum(axis=1)
        rows.write_column(sheet, left + cell * count + 1.8, top, "Wins", [str(n) for n in wins])
        key.draw(sheet.figure, x + 1.0, top + rows.height_mm + _KEY_GAP_MM)

    height = _HEAD_MM + rows.height_mm + _KEY_GAP_MM + key.height_mm
    return Panel(width_mm, height, draw, "Row significantly better than column")


def _fill(ax: Axes, where: NDArray[np.bool_], colour: str) -> None:
    """Colour cells, all of a colour as one shape, which keeps the file small."""
    corners = _HALF_CELL * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)])
    cells = [Path(corners + np.array([j, i]), closed=True) for i, j in np.argwhere(where)]
    ax.add_patch(PathPatch(Path.make_compound_path(*cells), facecolor=colour, lw=0))


def frequency_panel(ranked: Ranked, styles: Mapping[str, LineStyle], width_mm: float) -> Panel:
    """Draw a circle a method and rank, its area the share of samples: the paper's Fig. 3d."""
    rows, count = _rows(ranked, styles, width_mm), len(ranked.order)
    # The last circle needs as much room beside it as the first.
    step = min((width_mm - rows.left_mm - _LARGEST_MM / 2) / count, 1.5 * rows.pitch_mm + 2)
    largest = min(1.9 * step, 1.25 * rows.pitch_mm, _LARGEST_MM)
    fine = 0.6 if rows.pitch_mm > _LOW_MM else 0.4
    shares = ranked.frequencies[ranked.frequencies["scheme"] == MAIN]
    spread = ranked.spread[ranked.spread["scheme"] == MAIN]
    spread = spread.set_index("method").loc[list(ranked.order)]
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
        ax.hlines(lines, spread["low"], spread["high"], color=INK, lw=fine, zorder=1)
        ax.plot(spread["median"], lines, "x", color=INK, ms=5 * fine, mew=1.4 * fine, zorder=4)
        ax.set_xticks(rank_ticks(count))
        ax.set_xlabel("Rank", labelpad=2)
        rows.write_names(sheet, left, top)
        _circle_key(sheet, left, x + width_mm, y, largest)

    height = _HEAD_MM + rows.height_mm + _BELOW_MM
    return Panel(width_mm, height, draw, f"Ranks in bootstrap samples, {MAIN}")


def rank_ticks(count: int) -> list[int]:
    """Ranks to write at an axis: all of few, otherwise the first and every fifth."""
    if count <= 10:
        return list(range(1, count + 1))
    fifths = [tick for tick in range(5, count + 1, 5) if count - tick >= 2]
    return [1, *fifths, count]


def _circles(ax: Axes, x: ArrayLike, y: ArrayLike, sizes_mm: ArrayLike, colours: list[str]) -> None:
    points = np.asarray(sizes_mm) * 72 / 25.4
    circles = EllipseCollection(
        points, points, np.zeros(len(points)), units="points", offsets=np.column_stack([x, y]),
        offset_transform=ax.transData, facecolors=colours, alpha=0.55, linewidths=0, zorder=2,
        clip_on=False,
    )  # fmt: skip
    ax.add_collection(circles, autolim=False)


def _circle_key(sheet: Sheet, left: float, right: float, y: float, largest: float) -> None:
    """Show what the areas mean, further to the left where it is long."""
    sizes = [largest * share**0.5 for share in _KEY_SHARES]
    texts = [percent(share) for share in _KEY_SHARES]
    texts[-1] += " of samples"
    widths = [size + 2.5 + text_mm(text, SMALL_PT) for size, text in zip(sizes, texts, strict=True)]
    room, at = sum(widths), 0.0
    ax = sheet.axes(min(left, right - room), y, room, _HEAD_MM - 0.6)
    ax.set(xlim=(0, room), ylim=(-1, 1))
    ax.set_axis_off()
    for size, text, width in zip(sizes, texts, widths, strict=True):
        _circles(ax, [at + size / 2], [0.0], [size], [GREY])
        ax.text(at + size + 0.7, 0, text, va="center_baseline", fontsize=SMALL_PT, color=GREY)
        at += width


def rank_line_panel(ranked: Ranked, styles: Mapping[str, LineStyle], width_mm: float) -> Panel:
    """Draw each method's rank by every scheme as a line: the paper's Fig. 3e."""
    rows, ranks = _rows(ranked, styles, width_mm), ranked.scheme_ranks
    count, schemes = ranks.shape
    shifts = np.column_stack([side_by_side(column) for column in ranks.T])
    across = width_mm - rows.left_mm - _RANKS_MM
    step = across / (schemes - 1 + 2 * _SIDE)
    parts = [scheme.replace("-", "-\n") for scheme in PAPER_SCHEMES]
    closest = max(
        (text_mm(one, SMALL_PT) + text_mm(two, SMALL_PT)) / 2
        for pair in pairwise(parts)
        for one, two in zip(*(part.split() for part in pair), strict=False)
    )
    upright = closest + 0.8 > step
    longest = max(text_mm(scheme, SMALL_PT) for scheme in PAPER_SCHEMES)
    words_mm = longest + 1.0 if upright else 3 * _SCHEME_LINE_MM + 2.0

    def draw(sheet: Sheet, x: float, y: float) -> None:
        left, top = x + rows.left_mm, y + _HEAD_MM
        ax = sheet.axes(left, top, across, rows.height_mm)
        ax.set_xlim(-_SIDE, schemes - 1 + _SIDE)
        ax.set_ylim(count + 0.5, 0.5)
        marks = 3.4 if rows.pitch_mm > _LOW_MM else 2.6
        # The best on top, the grey ones below all others.
        for i in reversed(range(count)):
            colour, xs = rows.colours[i], np.arange(schemes) + shifts[i]
            width, opacity, order = (0.6, 0.6, 1) if colour == GREY else (1.0, 1.0, 2)
            # From the name to the mark, which differ where the first scheme has ties.
            ax.plot(
                [-_SIDE, xs[0]], [i + 1, ranks[i, 0]], color=colour, lw=0.5, ls=(0, (1, 1)),
                zorder=order, alpha=0.8, clip_on=False,
            )  # fmt: skip
            ax.plot(
                xs, ranks[i], color=colour, lw=width, marker="o", ms=marks, mew=0, alpha=opacity,
                zorder=order + 0.5, clip_on=False,
            )  # fmt: skip
        ax.set_xticks([])
        for i, text in enumerate(PAPER_SCHEMES if upright else parts):
            sheet.text(
                left + (i + _SIDE) * step, top + rows.height_mm + 1.0, text, ha="center", va="top",
                fontsize=SMALL_PT, rotation=90 if upright else 0,
            )  # fmt: skip
        ax.spines[["bottom", "left"]].set_visible(False)
        ax.yaxis.tick_right()
        ax.set_yticks(rank_ticks(count))
        ax.tick_params(axis="y", length=2, color=GREY)
        sheet.small(left + across + 0.6, top - 1.2, "Rank")
        rows.write_names(sheet, left, top)

    height = _HEAD_MM + rows.height_mm + words_mm
    return Panel(width_mm, height, draw, "Ranks by F1 with each scheme")


def side_by_side(ranks: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Move the marks of equal ranks apart to both sides."""
    values = np.asarray(ranks)
    shifts = np.zeros(len(values))
    for rank in np.unique(values):
        tied = np.flatnonzero(values == rank)
        step = min(0.16, _APART / max(1, len(tied) - 1))
        shifts[tied] = (np.arange(len(tied)) - (len(tied) - 1) / 2) * step
    return shifts


def tau_panel(ranked: Ranked, width_mm: float, height_mm: float = 0.0) -> Panel:
    """Draw Kendall's tau of the samples as a violin a ranking: the paper's Fig. 3f.

    It is as high as `height_mm`, within what its violins need and look well at.
    """
    series = ranked.taus
    left = max(text_mm(name) for name, _, _ in series) + 0.8 + _TAU_GAP_MM
    wanted = (height_mm - _HEAD_MM - _BELOW_MM) / len(series)
    pitch = min(max(wanted, _LEAST_PITCH_MM), _MOST_PITCH_MM)
    across, rows_mm = width_mm - left - _TAU_RIGHT_MM, pitch * len(series)
    count, tail = len(ranked.order), ranked.tail
    # Without ties one pair that changes places moves tau by this.
    step = 4 / (count * (count - 1))

    def draw(sheet: Sheet, x: float, y: float) -> None:
        left_end, top = x + left, y + _HEAD_MM
        ax = sheet.axes(left_end, top, across, rows_mm)
        ax.set_ylim(len(series) - 0.5, -0.5)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        known = [np.sort(taus[np.isfinite(taus)]) for _, _, taus in series]
        # Not to the one sample in thousands.
        low = min([0.9, *(taus[int(TAU_CUT * taus.size)] for taus in known if taus.size)])
        ax.set_xlim(low - 0.04 * (1 - low), 1 + 0.04 * (1 - low))
        ax.grid(axis="x", color="#e4e4e4", lw=0.5)
        ax.set_axisbelow(True)
        ax.set_xlabel("Kendall's τ to the full ranking", labelpad=2)
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:.2g}".replace("-", "−"))
        sheet.small(left_end + across + 2.0, top - 1.2, "Median")
        for i, (name, by, taus) in enumerate(series):
            at = top + (i + 0.5) * pitch
            sheet.text(left_end - _TAU_GAP_MM, at, name, ha="right", va="center_baseline")
            taus = taus[np.isfinite(taus)]
            if not taus.size:
                ax.text(
                    0.5, i, "all ranks equal: no order to compare", color=GREY, fontsize=SMALL_PT,
                    transform=ax.get_yaxis_transform(), ha="center", va="center",
                )  # fmt: skip
                continue
            _violin(ax, i, taus, _FILLS[by], step)
            low, middle, high = np.quantile(taus, [tail, 0.5, 1 - tail])
            ax.hlines(i, low, high, color=INK, lw=0.8, zorder=3)
            ax.plot(middle, i, "o", ms=3.2, mfc="white", mec=INK, mew=0.8, zorder=4)
            sheet.text(left_end + across + 2.0, at, number(middle), va="center_baseline")

    title = "Agreement of bootstrap rankings with the full one"
    return Panel(width_mm, _HEAD_MM + rows_mm + _BELOW_MM, draw, title)


def _violin(ax: Axes, y: float, taus: NDArray[np.float64], colour: str, step: float) -> None:
    values, counts = np.unique(taus.round(9), return_counts=True)
    if values.size < _FEWEST_FOR_OUTLINE:
        heights = _HALF_VIOLIN * counts / counts.max()
        ax.vlines(values, y - heights, y + heights, color=colour, lw=3.0, zorder=2)
        return
    grid = np.linspace(values[0], values[-1], 160)
    # A Gaussian kernel of Scott's width, but no steps between the values that can occur.
    width = max(taus.size**-0.2 * float(taus.std(ddof=1)), 0.6 * step)
    density = np.exp(-0.5 * ((grid[:, None] - values) / width) ** 2) @ counts
    half = _HALF_VIOLIN * density / density.max()
    ax.fill_between(grid, y - half, y + half, color=colour, lw=0, zorder=2)


def metric_rank_panel(ranked: Ranked, styles: Mapping[str, LineStyle], width_mm: float) -> Panel:
    """Draw ranks by every threshold, modality and cost as a table of colours."""
    rows = _rows(ranked, styles, width_mm)
    groups = groupby(ranked.columns, lambda column: column.block)
    blocks = {block: list(columns) for block, columns in groups}
    count, n_columns = len(ranked.order), len(ranked.columns)
    room = width_mm - rows.left_mm - 1.5 - _BLOCK_GAP_MM * (len(blocks) - 1)
    # As wide as there is room for, with every block at least as wide as its heading.
    cell = min(room / n_columns, _WIDEST_CELL_MM)
    while sum(_block_mm(block, own, cell) for block, own in blocks.items()) > room and cell > 3.0:
        cell -= 0.1
    tall = {b: max(text_mm(column.head, SMALL_PT) for column in c) for b, c in blocks.items()}
    head_mm = _OVER_MM + 1.0 + max(mm if mm > cell else 2.6 for mm in tall.values())

    def draw(sheet: Sheet, x: float, y: float) -> None:
        left, top = x + rows.left_mm, y + head_mm
        rows.write_names(sheet, left, top)
        for block, members in blocks.items():
            across = _block_mm(block, members, cell)
            sheet.small(left, y + 2.6, shorten(block, across + _BLOCK_GAP_MM, SMALL_PT))
            sheet.line(left + 0.2, y + 3.4, cell * len(members) - 0.4, GREY, 0.5)
            ax = sheet.axes(left, top, cell * len(members), rows.height_mm)
            ax.set_xlim(0, len(members))
            ax.set_ylim(count, 0)
            ax.set_axis_off()
            for j, column in enumerate(members):
                sheet.text(
                    left + (j + 0.5) * cell, top - 1.0, column.head, ha="center", va="bottom",
                    fontsize=SMALL_PT, rotation=90 if tall[block] > cell else 0,
                )  # fmt: skip
                for i, rank in enumerate(ranked.ranks_in(column)):
                    known = not pd.isna(rank)
                    share = (int(rank) - 1) / (count - 1) if known else 0.0
                    colour = _MAP(_DARKEST - (_DARKEST - _LIGHTEST) * share) if known else _NO_RANK
                    ax.add_patch(
                        Rectangle((j, i), 1, 1, facecolor=colour, edgecolor="white", lw=0.5)
                    )
                    ax.text(
                        j + 0.5, i + 0.5, str(rank) if known else NOTHING, ha="center",
                        va="center_baseline", fontsize=SMALL_PT, color=ink_on(colour),
                    )  # fmt: skip
            left += across + _BLOCK_GAP_MM

    return Panel(width_mm, head_mm + rows.height_mm + 0.5, draw)


def _block_mm(block: str, columns: Sequence[Column], cell_mm: float) -> float:
    return max(cell_mm * len(columns), text_mm(block, SMALL_PT))
