"""The trainings of a run: losses and validation F1 over the epochs, and what came of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from cellharness.analysis.run_data import ordered_groups
from cellharness.analysis.trainings import Training
from cellharness.printing.table import Row, Table, group_title
from cellharness.printing.wording import NOTHING, count, duration, number
from cellharness.report.declare import Report, Section
from cellharness.report.layout import Grid, Key, f1_axis, letter, line_sample, panels, shorten
from cellharness.report.provenance import short_hash, shorten_paths
from cellharness.report.style import GREY, INK, LineStyle, modality_styles
from cellharness.run_directory import VALIDATION_THRESHOLD
from cellharness.statistics import ALL

training = Section("training", "Training")

_LEFT_MM, _RIGHT_MM, _HEIGHT_MM = 12.5, 2.5, 31.0
# Names of the vertical scales stand in line, however long the numbers are.
_LOSS_NAME_MM, _F1_NAME_MM = 9.8, 7.2
# More points than these have a mark only now and then.
_MOST_MARKS = 20
# A loss that falls further than this is drawn on a logarithmic scale.
_LOG_FROM = 30.0
_STEPS = (1, 2, 5, 10)
# Losses outside are written as multiples of a power of ten; a logarithmic scale needs fewer
# digits, so that it can go further down.
_PLAIN, _PLAIN_LOG = (0.1, 1e5), (0.001, 1e5)
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LOSSES = {
    "train_loss": ("Training loss", LineStyle(INK, "o", ())),
    "validation_loss": ("Validation loss", LineStyle(GREY, "s", (3, 1.2))),
}


def drawable(d: Report) -> list[Training]:
    """Trainings that finished at least one epoch or validated their start."""
    return [one for one in d.trainings if not one.epochs.empty]


@training.figure(
    "training",
    alt="For each training line plots against the epoch: training and validation loss, and mean "
    "validation F1 by modality; F1 before and after stands in the table below",
    caption="One row a training. Left, mean loss of each epoch as the method defines it, so not "
    "comparable between methods. Right, where images were held back, mean F1 over them at IoU ≥ "
    f"{VALIDATION_THRESHOLD:g}. Open marks, epoch 0: the weights that the fine-tuning starts from. "
    "Dotted line, epoch of the resulting weights where that is not the last one.",
    when=lambda d: bool(drawable(d)),
)
def training_figure(d: Report, width_mm: float) -> Figure:
    """One row a training: losses to the left, validation F1 by modality to the right."""
    shown = drawable(d)
    styles = modality_styles(ordered_groups(g for t in shown for g in t.groups if g != ALL))
    validated = any(not one.validation.empty for one in shown)
    columns = 2 if validated else 1
    panel = min((width_mm - _LEFT_MM * columns - _RIGHT_MM) / columns, 90.0)
    grid = Grid(columns, len(shown), panel, _LEFT_MM, 7.0, _LEFT_MM)
    drawn = [pair for column, pair in _LOSSES.items() if any(_has(t, column) for t in shown)]
    losses = Key([line_sample(*pair) for pair in drawn], width_mm - _LEFT_MM)
    groups = Key(
        [line_sample(group_title(g), styles[g]) for g in styles] if validated else [],
        width_mm - _LEFT_MM,
    )
    above = losses.height_mm + groups.height_mm
    figure, axes = panels(grid, columns * len(shown), width_mm, _HEIGHT_MM, 9.5, above)
    for i, one in enumerate(shown):
        last = i == len(shown) - 1
        left = axes[columns * i]
        _epoch_axis(left, one, named=last)
        _losses(left, one)
        left.yaxis.set_label_coords(-_LOSS_NAME_MM / panel, 0.5)
        letter(left, columns * i, shorten(one.label, panel + 4), _outcome(one))
        if not validated:
            continue
        right = axes[columns * i + 1]
        if one.validation.empty:
            right.set_axis_off()
            continue
        _epoch_axis(right, one, named=last)
        _scores(right, one, styles)
        right.yaxis.set_label_coords(-_F1_NAME_MM / panel, 0.5)
        held = f"{count(one.n_validation, 'image')} held back"
        letter(right, columns * i + 1, "Validation F1", held)
    losses.draw(figure, _LEFT_MM - 2)
    groups.draw(figure, _LEFT_MM - 2, losses.height_mm)
    return figure


def _has(one: Training, column: str) -> bool:
    return bool(np.isfinite(one.epochs[column].to_numpy(float)).any())


def _outcome(one: Training) -> str:
    text = count(one.n_train, "image")
    if one.status == "ok":
        return f"{text}, {count(one.finished, 'epoch')}"
    return f"{text}; {one.status} after epoch {one.finished:,}"


def _epoch_axis(ax: Axes, one: Training, *, named: bool) -> None:
    first, last = one.epochs["epoch"].min(), max(1.0, one.epochs["epoch"].max())
    first = min(first, last - 1)
    margin = 0.03 * (last - first)
    ax.set_xlim(first - margin, last + margin)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=_STEPS, integer=True, min_n_ticks=2))
    ax.spines["bottom"].set_bounds(first - margin, last + margin)
    if named:
        ax.set_xlabel("Epoch", labelpad=2)
    chosen = one.chosen_epoch
    if chosen is not None and chosen < last:
        ax.axvline(chosen, color=GREY, lw=0.7, ls=(0, (1, 1.5)), zorder=1)


def _losses(ax: Axes, one: Training) -> None:
    shown: list[float] = []
    for column, (_, style) in _LOSSES.items():
        rows = one.epochs[np.isfinite(one.epochs[column].to_numpy(float))]
        values = rows[column].to_numpy(float)
        if values.size:
            _line(ax, rows["epoch"].to_numpy(float), values, style)
            shown += values.tolist()
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


def _scores(ax: Axes, one: Training, styles: Mapping[str, LineStyle]) -> None:
    f1_axis(ax, True, f"Mean F1 (IoU ≥ {VALIDATION_THRESHOLD:g})")
    rows = one.validation
    # All images last, so that their line lies on top.
    for group in reversed(list(styles)):
        line = rows[(rows["modality"] == group) & rows["mean_f1"].notna()].sort_values("epoch")
        if not line.empty:
            epochs, values = (line[name].to_numpy(float) for name in ("epoch", "mean_f1"))
            _line(ax, epochs, values, styles[group])


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


_WHY_CHOSEN = {"best_f1": "largest validation F1", "best_loss": "smallest validation loss"}

Cell = Callable[[Training], str]


@training.table()
def training_table(d: Report) -> Table | None:
    """Give one column a training; None where there is none."""
    trainings = d.trainings
    if not trainings:
        return None
    groups = ordered_groups(group for t in trainings for group in t.groups if group != ALL)
    limits = {t.name: _restriction(d.run.config, t.name) for t in trainings}
    blocks: Mapping[str, Sequence[tuple[str, Cell]]] = {
        "Start and data": [
            ("Method", lambda t: t.method),
            ("Starting weights", _start),
            ("Training images from", lambda t: limits[t.name]),
            ("Images trained on", _images),
            ("Images replayed", lambda t: f"{t.n_replay:,}" if t.n_replay else NOTHING),
            ("Images held back", lambda t: f"{t.n_validation:,}"),
        ],
        "Recipe": [
            ("Epochs", _epochs),
            ("Batch size", _parameter("batch_size")),
            ("Learning rate", _parameter("learning_rate")),
            ("Optimiser", _parameter("optimizer")),
            ("Precision", _parameter("precision")),
        ],
        "Outcome": [
            ("Time", lambda t: duration(t.seconds) if t.seconds else NOTHING),
            ("Status", lambda t: f"{t.status}: {t.message}" if t.message else t.status),
            ("Chosen checkpoint", _chosen),
        ],
        f"Mean validation F1 (IoU ≥ {VALIDATION_THRESHOLD:g}), before → after": [
            *(("All held-back images" if g == ALL else g, _before_after(g)) for g in groups),
            ("After epoch", lambda t: f"{t.scored_epoch:,}" if t.scored_epoch else NOTHING),
        ],
    }
    rows: list[Row] = []
    for heading, lines in blocks.items():
        block = [Row((head, *(cell(t) for t in trainings))) for head, cell in lines]
        block = [row for row in block if any(cell != NOTHING for cell in row.cells[1:])]
        if block:
            rows += [Row((heading,), heading=True), *block]
    notes = []
    if len(groups) > 1:
        notes.append(
            "Validation F1: mean over the held-back images (n in brackets), profile strict; "
            "before, the starting weights (epoch 0); after, the chosen checkpoint or, where its "
            "epoch was not scored, the last epoch scored before it. Held-back images are of the "
            "same splits as those trained on, and may have served to choose the checkpoint: they "
            "watch the training and are no test."
        )
    if any(t.parameters.get("learning_rate") is not None for t in trainings):
        notes.append("Learning rate, the largest of the schedule.")
    problems = [f"{t.label}: not in the figure, {t.problem}." for t in trainings if t.problem]
    frame = pd.DataFrame([_raw(t, groups) for t in trainings])
    whole = [c for c in map(str, frame.columns) if c.startswith("n_") or c.endswith("_epoch")]
    return Table(
        name="trainings",
        title="Trainings of this run",
        header=("", *(t.label for t in trainings)),
        rows=tuple(rows),
        # Counts without a decimal point, also in columns with gaps.
        frame=frame.astype(dict.fromkeys(whole, "Int64")),
        text=frozenset(range(len(trainings) + 1)),
        notes=(*([" ".join(notes)] if notes else []), *problems),
    )


def _start(one: Training) -> str:
    if one.weights:
        return "; ".join(
            f"{shorten_paths(str(w.get('name') or 'unnamed'))} · {_short_hash(w.get('sha256'))}"
            for w in one.weights
        )
    wanted = one.parameters.get("weights")
    return f"{shorten_paths(str(wanted))} (not found)" if wanted else "none, from scratch"


def _short_hash(sha256: object) -> str:
    digest = _hash(sha256)
    return short_hash(digest) if digest else "hash not recorded"


def _hash(sha256: object) -> str:
    """Hash of the network, the first one where weights have several files."""
    if isinstance(sha256, Mapping):
        sha256 = sha256.get("network") or next(iter(sha256.values()), "")
    return str(sha256 or "")


def _restriction(config: Mapping[str, Any], name: str) -> str:
    """Say which part of the manifest a training may learn from."""
    for one in config.get("training") or []:
        if one.get("name") == name:
            parts = [f"split {', '.join(one.get('splits') or ['train'])}"]
            limits = {key: one.get(key) for key in ("modalities", "experiments")}
            parts += [f"{key} {', '.join(names)}" for key, names in limits.items() if names]
            return "; ".join(parts)
    return NOTHING


def _images(one: Training) -> str:
    left = f" ({one.n_left_out:,} left out)" if one.n_left_out else ""
    return f"{one.n_train:,}{left}"


def _epochs(one: Training) -> str:
    wanted = one.parameters.get("epochs")
    if not isinstance(wanted, int) or wanted == one.finished:
        return f"{one.finished:,}"
    return f"{one.finished:,} of {wanted:,}"


def _parameter(name: str) -> Cell:
    def cell(one: Training) -> str:
        value, resolved = one.parameters.get(name), one.resolved.get(name)
        if value == "auto" and resolved is not None:
            return f"{resolved} (auto)"
        return NOTHING if value is None else str(shorten_paths(value))

    return cell


def _chosen(one: Training) -> str:
    if not one.checkpoint:
        return "none"
    parts = [PurePosixPath(one.checkpoint).name]
    if one.chosen_epoch is not None:
        parts.append(f"epoch {one.chosen_epoch:,}")
    why = _WHY_CHOSEN.get(str(one.parameters.get("keep")))
    return ", ".join(parts) + (f" ({why})" if why else "")


def _before_after(group: str) -> Cell:
    def cell(one: Training) -> str:
        before = one.scores_at(0).get(group)
        after = one.scores_at(one.scored_epoch).get(group)
        found = after or before
        if found is None:
            return NOTHING
        pair = (number(row["mean_f1"]) if row else NOTHING for row in (before, after))
        return f"{' → '.join(pair)} ({count(int(found['n']), 'image')})"

    return cell


def _raw(one: Training, groups: Sequence[str]) -> dict[str, Any]:
    before, after = one.scores_at(0), one.scores_at(one.scored_epoch)
    scores: dict[str, Any] = {}
    for group in groups:
        first, last = before.get(group), after.get(group)
        scores[f"n_{group}"] = (last or first or {}).get("n")
        scores[f"f1_before_{group}"] = (first or {}).get("mean_f1")
        scores[f"f1_after_{group}"] = (last or {}).get("mean_f1")
    parameters = ("batch_size", "learning_rate", "optimizer", "precision")
    return {
        "training": one.name,
        "label": one.label,
        "method": one.method,
        "weights": "; ".join(str(w.get("name")) for w in one.weights),
        "weights_sha256": "; ".join(_hash(w.get("sha256")) for w in one.weights),
        "n_train": one.n_train,
        "n_replay": one.n_replay,
        "n_left_out": one.n_left_out,
        "n_validation": one.n_validation,
        "epochs": one.finished,
        **{name: one.parameters.get(name) for name in parameters},
        "resolved_precision": one.resolved.get("precision"),
        "seconds": one.seconds,
        "status": one.status,
        "message": one.message,
        "checkpoint": one.checkpoint,
        "checkpoint_epoch": one.chosen_epoch,
        "scored_epoch": one.scored_epoch,
        **scores,
    }


@training.block("parameters.html")
def _parameters(d: Report) -> Mapping[str, Any] | None:
    if not d.trainings:
        return None
    return {"trainings": [(t.label, shorten_paths(t.parameters), t.versions) for t in d.trainings]}
