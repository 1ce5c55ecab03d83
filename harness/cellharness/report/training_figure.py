"""How trainings went: losses, and validation F1 by modality, against the epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from cellharness.report.layout import (
    KEY_ROW_MM,
    Grid,
    cut,
    draw_key,
    f1_axis,
    keys_per_row,
    letter,
    panels,
)
from cellharness.report.loading import ordered_groups
from cellharness.report.records import group_title
from cellharness.report.style import GREY, INK, TWO_COLUMNS_MM, LineStyle, modality_styles
from cellharness.report.trainings import Training
from cellharness.report.wording import count
from cellharness.statistics import ALL

_LEFT_MM, _RIGHT_MM = 12.5, 2.5
#: Between the two panels, whose scales both have numbers.
_GAP_MM = 12.5
#: Names of the vertical scales stand in line, however long the numbers are.
_NAME_MM = {"loss": 9.8, "f1": 7.2}
_HEIGHT_MM = 31.0
#: More points than these have a mark only now and then.
_MOST_MARKS = 20
#: A loss that falls further than this is drawn on a logarithmic scale.
_LOG_FROM = 30.0

_STEPS = (1, 2, 5, 10)
#: Losses outside are written as multiples of a power of ten; a logarithmic scale needs fewer
#: digits, so that it can go further down.
_PLAIN, _PLAIN_LOG = (0.1, 1e5), (0.001, 1e5)
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

_LOSSES = {
    "train_loss": ("Training loss", LineStyle(INK, "o", ())),
    "validation_loss": ("Validation loss", LineStyle(GREY, "s", (3, 1.2))),
}


def drawable(trainings: Sequence[Training]) -> list[Training]:
    """Choose the trainings that finished at least one epoch or validated their start."""
    return [training for training in trainings if not training.epochs.empty]


def training_figure(trainings: Sequence[Training], width_mm: float) -> Figure:
    """Draw one row a training: losses to the left, mean validation F1 by modality to the right.

    Epoch 0, the weights that a fine-tuning starts from, has open marks. A dotted line stands at
    the epoch of the resulting weights where that is not the last one.

    Parameters
    ----------
    trainings : sequence of Training
        Those of `drawable`.
    width_mm : float
        Printed width.

    Raises
    ------
    ValueError
        If there is none to draw.
    """
    if not trainings:
        msg = "a figure of trainings needs at least one that finished an epoch"
        raise ValueError(msg)
    styles = modality_styles(ordered_groups(g for t in trainings for g in t.groups if g != ALL))
    panel = (width_mm - _LEFT_MM - _RIGHT_MM - _GAP_MM) / 2
    grid = Grid(2, len(trainings), panel, _GAP_MM, 7.0, _LEFT_MM)
    loss_samples = [_sample(label, style) for label, style in _LOSSES.values()]
    f1_samples = [_sample(group_title(g), styles[g]) for g in styles]
    beside = width_mm >= TWO_COLUMNS_MM
    room = panel + _GAP_MM / 2 if beside else width_mm - _LEFT_MM
    per_row = keys_per_row([group_title(g) for g in styles], room)
    f1_rows = math.ceil(len(f1_samples) / per_row)
    above = (max(1, f1_rows) if beside else 1 + f1_rows) * KEY_ROW_MM + 1
    figure, axes = panels(grid, 2 * len(trainings), width_mm, _HEIGHT_MM, 9.5, above)
    for i, training in enumerate(trainings):
        left, right = axes[2 * i], axes[2 * i + 1]
        for ax in (left, right):
            _epoch_axis(ax, training, named=i == len(trainings) - 1)
        _losses(left, training)
        letter(left, 2 * i, cut(training.label, panel + 4), _outcome(training))
        _scores(right, training, styles)
        left.yaxis.set_label_coords(-_NAME_MM["loss"] / panel, 0.5)
        right.yaxis.set_label_coords(-_NAME_MM["f1"] / panel, 0.5)
        held = count(training.n_validation, "image") if training.n_validation else "no image"
        letter(right, 2 * i + 1, "Validation F1" if beside else "Validation", f"{held} held back")
    draw_key(figure, loss_samples, _LEFT_MM - 2, 2)
    if f1_samples:
        at = _LEFT_MM + panel + _GAP_MM - 2 if beside else _LEFT_MM - 2
        draw_key(figure, f1_samples, at, per_row, top_mm=0 if beside else KEY_ROW_MM)
    return figure


def _outcome(training: Training) -> str:
    text = count(training.n_train, "image")
    if training.status == "ok":
        return f"{text}, {count(training.finished, 'epoch')}"
    return f"{text}; {training.status} after epoch {training.finished:,}"


def _epoch_axis(ax: Axes, training: Training, *, named: bool) -> None:
    first, last = training.epochs["epoch"].min(), max(1.0, training.epochs["epoch"].max())
    first = min(first, last - 1)
    margin = 0.03 * (last - first)
    ax.set_xlim(first - margin, last + margin)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=_STEPS, integer=True, min_n_ticks=2))
    ax.spines["bottom"].set_bounds(first - margin, last + margin)
    if named:
        ax.set_xlabel("Epoch", labelpad=2)
    chosen = training.chosen_epoch
    if chosen is not None and chosen < last:
        ax.axvline(chosen, color=GREY, lw=0.7, ls=(0, (1, 1.5)), zorder=1)


def _losses(ax: Axes, training: Training) -> None:
    shown: list[float] = []
    for column, (_, style) in _LOSSES.items():
        values = training.epochs[column].to_numpy(float)
        there = np.isfinite(values)
        if there.any():
            _line(ax, training.epochs.loc[there, "epoch"].to_numpy(float), values[there], style)
            shown += values[there].tolist()
    _loss_axis(ax, shown)


def _loss_axis(ax: Axes, shown: Sequence[float]) -> None:
    """Choose a linear or logarithmic scale with short numbers."""
    low, high = min(shown, default=0.0), max(shown, default=1.0)
    far = low > 0 and high / low > _LOG_FROM
    if far:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high / low < 1e3 else (1.0,)))
    else:
        ax.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=_STEPS))
    ax.yaxis.set_minor_locator(NullLocator())
    size, (least, most) = (low, _PLAIN_LOG) if far else (max(abs(low), abs(high)), _PLAIN)
    exponent = 0 if least <= size < most or not size else math.floor(math.log10(size))
    unit = f" (10{str(exponent).translate(_SUPERSCRIPTS)})" if exponent else ""
    ax.set_ylabel(f"Loss{unit}")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 10**exponent:g}"))


def _scores(ax: Axes, training: Training, styles: dict[str, LineStyle]) -> None:
    f1_axis(ax, True, "Mean F1 (IoU ≥ 0.5)")
    rows = training.validation
    if rows.empty:
        told = "no validation" if training.n_validation == 0 else "not validated"
        ax.text(0.5, 0.5, told, transform=ax.transAxes, ha="center", va="center", color=GREY)
        return
    # All images last, so that their line lies on top.
    for group in reversed(styles):
        line = rows[(rows["modality"] == group) & rows["mean_f1"].notna()].sort_values("epoch")
        if not line.empty:
            _line(ax, *_columns(line), styles[group])


def _columns(line: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return line["epoch"].to_numpy(float), line["mean_f1"].to_numpy(float)


def _line(ax: Axes, epochs: np.ndarray, values: np.ndarray, style: LineStyle) -> None:
    """Draw a line with marks, an open one at epoch 0."""
    ax.plot(
        epochs, values, color=style.colour, ls=style.linestyle, lw=style.width, clip_on=False,
        zorder=3,
    )  # fmt: skip
    marks: dict[str, Any] = {"marker": style.marker, "ls": "none", "clip_on": False, "zorder": 4}
    later = np.flatnonzero(epochs > 0)
    later = later[:: max(1, math.ceil(len(later) / _MOST_MARKS))]
    ax.plot(epochs[later], values[later], color=style.colour, ms=2.8, mew=0, **marks)
    start = epochs == 0
    ax.plot(epochs[start], values[start], mfc="white", mec=style.colour, ms=4.2, mew=0.9, **marks)


def _sample(label: str, style: LineStyle) -> Line2D:
    return Line2D(
        [], [], color=style.colour, ls=style.linestyle, lw=style.width, marker=style.marker,
        ms=3, mew=0, label=label,
    )  # fmt: skip
