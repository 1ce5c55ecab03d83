"""A drawing that can stand alone or be a part of a larger figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from cellharness.report.sheet import Sheet

_MARGIN_MM = 1.0


@dataclass(frozen=True)
class Panel:
    """What is drawn, and the room that it takes.

    Attributes
    ----------
    width_mm, height_mm
        Its size.
    draw
        Draws it on a sheet, its top left corner at the given millimetres.
    """

    width_mm: float
    height_mm: float
    draw: Callable[[Sheet, float, float], None]


def alone(panel: Panel) -> Figure:
    """Make a figure of one panel."""
    sheet = Sheet(panel.width_mm, panel.height_mm + 2 * _MARGIN_MM)
    panel.draw(sheet, 0.0, _MARGIN_MM)
    return sheet.figure


def compose(rows: Sequence[Sequence[Panel]], gap_mm: float, between_mm: float) -> Figure:
    """Make a figure of several rows of panels, lettered in reading order.

    The letters stand in the top left corners, which panels leave free.

    Parameters
    ----------
    rows : sequence of sequence of Panel
        A row is as high as the highest of its panels.
    gap_mm, between_mm : float
        Between the panels of a row, and between rows.
    """
    heights = [max(panel.height_mm for panel in row) for row in rows]
    width = max(sum(panel.width_mm + gap_mm for panel in row) - gap_mm for row in rows)
    sheet = Sheet(width, sum(heights) + between_mm * (len(rows) - 1) + 2 * _MARGIN_MM)
    y, number = _MARGIN_MM, 0
    for row, height in zip(rows, heights, strict=True):
        x = 0.0
        for panel in row:
            sheet.text(
                x + 0.5, y + 2.8, chr(ord("a") + number), fontsize=8, fontweight="bold",
                va="baseline",
            )  # fmt: skip
            panel.draw(sheet, x, y)
            x += panel.width_mm + gap_mm
            number += 1
        y += height + between_mm
    return sheet.figure
