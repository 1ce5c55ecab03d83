"""The training loop: seeded, resumable to the last bit, watched by modality.

Lightning Fabric gives device, mixed precision and several GPUs; the loop itself is ours,
since what it must guarantee (an epoch is a function of its number and the state before
it) is easier to see in forty lines than behind a trainer's hooks.
"""

from __future__ import annotations

import copy
import logging
import math
import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning_fabric import Fabric

from cellharness.errors import UsageError
from cellharness.methods.device import choose_device, choose_precision
from cellharness.run_directory import VALIDATION_THRESHOLD, TrainingDirectory
from cellharness.scoring import score_pair
from cellharness.training.checkpoints import epoch_path, load, save
from cellharness.training.learner import Batch, Learner, Losses, Network
from cellharness.training.log import EpochRecord, ModalityScore, TrainingLog
from cellharness.training.samples import TrainingDataError
from cellharness.training.steps import Steps
from cellharness.training.trainer import TrainingParameters, Watch

#: Seconds from one resumable state to the next; an epoch's end comes first.
STATE_EVERY_S = 60.0

#: Steps after which a GPU is waited for, to see that their losses are numbers.
LOSSES_AT_ONCE = 64

_PRECISION: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "float32": "32-true",
    "bfloat16": "bf16-mixed",
    "float16": "16-mixed",
}


class DivergedError(Exception):
    """The loss or the weights are not finite numbers any more."""


@dataclass
class _Progress:
    """Where a training stands after a finished epoch."""

    epoch: int = 0
    best: float = math.inf
    stale: int = 0


def run(
    build: Callable[[], Learner],
    parameters: TrainingParameters,
    seed: int,
    out: Path,
    watch: Watch | None = None,
) -> Path:
    """Train, or go on from the last state in ``out``.

    Parameters
    ----------
    build : callable
        Makes the learner; must be picklable where ``parameters.devices`` is above 1.
    parameters : TrainingParameters
        Epochs, precision, devices, what is kept.
    seed : int
        Each epoch is seeded by it and the epoch's number.
    out : Path
        Folder of the training.
    watch : callable or None
        Told of each epoch.

    Returns
    -------
    Path
        The checkpoint chosen by ``parameters.keep``.

    Raises
    ------
    DivergedError
        A loss or a weight is nan or infinite; checkpoints of earlier epochs stay.
    TrainingDataError
        An epoch has no crop.
    UsageError
        A device was asked for that is not there.
    """
    out.mkdir(parents=True, exist_ok=True)
    device = choose_device(parameters.device)
    precision = choose_precision(parameters.precision, device)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator=device,
        devices=parameters.devices,
        strategy="ddp_spawn" if parameters.devices > 1 else "auto",
        precision=_PRECISION[precision],
    )
    if parameters.devices > 1:
        fabric.launch(_train, build, parameters, seed, out, watch)  # type: ignore[arg-type]
    else:
        _train(fabric, build, parameters, seed, out, watch)
    return result_path(out, parameters)


def result_path(out: Path, parameters: TrainingParameters) -> Path:
    """Path of the checkpoint that a finished training is known by."""
    name = "last" if parameters.keep == "last" else "best"
    return TrainingDirectory(out).checkpoint(name)


def resolved(parameters: TrainingParameters) -> dict[str, str]:
    """Say which device and precision a training would take on this machine."""
    device = choose_device(parameters.device)
    return {"device": device, "precision": choose_precision(parameters.precision, device)}


