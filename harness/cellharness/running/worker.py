"""The process in which a method lives: it reads, segments and writes one case after another.

A method has a process of its own so that one that hangs, eats all memory or dies
takes nothing else with it.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
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
from cellharness.methods.timing import PhaseTimer
from cellharness.provenance import package_versions
from cellharness.running.labels import check_labels
from cellharness.running.ledger import Outcome
from cellharness.running.memory import DriverPeak, peak_gpu_mb, peak_host_mb, reset_peaks

if TYPE_CHECKING:
    from cellharness.running.messages import Line


@dataclass(frozen=True)
class MethodSpec:
    """What a worker needs to make its method, how often it segments each case, and which follow.

    ``python`` is the interpreter that it runs in; "" for our own. ``tiles`` are those that it gets
    the image in; None for the image in one piece. ``expected`` is what it must come to where it
    runs, see :func:`what_it_is`; None where that is where the run was planned.
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


@dataclass(frozen=True)
class Task:
    """One case to segment, where its mask goes, and what its network gave if that is wanted."""

    case: Case
    prediction: Path
    maps: Path | None = None


def serve(connection: Line, spec: MethodSpec) -> None:
    """Load a method, then answer tasks until the other end closes.

    Parameters
    ----------
    connection : Connection or JsonLine
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
    return segmenter, dict(timer.seconds)


class UnfitError(UsageError):
    """A method comes to something else here than where its run was planned."""


def what_it_is(segmenter: BaseSegmenter, packages: Iterable[str]) -> dict[str, Any]:
    """What a mask hangs on besides image, parameters and seed, as it is on this machine.

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
            passes.append({**timer.seconds, "total": time.perf_counter() - begun})
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
