"""Dots and boxes by modality for many methods, a row each: the paper's Fig. 4a to e."""

from __future__ import annotations

from collections.abc import Mapping

from cellharness.report.rankings.panel import Panel
from cellharness.report.rankings.ranked import Ranked
from cellharness.report.rankings.row_boxes import draw_boxes, failed_key
from cellharness.report.rankings.row_grid import row_grid
from cellharness.report.style import LineStyle
from cellharness.report.wording import count


def modality_panel(ranked: Ranked, styles: Mapping[str, LineStyle], width_mm: float) -> Panel:
    """Draw F1 of every image, all images first, then each modality; rows in one order.

    Parameters
    ----------
    ranked : Ranked
        Rankings of the run.
    styles : mapping of str to LineStyle
        Colours of the methods.
    width_mm : float
        Of the panel.
    """
    scores = ranked.run.main
    return row_grid(
        ranked, styles, width_mm, scores, draw_boxes,
        lambda here: count(here["case"].nunique(), "image"), failed_key(scores),
    )  # fmt: skip
