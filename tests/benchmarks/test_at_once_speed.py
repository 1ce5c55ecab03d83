"""How busy several cases at the same time keep a device, with a stand-in for the device.

The stand-in gives what the network gave for the same tiles before, after a fixed time in which it
leaves the processor alone, one call at a time, as a GPU does: 60 ms a call, and 10 ms as for a fast
GPU. All else is the worker's own: reading, preprocessing, tiling, reconstruction, writing. Its
utilisation is the share of the wall-clock time in which a call was in it. What Cellpose's network
gave is recorded of ``cyto``; KIT-GE has no published weights, so that its stand-in gives the
distances of the true cells.

Images are those beside the project, every n-th by their number of pixels, so that their sizes are
spread as the data set's are (0.08 to 1.4 megapixels).
"""

from __future__ import annotations

import math
import random
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from cellharness.data.images import prepare, read_image, read_label
from cellharness.methods.registry import build
from cellharness.processes import cores
from cellharness.running.worker import (
    MethodSpec,
    Task,
    replicas_of,
    segment_case,
    serve_at_once,
)
from recording import measured

EVERY = 10
REQUIRED_UTILISATION = 0.8
#: Seconds of a call of the stand-in, and of a fast GPU's.
STAND_IN_S, FAST_S = 0.06, 0.01


@pytest.fixture(scope="module")
def spread(realdata):
    """Every n-th real image by its number of pixels."""
    by_size = sorted(realdata.cases, key=lambda case: math.prod(_shape(case)))
    return by_size[EVERY // 2 :: EVERY]


def _shape(case):
    extra = dict(case.extra)
    return int(extra["height"]), int(extra["width"])


@dataclass
class Device:
    """The stand-in: recorded outputs by what goes in, and the time that a call takes."""

    call_s: float = 0.0
    busy_s: float = 0.0
    calls: int = 0
    outputs: dict[tuple[float, ...], object] = field(default_factory=dict)
    in_use: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, key):
        assert self.in_use.acquire(blocking=False), "two calls at the same time"
        begun = time.perf_counter()
        # Looked up within its time, as a GPU computes it then.
        found = self.outputs[key]
        time.sleep(self.call_s)
        self.busy_s += time.perf_counter() - begun
        self.calls += 1
        self.in_use.release()
        return found


class Tasks:
    """The coordinator's end: hands out tasks, so many at the same time, and keeps the answers."""

    def __init__(self, tasks, at_once):
        self._tasks = iter(tasks)
        self._room = threading.Semaphore(at_once)
        self._at_once = at_once
        self.outcomes = {}

    def recv(self):
        self._room.acquire()
        task = next(self._tasks, None)
        if task is not None:
            return task
        for _ in range(self._at_once - 1):
            self._room.acquire()
        raise EOFError

    def send(self, answer):
        self.outcomes[answer.case] = answer.outcome
        self._room.release()


def run(segmenter, cases, folder: Path, at_once: int):
    """Segment cases; give outcomes, seconds that passed, and seconds of the processor."""
    spec = MethodSpec(segmenter.method, {}, None, 0, at_once=at_once)
    tasks = [Task(case, folder / f"{case.case}_label.tiff") for case in cases]
    replicas = replicas_of(segmenter, spec)
    begun, used = time.perf_counter(), time.process_time()
    if at_once == 1:
        outcomes = {task.case.case: segment_case(segmenter, spec, task, {}) for task in tasks}
    else:
        assert len(replicas) == at_once
        line = Tasks(tasks, at_once)
        serve_at_once(line, replicas, spec, {})
        outcomes = line.outcomes
    return outcomes, time.perf_counter() - begun, time.process_time() - used