def _train(
    fabric: Fabric,
    build: Callable[[], Learner],
    parameters: TrainingParameters,
    seed: int,
    out: Path,
    watch: Watch | None,
) -> None:
    learner = build()
    learner.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network, optimizer = fabric.setup(learner.model, learner.optimizer)
    # After the set-up: the optimizer's state goes to the device its parameters are on.
    progress = _resume(learner, out)
    log = TrainingLog(out)
    if fabric.is_global_zero:
        log.rewind(progress.epoch)
    if learner.pretrained and learner.validation and progress.epoch == 0:
        _score_start(fabric, learner, network, parameters.epochs, log, watch)
    recorded = learner.recordable and fabric.device.type == "cuda" and fabric.world_size == 1
    # The scale of float16's losses changes from step to step.
    recorded = recorded and choose_precision(parameters.precision, "cuda") != "float16"
    steps = Steps(fabric, learner, network, optimizer, recorded=recorded)
    saved = time.monotonic()
    good = _snapshot(learner)
    for epoch in range(progress.epoch, parameters.epochs):
        # What decides is the same for all processes: one that stopped alone would block them.
        if fabric.broadcast(_exhausted(progress, parameters)):
            break
        begun = time.perf_counter()
        _seed(_seed_of_epoch(seed, epoch))
        learner.start_epoch(epoch)
        last = epoch + 1 == parameters.epochs
        validation_loss: float | None = None
        scores: dict[str, ModalityScore] = {}
        try:
            train_loss = _one_epoch(fabric, learner, steps, epoch)
            _check_weights(fabric, learner, epoch + 1)
            if learner.validation:
                scored = last or (epoch + 1) % parameters.validate_every == 0
                validate = partial(_validate, fabric, learner, network, epoch + 1, scored=scored)
                validation_loss, scores = steps.with_memory(validate)
        except DivergedError:
            kept = epoch_path(out, epoch)
            if fabric.is_global_zero and epoch and not kept.is_file():
                save(kept, good)
            # The first process to end takes the others along.
            fabric.barrier()
            raise
        good = _snapshot(learner)
        learner.after_epoch(train_loss, validation_loss)
        progress.epoch = epoch + 1
        better = _judge(progress, parameters, validation_loss, scores)
        if fabric.is_global_zero:
            _keep(learner, parameters, progress, out, better)
            record = EpochRecord(
                epoch=epoch + 1,
                epochs=parameters.epochs,
                learning_rate=float(learner.optimizer.param_groups[0]["lr"]),
                train_loss=train_loss,
                seconds=time.perf_counter() - begun,
                validation_loss=validation_loss,
                scores=scores,
            )
            # Before the state: a resume drops a row too many, and cannot add a missing one.
            log.append(record)
            stopping = _exhausted(progress, parameters)
            if last or stopping or time.monotonic() - saved > STATE_EVERY_S:
                _save_state(learner, progress, out)
                saved = time.monotonic()
            if watch is not None:
                watch(record)
    if fabric.is_global_zero:
        save(TrainingDirectory(out).checkpoint("last"), dict(learner.checkpoint()))
        result = result_path(out, parameters)
        # Where nothing could be judged, the last weights are the best known.
        judged = math.isfinite(progress.best) and result.is_file()
        if parameters.keep != "last" and not judged:
            save(result, dict(learner.checkpoint()))
    fabric.barrier()


def _exhausted(progress: _Progress, parameters: TrainingParameters) -> bool:
    """Whether patience has run out."""
    return parameters.patience is not None and progress.stale >= parameters.patience


def _snapshot(learner: Learner) -> dict[str, Any]:
    """Copy the weights of a good epoch: those of a broken one are of no use to anybody."""
    return copy.deepcopy(dict(learner.checkpoint()))


def _seed_of_epoch(seed: int, epoch: int) -> int:
    """Mix both: with their sum, the next seed's training would draw the same an epoch earlier."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - cellpose's own augmentation draws from it
    torch.manual_seed(seed)


def _one_epoch(fabric: Fabric, learner: Learner, steps: Steps, epoch: int) -> float:
    """Do the steps of one epoch; mean loss over its crops."""
    learner.train_mode()
    losses = Losses()
    every = _losses_at_once(fabric.device)
    known: list[tuple[float, float]] = []
    with steps.in_order():
        for whole in learner.batches(epoch):
            batch = _share(fabric, whole)
            losses.add(steps(batch), len(batch[0]))
            if len(losses) - len(known) == every:
                known += _next_known(fabric, losses, len(known), epoch)
        known += _next_known(fabric, losses, len(known), epoch)
    if not known:
        msg = (
            f"epoch {epoch + 1} has no crop to learn from; give more training images, or check "
            "what the training's parameters leave of them"
        )
        raise TrainingDataError(msg)
    total, n = 0.0, 0
    for value, crops in known:
        total += value
        n += int(crops)
    return total / n


def _losses_at_once(device: torch.device) -> int:
    """Say after how many steps losses are read: at once on a CPU, where it costs nothing."""
    return 1 if device.type == "cpu" else LOSSES_AT_ONCE


def _next_known(
    fabric: Fabric, losses: Losses, known: int, epoch: int
) -> list[tuple[float, float]]:
    """Sum over the crops, and their number, of each step after the first so many."""
    new = losses.read()[known:]
    summed = _summed(fabric, *(value for loss, crops in new for value in (loss * crops, crops)))
    found = []
    for step, (value, crops) in enumerate(zip(summed[::2], summed[1::2], strict=True), known + 1):
        if not math.isfinite(value):
            msg = f"the loss became {value} in epoch {epoch + 1}, step {step}"
            raise _diverged(msg, epoch + 1)
        found.append((value, crops))
    return found


def _summed(fabric: Fabric, *values: float) -> list[float]:
    """Sum over the processes; what is not finite in one is so in all."""
    if fabric.world_size == 1:
        return list(values)
    mine = torch.tensor(values, dtype=torch.float64, device=fabric.device)
    whole: torch.Tensor = fabric.all_reduce(mine, reduce_op="sum")  # type: ignore[assignment]
    return [float(value) for value in whole]


def _check_weights(fabric: Fabric, learner: Learner, epoch: int) -> None:
    """Refuse weights of an epoch (from 1) that its last step broke: no loss has seen them."""
    tensors = (*learner.model.parameters(), *learner.model.buffers())
    finite = [torch.isfinite(each).all() for each in tensors if each.is_floating_point()]
    # One answer for all: a GPU would be waited for tensor by tensor.
    broken = not bool(torch.stack(finite).all())
    if _summed(fabric, broken) != [0]:
        msg = f"the weights became nan or infinite in epoch {epoch}"
        raise _diverged(msg, epoch)


def _diverged(what: str, epoch: int) -> DivergedError:
    kept = "; the weights of the epoch before are kept" if epoch > 1 else ""
    return DivergedError(f"{what}{kept}. Lower learning_rate, or use float32")


def _score_start(
    fabric: Fabric,
    learner: Learner,
    network: Network,
    epochs: int,
    log: TrainingLog,
    watch: Watch | None,
) -> None:
    """Validate the weights that a fine-tuning starts from, as epoch 0."""
    begun = time.perf_counter()
    _seed(0)
    validation_loss, scores = _validate(fabric, learner, network, 0, scored=True)
    if fabric.is_global_zero:
        seconds = time.perf_counter() - begun
        record = EpochRecord(0, epochs, 0.0, math.nan, seconds, validation_loss, scores)
        log.rewind(-1)
        log.append(record)
        if watch is not None:
            watch(record)


def _share(fabric: Fabric, batch: Batch) -> Batch:
    """Take this process's part of a batch; every process draws the same whole one."""
    mine = slice(fabric.global_rank, None, fabric.world_size)
    return tuple(part[mine] if len(part) >= fabric.world_size else part for part in batch)


