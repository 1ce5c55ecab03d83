"""What the way of evaluating explains: the loss taken apart, and F1 under every protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from cellharness.report.boxes import method_axis
from cellharness.report.forgetting.findings import Findings
from cellharness.report.forgetting.look import SIGNED, left_room, say_nothing, span, worth_showing
from cellharness.report.forgetting.study import Study
from cellharness.report.layout import (
    KEY_ROW_MM,
    Grid,
    cut,
    draw_key,
    keys_per_row,
    letter,
    panel_grid,
    panels,
    place,
)
from cellharness.report.records import Record, by_key, records
from cellharness.report.style import GREY, INK, TWO_COLUMNS_MM
from cellharness.report.wording import absent, count, percent
from cellharness.statistics import ALL
from cellharness.statistics.decomposition import (
    ALIKE,
    APPARENT,
    DEFINED,
    IMAGES,
    IS_GAIN,
    NOT_SIGNIFICANT,
    OF_PROTOCOLS,
    TOO_FEW,
)
from cellharness.statistics.staged_scores import UNSEEN

# Not the colours of losses and gains, nor those of remedies: parts of a loss are neither.
_PARTS = {
    APPARENT: ("As published", "#a6a6a6"),
    OF_PROTOCOLS: ("Difference of the protocols", "#DDCC77"),
    ALIKE: ("Both evaluated alike", "#A493C7"),
}
_LEFT_MM = 12.0
_ROW_MM = 4.6
_NOT_DEFINED = {
    IS_GAIN: "nothing lost",
    NOT_SIGNIFICANT: "not significant",
    TOO_FEW: "too few units",
}


def split_figure(study: Study, findings: Findings, width_mm: float) -> Figure:
    """Draw the loss on unseen experiments as published, and its two parts, as steps of a fall.

    Parameters
    ----------
    study, findings
        The study and its measures, `Causes.split` among them.
    width_mm : float
        Printed width.

    Raises
    ------
    ValueError
        If nothing was taken apart.
    """
    split = findings.causes.split
    if split is None:
        msg = "there is no loss taken apart to draw"
        raise ValueError(msg)
    rows = split[
        (split["seen"] == UNSEEN)
        & (split["estimand"] == IMAGES)
        & split["protocol"].isin(["", findings.causes.protocol])
    ]
    found = by_key(rows, "modality", "measure")
    groups = [g for g in worth_showing(study.modalities) if found[g, APPARENT]["n_images"]]
    parts = {g: [found[g, measure] for measure in _PARTS] for g in groups}
    samples = _part_samples()
    per_row = keys_per_row([str(s.get_label()) for s in samples], width_mm - _LEFT_MM)
    above = -(-len(samples) // per_row) * KEY_ROW_MM + 1
    grid = panel_grid(len(groups), width_mm, 27.0, _LEFT_MM)
    figure, axes = panels(grid, len(groups), width_mm, 32.0, 3.0, above)
    reached = [end for three in parts.values() for bar in _bars(three) for end in bar[2:]]
    limits = span(pd.DataFrame({"end": [0.0, *reached]}), ("end",), 0.1)
    for i, (group, ax) in enumerate(zip(groups, axes, strict=True)):
        _, column = place(grid, i, len(groups))
        _steps(ax, parts[group])
        method_axis(ax, None, len(_PARTS))
        ax.set_ylim(*limits)
        ax.yaxis.set_major_locator(MaxNLocator(nbins=5))
        ax.yaxis.set_major_formatter(SIGNED)
        ax.axhline(0, color=INK, lw=0.5, zorder=1)
        ax.spines["bottom"].set_visible(False)
        if column == 0:
            ax.set_ylabel("Loss of mean F1", labelpad=3)
        else:
            ax.set_yticklabels([])
        title = "All" if group == ALL else group
        images = count(parts[group][0]["n_images"], "image")
        letter(ax, i, title, f"{images}, {_share(found[group, OF_PROTOCOLS])}")
    draw_key(figure, samples, _LEFT_MM - 2, per_row, sample=1.3)
    return figure


def _part_samples() -> list[Artist]:
    return [Patch(facecolor=colour, label=label) for label, colour in _PARTS.values()]


def _bars(parts: Sequence[Record]) -> list[tuple[float, float, float, float]]:
    """Bottom and height of every bar, and where its interval, or else the bar itself, ends."""
    apparent, between, alike = (float(row["estimate"]) for row in parts)
    bars = []
    for (bottom, height), row in zip(
        ((0.0, apparent), (alike, between), (0.0, alike)), parts, strict=True
    ):
        ends = (0.0, height) if absent(row["low"]) else (row["low"], row["high"])
        bars.append((bottom, height, bottom + ends[0], bottom + ends[1]))
    return bars


def _steps(ax: Axes, parts: Sequence[Record]) -> None:
    bars = _bars(parts)
    whisker: dict[str, Any] = {"color": INK, "lw": 0.8, "zorder": 3}
    for x, ((bottom, height, low, high), row) in enumerate(zip(bars, parts, strict=True)):
        ax.bar(x, height, 0.68, bottom, color=_PARTS[row["measure"]][1], zorder=2)
        if not absent(row["low"]):
            ax.plot([x, x], [low, high], **whisker)
    steps: dict[str, Any] = {"color": GREY, "lw": 0.5, "ls": (0, (1, 1.5)), "zorder": 1}
    for left, level in ((0.34, bars[0][1]), (1.34, bars[2][1])):
        ax.plot([left, left + 0.32], [level, level], **steps)


def _share(row: Record) -> str:
    if row["share_is"] == DEFINED:
        return f"share {percent(row['share'])}"
    return _NOT_DEFINED[row["share_is"]]


def protocol_figure(study: Study, findings: Findings, width_mm: float) -> Figure:
    """Draw mean F1 on unseen experiments before and after the training under each protocol.

    Parameters
    ----------
    study, findings
        The study and its measures.
    width_mm : float
        Printed width.
    """
    accuracy = findings.causes.accuracy
    rows = accuracy[accuracy["seen"] == UNSEEN]
    found = {(r["modality"], r["protocol"], r["stage"] > 0): r for r in records(rows)}
    protocols = [p.name for p in study.record.protocols if p.name in set(rows["protocol"])]
    groups = [g for g in worth_showing(study.modalities) if findings.cases(g, UNSEEN)]
    names = [study.protocol_labels[name] for name in protocols]
    left = left_room(names, 12.0, 0.4 * width_mm)
    columns = min(len(groups), 5 if width_mm >= TWO_COLUMNS_MM else 2)
    lines = -(-len(groups) // columns)
    columns = -(-len(groups) // lines)
    panel = min(46.0, (width_mm - left - 2.5 - 4.0 * (columns - 1)) / columns)
    grid = Grid(columns, lines, panel, 4.0, 3.0, left)
    height = max(12.0, _ROW_MM * len(protocols))
    figure, axes = panels(grid, len(groups), width_mm, height, 9.5, KEY_ROW_MM + 1)
    for i, (group, ax) in enumerate(zip(groups, axes, strict=True)):
        row, column = place(grid, i, len(groups))
        for y, protocol in enumerate(protocols):
            _pair(ax, y, *(found.get((group, protocol, after)) for after in (False, True)))
        ax.set_xlim(-0.02, 1.02)
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
        ax.set_ylim(len(protocols) - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.grid(axis="x", color="#ececec", lw=0.5)
        ax.set_axisbelow(True)
        shown = [cut(name, left - 2) for name in names] if column == 0 else [""] * len(names)
        ax.set_yticks(range(len(protocols)), shown)
        if row == lines - 1:
            ax.set_xlabel("Mean F1", labelpad=2)
        else:
            ax.set_xticklabels([])
        title = "All" if group == ALL else group
        letter(
            ax, i, cut(title, panel - 4), f"unseen, {count(findings.cases(group, UNSEEN), 'case')}"
        )
        if not any(key[0] == group for key in found):
            say_nothing(ax, "no score")
    samples = [_sample("Before", filled=False), _sample("After", filled=True)]
    draw_key(figure, samples, max(left - 6.0, 1.0), 2, sample=1.6)
    return figure


def _pair(ax: Axes, y: int, before: Record | None, after: Record | None) -> None:
    known = [row for row in (before, after) if row is not None and not absent(row["mean"])]
    if len(known) == 2:
        ax.plot([row["mean"] for row in known], [y, y], color="#c4c4c4", lw=1.0, zorder=1)
    for row, shift, colour, fill in ((before, -0.13, GREY, "white"), (after, 0.13, INK, INK)):
        if row is None or absent(row["mean"]):
            continue
        if not absent(row["mean_low"]):
            ax.plot([row["mean_low"], row["mean_high"]], [y + shift] * 2, color=colour, lw=0.7,
                    zorder=2)  # fmt: skip
        ax.plot(row["mean"], y + shift, "o", ms=4, mfc=fill, mec=colour, mew=0.9, zorder=3)


def _sample(label: str, *, filled: bool) -> Line2D:
    colour = INK if filled else GREY
    return Line2D(
        [], [], color=colour, lw=0.7, marker="o", ms=4, mec=colour, mew=0.9, label=label,
        mfc=colour if filled else "white",
    )  # fmt: skip
