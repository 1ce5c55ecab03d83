"""What a training says of itself, epoch by epoch, in two CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cellharness.files import write_atomic
from cellharness.run_directory import EPOCH_COLUMNS, VALIDATION_COLUMNS, TrainingDirectory


@dataclass(frozen=True)
class ModalityScore:
    """Strict validation scores of one modality or ``"all"``, F1 at `VALIDATION_THRESHOLD`."""

    n: int
    mean_f1: float
    median_f1: float


@dataclass(frozen=True)
class EpochRecord:
    """One finished epoch.

    Attributes
    ----------
    epoch : int
        From 1; 0 is the validation of the weights that a fine-tuning starts from, whose
        ``train_loss`` is nan.
    epochs : int
        How many there will be at most.
    learning_rate, train_loss : float
    seconds : float
        Wall-clock time of the epoch, validation included.
    validation_loss : float or None
        None where this epoch was not validated.
    scores : mapping of str to ModalityScore
        By modality, and ``"all"``; empty where this epoch was not validated.
    """

    epoch: int
    epochs: int
    learning_rate: float
    train_loss: float
    seconds: float
    validation_loss: float | None = None
    scores: Mapping[str, ModalityScore] = field(default_factory=dict)


class TrainingLog:
    """``epochs.csv`` and ``validation.csv`` of a training; each row is on disk at once.

    Parameters
    ----------
    folder : Path
        Folder of the training.
    """

    def __init__(self, folder: Path) -> None:
        training = TrainingDirectory(folder)
        self.epochs, self.validation = training.epochs, training.validation

    def rewind(self, epoch: int) -> None:
        """Drop rows after ``epoch``: they will be written again after a resume."""
        files = ((self.epochs, EPOCH_COLUMNS), (self.validation, VALIDATION_COLUMNS))
        for path, columns in files:
            if _is_there(path):
                kept = [row for row in _rows(path, columns) if int(row[0]) <= epoch]
                text = io.StringIO(newline="")
                csv.writer(text).writerows([columns, *kept])
                write_atomic(path, text.getvalue().encode())

    def finished(self) -> tuple[int, float]:
        """Last logged epoch, and the seconds of all; zeros where there is no log."""
        rows = _rows(self.epochs, EPOCH_COLUMNS) if _is_there(self.epochs) else []
        seconds = EPOCH_COLUMNS.index("seconds")
        last = max((int(row[0]) for row in rows), default=0)
        return last, sum(float(row[seconds]) for row in rows)

    def append(self, record: EpochRecord) -> None:
        """Add one epoch."""
        loss = "" if record.validation_loss is None else _exact(record.validation_loss)
        row = [record.epoch, _exact(record.learning_rate), _exact(record.train_loss), loss]
        _append(self.epochs, EPOCH_COLUMNS, [[*row, f"{record.seconds:.3f}"]])
        scores = [
            [record.epoch, name, score.n, _exact(score.mean_f1), _exact(score.median_f1)]
            for name, score in record.scores.items()
        ]
        if scores:
            _append(self.validation, VALIDATION_COLUMNS, scores)


def _exact(value: float) -> str:
    """All digits, also of a number that is NumPy's or torch's."""
    return repr(float(value))


def _is_there(path: Path) -> bool:
    """Whether a file has content: a kill can leave an empty one."""
    return path.is_file() and path.stat().st_size > 0


def _rows(path: Path, columns: tuple[str, ...]) -> list[list[str]]:
    """Rows below the header, without a last line that a kill has cut off."""
    text = path.read_bytes().decode("utf-8")
    whole = text[: text.rfind("\n") + 1]
    rows = list(csv.reader(io.StringIO(whole)))[1:]
    return [row for row in rows if len(row) == len(columns)]


def _append(path: Path, columns: tuple[str, ...], rows: list[list[object]]) -> None:
    new = not _is_there(path)
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(columns)
        writer.writerows(rows)