def _validate(
    fabric: Fabric, learner: Learner, network: Network, epoch: int, *, scored: bool
) -> tuple[float | None, dict[str, ModalityScore]]:
    """Loss and scores after an epoch (from 1), as the first process finds them."""
    learner.model.eval()
    with torch.no_grad():
        # In every process: the network of several waits for all of them.
        loss = fabric.broadcast(learner.validation_loss(network))
        if loss is not None and not math.isfinite(loss):
            msg = f"the validation loss became {loss} in epoch {epoch}"
            raise _diverged(msg, epoch)
        scores = _scores(learner) if scored and fabric.is_global_zero else {}
    return loss, fabric.broadcast(scores)


def _scores(learner: Learner) -> dict[str, ModalityScore]:
    by_modality: dict[str, list[float]] = defaultdict(list)
    masks = learner.segment(learner.validation)
    for sample, labels in zip(learner.validation, masks, strict=True):
        score = score_pair(sample.labels, labels, profile="strict", thresholds=VALIDATION_THRESHOLD)
        f1 = score.f1
        by_modality[sample.case.modality or "unknown"].append(f1)
        by_modality["all"].append(f1)
    return {
        name: ModalityScore(len(values), float(np.mean(values)), float(np.median(values)))
        for name, values in sorted(by_modality.items())
    }


def _judge(
    progress: _Progress,
    parameters: TrainingParameters,
    validation_loss: float | None,
    scores: dict[str, ModalityScore],
) -> bool:
    """Whether an epoch is the best so far; counts those that are not."""
    if parameters.keep == "best_f1":
        value = -scores["all"].mean_f1 if scores else None
    else:
        value = validation_loss
    if value is None:
        return False
    better = value < progress.best
    # Not by min(): a nan would stay.
    progress.best = value if better else progress.best
    progress.stale = 0 if better else progress.stale + 1
    return better


def _keep(
    learner: Learner,
    parameters: TrainingParameters,
    progress: _Progress,
    out: Path,
    better: bool,
) -> None:
    """Write the checkpoints that this epoch calls for."""
    if progress.epoch % parameters.save_every == 0 or progress.epoch == parameters.epochs:
        save(epoch_path(out, progress.epoch), dict(learner.checkpoint()))
    if better and parameters.keep != "last":
        save(result_path(out, parameters), dict(learner.checkpoint()))


def _save_state(learner: Learner, progress: _Progress, out: Path) -> None:
    state = {
        "progress": vars(progress),
        "model": learner.model.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "learner": learner.state(),
    }
    save(out / "state.pt", state)


def _resume(learner: Learner, out: Path) -> _Progress:
    path = out / "state.pt"
    if not path.is_file():
        return _Progress()
    try:
        state = load(path)
        learner.model.load_state_dict(state["model"])
        learner.optimizer.load_state_dict(state["optimizer"])
        learner.load_state(state["learner"])
        return _Progress(**state["progress"])
    except Exception as error:
        # torch raises what the damaged place happens to lead to.
        msg = (
            f"'{path}', from which the training goes on, is empty, cut or of another training "
            f"({type(error).__name__}). Put it back from a copy, or delete it and go on with "
            "--resume, which trains from the first epoch"
        )
        raise UsageError(msg) from error
