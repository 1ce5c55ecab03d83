"""Trainings beside each other on many workers; their records are left to who asks."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from cellharness.cluster.workers import (
    Lost,
    Threads,
    Unfit,
    Workers,
    allow_children,
    current_job,
    environment_of,
    tell,
)
from cellharness.errors import UsageError
from cellharness.files import alone, hash_file
from cellharness.methods.child_process import describe
from cellharness.provenance import package_versions
from cellharness.run_directory import TrainingDirectory
from cellharness.training.log import EpochRecord
from cellharness.training.process import Prepared, TrainingEnd, TrainingTask, train_in_process
from cellharness.training.trainer import build_trainer


@dataclass(frozen=True)
class TrainingOrder:
    """One training for a worker.

    Attributes
    ----------
    name : str
    task : TrainingTask
    record_sha256 : str
        Of ``training.json`` in its folder, which the worker must see.
    expected : mapping
        What it must come to there, see :func:`what_it_is`.
    topic : str
        Under which prepared images and finished epochs are told.
    threads : Threads
    """

    name: str
    task: TrainingTask
    record_sha256: str
    expected: Mapping[str, Any]
    topic: str
    threads: Threads


@dataclass(frozen=True)
class TrainingMade:
    """What came of a training, and the seconds that it took there."""

    end: TrainingEnd
    seconds: float


def what_it_is(task: TrainingTask, packages: Iterable[str]) -> dict[str, Any]:
    """What a training depends on besides cases, parameters and seed, as it is on this machine.

    Returns
    -------
    dict
        ``weights``: SHA256 of those that it starts from; ``resolved``: what automatic choices come
        to; ``versions``.
    """
    trainer = build_trainer(
        task.method, task.parameters, input=task.input, seed=task.seed, watch=None
    )
    return {
        "weights": [found.record()["sha256"] for found in trainer.weights()],
        "resolved": trainer.resolved(),
        "versions": package_versions(packages),
    }


def what_it_is_there(question: tuple[TrainingTask, tuple[str, ...]]) -> dict[str, Any]:
    """On a worker: :func:`what_it_is`, in a process of its own, since it may import torch."""
    allow_children()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(what_it_is, *question).result()


def train(order: TrainingOrder) -> TrainingMade | Unfit:
    """On a worker: train, or go on where another one was lost."""
    address, wanted = current_job()
    folder = TrainingDirectory(order.task.out)
    if not folder.record.is_file() or hash_file(folder.record) != order.record_sha256:
        return Unfit(
            address,
            f"it does not see '{order.task.out}' as the coordinator does; trainings need a run "
            "directory (--out) that all machines share",
        )
    try:
        found = what_it_is_there((order.task, tuple(order.expected["versions"])))
    except Exception as error:
        return Unfit(address, describe(error))
    differ = [name for name in order.expected if order.expected[name] != found[name]]
    if differ:
        told = "; ".join(f"{n} {found[n]}, the run has {order.expected[n]}" for n in differ)
        return Unfit(address, f"a training would be another one there: {told}")
    begun = time.perf_counter()
    watch = partial(_tell, order.topic, order.name)
    try:
        # What a coordinator that was killed began may not have ended yet.
        with (
            alone(order.task.out / ".training.lock", f"'{order.name}' is being trained"),
            environment_of(order.threads),
        ):
            end = train_in_process(
                order.task, watch, lambda done, total: watch(Prepared(done, total)), wanted
            )
    except UsageError as error:
        end = TrainingEnd("error", str(error))
    return TrainingMade(end, time.perf_counter() - begun)


def _tell(topic: str, name: str, message: EpochRecord | Prepared) -> None:
    tell(topic, (name, message))


def train_beside(
    workers: Workers,
    orders: Iterable[TrainingOrder],
    watch: Callable[[str, EpochRecord], None],
    preparing: Callable[[str, int, int], None],
) -> Generator[tuple[str, TrainingMade], None, None]:
    """Train on workers, each taking one training at a time.

    Parameters
    ----------
    workers : Workers
    orders : iterable of TrainingOrder
        Taken as workers become free.
    watch : callable
        Told the name and each finished epoch.
    preparing : callable
        Told the name, and how many images of how many are prepared before the first epoch.

    Yields
    ------
    name, TrainingMade
        In the order in which they end.

    Raises
    ------
    StoppedError
        The scheduler was lost.
    """

    def told(content: tuple[str, EpochRecord | Prepared]) -> None:
        name, message = content
        if isinstance(message, Prepared):
            preparing(name, message.done, message.total)
        else:
            watch(name, message)

    answers = workers.each(train, map(_from_anywhere, orders), what="training", told=told)
    with closing(answers):
        for order, answer in answers:
            if isinstance(answer, Lost | Unfit):
                message = f"no worker could train it: {answer.message}"
                yield order.name, TrainingMade(TrainingEnd("error", message), 0.0)
            else:
                yield order.name, answer


def _from_anywhere(order: TrainingOrder) -> TrainingOrder:
    """An order whose paths do not start at our working folder."""
    task = order.task
    return replace(
        order,
        task=replace(
            task,
            train=[case.absolute() for case in task.train],
            validation=[case.absolute() for case in task.validation],
            replay=[case.absolute() for case in task.replay],
            out=task.out.absolute(),
        ),
    )
