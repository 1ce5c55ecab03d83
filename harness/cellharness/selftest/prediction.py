"""Try one method's prediction: expected cells, the library's cells, the CPU's cells, and speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from statistics import fmean
from typing import Any

import numpy as np

from cellharness.data.images import model_input, read_image, read_label
from cellharness.data.manifest import Case
from cellharness.methods.base import BaseSegmenter
from cellharness.methods.child_process import seed_everything
from cellharness.methods.registry import build, method_class, resolve
from cellharness.methods.self_check import SelfCheck
from cellharness.running.memory import DriverPeak, peak_gpu_mb, peak_host_mb, reset_peaks
from cellharness.running.worker import check_labels, make_replicas, usual_at_once
from cellharness.scoring.pair import score_pair
from cellharness.selftest.images import embedded, real
from cellharness.selftest.part import Part, Result, Seen
from cellharness.selftest.utilisation import Utilisation

#: Times that the images are gone through with the clock running; ours and the library's by turns.
ROUNDS = 2
#: IoU at which masks of one device are compared with the library's.
CLOSE = 0.9

#: Images that each replica gets in the mean on a GPU, where several are segmented at once.
_EACH_REPLICA = 6

Segment = Callable[[np.ndarray], np.ndarray]


def check_of(name: str) -> SelfCheck | None:
    """Give a method's check; None for one that brings none.

    That of a class it derives from is not taken: it finds other cells.
    """
    target = vars(method_class(name)).get("self_check", "")
    return resolve(f"self check of '{name}'", target) if target else None


def has_device(name: str) -> bool:
    """Whether a method can be told on which device to run."""
    return "device" in method_class(name).Parameters.model_fields


def try_prediction(part: Part) -> Result:
    """Run the part of a method; raises whatever the method does."""
    check = check_of(part.name)
    assert check is not None
    assert check.parameters is not None
    known = embedded(Path(part.folder) / "embedded")
    # A rehearsal says nothing of real images.
    cases = [*known, *(real(part.images) if part.device == "cuda" else ())]
    method = loaded(part.name, check.parameters, part.device)
    mode = method.info.input
    images = [model_input(read_image(case.image), mode) for case in cases]
    reset_peaks()
    with DriverPeak() as driver:  # before the library takes memory of the same process
        labels = [masks_of(method, *pair) for pair in zip(cases, images, strict=True)]
    memory = {
        "allocator_peak_mb": peak_gpu_mb(),
        "driver_peak_mb": driver.mb,
        "driver_peak_of": driver.of,
        "host_peak_mb": peak_host_mb(),
    }
    scores = [
        f1(read_label(case.label), found)
        for case, found in zip(known, labels, strict=False)
        if case.label is not None
    ]
    seen = [_as_expected(check, scores)]
    measured: dict[str, Any] = {}
    if check.library:
        exact = resolve(f"library of '{part.name}'", check.library)
        theirs = exact(check.parameters, part.device, exact=True)
        least = 1.0 if part.device == "cpu" else check.agreement_on_gpu
        seen.append(_as_library([theirs(image) for image in images], labels, least))
    if part.measured:
        # One image rehearses it all.
        n = len(cases) if part.device == "cuda" else 1
        measured |= {**memory, **_timed(part, check, method, cases[:n], images[:n])}
        on_gpu = part.device == "cuda"
        measured |= _several_at_once(method, cases[:n], images[:n], labels[:n], seen, on_gpu=on_gpu)
        there = _on_cpu(part, check.parameters, cases[:n], images[:n], measured)
        seen += compared(there, labels[:n], check.on_gpu)
    return Result.judged(part, seen, measured)


def loaded(name: str, parameters: Mapping[str, Any], device: str) -> BaseSegmenter:
    """Build, load and warm up a method on a device."""
    on = {"device": device} if has_device(name) else {}
    method = build(name, {**parameters, **on})
    method.load()
    method.warmup()
    return method


def masks_of(method: BaseSegmenter, case: Case, image: np.ndarray) -> np.ndarray:
    """Segment a case as a run does."""
    seed_everything(0)
    method.begin_case(case)
    return check_labels(method.segment(image), image.shape[:2])


def f1(truth: np.ndarray, found: np.ndarray, threshold: float = 0.5) -> float:
    """F1 of one image in profile ``strict``."""
    return score_pair(truth, found, "strict", thresholds=threshold).f1


def _as_expected(check: SelfCheck, scores: Sequence[float]) -> Seen:
    mean = fmean(scores)
    wanted = f"{check.f1:.3f} within {check.tolerance:g}"
    ok = abs(mean - check.f1) <= check.tolerance
    return Seen("mean F1 on the embedded images", f"{mean:.3f}", wanted, ok)


def _as_library(theirs: Sequence[np.ndarray], ours: Sequence[np.ndarray], least: float) -> Seen:
    """Compare with the library; `least` 1 demands the same cells pixel by pixel."""
    pairs = list(zip(theirs, ours, strict=True))
    equal = sum(np.array_equal(check_labels(a, a.shape), b) for a, b in pairs)
    worst = min(f1(check_labels(a, a.shape), b, CLOSE) for a, b in pairs)
    value = f"equal on {equal} of {len(pairs)} images; least F1 at IoU {CLOSE:g} {worst:.3f}"
    if least == 1:
        return Seen("cells of the library", value, "equal", equal == len(pairs))
    return Seen("cells of the library", value, f"{least:g} or more", worst >= least)


def _on_cpu(
    part: Part,
    parameters: Mapping[str, Any],
    cases: Sequence[Case],
    images: Sequence[np.ndarray],
    measured: dict[str, Any],
) -> list[np.ndarray]:
    """Make the masks of the CPU, and note what they took there."""
    method = loaded(part.name, parameters, "cpu")
    begun = time.perf_counter()
    there = [masks_of(method, case, image) for case, image in zip(cases, images, strict=True)]
    measured["cpu_s_per_image"] = (time.perf_counter() - begun) / len(images)
    return there


def compared(there: Sequence[np.ndarray], here: Sequence[np.ndarray], least: float) -> list[Seen]:
    """What masks of the CPU and of the device have in common."""
    scores = [f1(a, b) for a, b in zip(there, here, strict=True)]
    equal = sum(np.array_equal(a, b) for a, b in zip(there, here, strict=True))
    cells = f"{sum(int(a.max()) for a in there)} and {sum(int(b.max()) for b in here)}"
    value = f"least F1 {min(scores):.3f}, equal on {equal} of {len(scores)} images"
    return [
        Seen("cells of the CPU's masks", value, f"{least:g} or more", min(scores) >= least),
        Seen("cells on the CPU and here", cells),
    ]


def _timed(
    part: Part,
    check: SelfCheck,
    method: BaseSegmenter,
    cases: Sequence[Case],
    images: Sequence[np.ndarray],
) -> dict[str, Any]:
    """Time the images on a warm method, and the library's own way by turns with it."""

    def segment_all() -> None:
        for case, image in zip(cases, images, strict=True):
            method.begin_case(case)
            method.segment(image)

    ways: dict[str, Callable[[], Any]] = {"ours": segment_all}
    if check.library:
        library = resolve(f"library of '{part.name}'", check.library)
        theirs = library(check.parameters, part.device, exact=False)
        for image in images:  # every shape once, or its first call would be timed
            theirs(image)
        ways["library"] = lambda: [theirs(image) for image in images]
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    method.timer.reset()
    measured: dict[str, Any] = {"images": len(images), "rounds": ROUNDS}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            with Utilisation() as busy:
                begun = time.perf_counter()
                way()
                _wait(method)
                seconds[name].append(time.perf_counter() - begun)
            if name == "ours":
                measured["utilisation_percent"] = busy.percent
    each = {name: min(times) / len(images) for name, times in seconds.items()}
    measured["s_per_image"] = each["ours"]
    measured["images_per_s"] = 1 / each["ours"]
    for phase, spent in method.timer.seconds.items():
        measured[f"{phase}_s_per_image"] = spent / len(images) / ROUNDS
    if "library" in each:
        measured["library_s_per_image"] = each["library"]
        measured["times_the_library"] = each["library"] / each["ours"]
    return measured


