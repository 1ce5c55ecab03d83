"""Table of the trainings: from what, on what, how long, and what it did to the validation F1."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from cellharness.report.loading import ordered_groups
from cellharness.report.provenance import shorten_paths
from cellharness.report.rendering import Row, Table
from cellharness.report.trainings import Training
from cellharness.report.wording import NOTHING, count, duration, number
from cellharness.statistics import ALL

_HASH_LETTERS = 12
_WHY_CHOSEN = {"best_f1": "largest validation F1", "best_loss": "smallest validation loss"}

Cell = Callable[[Training], str]


def training_table(trainings: Sequence[Training], config: Mapping[str, Any]) -> Table | None:
    """Give one column a training; None where there is none.

    Parameters
    ----------
    trainings : sequence of Training
        From `cellharness.report.trainings.load_trainings`.
    config : mapping
        The resolved configuration of the run, which says where training images come from.
    """
    if not trainings:
        return None
    groups = ordered_groups(group for t in trainings for group in t.groups if group != ALL)
    limits = {t.name: _restriction(config, t.name) for t in trainings}
    blocks: list[tuple[str, list[tuple[str, Cell]]]] = [
        (
            "Start and data",
            [
                ("Method", lambda t: t.method),
                ("Starting weights", _start),
                ("Training images from", lambda t: limits[t.name]),
                ("Images trained on", _images),
                ("Images held back", lambda t: f"{t.n_validation:,}"),
            ],
        ),
        (
            "Recipe",
            [
                ("Epochs", _epochs),
                ("Batch size", _parameter("batch_size")),
                ("Learning rate", _parameter("learning_rate")),
                ("Optimiser", _parameter("optimizer")),
                ("Precision", _parameter("precision")),
            ],
        ),
        (
            "Outcome",
            [
                ("Time", lambda t: duration(t.seconds) if t.seconds else NOTHING),
                ("Status", _status),
                ("Chosen checkpoint", _chosen),
            ],
        ),
        (
            "Mean validation F1 (IoU ≥ 0.5), before → after",
            [(_group_head(group), _scores(group)) for group in groups]
            + [("After epoch", lambda t: _whole(t.scored_epoch))],
        ),
    ]
    rows = []
    for heading, lines in blocks:
        block = [Row((head, *(cell(t) for t in trainings))) for head, cell in lines]
        block = [row for row in block if any(cell != NOTHING for cell in row.cells[1:])]
        if block:
            rows += [Row((heading,), heading=True), *block]
    return Table(
        name="trainings",
        title="Trainings of this run",
        header=("", *(t.label for t in trainings)),
        rows=tuple(rows),
        frame=_whole_numbers(pd.DataFrame([_raw(t, groups) for t in trainings])),
        text=frozenset(range(len(trainings) + 1)),
        notes=(*_notes(trainings, groups), *_problems(trainings)),
    )


def _notes(trainings: Sequence[Training], groups: Sequence[str]) -> list[str]:
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
    return [" ".join(notes)] if notes else []


def _problems(trainings: Iterable[Training]) -> list[str]:
    return [f"{t.label}: not in the figure, {t.problem}." for t in trainings if t.problem]


def _start(training: Training) -> str:
    if training.weights:
        return "; ".join(
            f"{shorten_paths(str(w.get('name') or 'unnamed'))} · {_short_hash(w.get('sha256'))}"
            for w in training.weights
        )
    wanted = training.parameters.get("weights")
    return f"{shorten_paths(str(wanted))} (not found)" if wanted else "none, from scratch"


def _short_hash(sha256: object) -> str:
    digest = _hash(sha256)
    return f"SHA256 {digest[:_HASH_LETTERS]}…" if digest else "hash not recorded"


def _hash(sha256: object) -> str:
    """Find the hash of the network, the first one where weights have several files."""
    if isinstance(sha256, Mapping):
        found = sha256.get("network") or next(iter(sha256.values()), "")
        return str(found or "")
    return str(sha256 or "")


def _restriction(config: Mapping[str, Any], name: str) -> str:
    """Say which part of the manifest a training may learn from."""
    for training in config.get("training") or []:
        if training.get("name") == name:
            splits = training.get("splits") or ["train"]
            parts = [f"split {', '.join(splits)}"]
            limits = {key: training.get(key) for key in ("modalities", "experiments")}
            parts += [f"{key} {', '.join(names)}" for key, names in limits.items() if names]
            return "; ".join(parts)
    return NOTHING


def _images(training: Training) -> str:
    left = f" ({training.n_left_out:,} left out)" if training.n_left_out else ""
    return f"{training.n_train:,}{left}"


def _epochs(training: Training) -> str:
    wanted = training.parameters.get("epochs")
    if not isinstance(wanted, int) or wanted == training.finished:
        return f"{training.finished:,}"
    return f"{training.finished:,} of {wanted:,}"


def _parameter(name: str) -> Cell:
    def cell(training: Training) -> str:
        value = training.parameters.get(name)
        resolved = training.resolved.get(name)
        if value == "auto" and resolved is not None:
            return f"{resolved} (auto)"
        return NOTHING if value is None else str(shorten_paths(value))

    return cell


def _status(training: Training) -> str:
    return f"{training.status}: {training.message}" if training.message else training.status


def _chosen(training: Training) -> str:
    if not training.checkpoint:
        return "none"
    parts = [PurePosixPath(training.checkpoint).name]
    if training.chosen_epoch is not None:
        parts.append(f"epoch {training.chosen_epoch:,}")
    why = _WHY_CHOSEN.get(str(training.parameters.get("keep")))
    return ", ".join(parts) + (f" ({why})" if why else "")


def _group_head(group: str) -> str:
    return "All held-back images" if group == ALL else group


def _scores(group: str) -> Cell:
    def cell(training: Training) -> str:
        before = training.scores_at(0).get(group)
        after = training.scores_at(training.scored_epoch).get(group)
        found = after or before
        if found is None:
            return NOTHING
        pair = (number(row["mean_f1"]) if row else NOTHING for row in (before, after))
        return f"{' → '.join(pair)} ({count(int(found['n']), 'image')})"

    return cell


def _whole(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"


def _whole_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Write counts without a decimal point, also in columns with gaps."""
    names = [c for c in map(str, frame.columns) if c.startswith("n_") or c.endswith("_epoch")]
    return frame.astype(dict.fromkeys(names, "Int64"))


