"""The process in which a method lives: it reads, segments and writes one case after another.

A method has a process of its own so that one that hangs, eats all memory or dies
takes nothing else with it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from cellharness.config.run import TilesConfig
from cellharness.data.images import model_input, open_image, write_label
from cellharness.data.manifest import Case
from cellharness.data.network_maps import write_maps
from cellharness.errors import UsageError
from cellharness.files import hash_file
from cellharness.methods.base import BaseSegmenter, CaseError, MethodInfo, UnsupportedCaseError
from cellharness.methods.child_process import (
    describe,
    die_first,
    die_with_parent,
    leave,
    seed_everything,
    status_of,
)
from cellharness.methods.registry import build
from cellharness.methods.shared_results import SharedBy, SharedResults
from cellharness.methods.timing import PhaseTimer
from cellharness.processes import cores
from cellharness.provenance import package_versions
from cellharness.running.forking import Imported, fork_for_each, hand_on
from cellharness.running.labels import check_labels
from cellharness.running.ledger import Outcome
from cellharness.running.memory import DriverPeak, peak_gpu_mb, peak_host_mb, reset_peaks
from cellharness.running.place import packages_of
from cellharness.vocabulary import PHASES

if TYPE_CHECKING:
    from cellharness.running.messages import Line


@dataclass(frozen=True)
class MethodSpec:
    """What a worker needs to make its method, how often it segments each case, and which follow.

    ``python`` is the interpreter that it runs in; "" for our own. ``tiles`` are those that it gets
    the image in; None for the image in one piece. ``expected`` is what it must come to where it
    runs, see :func:`what_it_is`; None where that is where the run was planned. ``at_once`` is how
    many cases it may segment at the same time, where it can. ``forks`` is whether its process
    forks once it has imported what the method needs, so that another method can begin there.
    ``shared`` is where it finds what other methods of the run found of the same images.
    """

    method: str
    parameters: Mapping[str, Any]
    input: str | None
    seed: int
    repeats: int = 1
    cases: tuple[Case, ...] = ()
    python: str = ""
    tiles: TilesConfig | None = None
    expected: Mapping[str, Any] | None = None
    at_once: int = 1
    forks: bool = False
    shared: SharedBy | None = None


@dataclass(frozen=True)
class Task:
    """One case to segment, where its mask goes, and what its network gave if that is wanted."""

    case: Case
    prediction: Path
    maps: Path | None = None


@dataclass(frozen=True)
class Ready:
    """A method is loaded, and takes so many cases at the same time.

    ``forked`` is whether its process can be told of a :class:`Next`.
    """

    at_once: int
    forked: bool = False


@dataclass(frozen=True)
class Next:
    """A method is done; the :class:`MethodSpec` of another may follow."""


@dataclass(frozen=True)
class Answered:
    """What came of one of several cases, by its name."""

    case: str
    outcome: Outcome


def serve(connection: Line, spec: MethodSpec) -> None:
    """Load a method, then answer tasks until the other end closes.

    Parameters
    ----------
    connection : Connection or JsonLine
        First :class:`Ready` is sent, or the :class:`Outcome` of a failed load; then for each
        :class:`Task` received, one :class:`Outcome`, or, where the method takes several cases at
        the same time, one :class:`Answered`.
    spec : MethodSpec
        The method.
    """
    die_with_parent()
    die_first()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    imported = Imported()
    if spec.forks:
        spec, imported = fork_for_each(connection, spec)
    try:
        segmenter, first = start(spec, imported)
        if spec.shared is not None:
            versions = package_versions(packages_of(segmenter.info))
            alone = spec.at_once == 1
            segmenter.shared = SharedResults(spec.shared, versions, timed=alone)
        replicas = replicas_of(segmenter, spec)
    except BaseException as error:
        status = "oom" if status_of(error) == "oom" else "error"
        connection.send(Outcome(status, describe(error), peak_host_mb=peak_host_mb()))
        return
    connection.send(Ready(max(1, len(replicas)), imported.forked))
    if replicas:
        serve_at_once(connection, replicas, spec, first)
        return
    while True:
        try:
            task = connection.recv()
        except EOFError:
            leave()
            return
        if isinstance(task, Next):
            hand_on()
        outcome = segment_case(segmenter, spec, task, first)
        first = {}
        connection.send(outcome)


def usual_at_once() -> int:
    """How many cases are segmented at the same time where nobody says how many."""
    # Of those beyond the cores one is in the network, and one waits for it.
    return cores() + 2


def replicas_of(segmenter: BaseSegmenter, spec: MethodSpec) -> list[BaseSegmenter]:
    """Replicas of a loaded method, as many as wanted; none where one case comes after another."""
    # Tiles are asked for where memory is short.
    if spec.at_once == 1 or spec.tiles is not None:
        return []
    return make_replicas(segmenter, spec.at_once)


def make_replicas(segmenter: BaseSegmenter, number: int) -> list[BaseSegmenter]:
    """So many replicas of a loaded method; none where it can have none."""
    found = (segmenter.replica() for _ in range(number))
    return [each for each in found if each is not None]


def serve_at_once(
    connection: Line,
    replicas: Sequence[BaseSegmenter],
    spec: MethodSpec,
    start_up: Mapping[str, float],
) -> None:
    """Answer tasks at the same time, one in each replica, until the other end closes.

    What one case does on the processor (reading, reconstruction, writing) goes on while the network
    is busy with others. The other end has no more tasks out than there are replicas, so that each
    begins when it comes.
    """
    free: SimpleQueue[BaseSegmenter] = SimpleQueue()
    for replica in replicas:
        free.put(replica)
    sending = threading.Lock()

    def answer(task: Task, start_up: Mapping[str, float]) -> None:
        replica = free.get()
        try:
            outcome = segment_case(replica, spec, task, start_up, len(replicas))
            free.put(replica)
            with sending, contextlib.suppress(OSError):  # the other end may be gone
                connection.send(Answered(task.case.case, outcome))
        except BaseException:
            # As where one case comes after another, it ends the process.
            traceback.print_exc()
            os._exit(1)

    with ThreadPoolExecutor(len(replicas)) as pool:
        while True:
            try:
                task = connection.recv()
            except EOFError:
                # What is still busy is for nobody.
                leave()
                return
            if isinstance(task, Next):
                hand_on()
            pool.submit(answer, task, start_up)
            start_up = {}


def start(
    spec: MethodSpec,
    imported: Imported = Imported(),  # noqa: B008 - frozen
) -> tuple[BaseSegmenter, dict[str, float]]:
    """Load and warm up a method.

    Parameters
    ----------
    spec : MethodSpec
    imported : Imported
        What was imported for it before; its seconds are counted as loading, whoever spent them.

    Returns
    -------
    segmenter : BaseSegmenter
    seconds : dict of str to float
        Of the two phases, and as ``reused`` how many of them were spent for an earlier method.
    """
    timer = PhaseTimer()
    timer.count("load", imported.seconds, reused=imported.reused)
    with timer.phase("load"):
        # Imported at the first colour image otherwise, whose time it would be charged to.
        from skimage.color import rgb2gray  # noqa: F401

        segmenter = build(spec.method, spec.parameters)
    if spec.expected is not None:
        _compare(spec.expected, what_it_is(segmenter, spec.expected["versions"]))
    with timer.phase("load"):
        segmenter.load()
        segmenter.begin_run(spec.cases)
        # From here on the end of a phase waits for the device, or its work would be charged to
        # the first case.
        timer.synchronise = segmenter.timer.synchronise
    with timer.phase("warmup"):
        segmenter.warmup()
    return segmenter, {**timer.seconds, "reused": timer.reused}


class UnfitError(UsageError):
    """A method comes to something else here than where its run was planned."""


def what_it_is(segmenter: BaseSegmenter, packages: Iterable[str]) -> dict[str, Any]:
    """What a mask depends on besides image, parameters and seed, as it is on this machine.

    Parameters
    ----------
    segmenter : BaseSegmenter
        Not loaded yet.
    packages : iterable of str
        Distributions whose versions count.

    Returns
    -------
    dict
        ``weights``: their SHA256 by file; ``resolved``: what automatic choices come to;
        ``versions``.
    """
    return {
        "weights": [found.record()["sha256"] for found in segmenter.weights()],
        "resolved": segmenter.resolved(),
        "versions": package_versions(packages),
    }


def _compare(expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    # Through JSON, which knows no tuples, as messages to another Python go.
    plain = json.loads(json.dumps({**found}, default=str))
    wanted = json.loads(json.dumps({**expected}, default=str))
    differ = [
        f"{what} are {plain[what]}, where the run has {wanted[what]}"
        for what in wanted
        if plain[what] != wanted[what]
    ]
    if differ:
        msg = (
            f"{'; '.join(differ)}: its masks would not be those of the others. Give all workers "
            "the same packages, weights and kind of device"
        )
        raise UnfitError(msg)


def segment_case(
    segmenter: BaseSegmenter,
    spec: MethodSpec,
    task: Task,
    start_up: Mapping[str, float],
    at_once: int = 1,
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
        Seconds for loading and warm-up, to be counted on this case, as :func:`start` gives them.
    at_once : int
        How many cases may be segmented at the same time in this process. Where it is more than
        one, seconds and memory are no measure of the method: memory is not taken, and the seconds
        of phases stand under ``details`` as ``seconds``, beside ``cases_at_once``.

    Returns
    -------
    Outcome
        Status ``ok`` or ``empty`` with a mask written whole, or why there is none.
    """
    timer = segmenter.timer
    alone = at_once == 1
    if alone:
        reset_peaks()
    status, message = "ok", ""
    details: dict[str, Any] = {}
    passes: list[dict[str, float]] = []
    masks: list[_Mask] = []
    driver = DriverPeak()
    with driver if alone else contextlib.nullcontext():
        for _ in range(spec.repeats):
            timer.reset()
            begun = time.perf_counter()
            try:
                masks.append(_one_pass(segmenter, spec, task, timer))
                # Through JSON here, so that what cannot be kept fails this case, not the ledger.
                details = json.loads(json.dumps(masks[-1].details, default=str))
                if task.maps is not None and not segmenter.maps:
                    said = [details.get("remark", ""), "no flows: the network was not run"]
                    details["remark"] = "; ".join(filter(None, said))
                if masks[-1].image:
                    details["image"] = list(masks[-1].image)
            except Exception as error:
                status, message = status_of(error), describe(error)
                if isinstance(error, CaseError):
                    details = json.loads(json.dumps(error.details, default=str))
            total = time.perf_counter() - begun + timer.reused
            passes.append({**timer.seconds, "reused": timer.reused, "total": total})
            if status != "ok":
                # What an earlier repeat wrote is not the mask of a case that failed.
                task.prediction.unlink(missing_ok=True)
                if task.maps is not None:
                    task.maps.unlink(missing_ok=True)
                break
    failed = status != "ok"
    if not failed and not masks[-1].any_cell:
        status = "empty"
    if len({mask.sha256 for mask in masks}) > 1:
        details["repeats_differ"] = True
    if driver.of:
        details["gpu_driver_memory_of"] = driver.of
    seconds = _seconds(passes, start_up)
    if seconds["reused"]:
        details["reused_seconds"] = round(seconds["reused"], 4)
    if not alone:
        details["cases_at_once"] = at_once
        details["seconds"] = {name: round(spent, 4) for name, spent in passes[0].items()}
        details["seconds"].pop("reused")
        # Loading and warming up came before all cases.
        shared = {*PHASES, "total"} - {"load", "warmup"}
        seconds = {**dict.fromkeys(shared, math.nan), **start_up, "reused": seconds["reused"]}
    return Outcome(
        status,
        message,
        seconds,
        peak_host_mb() if alone else None,
        peak_gpu_mb() if alone else None,
        "" if failed else masks[-1].sha256,
        details,
        driver.mb,
        len(passes),
        masks[0].pixels if masks else None,
    )


