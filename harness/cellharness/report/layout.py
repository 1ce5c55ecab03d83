"""Panels on a journal page: sized in millimetres, aligned, lettered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cellharness.report import lettering
from cellharness.report.style import GREY, TEXT_PT, new_figure

# Height of a line of text.
_LINE_MM = 2.9
_MOST_LINES = 3
_MOST_WIDENINGS = 4
_LONGEST_NAME = 28
_LEFT_MM = 10.0
_RIGHT_MM = 2.5
_TITLE_MM = 9.0
_GAP_MM = 5.0
_BETWEEN_MM = 3.0
# Between entries of a key, and what stands before the text of one, that gap included.
_KEY_GAP_MM = 4.0
_SAMPLE_MM = 12.4

#: Height of a row of a key.
KEY_ROW_MM = 3.6


@dataclass(frozen=True)
class TickLabels:
    """Names under an axis, wrapped or turned so that they do not run into each other.

    Attributes
    ----------
    texts
        The names as they are drawn.
    angle
        Degrees; 0 or 45.
    height_mm
        Room they take below the axis.
    """

    texts: tuple[str, ...]
    angle: float
    height_mm: float


def fit_labels(names: Sequence[str], slot_mm: float) -> TickLabels:
    """Wrap names at spaces where each fits its slot, otherwise turn them by 45 degrees.

    Parameters
    ----------
    names : sequence of str
        Full names.
    slot_mm : float
        Width that each may take.

    Returns
    -------
    TickLabels
        Turned names longer than 28 letters are cut: their ends, or their middles where the ends
        tell them apart.
    """
    wrapped = [_wrap(name, slot_mm) for name in names]
    most = max(map(len, wrapped), default=1)
    if most <= _MOST_LINES and all(text_mm(line) <= slot_mm for lines in wrapped for line in lines):
        texts = tuple("\n".join(lines) for lines in wrapped)
        return TickLabels(texts, 0.0, most * _LINE_MM + 2)
    short = tuple(_cut_end(name, _LONGEST_NAME) for name in names)
    if len(set(short)) < len(set(names)):
        short = tuple(_cut_middle(name, _LONGEST_NAME) for name in names)
    widest = max(map(text_mm, short), default=0.0)
    return TickLabels(short, 45.0, widest * math.sin(math.pi / 4) + 5)


def text_mm(text: str) -> float:
    """Measure how wide a text is printed.

    Examples
    --------
    >>> round(text_mm("Plain fine-tuning"), 1)
    21.2
    """
    return lettering.width_mm(text, TEXT_PT)


def cut(name: str, room_mm: float) -> str:
    """Shorten a title that would run out of its room.

    Examples
    --------
    >>> cut("Cellpose 2.0 fine-tuned on everything", 35.0)
    'Cellpose 2.0 fine-tuned…'
    """
    return lettering.shorten(name, TEXT_PT, room_mm)


def _cut_end(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1].rstrip() + "…"


def _cut_middle(name: str, most: int) -> str:
    if len(name) <= most:
        return name
    half = most // 2
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


@dataclass(frozen=True)
class Grid:
    """Where panels stand: columns and rows; width of a panel, gaps and left margin in mm."""

    columns: int
    rows: int
    panel_mm: float
    gap_mm: float = _GAP_MM
    between_mm: float = _BETWEEN_MM
    left_mm: float = _LEFT_MM


def panel_grid(n_panels: int, width_mm: float, needed_mm: float, left_mm: float = _LEFT_MM) -> Grid:
    """Choose as many columns as have room for panels of the width they need.

    Parameters
    ----------
    n_panels : int
        At least 1.
    width_mm : float
        Of the whole figure.
    needed_mm : float
        Least width of one panel, gap included.
    left_mm : float
        Room for the scale of the first column.

    Returns
    -------
    Grid
        Rows as even as can be; few panels do not grow much beyond what they need.
    """
    room = width_mm - left_mm - _RIGHT_MM + _GAP_MM
    columns = min(n_panels, max(1, int(room // needed_mm)))
    rows = -(-n_panels // columns)
    columns = -(-n_panels // rows)
    panel = min(room / columns - _GAP_MM, max(45.0, 1.4 * needed_mm))
    return Grid(columns, rows, min(panel, room - _GAP_MM), left_mm=left_mm)


def plan_named(
    n_panels: int, names: Sequence[str], width_mm: float, needed_mm: float
) -> tuple[Grid, TickLabels]:
    """Plan panels that have the same names under their horizontal axes.

    Parameters
    ----------
    n_panels : int
        At least 1.
    names : sequence of str
        At least one; each takes an equal part of the axis.
    width_mm, needed_mm : float
        See `panel_grid`.

    Returns
    -------
    grid, labels
        With as much room to the left as turned names need that reach beyond their panel.
    """
    grid = panel_grid(n_panels, width_mm, needed_mm)
    labels = fit_labels(names, grid.panel_mm / len(names) - 0.5)
    # More room to the left makes panels narrower, beyond which names then reach a little further.
    for _ in range(_MOST_WIDENINGS):
        beyond = _beyond_mm(labels, grid.panel_mm / len(names))
        if beyond <= grid.left_mm:
            break
        grid = panel_grid(n_panels, width_mm, needed_mm, beyond + 0.5)
        labels = fit_labels(names, grid.panel_mm / len(names) - 0.5)
    return grid, labels


def _beyond_mm(labels: TickLabels, slot_mm: float) -> float:
    """How far turned names reach beyond the left end of their axis."""
    if not labels.angle:
        return 0.0
    return max(
        text_mm(text) * math.cos(math.pi / 4) - (i + 0.5) * slot_mm
        for i, text in enumerate(labels.texts)
    )


def panels(
    grid: Grid,
    n_panels: int,
    width_mm: float,
    height_mm: float,
    below_mm: float,
    above_mm: float = 0.0,
) -> tuple[Figure, list[Axes]]:
    """Make a figure with aligned, empty panels.

    The panels of a column share what stands below the lowest of them, see `place`.

    Parameters
    ----------
    grid : Grid
        From `panel_grid`.
    n_panels : int
        How many there are; a short row comes first, so that every column ends in the last row.
    width_mm, height_mm : float
        Of the figure, and of one panel.
    below_mm : float
        Room for what stands under the lowest panel of a column.
    above_mm : float
        Room for a key at the top of the figure.

    Returns
    -------
    figure, axes
        Axes row by row.
    """
    step = _TITLE_MM + height_mm + grid.between_mm
    total = above_mm + grid.rows * step - grid.between_mm + below_mm + 1.0
    figure = new_figure(width_mm, total)
    axes = []
    for i in range(n_panels):
        row, column = place(grid, i, n_panels)
        left = grid.left_mm + column * (grid.panel_mm + grid.gap_mm)
        top = above_mm + row * step + _TITLE_MM
        bottom = 1 - (top + height_mm) / total
        box = (left / width_mm, bottom, grid.panel_mm / width_mm, height_mm / total)
        axes.append(figure.add_axes(box))
    return figure, axes


def place(grid: Grid, index: int, n_panels: int) -> tuple[int, int]:
    """Return row and column of a panel.

    Examples
    --------
    >>> [place(Grid(2, 3, 40.0), i, 5) for i in range(5)]
    [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)]
    """
    missing = grid.rows * grid.columns - n_panels
    first = grid.columns - missing
    if index < first:
        return 0, index
    row, column = divmod(index - first, grid.columns)
    return row + 1, column


def letter(axes: Axes, index: int, title: str, subtitle: str) -> None:
    """Put a bold lower-case letter, a title and a grey second line above a panel."""
    at: dict[str, Any] = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "annotation_clip": False,
    }
    # Beyond z: aa, bb, ...
    mark = chr(ord("a") + index % 26) * (1 + index // 26)
    axes.annotate(mark, (0, 1), (-1, 13.5), fontsize=8, fontweight="bold", **at)
    axes.annotate(title, (0, 1), (8, 13.5), **at)
    axes.annotate(subtitle, (0, 1), (8, 5), color=GREY, fontsize=6.5, **at)


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
        needed = sum(_SAMPLE_MM + part.max() for part in parts) - _KEY_GAP_MM
        if needed <= room_mm:
            return columns
    return 1


def draw_key(
    figure: Figure,
    handles: Sequence[Artist],
    left_mm: float,
    per_row: int,
    *,
    top_mm: float = 0.0,
    sample: float = 2.6,
) -> None:
    """Put a key over the panels.

    Parameters
    ----------
    figure : Figure
        Where.
    handles : sequence of Artist
        Samples with their labels.
    left_mm, top_mm : float
        Its corner, from that of the figure.
    per_row : int
        Columns; the entries run down the columns, in rows `KEY_ROW_MM` high.
    sample : float
        Width of a sample in font sizes.
    """
    width, height = (inches * 25.4 for inches in figure.get_size_inches())
    figure.legend(
        handles=list(handles), loc="upper left",
        bbox_to_anchor=(left_mm / width, 1 - top_mm / height), ncols=per_row,
        borderaxespad=0.2, handlelength=sample, columnspacing=1.6, labelspacing=0.35,
    )  # fmt: skip


def f1_axis(axes: Axes, first_in_row: bool, label: str) -> None:
    """Scale the vertical axis for a score in 0..1; only the first panel of a row names it."""
    axes.set_ylim(-0.04, 1.04)
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.spines["left"].set_bounds(0, 1)
    if first_in_row:
        axes.set_ylabel(label, labelpad=3)
    else:
        axes.set_yticklabels([])
