"""Cut-outs as one figure, in the manner of the paper's Fig. 4f: a row a case, a column a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from cellharness.report.cutouts import CaseTiles, MethodTile, Outlines, has_picture
from cellharness.report.layout import Sheet, TickLabels, fit_labels, panel_letter
from cellharness.report.outlines import LEGEND, STYLES
from cellharness.report.style import GREY, SMALL_PT, TWO_COLUMNS_MM, LineStyle

_LEFT_MM, _GAP_MM, _RIGHT_MM = 9.0, 1.0, 0.5
_LEGEND_MM = 6.0
_LARGEST_TILE_MM = 44.0
_NOTICE_MM = 9.0
_LEAST_WIDTH_MM = 120.0
_CASING = "#000000"


def cutout_figure(
    rows: Sequence[tuple[str, CaseTiles | None]],
    methods: Sequence[str],
    labels: Mapping[str, str],
    styles: Mapping[str, LineStyle],
) -> Figure:
    """Draw a case a row, None where none may be shown: the truth, then what each method made of it.

    The figure is at most two columns wide.
    """
    room = TWO_COLUMNS_MM - _LEFT_MM - _RIGHT_MM - len(methods) * _GAP_MM
    tile = min(_LARGEST_TILE_MM, room / (len(methods) + 1))
    heads = fit_labels([labels[m] for m in methods], tile)
    heights = [tile if has_picture(tiles) else _NOTICE_MM for _, tiles in rows]
    sheet = Sheet(
        max(_LEFT_MM + (len(methods) + 1) * (tile + _GAP_MM) + _RIGHT_MM, _LEAST_WIDTH_MM),
        heads.height_mm + 1 + sum(heights) + len(rows) * _GAP_MM + _LEGEND_MM,
    )
    lefts = [_LEFT_MM + i * (tile + _GAP_MM) for i in range(len(methods) + 1)]
    _heads(sheet, heads, lefts, tile, [styles[m].colour for m in methods])
    top = heads.height_mm + 1
    for i, ((modality, tiles), height) in enumerate(zip(rows, heights, strict=True)):
        sheet.text(0.8, top, panel_letter(i), va="top", fontsize=8, fontweight="bold")
        if tiles is None or tiles.picture is None:
            why = tiles.problem if tiles else "no image may be shown under the configured licences"
            sheet.text(_LEFT_MM, top + height / 2, f"{modality}: {why}.", va="center", color=GREY)
        else:
            sheet.text(5.6, top + height / 2, modality, rotation=90, ha="center", va="center")
            _draw(sheet.axes(lefts[0], top, tile, tile), tiles.picture, tiles.truth)
            for left, result in zip(lefts[1:], tiles.methods, strict=True):
                ax = sheet.axes(left, top, tile, tile)
                _draw(ax, tiles.picture, result.outlines)
                _badge(ax, result)
        top += height + _GAP_MM
    if any(has_picture(tiles) for _, tiles in rows):
        _legend(sheet)
    return sheet.figure


def _heads(
    sheet: Sheet, heads: TickLabels, lefts: Sequence[float], tile: float, colours: Sequence[str]
) -> None:
    """Name the columns, each method over a bar of its colour."""
    foot = heads.height_mm + 0.4
    style: dict[str, Any] = {"va": "baseline", "linespacing": 1.1}
    sheet.text(lefts[0] + tile / 2, foot - 1.2, "Truth", ha="center", **style)
    for left, text, colour in zip(lefts[1:], heads.texts, colours, strict=True):
        sheet.line(left, foot, tile, colour)
        if heads.angle:
            turned = {**style, "rotation": heads.angle, "rotation_mode": "anchor"}
            sheet.text(left + tile * 0.4, foot - 1.2, text, ha="left", **turned)
        else:
            sheet.text(left + tile / 2, foot - 1.2, text, ha="center", **style)


def _badge(ax: Axes, result: MethodTile) -> None:
    ax.text(
        0.03, 0.03, result.badge, transform=ax.transAxes, fontsize=SMALL_PT, color="white",
        zorder=9, bbox={"facecolor": "black", "alpha": 0.65, "lw": 0, "pad": 1.2},
    )  # fmt: skip


def _draw(ax: Axes, picture: np.ndarray, outlines: Outlines) -> None:
    ax.set_axis_off()
    rows, columns = picture.shape[:2]
    ax.imshow(
        picture, cmap="gray", vmin=0, vmax=255, extent=(0, columns, rows, 0), aspect="equal",
        interpolation="none",
    )  # fmt: skip
    for kind, style in STYLES.items():
        if not outlines.get(kind):
            continue
        # One path for all cells: a path for each takes many times as long to draw.
        path = Path.make_compound_path(*map(Path, outlines[kind]))
        path.should_simplify = False
        draw = partial(PathPatch, path, fill=False, joinstyle="round")
        width = style.width * 0.62
        # A dark casing keeps thin light lines visible on light images.
        ax.add_artist(draw(edgecolor=_CASING, alpha=0.45, lw=width + 0.6))
        dashes = (0, style.dashes) if style.dashes else "solid"
        ax.add_artist(draw(edgecolor=style.colour, lw=width, ls=dashes))
    ax.set_xlim(0, columns)
    ax.set_ylim(rows, 0)


def _legend(sheet: Sheet) -> None:
    styles = [STYLES[kind] for kind in LEGEND]
    handles = [
        Line2D([], [], color=style.colour, lw=style.width, label=style.label,
               ls=(0, style.dashes) if style.dashes else "solid")
        for style in styles
    ]  # fmt: skip
    sheet.figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(_LEFT_MM / sheet.width, 0), ncols=5,
        borderaxespad=0.0, borderpad=0.5, handlelength=2.6, columnspacing=1.4, frameon=True,
        facecolor="#4d4d4d", edgecolor="none", labelcolor="white", fontsize=6, fancybox=False,
        framealpha=1,
    )  # fmt: skip
