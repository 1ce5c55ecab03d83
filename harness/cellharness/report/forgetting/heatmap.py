"""Heat map of the change that each remedy made, by modality, on unseen and on seen experiments."""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cellharness.report import lettering
from cellharness.report.forgetting.findings import Findings
from cellharness.report.forgetting.look import left_room, worth_showing
from cellharness.report.forgetting.study import Study
from cellharness.report.layout import cut, fit_labels
from cellharness.report.records import Record, by_key
from cellharness.report.sheet import Sheet
from cellharness.report.style import GREY, TWO_COLUMNS_MM
from cellharness.report.wording import absent
from cellharness.statistics import ALL
from cellharness.statistics.contrasts import HIGHER, LOWER, TOO_FEW
from cellharness.statistics.staged_scores import SEEN, UNSEEN

#: Mark of a change that is significant.
PROVEN = "*"

_SMALL_PT = 6.5
_CELL_MM, _LARGEST_CELL_MM = 5.4, 15.0
_GAP_MM, _BAR_MM, _RIGHT_MM = 4.0, 9.0, 4.0
_TITLES = {UNSEEN: "Unseen experiments", SEEN: "Seen experiments"}
_MAP = mpl.colormaps["RdBu"]
_NO_CELL = "#efefef"
# Share of its colour that a cell keeps where nothing could be tested.
_PALE = 0.35
#: Luminance on which black and white text have the same contrast.
_EVEN = 0.179
#: The scale reaches at least this far, so that noise does not look like a result.
_LEAST_LIMIT = 0.1


def heatmap_figure(study: Study, findings: Findings, width_mm: float) -> Figure:
    """Draw mean changes of F1 as a table of colours with numbers, unseen beside seen experiments.

    Red is a loss, blue a gain, white no change; `PROVEN` marks those that are significant, and
    those of too few experiments to test are pale. Rows are the remedies of the study, those without
    scores among them; a modality without cases has no column.

    Parameters
    ----------
    study, findings
        The study and its measures.
    width_mm : float
        Printed width; where it is less than two columns the two blocks stand below each other.
    """
    changes = findings.changes[findings.changes["level"] != "experiment"]
    found = by_key(changes, "remedy", "modality", "seen")
    parts = [part for part in (UNSEEN, SEEN) if findings.has(part)]
    groups = {
        part: [g for g in worth_showing(study.modalities) if findings.cases(g, part)]
        for part in parts
    }
    columns = [len(groups[part]) for part in parts] or [1]
    remedies = list(study.remedies)
    names = [study.labels[name] for name in remedies]
    beside = width_mm >= TWO_COLUMNS_MM and len(parts) > 1
    left = left_room(names, 14.0, 0.4 * width_mm)
    room = width_mm - left - _RIGHT_MM - (_GAP_MM if beside else 0)
    cell = min(_LARGEST_CELL_MM, room / (sum(columns) if beside else max(columns)))
    shown = [g for g in worth_showing(study.modalities) if any(g in groups[p] for p in parts)]
    heads = fit_labels(["All" if group == ALL else group for group in shown], cell - 0.8)
    texts = dict(zip(shown, heads.texts, strict=True))
    # Turned names are estimated generously, as elsewhere something stands below them.
    names_mm = heads.height_mm - (4.0 if heads.angle else 0.0)
    head_mm = 5.0 + names_mm + 2.6
    block_mm = head_mm + len(remedies) * _CELL_MM
    blocks = 1 if beside else len(parts)
    sheet = Sheet(width_mm, 1.0 + blocks * block_mm + (blocks - 1) * 3.0 + _BAR_MM + 1.0)
    limit = _limit([row for row in found.values() if row["seen"] in parts])
    for number, part in enumerate(parts):
        x = left + (number * (columns[0] * cell + _GAP_MM) if beside else 0)
        y = 1.0 + (0 if beside else number * (block_mm + 3.0))
        sheet.text(x, y + 2.4, _TITLES[part], va="baseline", fontweight="bold")
        foot = y + 5.0 + names_mm
        for column, group in enumerate(groups[part]):
            text = texts[group]
            middle = x + (column + 0.5) * cell
            turned = {"rotation": heads.angle, "rotation_mode": "anchor", "ha": "left"}
            style = turned if heads.angle else {"ha": "center", "linespacing": 1.1}
            at = middle - (0.8 if heads.angle else 0)
            sheet.text(at, foot - 0.8, text, va="baseline", **style)
            n = findings.cases(group, part)
            sheet.text(
                middle, foot + 1.8, f"{n:,}", ha="center", va="baseline", color=GREY, fontsize=6.5
            )
        top = y + head_mm
        if _names_wanted(number, beside=beside):
            sheet.text(left - 1.2, foot + 1.8, "n", ha="right", va="baseline", color=GREY,
                       fontsize=6.5)  # fmt: skip
            for row, name in enumerate(names):
                at = top + (row + 0.5) * _CELL_MM
                sheet.text(left - 1.2, at, cut(name, left - 3), ha="right", va="center")
        ax = sheet.axes(x, top, len(groups[part]) * cell, len(remedies) * _CELL_MM)
        _frame(ax, len(groups[part]), len(remedies))
        for row, remedy in enumerate(remedies):
            if remedy not in findings.trained:
                _missing_row(ax, row, len(groups[part]))
                continue
            for column, group in enumerate(groups[part]):
                _cell(ax, column, row, found.get((remedy, group, part)), limit)
    _scale(sheet, left, limit)
    return sheet.figure


