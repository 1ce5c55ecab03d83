"""Checkpoints on disk: whole or not there at all, never a pickle of unknown code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from cellharness.files import whole_file
from cellharness.run_directory import TrainingDirectory


def save(path: Path, content: Any) -> None:
    """Write tensors, numbers and containers of them; the file appears when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Through a file object: given a path, torch writes that name into the file.
    with whole_file(path) as partial, partial.open("wb") as file:
        torch.save(content, file)


def load(path: Path) -> Any:
    """Read what :func:`save` wrote, onto the CPU."""
    return torch.load(path, map_location="cpu", weights_only=True)


def epoch_path(folder: Path, epoch: int) -> Path:
    """Path of the kept checkpoint of an epoch (from 1)."""
    return TrainingDirectory(folder).checkpoint(epoch)
