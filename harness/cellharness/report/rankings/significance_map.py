"""Which method is significantly better than which: the paper's Fig. 3c."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from numpy.typing import NDArray

from cellharness.report import lettering
from cellharness.report.rankings.blobs import rank_ticks
from cellharness.report.rankings.panel import Panel
from cellharness.report.rankings.ranked import Ranked
from cellharness.report.rankings.rows import plan_rows
from cellharness.report.records import records
from cellharness.report.sheet import Sheet
from cellharness.report.style import GREY, LineStyle
from cellharness.statistics import ALL

#: States of a pair, row against column.
WORSE, LEVEL, RAW, BETTER = range(4)
_COLOURS = {LEVEL: "#e6e6e6", RAW: "#e3a73a", BETTER: "#2f4b7c"}
_WORDS = {
    BETTER: "row better, corrected",
    RAW: "only uncorrected",
    LEVEL: "no difference",
}
_HEAD_MM, _KEY_MM, _RIGHT_MM = 4.6, 6.0, 9.0
_WIDEST_CELL = 2.2
# Narrower columns than this are not all numbered.
_ROOM_MM = 3.0


def pair_states(ranked: Ranked) -> NDArray[np.int64]:
    """State of every ordered pair of methods, both axes best first.

    Returns
    -------
    ndarray of int64, shape (methods, methods)
        `BETTER`, the row is better than the column after Holm's correction; `WORSE`, the column is
        better so; `RAW`, the row is better without the correction only; `LEVEL`, none of these. The
        diagonal is `WORSE`, which is not drawn.
    """
    place = {method: i for i, method in enumerate(ranked.order)}
    states = np.full((len(place), len(place)), LEVEL)
    np.fill_diagonal(states, WORSE)
    tests = ranked.groups[ALL].tests
    for row in records(tests):
        at = place[row["method"]], place[row["other"]]
        if row["better"]:
            states[at], states[at[::-1]] = BETTER, WORSE
        elif row["p"] < 1 - row["confidence"] and row["estimate"] > 0:
            states[at] = RAW
    return states


def significance_panel(ranked: Ranked, styles: Mapping[str, LineStyle], width_mm: float) -> Panel:
    """Draw a table of colours, a row and a column a method.

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
    states = pair_states(ranked)
    count = len(ranked.order)
    cell = min((width_mm - rows.left_mm - _RIGHT_MM) / count, _WIDEST_CELL * rows.pitch_mm)

    def draw(sheet: Sheet, x: float, y: float) -> None:
        left, top = x + rows.left_mm, y + _HEAD_MM
        ax = sheet.axes(left, top, cell * count, rows.height_mm)
        ax.set_xlim(-0.5, count - 0.5)
        rows.scale(ax)
        ax.set_xticks([])
        ax.spines["bottom"].set_visible(False)
        for state, colour in _COLOURS.items():
            _fill(ax, states == state, colour)
        for number in range(1, count + 1) if cell > _ROOM_MM else rank_ticks(count):
            sheet.text(
                left + (number - 0.5) * cell, top - 1.2, str(number), color=GREY, fontsize=6.5,
                ha="center", va="baseline",
            )  # fmt: skip
        rows.write_names(sheet, left, top)
        wins = (states == BETTER).sum(axis=1)
        rows.write_column(sheet, left + cell * count + 1.8, top, "Wins", [str(n) for n in wins])
        _key(sheet, x + 1.0, top + rows.height_mm + 2.6)

    return Panel(width_mm, _HEAD_MM + rows.height_mm + _KEY_MM, draw)


def _fill(ax: Axes, where: NDArray[np.bool_], colour: str) -> None:
    """Colour cells, all of a colour as one shape, which keeps the file small."""
    half = 0.46
    cells = [
        Path(
            [(j - half, i - half), (j + half, i - half), (j + half, i + half), (j - half, i + half),
             (j - half, i - half)],
            closed=True,
        )
        for i, j in zip(*np.nonzero(where), strict=True)
    ]  # fmt: skip
    if cells:
        ax.add_patch(PathPatch(Path.make_compound_path(*cells), facecolor=colour, lw=0))


def _key(sheet: Sheet, x: float, top: float) -> None:
    side = 2.2
    for state, text in _WORDS.items():
        at = (x / sheet.width, 1 - (top + side) / sheet.height)
        size = (side / sheet.width, side / sheet.height)
        sheet.figure.add_artist(
            Rectangle(
                at, *size, facecolor=_COLOURS[state], lw=0, transform=sheet.figure.transFigure
            )
        )
        sheet.text(x + side + 0.9, top + side / 2, text, va="center_baseline", fontsize=6.5)
        x += side + 0.9 + lettering.width_mm(text, 6.5) + 3.0