def _several_at_once(
    method: BaseSegmenter,
    cases: Sequence[Case],
    images: Sequence[np.ndarray],
    alone: Sequence[np.ndarray],
    seen: list[Seen],
    *,
    on_gpu: bool,
) -> dict[str, Any]:
    """Time the images with several of them in work, as in a run with ``cases_at_once: auto``."""
    copies = make_replicas(method, usual_at_once())
    if not copies:
        return {}
    free: SimpleQueue[BaseSegmenter] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def segment(index: int) -> np.ndarray:
        copy = free.get()
        try:
            copy.begin_case(cases[index])
            return copy.segment(images[index])
        finally:
            free.put(copy)

    # On a GPU so often that all are busy for most of the time.
    n = len(images)
    wanted = [*range(n)] * max(1, round((_EACH_REPLICA if on_gpu else 1) * len(copies) / n))
    with ThreadPoolExecutor(len(copies)) as pool, Utilisation() as busy:
        begun = time.perf_counter()
        found = list(pool.map(segment, wanted))
        seconds = time.perf_counter() - begun
    equal = sum(
        np.array_equal(alone[index], check_labels(labels, labels.shape))
        for index, labels in zip(wanted, found, strict=True)
    )
    value = f"equal on {equal} of {len(wanted)} images to those one after another"
    # Sums of a GPU may come in another order from one call to the next.
    ok = on_gpu or equal == len(wanted)
    seen.append(Seen(f"masks with {len(copies)} at once", value, "equal", ok))
    return {
        "at_once": len(copies),
        "images_per_s_at_once": len(wanted) / seconds,
        "utilisation_percent_at_once": busy.percent,
    }


def _wait(method: BaseSegmenter) -> None:
    if method.timer.synchronise is not None:
        method.timer.synchronise()
