"""Figures laid out in millimetres: text, axes, panels with letters, and keys."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import TextToPath
from matplotlib.ticker import FuncFormatter

from cellharness.report.style import (
    FONT,
    GREY,
    HAIRLINE,
    MM,
    SMALL_PT,
    TEXT_PT,
    LineStyle,
    new_figure,
    register_font,
)

# Screens put letters on whole pixels, which takes up to a twentieth more.
_ON_SCREEN = 1.05
# Height of a line of text.
_LINE_MM = 2.9
_MOST_LINES, _LONGEST_NAME = 3, 28
_LEFT_MM, _RIGHT_MM, _TITLE_MM, _GAP_MM = 10.0, 2.5, 9.0, 5.0
# Between entries of a key, and what stands before the text of one, that gap included.
_KEY_GAP_MM, _SAMPLE_MM, _KEY_ROW_MM = 4.0, 12.4, 3.6
_PAPER_MARGIN_MM = 1.0
_PANEL_TITLE_MM = 4.6


@lru_cache(maxsize=4096)
def text_mm(text: str, size_pt: float = TEXT_PT) -> float:
    """Measure how wide a line of text is printed, a little generously.

    Examples
    --------
    >>> round(text_mm("Plain fine-tuning"), 1)
    21.2
    """
    register_font()
    font = FontProperties(family=[FONT], size=size_pt)
    across, _, _ = TextToPath().get_text_width_height_descent(text, font, ismath=False)
    return float(across) * 25.4 / 72 * _ON_SCREEN


def shorten(text: str, room_mm: float, size_pt: float = TEXT_PT) -> str:
    """Cut a text at its end so that it fits, an ellipsis included; one letter stays at least.

    Examples
    --------
    >>> shorten("Cellpose 2.0 fine-tuned on everything", 35.0)
    'Cellpose 2.0 fine-tuned…'
    """
    if text_mm(text, size_pt) <= room_mm:
        return text
    for length in range(len(text) - 1, 1, -1):
        short = text[:length].rstrip() + "…"
        if text_mm(short, size_pt) <= room_mm:
            return short
    return text[:1]


def left_room(names: Iterable[str], least_mm: float, most_mm: float) -> float:
    """Room for names to the left of an axis."""
    widest = max((text_mm(name) for name in names), default=0.0)
    return float(np.clip(widest + 3.0, least_mm, most_mm))


@dataclass(frozen=True)
class TickLabels:
    """Names over columns: as they are drawn, their angle (0 or 45 degrees), and their height."""

    texts: tuple[str, ...]
    angle: float
    height_mm: float


def fit_labels(names: Sequence[str], slot_mm: float) -> TickLabels:
    """Wrap names at spaces where each fits its slot, otherwise turn them by 45 degrees.

    Turned names longer than 28 letters are cut: their ends, or their middles where the ends tell
    them apart.
    """
    wrapped = [_wrap(name, slot_mm) for name in names]
    most = max(map(len, wrapped), default=1)
    if most <= _MOST_LINES and all(text_mm(line) <= slot_mm for lines in wrapped for line in lines):
        texts = tuple("\n".join(lines) for lines in wrapped)
        return TickLabels(texts, 0.0, most * _LINE_MM + 2)
    ends = [n if len(n) <= _LONGEST_NAME else n[: _LONGEST_NAME - 1].rstrip() + "…" for n in names]
    short = ends if len(set(ends)) == len(set(names)) else list(map(_cut_middle, names))
    widest = max(map(text_mm, short), default=0.0)
    return TickLabels(tuple(short), 45.0, widest * math.sin(math.pi / 4) + 5)


def _cut_middle(name: str) -> str:
    half = _LONGEST_NAME // 2
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: half - 1].rstrip()}…{name[-half:].lstrip()}"


def _wrap(name: str, room_mm: float) -> list[str]:
    lines = [""]
    for word in name.split():
        joined = f"{lines[-1]} {word}".strip()
        if text_mm(joined) <= room_mm:
            lines[-1] = joined
        else:
            lines.append(word)
    return [line for line in lines if line] or [""]


class Sheet:
    """A figure of an exact printed size; places are millimetres from its top left corner."""

    def __init__(self, width_mm: float, height_mm: float) -> None:
        self.width, self.height = width_mm, height_mm
        self.figure: Figure = new_figure(width_mm, height_mm)

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        """Write a text at a place."""
        self.figure.text(x / self.width, 1 - y / self.height, text, **style)

    def small(self, x: float, y: float, text: str, **style: Any) -> None:
        """Write a small grey text on a line whose foot is at a place."""
        self.text(x, y, text, **{"va": "baseline", "fontsize": SMALL_PT, "color": GREY, **style})

    def line(self, x: float, y: float, length: float, colour: str, width_pt: float = 1.6) -> None:
        """Draw a horizontal line from a place to the right."""
        xs, height = [x / self.width, (x + length) / self.width], 1 - y / self.height
        self.figure.add_artist(Line2D(xs, [height, height], color=colour, lw=width_pt))

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Make axes whose top left corner is at a place."""
        return self.figure.add_axes(
            (
                x / self.width, (self.height - y - height) / self.height, width / self.width,
                height / self.height,
            )
        )  # fmt: skip

    def letter(self, x: float, y: float, index: int, title: str, note: str = "") -> None:
        """Put a bold letter and a title on a line, and a grey second line below it."""
        self.text(x, y, panel_letter(index), fontsize=8, fontweight="bold", va="baseline")
        self.text(x + 3.2, y, title, va="baseline")
        self.small(x + 3.2, y + 3.0, note)


