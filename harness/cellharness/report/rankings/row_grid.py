"""Panels side by side that share rows: one for all images and one for each modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
from matplotlib.axes import Axes

from cellharness.report import lettering
from cellharness.report.distributions import groups_of
from cellharness.report.rankings.panel import Panel
from cellharness.report.rankings.ranked import Ranked
from cellharness.report.rankings.row_boxes import score_axis
from cellharness.report.rankings.rows import Rows, plan_rows
from cellharness.report.records import group_title
from cellharness.report.sheet import Sheet
from cellharness.report.style import GREY, TEXT_PT, LineStyle
from cellharness.report.wording import f1_at
from cellharness.statistics import ALL

#: From so many methods on they are rows: side by side their names no longer fit.
FEWEST_FOR_ROWS = 8

_TITLE_MM, _BELOW_MM, _KEY_MM, _GAP_MM, _RIGHT_MM = 8.5, 8.5, 4.0, 3.5, 2.5
_LEAST_MM = 15.0
# Narrower panels have a short label and fewer ticks.
_SHORT_MM, _FEW_TICKS_MM = 22.0, 30.0

Draw = Callable[[Axes, Rows, pd.DataFrame], None]


def row_grid(
    ranked: Ranked,
    styles: Mapping[str, LineStyle],
    width_mm: float,
    scores: pd.DataFrame,
    draw_scores: Draw,
    subtitle: Callable[[pd.DataFrame], str],
    key: str,
) -> Panel:
    """Draw a panel of scores for all images, then one for each modality.

    Parameters
    ----------
    ranked : Ranked
        Rankings of the run; they give the order of the rows.
    styles : mapping of str to LineStyle
        Colours of the methods.
    width_mm : float
        Of the whole; as many panels stand beside each other as have room.
    scores : DataFrame
        Columns ``method``, ``modality`` and what `draw_scores` needs.
    draw_scores : callable
        Draws the scores of one group into scaled axes.
    subtitle : callable
        Gives the grey second line over a panel from the scores of its group.
    key : str
        What stands over the panels, or "".
    """
    rows = plan_rows(ranked.order, ranked.run.labels, styles, width_mm)
    groups = groups_of(ranked.run)
    room = width_mm - rows.left_mm - _RIGHT_MM + _GAP_MM
    per_line = max(1, min(len(groups), int(room // (_LEAST_MM + _GAP_MM))))
    across = room / per_line - _GAP_MM
    step = _TITLE_MM + rows.height_mm + _BELOW_MM
    above = _KEY_MM if key else 0.0
    label = f1_at(ranked.run.threshold) if across > _SHORT_MM else "F1"

    def draw(sheet: Sheet, x: float, y: float) -> None:
        if key:
            # Further to the left where it is long.
            at = min(rows.left_mm, max(1.0, width_mm - 1.0 - lettering.width_mm(key, 6.5)))
            sheet.text(x + at, y + 2.6, key, color=GREY, fontsize=6.5, va="baseline")
        for i, group in enumerate(groups):
            line, column = divmod(i, per_line)
            left = x + rows.left_mm + column * (across + _GAP_MM)
            top = y + above + line * step + _TITLE_MM
            ax = sheet.axes(left, top, across, rows.height_mm)
            rows.scale(ax)
            score_axis(ax, label, few_ticks=across < _FEW_TICKS_MM)
            here = scores if group == ALL else scores[scores["modality"] == group]
            draw_scores(ax, rows, here)
            # Beyond z: aa, bb, ...
            mark = chr(ord("a") + i % 26) * (1 + i // 26)
            sheet.text(left - 0.4, top - 4.4, mark, fontsize=8, fontweight="bold", va="baseline")
            title, size = _title(group_title(group), across + _GAP_MM - 2.9)
            sheet.text(left + 2.4, top - 4.4, title, va="baseline", fontsize=size)
            small, _ = _title(subtitle(here), across + _GAP_MM - 2.9)
            sheet.text(left + 2.4, top - 1.4, small, color=GREY, fontsize=6.5, va="baseline")
            if column == 0:
                rows.write_names(sheet, left, top)

    return Panel(width_mm, above + -(-len(groups) // per_line) * step, draw)


def _title(title: str, room_mm: float) -> tuple[str, float]:
    """Write a title smaller where it is tight, and cut it where that is not enough."""
    if lettering.width_mm(title, TEXT_PT) <= room_mm:
        return title, TEXT_PT
    return lettering.shorten(title, 6.5, room_mm), 6.5