def _names_wanted(block: int, *, beside: bool) -> bool:
    """Whether a block has the names of the remedies to its left."""
    return block == 0 or not beside


def _limit(rows: list[Record]) -> float:
    """Both ends of the scale, up to the next tenth."""
    largest = max((abs(r["estimate"]) for r in rows if not absent(r["estimate"])), default=0)
    return max(_LEAST_LIMIT, math.ceil(largest * 10 - 1e-9) / 10)


def _frame(ax: Axes, columns: int, rows: int) -> None:
    ax.set_xlim(0, columns)
    ax.set_ylim(rows, 0)
    ax.set_axis_off()


def _cell(ax: Axes, column: int, row: int, record: Record | None, limit: float) -> None:
    known = record is not None and not absent(record["estimate"])
    if record is None or not known:
        _box(ax, column, row, 1, _NO_CELL)
        ax.text(column + 0.5, row + 0.5, "–", ha="center", va="center", color=GREY, fontsize=6.5)
        return
    value = float(record["estimate"])
    colour: tuple[float, ...] = _MAP(0.5 + 0.5 * value / limit)
    if record["verdict"] == TOO_FEW:
        colour = tuple(1 - _PALE * (1 - channel) for channel in colour)
    _box(ax, column, row, 1, colour)
    mark = PROVEN if record["verdict"] in (HIGHER, LOWER) else ""
    text = f"{value:+.2f}".replace("-", "−")
    text = "0" if not text.strip("+−0.") else text
    light = _luminance(colour) > _EVEN
    ax.text(
        column + 0.5, row + 0.53, text + mark, ha="center", va="center", fontsize=6.5,
        color="black" if light else "white", fontweight="bold" if mark else "normal",
    )  # fmt: skip


def _luminance(colour: tuple[float, ...]) -> float:
    """Relative luminance of an sRGB colour, 0 to 1, as WCAG 2 defines it."""
    channels = np.array(colour[:3])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _missing_row(ax: Axes, row: int, columns: int) -> None:
    _box(ax, 0, row, columns, _NO_CELL)
    ax.text(
        columns / 2, row + 0.53, "no scores", ha="center", va="center", color=GREY, fontsize=6.5
    )


def _box(ax: Axes, column: int, row: int, width: int, colour: object) -> None:
    ax.add_patch(
        Rectangle((column, row), width, 1, facecolor=colour, edgecolor="white", lw=0.8)  # type: ignore[arg-type]
    )


def _scale(sheet: Sheet, left: float, limit: float) -> None:
    """Draw the scale under the blocks, with what the mark means beside it."""
    texts = ("mean change of F1", f"{PROVEN} significant")
    words = max(lettering.width_mm(text, _SMALL_PT) for text in texts) + 1.0
    width = min(26.0, sheet.width - left - 4.0 - words)
    ax = sheet.axes(left, sheet.height - 8.0, width, 2.0)
    ax.imshow(np.linspace(0, 1, 256)[None], aspect="auto", cmap=_MAP, extent=(-limit, limit, 0, 1))
    ax.set_yticks([])
    ax.set_xticks([-limit, 0, limit], [f"−{limit:g}", "0", f"+{limit:g}"], fontsize=6.5)
    ax.tick_params(length=1.5, pad=1)
    for spine in ax.spines.values():
        spine.set_visible(False)
    at = left + width + 4.0
    for text, y in zip(texts, (7.0, 3.6), strict=True):
        sheet.text(at, sheet.height - y, text, va="center", fontsize=_SMALL_PT)
