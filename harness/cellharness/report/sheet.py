"""A figure on which things are placed in millimetres."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cellharness.report.style import new_figure


class Sheet:
    """A figure of an exact printed size; places are millimetres from its top left corner.

    Parameters
    ----------
    width_mm, height_mm
        Of the figure.
    """

    def __init__(self, width_mm: float, height_mm: float) -> None:
        self.width, self.height = width_mm, height_mm
        self.figure: Figure = new_figure(width_mm, height_mm)

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        """Write a text at a place."""
        self.figure.text(x / self.width, 1 - y / self.height, text, **style)

    def line(self, x: float, y: float, length: float, colour: str, width_pt: float = 1.6) -> None:
        """Draw a horizontal line from a place to the right."""
        xs, height = [x / self.width, (x + length) / self.width], 1 - y / self.height
        self.figure.add_artist(Line2D(xs, [height, height], color=colour, lw=width_pt))

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Make axes whose top left corner is at a place."""
        box = (x, self.height - y - height, width, height)
        sides = (self.width, self.height, self.width, self.height)
        left, bottom, across, up = (mm / side for mm, side in zip(box, sides, strict=True))
        return self.figure.add_axes((left, bottom, across, up))
