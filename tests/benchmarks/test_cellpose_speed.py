"""Cellpose on the CPU: our paths against the library's own way of running it.

Timed is what a user waits for, image in memory to label image: diameter estimate by the
size model, network, mask reconstruction. Not timed: loading, reading, writing. The same
images go through every path in turn, round by round, so that a noisy machine slows all of
them alike; ratios are of the fastest round of each.
"""

from __future__ import annotations

import time

import pytest

from adapters.registry import build
from harness.images import prepare, read_image

ROUNDS = 2


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Four embedded images, one a modality, 256 to 384 px."""
    from harness.phantom import generate

    manifest = generate(tmp_path_factory.mktemp("phantom"), seed=0, per_experiment=1)
    chosen = {case.modality: case for case in manifest.cases if case.split == "test"}
    return [prepare(read_image(case.image), "gray_max") for case in chosen.values()]


def stock(cyto, diameter=None):
    """``models.Cellpose``-style: size model, then model, as the library runs on a CPU."""
    from cellpose.models import CellposeModel, SizeModel

    from adapters.cellpose.network import load_network

    model = CellposeModel(gpu=False, pretrained_model=False, diam_mean=27.0)
    model.net = load_network(cyto.files["network"], 27.0, mkldnn=True)
    model.diam_mean = model.diam_labels = 27.0
    size = SizeModel(cp_model=model, pretrained_size=str(cyto.files["size"]))

    def segment(image):
        used = diameter or size.eval(image, channels=[0, 0])[0]
        return model.eval(image, channels=[0, 0], diameter=used)[0]

    return segment


def ours(precision, diameter="estimate"):
    knobs = {"weights": "cyto", "device": "cpu", "precision": precision, "diameter": diameter}
    segmenter = build("cellpose", knobs)
    segmenter.load()
    return segmenter.segment


def compare(benchmark, paths, images):
    """Run every path in turn, round by round; give each one's speed-up over ``stock``."""
    seconds: dict[str, list[float]] = {name: [] for name in paths}

    def one_round():
        for name, segment in paths.items():
            begun = time.perf_counter()
            for image in images:
                segment(image)
            seconds[name].append(time.perf_counter() - begun)

    benchmark.pedantic(one_round, rounds=ROUNDS, warmup_rounds=1)
    best = {name: min(times[1:]) for name, times in seconds.items()}
    for name, value in best.items():
        benchmark.extra_info[f"{name}_s_per_image"] = round(value / len(images), 3)
        benchmark.extra_info[f"{name}_speedup"] = round(best["stock"] / value, 2)
    print(benchmark.extra_info)  # noqa: T201 - the figures to read
    return {name: best["stock"] / value for name, value in best.items()}


@pytest.mark.weights
def test_with_an_estimated_diameter(benchmark, cyto, images):
    names = ("float32", "mixed", "bfloat16")
    paths = {"stock": stock(cyto), **{name: ours(name) for name in names}}
    speedup = compare(benchmark, paths, images)
    assert speedup["float32"] >= 1
    assert speedup["mixed"] >= 1.5
    assert speedup["bfloat16"] >= speedup["mixed"]


@pytest.mark.weights
def test_with_a_given_diameter(benchmark, cyto, images):
    paths = {
        "stock": stock(cyto, 27.0),
        **{name: ours(name, 27.0) for name in ("float32", "mixed")},
    }
    speedup = compare(benchmark, paths, images)
    assert speedup["float32"] >= 1
    assert speedup["mixed"] >= 1.5
