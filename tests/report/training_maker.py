"""Trainings in a run directory, written by the very code that writes real ones."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cellharness.run_directory import TrainingRecord
from cellharness.training.log import EpochRecord, ModalityScore, TrainingLog

WEIGHTS = {"name": "cyto", "sha256": {"size": "ef" * 32, "network": "cd" * 32}, "source": "x"}
N_VALIDATION = {"Brightfield": 2, "DIC": 1}


def scores(mean: float) -> dict[str, ModalityScore]:
    """Scores of an epoch: all images at ``mean``, Brightfield lower, DIC higher."""
    return {
        "Brightfield": ModalityScore(2, mean - 0.05, mean - 0.05),
        "DIC": ModalityScore(1, mean + 0.1, mean + 0.1),
        "all": ModalityScore(3, mean, mean),
    }


def epoch(
    number: int, loss: float, validation: float | None = None, f1: float | None = None
) -> EpochRecord:
    """One line of the log; epoch 0 has no training loss."""
    return EpochRecord(
        epoch=number, epochs=30, learning_rate=0.01, train_loss=loss if number else math.nan,
        seconds=1.0, validation_loss=validation, scores=scores(f1) if f1 is not None else {},
    )  # fmt: skip


#: Validation loss is smallest after epoch 3, validation F1 largest after epoch 2.
USUAL = (
    epoch(0, 0.0, 0.9, 0.5),
    epoch(1, 0.8, 0.7),
    epoch(2, 0.6, 0.5, 0.8),
    epoch(3, 0.5, 0.4),
    epoch(4, 0.4, 0.6, 0.7),
)


def add_training(
    run: Path,
    name: str = "cp2",
    log: Sequence[EpochRecord] = USUAL,
    parameters: Mapping[str, Any] | None = None,
    **fields: Any,
) -> TrainingRecord:
    """Add a training to a run: its folder, unless it has no log, and its record in run.json."""
    known: dict[str, Any] = {
        "label": "Fine-tuned <net>", "method": "cellpose2", "identity": f"identity of {name}",
        "status": "ok", "checkpoint": "checkpoints/last.pt", "weights": [WEIGHTS],
        "train": [f"t{i}" for i in range(7)], "validation": ["v0", "v1", "v2"],
        "epochs": max((line.epoch for line in log), default=0), "seconds": 4000.0,
        "versions": {"torch": "2.15.0"},
        "parameters": {
            "epochs": 4, "batch_size": 8, "learning_rate": 0.05, "optimizer": "sgd",
            "precision": "auto", "keep": "last", **(parameters or {}),
        },
    }  # fmt: skip
    record = TrainingRecord(name=name, **{**known, **fields})
    folder = run / "training" / name
    if log:
        record.write(folder / "training.json")
        writer = TrainingLog(folder)
        for line in log:
            writer.append(line)
    info = json.loads((run / "run.json").read_text())
    info["trainings"] = [*info.get("trainings", []), record.model_dump(mode="json")]
    (run / "run.json").write_text(json.dumps(info))
    return record
