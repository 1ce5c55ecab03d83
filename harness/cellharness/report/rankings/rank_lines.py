"""Ranks by the schemes of the paper, a line a method: the paper's Fig. 3e."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cellharness.report import lettering
from cellharness.report.rankings.blobs import rank_ticks
from cellharness.report.rankings.panel import Panel
from cellharness.report.rankings.ranked import PAPER_SCHEMES, Ranked
from cellharness.report.rankings.rows import HEAD_PT, plan_rows
from cellharness.report.sheet import Sheet
from cellharness.report.style import GREY, LineStyle

_HEAD_MM, _BELOW_MM, _RIGHT_MM = 4.0, 10.0, 8.0
_LINE_MM = 2.7
# Where names leave little room.
_SMALL_PT = 6.0
_SIDE = 0.45
#: Most that marks of one rank move apart, in units of the distance between schemes.
_APART = 0.62


def rank_line_panel(ranked: Ranked, styles: Mapping[str, LineStyle], width_mm: float) -> Panel:
    """Draw each method's rank by every scheme, methods of one rank beside each other.

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
    ranks = scheme_ranks(ranked)
    shifts = np.column_stack([side_by_side(column) for column in ranks.T])

    def draw(sheet: Sheet, x: float, y: float) -> None:
        left, top = x + rows.left_mm, y + _HEAD_MM
        ax = sheet.axes(left, top, width_mm - rows.left_mm - _RIGHT_MM, rows.height_mm)
        ax.set_xlim(-_SIDE, len(PAPER_SCHEMES) - 1 + _SIDE)
        ax.set_ylim(count + 0.5, 0.5)
        across = np.arange(len(PAPER_SCHEMES))
        marks = 3.4 if rows.pitch_mm > 3.2 else 2.6
        # The best on top, the grey ones below all others.
        for i in reversed(range(count)):
            colour = rows.colours[i]
            lifted = 2 if colour != GREY else 1
            xs = across + shifts[i]
            # From the name to the mark, which differ where the first scheme has ties.
            ax.plot(
                [-_SIDE, xs[0]], [i + 1, ranks[i, 0]], color=colour, lw=0.5, ls=(0, (1, 1)),
                zorder=lifted, alpha=0.8, clip_on=False,
            )  # fmt: skip
            ax.plot(
                xs, ranks[i], color=colour, lw=1.0 if lifted == 2 else 0.6, marker="o", ms=marks,
                mew=0, alpha=1.0 if lifted == 2 else 0.6, zorder=lifted + 0.5, clip_on=False,
            )  # fmt: skip
        ax.set_xticks([])
        step = (width_mm - rows.left_mm - _RIGHT_MM) / (len(PAPER_SCHEMES) - 1 + 2 * _SIDE)
        written = [scheme_words(scheme) for scheme in PAPER_SCHEMES]
        widest = max(lettering.width_mm(word, HEAD_PT) for words in written for word in words)
        size = HEAD_PT if widest < step else _SMALL_PT
        for i, words in enumerate(written):
            for line, word in enumerate(words):
                sheet.text(
                    left + (i + _SIDE) * step, top + rows.height_mm + 2.8 + line * _LINE_MM, word,
                    ha="center", va="baseline", fontsize=size,
                )  # fmt: skip
        ax.spines["bottom"].set_visible(False)
        ax.spines["left"].set_visible(False)
        ax.yaxis.tick_right()
        ax.set_yticks(rank_ticks(count))
        ax.tick_params(axis="y", length=2, color=GREY)
        sheet.text(
            x + width_mm - _RIGHT_MM + 0.6, top - 1.2, "Rank", color=GREY, fontsize=HEAD_PT,
            va="baseline",
        )  # fmt: skip
        rows.write_names(sheet, left, top)

    return Panel(width_mm, _HEAD_MM + rows.height_mm + _BELOW_MM, draw)


def scheme_ranks(ranked: Ranked) -> NDArray[np.int64]:
    """Ranks of the methods, best first, by each scheme of the paper: (methods, schemes)."""
    table = ranked.accuracy.rankings.pivot_table("rank", "method", "scheme", "first")
    return table.loc[list(ranked.order), list(PAPER_SCHEMES)].to_numpy(np.int64)


def side_by_side(ranks: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Move the marks of equal ranks apart to both sides.

    Examples
    --------
    >>> side_by_side([1, 2, 2]).round(2).tolist()
    [0.0, -0.08, 0.08]
    """
    values = np.asarray(ranks)
    shifts = np.zeros(len(values))
    for rank in np.unique(values):
        tied = np.flatnonzero(values == rank)
        step = min(0.16, _APART / max(1, len(tied) - 1))
        shifts[tied] = (np.arange(len(tied)) - (len(tied) - 1) / 2) * step
    return shifts


def scheme_words(scheme: str) -> tuple[str, ...]:
    """Write a scheme in short lines.

    Examples
    --------
    >>> scheme_words("rank-then-mean"), scheme_words("test-based")
    (('rank,', 'then', 'mean'), ('test-', 'based'))
    """
    if "-then-" not in scheme:
        first, last = scheme.split("-")
        return f"{first}-", last
    first, last = scheme.split("-then-")
    return f"{first},", "then", last
