"""What the way of evaluating explains: the loss taken apart, and F1 under every protocol."""

from __future__ import annotations

from typing import Any

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
from cellharness.report.wording import absent, count
from cellharness.statistics import ALL
from cellharness.statistics.decomposition import DEFINED, IS_GAIN, TOO_FEW
from cellharness.statistics.staged_scores import UNSEEN

# Not the colours of losses and gains, nor those of remedies: parts of a loss are neither.
_PARTS = {
    "Apparent loss": "#a6a6a6", "Explained by the protocol": "#DDCC77",
    "Left in the weights": "#A493C7",
}  # fmt: skip
_LEFT_MM = 12.0
_ROW_MM = 4.6
_NOT_DEFINED = {DEFINED: "", IS_GAIN: "nothing lost", TOO_FEW: "too few cases"}


def split_figure(study: Study, findings: Findings, width_mm: float) -> Figure:
    """Draw the apparent loss on unseen experiments, and its two parts, as steps of a fall.

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
    rows = split[(split["seen"] == UNSEEN) & (split["protocol"] == findings.causes.protocol)]
    found = by_key(rows, "modality")
    groups = [g for g in worth_showing(study.modalities) if found[g,]["n"]]
    samples = _part_samples()
    per_row = keys_per_row([str(s.get_label()) for s in samples], width_mm - _LEFT_MM)
    above = -(-len(samples) // per_row) * KEY_ROW_MM + 1
    grid = panel_grid(len(groups), width_mm, 27.0, _LEFT_MM)
    figure, axes = panels(grid, len(groups), width_mm, 32.0, 3.0, above)
    values = rows[rows["modality"].isin(groups)].copy()
    # Where the bar of the explained part ends, and where its interval does.
    for end in ("low", "high"):
        values[f"floating_{end}"] = values["apparent_loss"] - values[f"explained_{end}"]
    limits = span(
        values,
        ("apparent_loss", "apparent_low", "apparent_high", "left", "left_low", "left_high",
         "floating_low", "floating_high", "left_same_protocol"),
        0.1,
    )  # fmt: skip
    for i, (group, ax) in enumerate(zip(groups, axes, strict=True)):
        _, column = place(grid, i, len(groups))
        _steps(ax, found[group,])
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
        letter(ax, i, title, f"{count(found[group,]['n'], 'case')}{_share(found[group,])}")
    draw_key(figure, samples, _LEFT_MM - 2, per_row, sample=1.3)
    return figure


def _part_samples() -> list[Artist]:
    samples: list[Artist] = [
        Patch(facecolor=colour, label=label) for label, colour in _PARTS.items()
    ]
    same = Line2D(
        [], [], marker="D", ms=3.6, mfc="white", mec=INK, mew=0.8, ls="none",
        label="Left, both evaluated alike",
    )  # fmt: skip
    return [*samples, same]


def _steps(ax: Axes, row: Record) -> None:
    apparent, left = float(row["apparent_loss"]), float(row["left"])
    explained = float(row["explained"])
    bars = ((0.0, apparent), (left, explained), (0.0, left))
    for x, ((bottom, height), colour) in enumerate(zip(bars, _PARTS.values(), strict=True)):
        ax.bar(x, height, 0.68, bottom, color=colour, zorder=2)
    steps: dict[str, Any] = {"color": GREY, "lw": 0.5, "ls": (0, (1, 1.5)), "zorder": 1}
    ax.plot([0.34, 0.66], [apparent, apparent], **steps)
    ax.plot([1.34, 1.66], [left, left], **steps)
    whisker: dict[str, Any] = {"color": INK, "lw": 0.8, "zorder": 3}
    for x, low, high in (
        (0, row["apparent_low"], row["apparent_high"]),
        (1, apparent - row["explained_high"], apparent - row["explained_low"]),
        (2, row["left_low"], row["left_high"]),
    ):
        if not absent(low):
            ax.plot([x, x], [low, high], **whisker)
    if not absent(row["left_same_protocol"]):
        ax.plot(
            2.22, row["left_same_protocol"], "D", ms=3.6, mfc="white", mec=INK, mew=0.8, zorder=4
        )


def _share(row: Record) -> str:
    if row["share_is"] == DEFINED:
        return f", {100 * row['share_explained']:.0f} % explained"
    return f", {_NOT_DEFINED.get(row['share_is'], 'loss not proven')}"


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
