"""The process in which a method lives: it reads, segments and writes one case after another.

A method has a process of its own so that one that hangs, eats all memory or dies
takes nothing else with it.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from cellharness.data.images import model_input, read_image, write_label
from cellharness.data.manifest import Case
from cellharness.files import hash_file
from cellharness.methods.base import BaseSegmenter
from cellharness.methods.child_process import (
    describe,
    die_first,
    die_with_parent,
    leave,
    seed_everything,
    status_of,
)
from cellharness.methods.registry import build
from cellharness.methods.timing import PhaseTimer
from cellharness.running.ledger import Outcome
from cellharness.running.memory import DriverPeak, peak_gpu_mb, peak_host_mb, reset_peaks


@dataclass(frozen=True)
class MethodSpec:
    """What a worker needs to make its method, and how often it segments each case."""

    method: str
    parameters: Mapping[str, Any]
    input: str | None
    seed: int
    repeats: int = 1


@dataclass(frozen=True)
class Task:
    """One case to segment, and where its mask goes."""

    case: Case
    prediction: Path


def serve(connection: Connection, spec: MethodSpec) -> None:
    """Load a method, then answer tasks until the other end closes.

    Parameters
    ----------
    connection : Connection
        First ``"ready"`` is sent, or the :class:`Outcome` of a failed load; then for each
        :class:`Task` received, one :class:`Outcome`.
    spec : MethodSpec
        The method.
    """
    die_with_parent()
    die_first()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        segmenter, first = start(spec)
    except BaseException as error:
        status = "oom" if status_of(error) == "oom" else "error"
        connection.send(Outcome(status, describe(error), peak_host_mb=peak_host_mb()))
        return
    connection.send("ready")
    while True:
        try:
            task = connection.recv()
        except EOFError:
            leave()
            return
        outcome = segment_case(segmenter, spec, task, first)
        first = {}
        connection.send(outcome)


def start(spec: MethodSpec) -> tuple[BaseSegmenter, dict[str, float]]:
    """Load and warm up a method; return it with the seconds of both."""
    timer = PhaseTimer()
    with timer.phase("load"):
        # Imported at the first colour image otherwise, whose time it would be charged to.
        from skimage.color import rgb2gray  # noqa: F401

        segmenter = build(spec.method, spec.parameters)
        segmenter.load()
        # From here on the end of a phase waits for the device, or its work would be charged to
        # the first case.
        timer.synchronise = segmenter.timer.synchronise
    with timer.phase("warmup"):
        segmenter.warmup()
    return segmenter, dict(timer.seconds)


def segment_case(
    segmenter: BaseSegmenter, spec: MethodSpec, task: Task, start_up: Mapping[str, float]
) -> Outcome:
    """Segment one case, as often as asked for, and write its mask; failures become a status.

    Parameters
    ----------
    segmenter : BaseSegmenter
        Loaded.
    spec : MethodSpec
        For the input mode, the seed and the number of repeats.
    task : Task
        Case and the path of its mask.
    start_up : mapping of str to float
        Seconds for loading and warm-up, to be counted on this case.

    Returns
    -------
    Outcome
        Status ``ok`` or ``empty`` with a mask written whole, or why there is none.
    """
    timer = segmenter.timer
    reset_peaks()
    status, message = "ok", ""
    details: dict[str, Any] = {}
    passes: list[dict[str, float]] = []
    masks: list[_Mask] = []
    with DriverPeak() as driver:
        for _ in range(spec.repeats):
            timer.reset()
            begun = time.perf_counter()
            try:
                masks.append(_one_pass(segmenter, spec, task, timer))
                # Through JSON here, so that what cannot be kept fails this case, not the ledger.
                details = json.loads(json.dumps(segmenter.details(), default=str))
            except Exception as error:
                status, message = status_of(error), describe(error)
            passes.append({**timer.seconds, "total": time.perf_counter() - begun})
            if status != "ok":
                # What an earlier repeat wrote is not the mask of a case that failed.
                task.prediction.unlink(missing_ok=True)
                break
    failed = status != "ok"
    if not failed and not masks[-1].any_cell:
        status = "empty"
    if len({mask.sha256 for mask in masks}) > 1:
        details["repeats_differ"] = True
    if driver.of:
        details["gpu_driver_memory_of"] = driver.of
    return Outcome(
        status,
        message,
        _seconds(passes, start_up),
        peak_host_mb(),
        peak_gpu_mb(),
        "" if failed else masks[-1].sha256,
        details,
        driver.mb,
        len(passes),
        masks[0].pixels if masks else None,
    )


@dataclass(frozen=True)
class _Mask:
    """What is kept of a mask that was written."""

    sha256: str
    pixels: int
    any_cell: bool


def _one_pass(segmenter: BaseSegmenter, spec: MethodSpec, task: Task, timer: PhaseTimer) -> _Mask:
    """Read, segment and write one case, once."""
    with timer.phase("read"):
        image = read_image(task.case.image)
    with timer.phase("preprocess"):
        image = model_input(image, spec.input or segmenter.info.input)
    seed_everything(spec.seed)
    segmenter.begin_case(task.case)
    with timer.phase("network"):
        labels = check_labels(segmenter.segment(image), image.shape[:2])
    with timer.phase("write"):
        task.prediction.parent.mkdir(parents=True, exist_ok=True)
        write_label(task.prediction, labels)
        sha256 = hash_file(task.prediction)
    return _Mask(sha256, labels.size, bool(labels.any()))


def _seconds(
    passes: Sequence[Mapping[str, float]], start_up: Mapping[str, float]
) -> dict[str, float]:
    """Medians of the passes by phase, with the start-up that is counted on this case.

    ``phases`` is the sum of all phases of all passes: what the method itself took.
    """
    phases = {name for each in passes for name in each}
    seconds = {name: median(each.get(name, 0.0) for each in passes) for name in phases}
    started = sum(start_up.values())
    own = sum(value for each in passes for name, value in each.items() if name != "total")
    return {
        **seconds,
        **start_up,
        "total": seconds["total"] + started,
        "first": passes[0]["total"],
        "phases": own + started,
    }


def check_labels(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Refuse a result that is not a label image of the case's size, and number it 1..N.

    Parameters
    ----------
    labels : ndarray of int, (H, W)
        What a method returned.
    shape : tuple of int
        (H, W) of the image.

    Returns
    -------
    ndarray of unsigned int, (H, W)
        0 background, contiguous labels.

    Raises
    ------
    ValueError
        Wrong shape, or labels that are float, negative or not an array.
    """
    if not isinstance(labels, np.ndarray) or labels.shape != tuple(shape):
        found = getattr(labels, "shape", type(labels).__name__)
        msg = f"the method returned {found} for an image of {tuple(shape)}; expected labels (H, W)"
        raise ValueError(msg)
    if not np.issubdtype(labels.dtype, np.integer):
        msg = f"the method returned {labels.dtype}; labels must be integers"
        raise ValueError(msg)
    if labels.size and labels.min() < 0:
        msg = f"the method returned negative labels (smallest {labels.min()})"
        raise ValueError(msg)
    present = np.unique(labels)
    if present.size and int(present[-1]) == np.count_nonzero(present):
        return labels.astype(np.uint32, copy=False)
    numbers = np.cumsum(present > 0, dtype=np.uint32)
    return numbers[np.searchsorted(present, labels)]
