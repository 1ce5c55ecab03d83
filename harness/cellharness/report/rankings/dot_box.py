"""Dots and boxes of F1 for all methods, best first: the paper's Fig. 3a."""

from __future__ import annotations

from collections.abc import Mapping

from cellharness.report import lettering
from cellharness.report.rankings.panel import Panel
from cellharness.report.rankings.ranked import Ranked
from cellharness.report.rankings.row_boxes import draw_boxes, failed_key, score_axis
from cellharness.report.rankings.rows import HEAD_PT, plan_rows
from cellharness.report.sheet import Sheet
from cellharness.report.style import GREY, LineStyle
from cellharness.report.wording import f1_at, number, short_letters
from cellharness.statistics import ALL

_EDGE_MM = 0.5
_HEAD_MM, _BELOW_MM = 4.0, 8.5
_MEDIAN_MM, _GAP_MM = 7.0, 3.0
#: Wider letters than this are left to the table.
MOST_LETTERS_MM = 15.0


def dot_box_panel(ranked: Ranked, styles: Mapping[str, LineStyle], width_mm: float) -> Panel:
    """Draw F1 of every image, with median and significance letters beside each row.

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
    table = ranked.groups[ALL].table
    letters = [short_letters(text) for text in table["letters"]]
    widths = [lettering.width_mm(text, rows.text_pt) for text in letters]
    letters_mm = max(lettering.width_mm("Letters", HEAD_PT), *widths) + _EDGE_MM
    lettered = letters_mm <= MOST_LETTERS_MM
    right = _GAP_MM + _MEDIAN_MM + (_GAP_MM + letters_mm if lettered else _GAP_MM)
    scores = ranked.run.main

    def draw(sheet: Sheet, x: float, y: float) -> None:
        left, top = x + rows.left_mm, y + _HEAD_MM
        across = width_mm - rows.left_mm - right
        ax = sheet.axes(left, top, across, rows.height_mm)
        rows.scale(ax)
        score_axis(ax, f1_at(ranked.run.threshold))
        draw_boxes(ax, rows, scores)
        rows.write_names(sheet, left, top)
        sheet.text(left, top - 1.2, failed_key(scores), color=GREY, fontsize=HEAD_PT, va="baseline")
        at = left + across + _GAP_MM
        rows.write_column(sheet, at, top, "Median", [number(m) for m in table["median_f1"]])
        if lettered:
            rows.write_column(sheet, at + _MEDIAN_MM + _GAP_MM, top, "Letters", letters)

    return Panel(width_mm, _HEAD_MM + rows.height_mm + _BELOW_MM, draw)