def _raw(training: Training, groups: Sequence[str]) -> dict[str, Any]:
    before, after = training.scores_at(0), training.scores_at(training.scored_epoch)
    scores: dict[str, Any] = {}
    for group in groups:
        first, last = before.get(group), after.get(group)
        scores[f"n_{group}"] = (last or first or {}).get("n")
        scores[f"f1_before_{group}"] = (first or {}).get("mean_f1")
        scores[f"f1_after_{group}"] = (last or {}).get("mean_f1")
    parameters = ("batch_size", "learning_rate", "optimizer", "precision")
    return {
        "training": training.name,
        "label": training.label,
        "method": training.method,
        "weights": "; ".join(str(w.get("name")) for w in training.weights),
        "weights_sha256": "; ".join(_hash(w.get("sha256")) for w in training.weights),
        "n_train": training.n_train,
        "n_left_out": training.n_left_out,
        "n_validation": training.n_validation,
        "epochs": training.finished,
        **{name: training.parameters.get(name) for name in parameters},
        "resolved_precision": training.resolved.get("precision"),
        "seconds": training.seconds,
        "status": training.status,
        "message": training.message,
        "checkpoint": training.checkpoint,
        "checkpoint_epoch": training.chosen_epoch,
        "scored_epoch": training.scored_epoch,
        **scores,
    }
