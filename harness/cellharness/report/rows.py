"""Methods as rows, best first: their names, boxes and dots, and panels that share them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cbook import boxplot_stats
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.patches import Rectangle

from cellharness.printing.table import group_title
from cellharness.report.layout import Panel, Sheet, shorten, text_mm
from cellharness.report.style import GREY, INK, SMALL_PT, TEXT_PT, LineStyle
from cellharness.statistics import ALL
from cellharness.vocabulary import SEGMENTED

# All rows together are as high as this if they can: a row has limits.
_TOGETHER_MM, _LOWEST_MM, _HIGHEST_MM = 40.0, 2.75, 8.0
# Lower rows than these have smaller letters.
_LOW_MM = 3.2
_NUMBER_MM, _GAP_MM = 4.2, 1.6
# Between the longest name and the edge.
_EDGE_MM = 0.8
_FAINT_INK = "#4d4d4d"
_LEAST_NAMES_MM, _MOST_NAMES = 8.0, 0.44

# Below this many values a box would pretend to know the quartiles.
LEAST_FOR_BOX = 5
#: From so many dots in a figure on they are drawn as pixels, since an SVG would be too heavy.
RASTERISE_ABOVE = 3000
_HALF_BOX, _HALF_DOTS, _HALF_CAP = 0.32, 0.27, 0.14
_INK_PT, _MEDIAN_PT = 0.6, 1.5
_FILL, _DOT = 0.25, 0.55

_PANEL_TITLE_MM, _BELOW_MM, _KEY_MM, _BETWEEN_MM, _RIGHT_MM = 8.5, 8.5, 4.0, 3.5, 2.5
# Panels are narrower where the figure would else be higher than this.
_LEAST_PANELS_MM, _HIGH_MM = (15.0, 10.5), 200.0
# Narrower panels have a short label and fewer ticks.
_SHORT_MM, _FEW_TICKS_MM = 22.0, 30.0

_Line = list[tuple[float, float]]


@dataclass(frozen=True)
class Rows:
    """Where the rows stand.

    Attributes
    ----------
    methods
        Best first, and behind them those that are not ranked.
    names
        As they are written, cut where they are too long.
    colours
        Of the methods.
    n_ranked
        How many are numbered.
    pitch_mm
        Height of a row.
    text_pt
        Size of the letters.
    left_mm
        Room that names and numbers take, up to the axis.
    """

    methods: tuple[str, ...]
    names: tuple[str, ...]
    colours: tuple[str, ...]
    n_ranked: int
    pitch_mm: float
    text_pt: float
    left_mm: float

    @property
    def height_mm(self) -> float:
        """Height of all rows."""
        return self.pitch_mm * len(self.methods)

    def write_names(self, sheet: Sheet, right_mm: float, top_mm: float) -> None:
        """Write names and numbers to the left of an axis that begins at `right_mm`."""
        for i, (name, colour) in enumerate(zip(self.names, self.colours, strict=True)):
            y = top_mm + (i + 0.5) * self.pitch_mm
            common = {"ha": "right", "va": "center_baseline", "fontsize": self.text_pt}
            shade = _FAINT_INK if colour == GREY else INK
            sheet.text(right_mm - _GAP_MM - _NUMBER_MM, y, name, color=shade, **common)
            number = str(i + 1) if i < self.n_ranked else "–"
            sheet.text(right_mm - _GAP_MM, y, number, color=GREY, **common)

    def scale(self, ax: Axes) -> None:
        """Scale the vertical axis so that row `i` is at `i`, the first at the top."""
        ax.set_ylim(len(self.methods) - 0.5, -0.5)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)

    def write_column(
        self, sheet: Sheet, left_mm: float, top_mm: float, head: str, texts: Sequence[str]
    ) -> None:
        """Write a column of texts, flush left, with a grey head."""
        sheet.small(left_mm, top_mm - 1.2, head)
        for i, text in enumerate(texts):
            y = top_mm + (i + 0.5) * self.pitch_mm
            sheet.text(left_mm, y, text, va="center_baseline", fontsize=self.text_pt)


def plan_rows(
    methods: Sequence[str],
    labels: Mapping[str, str],
    styles: Mapping[str, LineStyle],
    width_mm: float,
    n_ranked: int | None = None,
) -> Rows:
    """Choose the height of the rows and the room for names."""
    pitch = min(max(_TOGETHER_MM / len(methods), _LOWEST_MM), _HIGHEST_MM)
    size = TEXT_PT if pitch >= _LOW_MM else SMALL_PT
    widest = max(text_mm(labels[method], size) for method in methods)
    names_mm = min(max(widest + _EDGE_MM, _LEAST_NAMES_MM), _MOST_NAMES * width_mm)
    return Rows(
        methods=tuple(methods),
        names=tuple(shorten(labels[m], names_mm - _EDGE_MM, size) for m in methods),
        colours=tuple(styles[method].colour for method in methods),
        n_ranked=len(methods) if n_ranked is None else n_ranked,
        pitch_mm=pitch,
        text_pt=size,
        left_mm=names_mm + _NUMBER_MM + _GAP_MM,
    )


def draw_boxes(ax: Axes, rows: Rows, scores: pd.DataFrame) -> None:
    """Draw a dot an image, quartiles as a box and the median as a thick line, row by row.

    Whiskers reach the last value within 1.5 interquartile ranges; images without a mask are
    crosses; with fewer than five values there is a median and no box. Boxes of methods that are not
    ranked are hatched.
    """
    scores = scores[scores["f1"].notna()]
    by_method = {str(name): block for name, block in scores.groupby("method", sort=False)}
    _draw_dots(ax, rows, by_method, rasterise=len(scores) > RASTERISE_ABOVE)
    boxes: list[Rectangle] = []
    fills: list[str] = []
    lines: list[_Line] = []
    medians: list[_Line] = []
    for y, (method, colour) in enumerate(zip(rows.methods, rows.colours, strict=True)):
        if method not in by_method:
            continue
        values = by_method[method]["f1"].to_numpy(float)
        middle = float(np.median(values))
        medians.append([(middle, y - _HALF_BOX), (middle, y + _HALF_BOX)])
        if values.size < LEAST_FOR_BOX:
            continue
        (found,) = boxplot_stats(values, whis=1.5)
        q1, q3 = found["q1"], found["q3"]
        box = Rectangle((q1, y - _HALF_BOX), q3 - q1, 2 * _HALF_BOX)
        boxes.append(box)
        fills.append(colour)
        if y >= rows.n_ranked:
            hatch: dict[str, Any] = {"facecolor": "none", "edgecolor": colour, "hatch": "//////"}
            ax.add_patch(Rectangle(box.get_xy(), q3 - q1, 2 * _HALF_BOX, lw=0, zorder=1, **hatch))
        for end, side in ((found["whislo"], q1), (found["whishi"], q3)):
            lines.append([(end, y), (side, y)])
            lines.append([(end, y - _HALF_CAP), (end, y + _HALF_CAP)])
    edges: dict[str, Any] = {"facecolors": "none", "edgecolors": INK, "linewidths": _INK_PT}
    for collection in (
        PatchCollection(boxes, facecolors=fills, alpha=_FILL, linewidths=0, zorder=1),
        PatchCollection(boxes, zorder=3, **edges),
        *(
            LineCollection(
                shapes, colors=INK, linewidths=width, capstyle="butt", clip_on=False, zorder=3
            )
            for shapes, width in ((lines, _INK_PT), (medians, _MEDIAN_PT))
        ),
    ):
        ax.add_collection(collection, autolim=False)


def _draw_dots(
    ax: Axes, rows: Rows, by_method: Mapping[str, pd.DataFrame], *, rasterise: bool
) -> None:
    at, values, colours, masked = [], [], [], []
    for y, (method, colour) in enumerate(zip(rows.methods, rows.colours, strict=True)):
        block = by_method.get(method)
        if block is None:
            continue
        # Seeded, so that the same scores give the same picture.
        spread = np.random.default_rng(0).uniform(-_HALF_DOTS, _HALF_DOTS, len(block))
        at.append(y + spread * (len(block) > 1))
        values.append(block["f1"].to_numpy(float))
        masked.append(block["status"].isin(SEGMENTED).to_numpy())
        colours += [colour] * len(block)
    if not at:
        return
    x, y, whole = np.concatenate(values), np.concatenate(at), np.concatenate(masked)
    # No larger than a third of the row, and smaller the more there are.
    most = (rows.pitch_mm / 3 * 72 / 25.4) ** 2
    size = float(np.clip(140 * len(at) / len(x), 0.8, min(7.0, most)))
    shade = np.array(colours, dtype=object)
    common: dict[str, Any] = {"clip_on": False, "rasterized": rasterise, "zorder": 2}
    ax.scatter(x[whole], y[whole], s=size, c=list(shade[whole]), alpha=_DOT, lw=0, **common)
    ax.scatter(
        x[~whole], y[~whole], s=max(size, 4.0), c=list(shade[~whole]), marker="x", lw=0.5, **common
    )


def failed_key(scores: pd.DataFrame) -> str:
    """Say what a cross is, where there is one."""
    failed = scores["f1"].notna() & ~scores["status"].isin(SEGMENTED)
    return "×, failed case (F1 = 0)" if failed.any() else ""


def score_axis(ax: Axes, label: str, *, few_ticks: bool = False) -> None:
    """Scale the horizontal axis for a score in 0..1, with a grid to read it by."""
    ax.set_xlim(-0.02, 1.02)
    ticks = [0, 0.5, 1] if few_ticks else [0, 0.2, 0.4, 0.6, 0.8, 1]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.spines["bottom"].set_bounds(0, 1)
    ax.set_xlabel(label, labelpad=2)
    for tick in ticks:
        ax.axvline(tick, color="#e4e4e4", lw=0.5, zorder=0)


def row_grid(
    rows: Rows,
    groups: Sequence[str],
    width_mm: float,
    scores: pd.DataFrame,
    draw_scores: Callable[[Axes, Rows, pd.DataFrame], None],
    subtitle: Callable[[pd.DataFrame], str],
    *,
    label: str,
    key: str = "",
) -> Panel:
    """Draw a panel of scores for each group of images, as many beside each other as have room."""
    room = width_mm - rows.left_mm - _RIGHT_MM + _BETWEEN_MM
    step = _PANEL_TITLE_MM + rows.height_mm + _BELOW_MM
    for least in _LEAST_PANELS_MM:
        per_line = max(1, min(len(groups), int(room // (least + _BETWEEN_MM))))
        lines = -(-len(groups) // per_line)
        if lines * step <= _HIGH_MM:
            break
    per_line = -(-len(groups) // lines)
    across = min(room / per_line - _BETWEEN_MM, 70.0)
    above = _KEY_MM if key else 0.0

    def draw(sheet: Sheet, x: float, y: float) -> None:
        if key:
            # Further to the left where it is long.
            at = min(rows.left_mm, max(1.0, width_mm - 1.0 - text_mm(key, SMALL_PT)))
            sheet.small(x + at, y + 2.6, key)
        for i, group in enumerate(groups):
            line, column = divmod(i, per_line)
            left = x + rows.left_mm + column * (across + _BETWEEN_MM)
            top = y + above + line * step + _PANEL_TITLE_MM
            ax = sheet.axes(left, top, across, rows.height_mm)
            rows.scale(ax)
            score_axis(ax, label if across > _SHORT_MM else "F1", few_ticks=across < _FEW_TICKS_MM)
            here = scores if group == ALL else scores[scores["modality"] == group]
            draw_scores(ax, rows, here)
            title, small = (
                shorten(text, across + _BETWEEN_MM - 3.8, size)
                for text, size in ((group_title(group), TEXT_PT), (subtitle(here), SMALL_PT))
            )
            sheet.letter(left - 0.4, top - 4.4, i, title, small)
            if column == 0:
                rows.write_names(sheet, left, top)

    return Panel(width_mm, above + lines * step, draw)