def panel_letter(index: int) -> str:
    """Letter of a panel; beyond z: aa, bb, ..."""
    return chr(ord("a") + index % 26) * (1 + index // 26)


@dataclass(frozen=True)
class Panel:
    """A drawing of a size, its top left corner at the millimetres that `draw` is given."""

    width_mm: float
    height_mm: float
    draw: Callable[[Sheet, float, float], None]
    title: str = ""


def alone(panel: Panel) -> Figure:
    """Make a figure of one panel."""
    sheet = Sheet(panel.width_mm, panel.height_mm + 2 * _PAPER_MARGIN_MM)
    panel.draw(sheet, 0.0, _PAPER_MARGIN_MM)
    return sheet.figure


def compose(rows: Sequence[Sequence[Panel]], gap_mm: float, between_mm: float) -> Figure:
    """Make a figure of rows of panels, lettered in reading order, each below its title."""
    heights = [max(panel.height_mm for panel in row) + _PANEL_TITLE_MM for row in rows]
    width = max(sum(panel.width_mm + gap_mm for panel in row) - gap_mm for row in rows)
    sheet = Sheet(width, sum(heights) + between_mm * (len(rows) - 1) + 2 * _PAPER_MARGIN_MM)
    y, index = _PAPER_MARGIN_MM, 0
    for row, height in zip(rows, heights, strict=True):
        x = 0.0
        for panel in row:
            sheet.letter(x + 0.5, y + 2.8, index, panel.title)
            panel.draw(sheet, x, y + _PANEL_TITLE_MM)
            x += panel.width_mm + gap_mm
            index += 1
        y += height + between_mm
    return sheet.figure


@dataclass(frozen=True)
class Grid:
    """Where panels stand: columns and rows; width of a panel, gaps and left margin in mm."""

    columns: int
    rows: int
    panel_mm: float
    gap_mm: float = _GAP_MM
    between_mm: float = 3.0
    left_mm: float = _LEFT_MM

    def place(self, index: int, n_panels: int) -> tuple[int, int]:
        """Row and column of a panel; a short row comes first, so every column ends in the last.

        Examples
        --------
        >>> [Grid(2, 3, 40.0).place(i, 5) for i in range(5)]
        [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)]
        """
        first = self.columns - (self.rows * self.columns - n_panels)
        if index < first:
            return 0, index
        row, column = divmod(index - first, self.columns)
        return row + 1, column


def panel_grid(n_panels: int, width_mm: float, needed_mm: float, left_mm: float = _LEFT_MM) -> Grid:
    """Choose as many columns as have room for panels of the width they need, gap included.

    Rows are as even as can be; few panels do not grow much beyond what they need.
    """
    room = width_mm - left_mm - _RIGHT_MM + _GAP_MM
    columns = min(n_panels, max(1, int(room // needed_mm)))
    rows = -(-n_panels // columns)
    columns = -(-n_panels // rows)
    panel = min(room / columns - _GAP_MM, max(45.0, 1.4 * needed_mm))
    return Grid(columns, rows, min(panel, room - _GAP_MM), left_mm=left_mm)


def panels(
    grid: Grid,
    n_panels: int,
    width_mm: float,
    height_mm: float,
    below_mm: float,
    above_mm: float = 0.0,
) -> tuple[Figure, list[Axes]]:
    """Make a figure with aligned, empty panels, row by row, see `Grid.place`."""
    step = _TITLE_MM + height_mm + grid.between_mm
    sheet = Sheet(width_mm, above_mm + grid.rows * step - grid.between_mm + below_mm + 1.0)
    axes = []
    for i in range(n_panels):
        row, column = grid.place(i, n_panels)
        left = grid.left_mm + column * (grid.panel_mm + grid.gap_mm)
        axes.append(sheet.axes(left, above_mm + row * step + _TITLE_MM, grid.panel_mm, height_mm))
    return sheet.figure, axes


def letter(axes: Axes, index: int, title: str, subtitle: str) -> None:
    """Put a bold lower-case letter, a title and a grey second line above a panel."""
    at: dict[str, Any] = {
        "xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False,
    }  # fmt: skip
    axes.annotate(panel_letter(index), (0, 1), (-1, 13.5), fontsize=8, fontweight="bold", **at)
    axes.annotate(title, (0, 1), (8, 13.5), **at)
    axes.annotate(subtitle, (0, 1), (8, 5), color=GREY, fontsize=SMALL_PT, **at)


class Key:
    """Samples with their labels, in as many columns as fit; they run down the columns.

    Parameters
    ----------
    samples : sequence of Artist
        Labelled.
    room_mm : float
        How wide it may be.
    sample : float
        Width of a sample in font sizes.
    """

    def __init__(self, samples: Sequence[Artist], room_mm: float, sample: float = 2.6) -> None:
        self._samples, self._sample = list(samples), sample
        self._columns = keys_per_row([str(s.get_label()) for s in self._samples], room_mm)
        rows = -(-len(self._samples) // self._columns)
        #: Room that it takes.
        self.height_mm = rows * _KEY_ROW_MM + 1 if self._samples else 0.0

    def draw(self, figure: Figure, left_mm: float, top_mm: float = 0.0) -> None:
        """Draw it, its corner in millimetres from that of the figure; without samples nothing."""
        if not self._samples:
            return
        width, height = (inches / MM for inches in figure.get_size_inches())
        figure.legend(
            handles=self._samples, loc="upper left",
            bbox_to_anchor=(left_mm / width, 1 - top_mm / height), ncols=self._columns,
            borderaxespad=0.2, handlelength=self._sample, columnspacing=1.6, labelspacing=0.35,
        )  # fmt: skip


def keys_per_row(labels: Sequence[str], room_mm: float) -> int:
    """Tell how many columns of a key, line samples included, fit side by side.

    Examples
    --------
    >>> keys_per_row(["Cellpose", "Omnipose"], 60.0), keys_per_row(["Cellpose", "Omnipose"], 30.0)
    (2, 1)
    """
    widths = np.array([text_mm(label) for label in labels])
    for columns in range(len(labels), 1, -1):
        # As matplotlib fills them: down the columns.
        parts = np.array_split(widths, columns)
        if sum(_SAMPLE_MM + part.max() for part in parts) - _KEY_GAP_MM <= room_mm:
            return columns
    return 1


def line_sample(label: str, style: LineStyle, **more: Any) -> Line2D:
    """Sample of a key for a line with marks."""
    look: dict[str, Any] = {
        "color": style.colour, "ls": style.linestyle, "lw": style.width, "marker": style.marker,
        "ms": 3, "mew": 0,
    }  # fmt: skip
    return Line2D([], [], label=label, **(look | more))


#: Writes the numbers of an axis with a real minus sign.
SIGNED = FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−"))


def f1_axis(axes: Axes, first_in_row: bool, label: str) -> None:
    """Scale the vertical axis for a score in 0..1; only the first panel of a row names it."""
    axes.set_ylim(-0.04, 1.04)
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.spines["left"].set_bounds(0, 1)
    if first_in_row:
        axes.set_ylabel(label, labelpad=3)
    else:
        axes.set_yticklabels([])


def limits_of(values: Any, margin: float = 0.06) -> tuple[float, float]:
    """Limits of an axis that hold all finite values, and 0."""
    found = np.asarray(values, float).ravel()
    found = found[np.isfinite(found)]
    low, high = min(0.0, found.min(initial=0.0)), max(0.0, found.max(initial=0.0))
    room = max(high - low, 0.02) * margin
    return low - room, high + room


def zero_line(axes: Axes, *, vertical: bool = False) -> None:
    """Mark no change."""
    (axes.axvline if vertical else axes.axhline)(0, color=HAIRLINE, lw=0.8, zorder=0)


def say_nothing(axes: Axes, text: str) -> None:
    """Write into an empty panel why it is empty."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)


# Luminance on which black and white text have the same contrast.
_EVEN = 0.179


def ink_on(colour: Sequence[float]) -> str:
    """Colour of text on an sRGB colour: that with more contrast, as WCAG 2 defines it."""
    channels = np.array(colour[:3])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return "black" if float(linear @ (0.2126, 0.7152, 0.0722)) > _EVEN else "white"
