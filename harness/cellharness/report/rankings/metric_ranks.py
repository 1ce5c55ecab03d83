"""Ranks by every threshold, modality and cost beside each other, as a table of colours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import matplotlib as mpl
import pandas as pd
from matplotlib.patches import Rectangle

from cellharness.report import lettering
from cellharness.report.rankings.panel import Panel
from cellharness.report.rankings.ranked import Ranked
from cellharness.report.rankings.rows import plan_rows
from cellharness.report.sheet import Sheet
from cellharness.report.style import GREY, TEXT_PT, LineStyle
from cellharness.report.wording import f1_at
from cellharness.statistics import ALL
from cellharness.statistics.side_by_side import SECONDS_PER_CASE

Colour = tuple[float, float, float, float]

_GAP_MM, _RIGHT_MM, _BELOW_MM, _OVER_MM = 2.0, 1.5, 0.5, 4.0
_WIDEST_CELL_MM = 13.0
_MAP = mpl.colormaps["YlGnBu"]
# The ends of the map are white and nearly black.
_LIGHTEST, _DARKEST = 0.04, 0.82
_NO_RANK: Colour = (0.95, 0.95, 0.95, 1.0)
_HEAD_PT, _ABOVE_MM = 6.5, 1.0
_COSTS = {SECONDS_PER_CASE: "Time", "peak_gpu_mb": "GPU", "peak_host_mb": "Host"}
# Luminance on which black and white text have the same contrast.
_EVEN = 0.179


@dataclass(frozen=True)
class Column:
    """One ranking.

    Attributes
    ----------
    block
        Heading that it shares with its neighbours.
    head
        Its own.
    modality, metric, threshold
        What it ranks by; the threshold is NaN for a cost.
    """

    block: str
    head: str
    modality: str
    metric: str
    threshold: float


def columns_of(ranked: Ranked) -> list[Column]:
    """Name the rankings worth showing: thresholds and costs on all images, then modalities."""
    table = ranked.side_by_side
    main, nothing = ranked.run.threshold, float("nan")
    thresholds = sorted(table["threshold"].dropna().unique().tolist())
    columns = [Column("F1, IoU ≥", f"{t:g}", ALL, "f1", t) for t in thresholds]
    columns += [Column(f1_at(main), g, g, "f1", main) for g in ranked.groups if g != ALL]
    known = set(table["metric"])
    costs = [(metric, name) for metric, name in _COSTS.items() if metric in known]
    return columns + [Column("Time, memory", name, ALL, metric, nothing) for metric, name in costs]


def ranks_in(ranked: Ranked, column: Column) -> pd.Series:
    """Give the ranks of the methods, best first, by one column; <NA> where there is none."""
    table = ranked.side_by_side
    rows = table[(table["modality"] == column.modality) & (table["metric"] == column.metric)]
    if column.metric == "f1":
        rows = rows[rows["threshold"] == column.threshold]
    return rows.set_index("method")["rank"].reindex(list(ranked.order))


def metric_rank_panel(ranked: Ranked, styles: Mapping[str, LineStyle], width_mm: float) -> Panel:
    """Draw the rank of each method by each column, the darker the better.

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
    columns = columns_of(ranked)
    blocks = list(dict.fromkeys(column.block for column in columns))
    room = width_mm - rows.left_mm - _RIGHT_MM - _GAP_MM * (len(blocks) - 1)
    cell = min(room / len(columns), _WIDEST_CELL_MM)
    upright = {b: _upright([c.head for c in columns if c.block == b], cell) for b in blocks}
    names_mm = max(_head_mm(column.head, upright[column.block]) for column in columns)
    head_mm = _OVER_MM + names_mm + _ABOVE_MM
    count = len(ranked.order)

    def draw(sheet: Sheet, x: float, y: float) -> None:
        top = y + head_mm
        rows.write_names(sheet, x + rows.left_mm, top)
        for left, block, members in _places(columns, x + rows.left_mm, cell):
            across = cell * len(members)
            sheet.text(left, y + 2.6, _fitting(block, across), va="baseline", color=GREY)
            sheet.line(left + 0.2, y + 3.4, across - 0.4, GREY, 0.5)
            ax = sheet.axes(left, top, across, rows.height_mm)
            ax.set_xlim(0, len(members))
            ax.set_ylim(count, 0)
            ax.set_axis_off()
            for j, number in enumerate(members):
                sheet.text(
                    left + (j + 0.5) * cell, top - _ABOVE_MM, columns[number].head, ha="center",
                    va="bottom", fontsize=_HEAD_PT, rotation=90 if upright[block] else 0,
                )  # fmt: skip
                for i, rank in enumerate(ranks_in(ranked, columns[number])):
                    known = not pd.isna(rank)
                    colour = _shade((int(rank) - 1) / max(1, count - 1)) if known else _NO_RANK
                    ax.add_patch(
                        Rectangle((j, i), 1, 1, facecolor=colour, edgecolor="white", lw=0.5)
                    )
                    ax.text(
                        j + 0.5, i + 0.5, str(rank) if known else "–", ha="center",
                        va="center_baseline", fontsize=min(6.5, rows.text_pt),
                        color="black" if _luminance(colour) > _EVEN else "white",
                    )  # fmt: skip

    return Panel(width_mm, head_mm + rows.height_mm + _BELOW_MM, draw)


def _places(
    columns: list[Column], left: float, cell: float
) -> Iterator[tuple[float, str, list[int]]]:
    """Yield where each block of columns begins, its heading and the numbers of its columns."""
    for block in dict.fromkeys(column.block for column in columns):
        members = [i for i, column in enumerate(columns) if column.block == block]
        yield left, block, members
        left += cell * len(members) + _GAP_MM


def _upright(heads: list[str], cell_mm: float) -> bool:
    """Whether heads have to stand, as one is wider than its column."""
    return max(lettering.width_mm(head, _HEAD_PT) for head in heads) > cell_mm


def _head_mm(head: str, upright: bool) -> float:
    return lettering.width_mm(head, _HEAD_PT) if upright else 2.6


def _shade(share: float) -> Colour:
    """Colour of a rank, from 0 for the first to 1 for the last."""
    return _MAP(_DARKEST - (_DARKEST - _LIGHTEST) * share)


def _luminance(colour: Colour) -> float:
    """Relative luminance of an sRGB colour, 0 to 1, as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _fitting(block: str, room: float) -> str:
    """Shorten a heading to the part before its bracket where it is too long."""
    if lettering.width_mm(block, TEXT_PT) <= room:
        return block
    return block.split(" (")[0].split(",")[0]
