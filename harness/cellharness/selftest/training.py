"""Try one method's training: losses are numbers, the checkpoint predicts, and crops a second."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cellharness.data.images import model_input, read_image
from cellharness.methods.registry import method_class, resolve
from cellharness.running.memory import DriverPeak, peak_gpu_mb, reset_peaks
from cellharness.selftest.images import embedded, to_learn_from
from cellharness.selftest.part import Part, Result, Seen
from cellharness.selftest.prediction import check_of, compared, loaded, masks_of
from cellharness.selftest.utilisation import Utilisation
from cellharness.training.log import EpochRecord
from cellharness.training.trainer import build_trainer


def try_training(part: Part) -> Result:
    """Run the part of a training; raises whatever the training does."""
    check = check_of(part.name)
    assert check is not None
    training = check.trainings[part.number]
    folder = Path(part.folder)
    cases = to_learn_from(folder / "learned")
    records: list[EpochRecord] = []
    parameters = dict(training.parameters)
    if part.device == "cpu":
        parameters |= training.rehearsal
    on = {**parameters, "device": part.device}
    busy = Utilisation()

    def watch(record: EpochRecord) -> None:
        if not records:  # the first epoch sets everything up
            busy.begin_again()
        records.append(record)

    trainer = build_trainer(part.name, on, input=None, seed=0, watch=watch)
    reset_peaks()
    with busy, DriverPeak() as driver:
        checkpoint = trainer.fit(cases, [], folder / "training")
    timed = records[1:]
    crops = parameters[training.crops_per_epoch] * len(timed)
    seconds = sum(record.seconds for record in timed)
    measured: dict[str, Any] = {
        "crops": crops,
        "batch_size": trainer.parameters.batch_size,
        **trainer.resolved(),
        "crops_per_s": crops / seconds,
        "utilisation_percent": busy.percent,
        "allocator_peak_mb": peak_gpu_mb(),
        "driver_peak_mb": driver.mb,
        "driver_peak_of": driver.of,
    }
    losses = [record.train_loss for record in records]
    value = ", ".join(f"{loss:.4f}" for loss in losses)
    seen = [Seen("losses by epoch", value, "finite", all(map(math.isfinite, losses)))]
    if training.library:
        theirs = resolve(f"library of '{part.name}'", training.library)
        their_crops, their_seconds = theirs(cases, parameters, part.device, folder / "library")
        measured["library_crops_per_s"] = their_crops / their_seconds
        measured["times_the_library"] = measured["crops_per_s"] * their_seconds / their_crops
    if training.prediction is not None:
        learned = {**training.prediction, "weights": str(checkpoint)}
        seen += _same_cells(part, learned, folder, check.on_gpu)
    return Result.judged(part, seen, measured)


def _same_cells(
    part: Part, parameters: Mapping[str, Any], folder: Path, least: float
) -> list[Seen]:
    """Compare masks of what was learned, by the CPU and by the device."""
    cases = embedded(folder / "embedded")
    mode = method_class(part.name).info.input
    images = [model_input(read_image(case.image), mode) for case in cases]

    def masks_on(device: str) -> list[np.ndarray]:
        method = loaded(part.name, parameters, device)
        return [masks_of(method, *pair) for pair in zip(cases, images, strict=True)]

    return compared(masks_on("cpu"), masks_on(part.device), least)
