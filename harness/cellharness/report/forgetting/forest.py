"""Forest plot: each remedy against plain fine-tuning, what it kept and what it gained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cellharness.report.forgetting.findings import Findings
from cellharness.report.forgetting.look import SIGNED, left_room, zero_line
from cellharness.report.forgetting.sentences import of_units
from cellharness.report.forgetting.study import Study
from cellharness.report.layout import (
    KEY_ROW_MM,
    Grid,
    cut,
    draw_key,
    keys_per_row,
    letter,
    panels,
    text_mm,
)
from cellharness.report.records import Record
from cellharness.report.style import GREY, TWO_COLUMNS_MM, LineStyle
from cellharness.report.wording import absent
from cellharness.statistics.contrasts import HIGHER

_ROW_MM = 5.2
_GAP_MM, _RIGHT_MM = 5.0, 2.5
#: Panels up to this width have room for few numbers under them.
_NARROW_MM = 32.0
#: Room for p to the right, where there are two columns.
_P_MM = 17.0


def forest_figure(
    study: Study, findings: Findings, styles: Mapping[str, LineStyle], width_mm: float
) -> Figure:
    """Draw differences to plain fine-tuning with intervals: unseen to the left, seen to the right.

    Filled marks are what was shown: that the remedy keeps more, and that its gain is comparable.

    Parameters
    ----------
    study, findings
        The study and its measures, `Findings.comparison` among them.
    styles : mapping of str to LineStyle
        Look of each remedy.
    width_mm : float
        Printed width.

    Raises
    ------
    ValueError
        If nothing was compared.
    """
    if findings.comparison is None:
        msg = "a forest plot needs remedies beside plain fine-tuning"
        raise ValueError(msg)
    rows = findings.against_plain
    names = [name for name in study.remedies if name in rows]
    own = findings.met_again
    labels = [study.labels[name] for name in names]
    wide = width_mm >= TWO_COLUMNS_MM
    left = left_room(labels, 14.0, 0.4 * width_mm)
    panel = (width_mm - left - _RIGHT_MM - _GAP_MM - (_P_MM if wide else 0)) / 2
    grid = Grid(2, 1, panel, _GAP_MM + (_P_MM if wide else 0), 0.0, left)
    height = max(14.0, _ROW_MM * len(names))
    samples = _samples(again=bool(own))
    per_row = keys_per_row([str(s.get_label()) for s in samples], width_mm - 4)
    above = -(-len(samples) // per_row) * KEY_ROW_MM + 1
    figure, (kept, gain) = panels(grid, 2, width_mm, height, 9.5, above)
    first = next(iter(rows.values()))
    for ax, title, row in (
        (kept, "Kept more", first[0]),
        (gain, "Gained more", first[1]),
    ):
        part = "unseen" if ax is kept else "seen"
        letter(ax, int(ax is gain), title, f"{part}, {of_units(row)}")
        zero_line(ax, vertical=True)
        ax.set_ylim(len(names) - 0.4, -0.6)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        ax.set_yticks(range(len(names)), [""] * len(names))
        ax.set_xlabel(_axis_label(study.labels[study.record.plain], panel), labelpad=2)
    kept.set_yticklabels([cut(label, left - 2) for label in labels])
    for y, name in enumerate(names):
        (unseen, seen), colour = rows[name], styles[name].colour
        again = own.get(name)
        shift = 0.16 if again else 0.0
        more = unseen["verdict"] == HIGHER
        _bar(kept, y - shift, unseen, colour, styles[name], filled=more)
        if again is not None:
            _bar(kept, y + 0.2, again, colour, None, filled=again["verdict"] == HIGHER)
        _bar(gain, y, seen, colour, styles[name], filled=seen["comparable"])
        if wide:
            kept.annotate(_p(unseen["p_adjusted"]), (1, y), (4, 0),
                          xycoords=("axes fraction", "data"), textcoords="offset points",
                          va="center", color=GREY, fontsize=6.5)  # fmt: skip
    margin = -float(first[0]["margin"])
    for end in (margin, -margin):
        gain.axvline(end, color=GREY, lw=0.7, ls=(0, (1, 1.5)), zorder=0)
    _scale(kept, [*(unseen for unseen, _ in rows.values()), *own.values()])
    _scale(gain, [seen for _, seen in rows.values()], margin)
    for ax in (kept, gain):
        ax.xaxis.set_major_locator(MaxNLocator(nbins=4 if panel > _NARROW_MM else 2))
    draw_key(figure, samples, 1.0, per_row, sample=1.6)
    return figure


def _bar(
    ax: Axes,
    y: float,
    row: Record,
    colour: str,
    style: LineStyle | None,
    *,
    filled: bool,
) -> None:
    """Draw one difference; a thin one without a style is the repeated comparison."""
    if absent(row["estimate"]):
        ax.text(0, y, "no case", va="center", ha="center", color=GREY, fontsize=6.5)
        return
    size = 4.6 if style else 3.0
    ax.plot([row["low"], row["high"]], [y, y], color=colour, zorder=2,
            lw=1.1 if style else 0.7)  # fmt: skip
    ax.plot(
        row["estimate"], y, style.marker if style else "o", ms=size, mec=colour, mew=0.9, zorder=3,
        mfc=colour if filled else "white",
    )  # fmt: skip


def _scale(ax: Axes, rows: Iterable[Record], margin: float = 0.0) -> None:
    every = pd.DataFrame(list(rows))
    values = every[["estimate", "low", "high"]].to_numpy(float).ravel()
    values = values[~pd.isna(values)]
    if not values.size:
        ax.set_xlim(-0.1, 0.1)
        return
    low, high = min(values.min(), margin), max(values.max(), -margin)
    room = 0.08 * max(high - low, 0.02)
    ax.set_xlim(low - room, high + room)
    ax.xaxis.set_major_formatter(SIGNED)


def _axis_label(plain: str, room_mm: float) -> str:
    whole = f"F1 above that of {plain}"
    return whole if text_mm(whole) <= room_mm else "F1 above plain"


def _p(p: float) -> str:
    if absent(p):
        return "–"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _samples(*, again: bool) -> list[Artist]:
    mark: dict[str, Any] = {"color": GREY, "mec": GREY, "mew": 0.9}
    samples: list[Artist] = [
        Line2D([], [], marker="o", ms=4.6, mfc=GREY, lw=1.1, label="Shown", **mark),
        Line2D([], [], marker="o", ms=4.6, mfc="white", lw=1.1, label="Not shown", **mark),
    ]
    if again:
        samples.append(
            Line2D([], [], marker="o", ms=3, mfc="white", lw=0.7,
                   label="Without what it met again", **mark)
        )  # fmt: skip
    return samples