@dataclass(frozen=True)
class _Mask:
    """What is kept of a mask that was written, and is told of the image it was made of."""

    sha256: str
    pixels: int
    any_cell: bool
    image: tuple[str, ...]
    details: Mapping[str, Any]


def _one_pass(segmenter: BaseSegmenter, spec: MethodSpec, task: Task, timer: PhaseTimer) -> _Mask:
    """Read, segment and write one case, once."""
    if spec.tiles is not None:
        return _one_pass_by_tiles(segmenter, spec, spec.tiles, task)
    with timer.phase("read"):
        picture = open_image(task.case.image)
    with timer.phase("preprocess"):
        image = model_input(picture.pixels, spec.input or segmenter.info.input)
    seed_everything(spec.seed)
    segmenter.case_name = task.case.case
    segmenter.begin_case(task.case)
    segmenter.maps = None if task.maps is None else {}
    with timer.phase("network"):
        labels = check_labels(segmenter.segment(image), image.shape[:2])
    with timer.phase("write"):
        task.prediction.parent.mkdir(parents=True, exist_ok=True)
        write_label(task.prediction, labels)
        sha256 = hash_file(task.prediction)
        # Written here and not sent: they are many times the size of all else that is told.
        if task.maps is not None and segmenter.maps:
            write_maps(task.maps, check_maps(segmenter.maps, segmenter.info, labels.shape))
    told = tuple(finding.message for finding in picture.findings)
    return _Mask(sha256, labels.size, bool(labels.any()), told, segmenter.details())


