"""Example panels in the manner of the paper's Fig. 4f: a row a modality, a column a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cellharness.report.layout import TickLabels, fit_labels
from cellharness.report.outlines import STYLES
from cellharness.report.panes import has_picture
from cellharness.report.sheet import Sheet
from cellharness.report.style import GREY, TWO_COLUMNS_MM, LineStyle
from cellharness.report.tiles import CaseTiles, MethodTile
from cellharness.report.wording import number

_LEFT_MM, _GAP_MM, _RIGHT_MM = 9.0, 1.0, 0.5
_LEGEND_MM = 6.0
_LARGEST_TILE_MM = 44.0
_NOTICE_MM = 9.0
_LEAST_WIDTH_MM = 120.0
_CASING = "#000000"


def examples_figure(
    rows: Sequence[tuple[str, CaseTiles | None]],
    methods: Sequence[str],
    labels: dict[str, str],
    styles: dict[str, LineStyle],
) -> Figure:
    """Draw one case a modality: the truth, then what each method made of it.

    Parameters
    ----------
    rows : sequence of (str, CaseTiles or None)
        Modality and its case; None where no case may be shown.
    methods : sequence of str
        Columns.
    labels, styles : dict
        Names and colours of the methods.

    Returns
    -------
    Figure
        At most two columns wide.
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
        sheet.text(0.8, top, chr(ord("a") + i), va="top", fontsize=8, fontweight="bold")
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
    text = f"F1 {number(result.f1, 2)}" if result.has_mask else f"no mask: {result.status}"
    ax.text(
        0.03, 0.03, text, transform=ax.transAxes, fontsize=6.5, color="white", zorder=9,
        bbox={"facecolor": "black", "alpha": 0.65, "lw": 0, "pad": 1.2},
    )  # fmt: skip


def _draw(ax: Axes, picture: np.ndarray, outlines: Mapping[str, list[np.ndarray]]) -> None:
    ax.set_axis_off()
    rows, columns = picture.shape[:2]
    ax.imshow(
        picture, cmap="gray", vmin=0, vmax=255, extent=(0, columns, rows, 0), aspect="equal",
        interpolation="none",
    )  # fmt: skip
    for kind, style in STYLES.items():
        lines, width = outlines.get(kind, []), style.width * 0.62
        dashes = (0, style.dashes) if style.dashes else "solid"
        # A dark casing keeps thin light lines visible on light images.
        ax.add_collection(LineCollection(lines, colors=_CASING, alpha=0.45, linewidths=width + 0.6))
        ax.add_collection(
            LineCollection(lines, colors=style.colour, linewidths=width, linestyles=[dashes])
        )
    ax.set_xlim(0, columns)
    ax.set_ylim(rows, 0)


def _legend(sheet: Sheet) -> None:
    handles = []
    for kind in ("truth", "correct", "wrong", "missed", "excluded"):
        style = STYLES[kind]
        dashes = (0, style.dashes) if style.dashes else "solid"
        handles.append(
            Line2D([], [], color=style.colour, ls=dashes, lw=style.width, label=style.label)
        )
    sheet.figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(_LEFT_MM / sheet.width, 0), ncols=5,
        borderaxespad=0.0, borderpad=0.5, handlelength=2.6, columnspacing=1.4, frameon=True,
        facecolor="#4d4d4d", edgecolor="none", labelcolor="white", fontsize=6, fancybox=False,
        framealpha=1,
    )  # fmt: skip
