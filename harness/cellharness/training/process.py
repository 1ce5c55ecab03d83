"""The process in which a training runs: one that dies or eats all memory takes nothing along."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from cellharness.data.manifest import Case
from cellharness.methods.child_process import (
    describe,
    die_with_parent,
    leave,
    seed_everything,
    status_of,
)
from cellharness.training.log import EpochRecord
from cellharness.training.samples import Preparing
from cellharness.training.trainer import build_trainer
from cellharness.vocabulary import InputMode

_TICK_S = 1.0


@dataclass(frozen=True)
class TrainingTask:
    """What a training process needs."""

    method: str
    parameters: Mapping[str, Any]
    input: InputMode | None
    seed: int
    train: Sequence[Case]
    validation: Sequence[Case]
    replay: Sequence[Case]
    out: Path


@dataclass(frozen=True)
class TrainingEnd:
    """How a training process ended: ``ok`` with a checkpoint, or a status with a message."""

    status: str
    message: str = ""
    checkpoint: Path | None = None
    left_out: Sequence[str] = ()


@dataclass(frozen=True)
class Prepared:
    """How many images of how many are prepared before the first epoch."""

    done: int
    total: int


def train_in_process(
    task: TrainingTask,
    watch: Callable[[EpochRecord], None],
    preparing: Preparing | None = None,
    wanted: Callable[[], bool] = lambda: True,
) -> TrainingEnd:
    """Train in a process of its own and wait for it.

    Parameters
    ----------
    task : TrainingTask
    watch : callable
        Told of each finished epoch.
    preparing : callable or None
        Told of how many images of how many are prepared before the first epoch.
    wanted : callable
        Asked now and then; where it is not any more, the training is ended, to go on later.

    Returns
    -------
    TrainingEnd
        Every failure is a status, an unexpected death included.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(theirs, task))
    process.start()
    theirs.close()
    try:
        while True:
            if not ours.poll(_TICK_S):
                if not wanted():
                    return TrainingEnd("error", "nobody waits for it any more")
                continue
            try:
                message = ours.recv()
            except EOFError:
                process.join()
                return _death(process.exitcode)
            if isinstance(message, TrainingEnd):
                return message
            if isinstance(message, Prepared):
                if preparing is not None:
                    preparing(message.done, message.total)
                continue
            watch(message)
    finally:
        # Also after Ctrl-C: the last state on disk is where a resume goes on.
        process.join(2)
        if process.is_alive():
            process.kill()
            process.join()
        ours.close()


def _serve(connection: Connection, task: TrainingTask) -> None:
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    seed_everything(task.seed)
    try:
        trainer = build_trainer(
            task.method,
            task.parameters,
            input=task.input,
            seed=task.seed,
            watch=partial(_send, connection),
        )
        trainer.preparing = partial(_send_prepared, connection)
        replay = {"replay": task.replay} if task.replay else {}
        checkpoint = trainer.fit(task.train, task.validation, task.out, **replay)
        end = TrainingEnd("ok", checkpoint=checkpoint, left_out=trainer.left_out)
    except BaseException as error:
        status = status_of(error) if isinstance(error, Exception) else "error"
        end = TrainingEnd(status, describe(error))
    connection.send(end)
    leave()


def _send(connection: Connection, record: EpochRecord) -> None:
    connection.send(record)


def _send_prepared(connection: Connection, done: int, total: int) -> None:
    connection.send(Prepared(done, total))


def _death(code: int | None) -> TrainingEnd:
    if code == -signal.SIGKILL:
        message = "the process was killed from outside, most likely for want of memory"
        return TrainingEnd("oom", message)
    return TrainingEnd("error", f"the process ended by itself with exit code {code}")