def _one_pass_by_tiles(
    segmenter: BaseSegmenter, spec: MethodSpec, tiles: TilesConfig, task: Task
) -> _Mask:
    # Few runs need it, and it imports SciPy.
    from cellharness.running.by_tiles import segment_by_tiles

    if task.maps is not None:
        msg = "flows and other maps are not kept of an image that is segmented by tiles"
        raise UnsupportedCaseError(msg)
    mode = spec.input or segmenter.info.input
    found = segment_by_tiles(segmenter, task.case, mode, tiles, spec.seed, task.prediction)
    with segmenter.timer.phase("write"):
        sha256 = hash_file(task.prediction)
    return _Mask(sha256, found.pixels, found.cells > 0, found.image, found.details)


def _seconds(
    passes: Sequence[Mapping[str, float]], start_up: Mapping[str, float]
) -> dict[str, float]:
    """Medians of the passes by phase, with the start-up that is counted on this case.

    ``reused`` are those of all passes that were spent before, for another method; ``phases`` is the
    sum of all phases of all passes without them: what the method itself took.
    """
    phases = {name for each in passes for name in each}
    seconds = {name: median(each.get(name, 0.0) for each in passes) for name in phases}
    started = sum(start_up.get(name, 0.0) for name in PHASES)
    own = sum(each.get(name, 0.0) for each in passes for name in PHASES)
    reused = sum(each["reused"] for each in (*passes, {"reused": 0.0, **start_up}))
    return {
        **seconds,
        **start_up,
        "total": seconds["total"] + started,
        "first": passes[0]["total"],
        "reused": reused,
        "phases": own + started - reused,
    }


def check_maps(
    maps: Mapping[str, np.ndarray], info: MethodInfo, shape: tuple[int, ...]
) -> Mapping[str, np.ndarray]:
    """Refuse maps that a method did not declare, or that are not of the image's size.

    Raises
    ------
    ValueError
        Naming the map, and what was declared.
    """
    for name, found in maps.items():
        if name not in info.maps or found.shape != tuple(shape):
            msg = (
                f"the method gave a map '{name}' of shape {found.shape} for an image of "
                f"{tuple(shape)}; it declares {', '.join(info.maps) or 'none'}, each of the "
                "image's shape"
            )
            raise ValueError(msg)
    return maps
