"""Trainings of a run: what ``run.json`` records of each, and the log that it left."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from cellharness.analysis.run_data import RunData, ordered_groups, unique_labels
from cellharness.records import Record, records
from cellharness.run_directory import (
    EPOCH_COLUMNS,
    VALIDATION_COLUMNS,
    RunDirectory,
    RunDirectoryError,
    TrainingRecord,
)
from cellharness.statistics import ALL, UNKNOWN_MODALITY

#: How the log spells groups that have another name in a report.
_GROUPS = {"all": ALL, "unknown": UNKNOWN_MODALITY}


@dataclass(frozen=True)
class Training:
    """One training, well ended or not.

    Attributes
    ----------
    name, label, method
        As configured; labels are unique.
    status, message
        How it ended, and why if not ``ok``.
    checkpoint
        Path of the resulting weights below the training's folder, "" where there are none.
    parameters
        All parameters.
    resolved
        What its automatic choices came to.
    weights
        Records of the weights it started from.
    n_train, n_replay, n_validation
        Images learned from, replayed beside them, and held back.
    n_left_out
        Images that were given and not learned from or replayed, such as those with few cells.
    finished
        Finished epochs.
    seconds
        Of all sessions.
    versions
        Of packages.
    epochs
        Columns of `cellharness.run_directory.EPOCH_COLUMNS`; epoch 0 is before the training.
    validation
        Columns of `cellharness.run_directory.VALIDATION_COLUMNS`; modalities as the report spells
        them.
    problem
        Why there is no log although epochs were finished, or "".
    """

    name: str
    label: str
    method: str
    status: str
    message: str
    checkpoint: str
    parameters: Mapping[str, Any]
    resolved: Mapping[str, Any]
    weights: Sequence[Mapping[str, Any]]
    n_train: int
    n_replay: int
    n_validation: int
    finished: int
    seconds: float
    versions: Mapping[str, str]
    epochs: pd.DataFrame
    validation: pd.DataFrame
    problem: str = ""
    n_left_out: int = 0

    @property
    def groups(self) -> tuple[str, ...]:
        """`ALL` and the modalities that were validated, in the report's order."""
        return () if self.validation.empty else ordered_groups(self.validation["modality"])

    @property
    def chosen_epoch(self) -> int | None:
        """Epoch of the resulting weights; None where there are none or it is not known."""
        trained = self.epochs[self.epochs["epoch"] > 0]
        if not self.checkpoint or trained.empty:
            return None
        stem = PurePosixPath(self.checkpoint).stem
        numbered = re.fullmatch(r"epoch-(\d+)", stem)
        if numbered:
            return int(numbered[1])
        last = int(trained["epoch"].max())
        if stem == "best":
            return _best_epoch(trained, self.validation, self.parameters.get("keep"), last)
        return last if stem == "last" else None

    def scores_at(self, epoch: int | None) -> dict[str, Record]:
        """Validation scores of an epoch by modality; empty where it was not validated."""
        rows = self.validation[self.validation["epoch"] == epoch]
        return {row["modality"]: row for row in records(rows)}

    @property
    def scored_epoch(self) -> int | None:
        """Epoch of the F1 after the training: that of the weights, or the last scored before it.

        Without resulting weights it is the last one that was scored.
        """
        chosen = self.chosen_epoch
        scored = self.validation.loc[self.validation["epoch"] > 0, "epoch"]
        if chosen is not None:
            scored = scored[scored <= chosen]
        return None if scored.empty else int(scored.max())


def load_trainings(run: RunData) -> list[Training]:
    """Read the trainings that a run records, in its order.

    Parameters
    ----------
    run : RunData
        Of any age: runs without trainings give an empty list.

    Returns
    -------
    list of Training

    Raises
    ------
    RunDirectoryError
        If a log cannot be read as what it should be.
    """
    found = run.record.trainings
    labels = unique_labels({record.name: record.label or record.name for record in found})
    return [_load(run.path, record, labels[record.name]) for record in found]


def _load(run: Path, record: TrainingRecord, label: str) -> Training:
    files = RunDirectory(run).training(record.name)
    problem = _other_training(files.record, record)
    if not (problem or files.epochs.is_file()):
        problem = "its log is not in the run directory"
    validation = _read_log(None if problem else files.validation, VALIDATION_COLUMNS)
    validation["modality"] = validation["modality"].replace(_GROUPS)
    return Training(
        name=record.name,
        label=label,
        method=record.method,
        status=record.status,
        message=record.message,
        checkpoint=record.checkpoint,
        parameters=record.parameters,
        resolved=record.resolved,
        weights=record.weights,
        n_train=len(set(record.train) - set(record.left_out)),
        n_replay=len(set(record.replay) - set(record.left_out)),
        n_validation=len(record.validation),
        finished=record.epochs,
        seconds=record.seconds,
        versions=record.versions,
        epochs=_read_log(None if problem else files.epochs, EPOCH_COLUMNS),
        validation=validation,
        problem=problem if record.epochs else "",
        n_left_out=len(record.left_out),
    )


def _other_training(path: Path, record: TrainingRecord) -> str:
    """Say so where the folder meanwhile holds a training of other parameters or data."""
    there = TrainingRecord.find(path)
    if there is None or there.identity == record.identity:
        return ""
    return "its folder holds another training now, which this run did not use"


def _read_log(path: Path | None, columns: Sequence[str]) -> pd.DataFrame:
    """Read a log; an empty table where there is none."""
    table = pd.DataFrame(columns=list(columns))
    if path is not None and path.is_file():
        try:
            with path.open(newline="", encoding="utf-8") as file:
                header, *rows = list(csv.reader(file)) or [list(columns)]
            # A kill can leave the last line cut off.
            whole = [row for row in rows if len(row) == len(header)]
            table = pd.DataFrame(whole, columns=header)[list(columns)]
            for column in table.columns.drop("modality", errors="ignore"):
                table[column] = [float(text) if text else np.nan for text in table[column]]
        except (OSError, ValueError, KeyError, csv.Error) as error:
            msg = f"cannot read the log '{path}' of a training: {error}"
            raise RunDirectoryError(msg) from error
    return table


def _best_epoch(
    trained: pd.DataFrame, validation: pd.DataFrame, keep: object, last: int
) -> int | None:
    """Find the first epoch with the best value, as the training loop chooses it."""
    if keep == "best_f1":
        rows = validation[(validation["modality"] == ALL) & (validation["epoch"] > 0)]
        values = -rows["mean_f1"]
    elif keep == "best_loss":
        rows, values = trained, trained["validation_loss"]
    else:
        return None
    if values.isna().all():
        # Nothing was held back to judge by: the last weights are then kept under this name.
        return last
    return int(rows["epoch"].to_numpy()[int(np.nanargmin(values))])