def compare(benchmark, segmenter, device, cases, folder, what):
    """Measure one case after another and several at once by turns; give the utilisation."""
    many = cores() + 2
    sha256 = {}
    run(segmenter, cases[:2], folder, 1)
    # Each three times in random order, so that filling and draining weigh little.
    cases = [replace(case, case=f"{case.case}-{number}") for number in range(3) for case in cases]
    random.Random(0).shuffle(cases)
    shares = {}

    def measure(name, at_once, call_s):
        device.call_s, device.busy_s, device.calls = call_s, 0.0, 0
        outcomes, passed, used = run(segmenter, cases, folder, at_once)
        assert {outcome.status for outcome in outcomes.values()} <= {"ok", "empty"}
        made = {case: outcome.prediction_sha256 for case, outcome in outcomes.items()}
        assert sha256.setdefault("masks", made) == made
        shares[name] = device.busy_s / passed
        if call_s == 0:
            measured(benchmark, "at once", f"{what}, no wait: cores busy", used / passed, "")
            return
        at = f"{what}, {1e3 * call_s:.0f} ms a call, {at_once} at once: device busy"
        least = 100 * REQUIRED_UTILISATION if at_once > 1 and call_s == STAND_IN_S else None
        measured(benchmark, "at once", at, 100 * shares[name], "%", least=least)
        if call_s != FAST_S:
            return
        for about, value, unit in (
            ("calls of the network an image", device.calls / len(cases), ""),
            ("processor an image", used / len(cases), "s"),
            # With so many the processor's part of the images keeps up with a fast device.
            (
                "cores that 80 % at 10 ms would need",
                REQUIRED_UTILISATION * used / device.calls / FAST_S,
                "",
            ),
        ):
            measured(benchmark, "at once", f"{what}: {about}", value, unit)

    def all_ways():
        measure("one_60ms", 1, STAND_IN_S)
        measure("many_60ms", many, STAND_IN_S)
        measure("many_10ms", many, FAST_S)
        # Without a wait: how many cores the threads of one process can use.
        measure("many_0ms", many, 0.0)

    benchmark.pedantic(all_ways, rounds=1)
    return shares["many_60ms"]


def key_of(tiles):
    """What tells tiles apart, at little cost."""
    part = np.asarray(tiles[..., ::8, ::8], np.float64)
    return (*tiles.shape, float(part.sum()), float((part * part).sum()), float(part.max()))


@pytest.mark.weights
@pytest.mark.parametrize("diameter", ["estimate", "training_mean"])
def test_cellpose(benchmark, cyto, spread, tmp_path, diameter):
    import torch

    # Tiles at once, as on a GPU.
    options = {"weights": "cyto", "device": "cpu", "precision": "float32", "batch_size": 8}
    segmenter = build("cellpose", {**options, "diameter": diameter})
    segmenter.method = "cellpose"
    segmenter.load()
    segmenter.warmup()
    network, device = segmenter._model.net, Device()

    class StandIn:
        mkldnn, nout, device = False, network.nout, network.device
        style_only = exact = recording = False

        def eval(self):
            return self

        def __call__(self, tiles):
            key = (self.style_only, *key_of(tiles))
            if self.recording:
                network.style_only, network.exact = self.style_only, self.exact
                device.outputs[key] = network(tiles)
            return device(key)

    stand_in = StandIn()
    segmenter._model.net = stand_in
    segmenter._networks[:] = [stand_in]
    stand_in.recording = True
    for case in spread:
        segmenter.segment(prepare(read_image(case.image), "gray_max"))
    segmenter.segment(np.zeros((224, 224), np.float32))
    stand_in.recording = False
    assert torch.is_tensor(next(iter(device.outputs.values()))[0])
    what = f"Cellpose, diameter `{diameter}`"
    assert compare(benchmark, segmenter, device, spread, tmp_path, what) >= REQUIRED_UTILISATION


def test_kit_ge(benchmark, spread, tmp_path):
    pytest.importorskip("torch", reason="needs torch")
    from cellharness.training.checkpoints import save
    from cellharness_adapters.kit_ge.distances import distance_maps
    from cellharness_adapters.kit_ge.network import DUNet
    from cellharness_adapters.kit_ge.prediction import Predictor
    from cellharness_adapters.kit_ge.tiles import predict_tiled

    network = DUNet((2, 4))
    save(tmp_path / "tiny.pt", {"model": network.state_dict(), "meta": {}})
    segmenter = build("kit-ge", {"weights": str(tmp_path / "tiny.pt"), "precision": "float32"})
    segmenter.method = "kit-ge"
    segmenter.load()
    device = Device()

    class StandIn(Predictor):
        recorded = None

        def __call__(self, tiles):
            key = key_of(tiles)
            if self.recorded is not None:
                device.outputs[key] = next(self.recorded)
            return device(key)

    stand_in = StandIn(network, "cpu", "float32")
    # As published, a level for each factor of two.
    stand_in.divisor = 16
    segmenter._predict = stand_in
    for case in spread:
        cell, neighbor = distance_maps(read_label(case.label), 30, 50)
        maps = [tiles_of(each, predict_tiled) for each in (neighbor, cell)]
        stand_in.recorded = iter(list(zip(*maps, strict=True)))
        segmenter.segment(prepare(read_image(case.image), "gray_max"))
    stand_in.recorded = None
    assert compare(benchmark, segmenter, device, spread, tmp_path, "KIT-GE") >= REQUIRED_UTILISATION


def tiles_of(image, predict_tiled):
    """The tiles of an image in the order in which KIT-GE predicts them."""
    found = []

    def keep(tiles):
        found.append(tiles.copy())
        return tiles, tiles

    predict_tiled(image, keep, batch_size=1, divisor=16)
    return found
