"""``training.json``: what was trained, from what, on what, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cellharness.files import write_atomic

FILE_NAME = "training.json"


@dataclass(frozen=True)
class TrainingRecord:
    """One training.

    Attributes
    ----------
    name, label, method : str
        As configured.
    identity : str
        Hash of all that the weights depend on; another one means another training.
    status : {"running", "ok", "error", "oom"}
    message : str
        Why it is not ``ok``.
    checkpoint : str
        Path of the resulting weights below the training's folder, "" while there are none.
    parameters : mapping
        All knobs, defaults included.
    resolved : mapping
        What its automatic choices come to on this machine, such as precision and device.
    weights : list of dict
        Name and SHA256 of the weights it started from; empty from scratch.
    train, validation, replay : list of str
        Names of the cases.
    left_out : list of str
        Those of them that were not learned from, such as images with too few cells.
    epochs : int
        Finished ones.
    seconds : float
        Of this and earlier sessions; of one that was killed, those of its logged epochs.
    versions : mapping of str to str
    """

    name: str
    label: str
    method: str
    identity: str
    status: str
    message: str = ""
    checkpoint: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    resolved: Mapping[str, Any] = field(default_factory=dict)
    weights: Sequence[Mapping[str, Any]] = ()
    train: Sequence[str] = ()
    validation: Sequence[str] = ()
    replay: Sequence[str] = ()
    left_out: Sequence[str] = ()
    epochs: int = 0
    seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write it into a training's folder, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / FILE_NAME, json.dumps(asdict(self), indent=1).encode())

    @classmethod
    def read(cls, folder: Path) -> TrainingRecord | None:
        """Read it; None where there is none, or one that is not whole."""
        try:
            return cls(**json.loads((folder / FILE_NAME).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
