"""Cellpose on the CPU: our paths against the library's own way of running it.

Timed is what a user waits for, image in memory to label image: diameter estimate by the
size model, network, mask reconstruction. Not timed: loading, reading, writing. The same
images go through every path in turn, round by round, so that a noisy machine slows all of
them alike; ratios are of the fastest round of each.

The real images are those beside the project; without them their table is skipped. Print it with
``pytest tests/benchmarks/test_cellpose_speed.py --benchmark-only -s -k real``.
"""

from __future__ import annotations

import time

import pytest

from cellharness.data.images import prepare, read_image
from cellharness.methods.registry import build

ROUNDS = 3
REQUIRED_RATIO = 3

# Of a side of 256 px, about 512 x 383, 720 x 500 and 800 px.
REAL = ("cell_00064", "cell_00052", "cell_00098", "cell_00087")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Four embedded images, one a modality, 256 to 384 px."""
    from cellharness.data.phantom import generate

    manifest = generate(tmp_path_factory.mktemp("phantom"), seed=0, per_experiment=1)
    chosen = {case.modality: case for case in manifest.cases if case.split == "test"}
    return [prepare(read_image(case.image), "gray_max") for case in chosen.values()]


def stock(diameter=None):
    """``models.Cellpose``-style: size model, then model, as the library runs on a CPU."""
    from cellharness_adapters.cellpose.as_library import segmenter

    return segmenter({"weights": "cyto", "diameter": diameter}, "cpu", exact=False)


def ours(precision, diameter="estimate"):
    options = {"weights": "cyto", "device": "cpu", "precision": precision, "diameter": diameter}
    segmenter = build("cellpose", options)
    segmenter.load()
    return segmenter.segment


def compare(benchmark, paths, images):
    """Run every path in turn, round by round; give each one's speed-up over ``stock``."""
    seconds: dict[str, list[float]] = {name: [] for name in paths}
    processor: dict[str, list[float]] = {name: [] for name in paths}

    def one_round():
        for name, segment in paths.items():
            begun, used = time.perf_counter(), time.process_time()
            for image in images:
                segment(image)
            processor[name].append(time.process_time() - used)
            seconds[name].append(time.perf_counter() - begun)

    benchmark.pedantic(one_round, rounds=ROUNDS, warmup_rounds=1)
    best = {name: min(times[1:]) for name, times in seconds.items()}
    used = {name: min(times[1:]) for name, times in processor.items()}
    for name, value in best.items():
        benchmark.extra_info[f"{name}_s_per_image"] = round(value / len(images), 3)
        benchmark.extra_info[f"{name}_speedup"] = round(best["stock"] / value, 2)
        benchmark.extra_info[f"{name}_processor_ratio"] = round(used["stock"] / used[name], 2)
    print(benchmark.extra_info)  # noqa: T201 - the figures to read
    return {name: best["stock"] / value for name, value in best.items()}


@pytest.mark.weights
@pytest.mark.parametrize("case", REAL)
def test_real_images_with_an_estimated_diameter(benchmark, cyto, realdata, case):
    image = prepare(read_image(realdata[case].image), "gray_max")
    benchmark.extra_info["image"] = f"{case} {image.shape[0]} x {image.shape[1]}"
    paths = {"stock": stock(), "auto": ours("auto")}
    speedup = compare(benchmark, paths, [image])
    assert speedup["auto"] >= REQUIRED_RATIO


@pytest.mark.weights
def test_with_an_estimated_diameter(benchmark, cyto, images):
    names = ("auto", "float32", "mixed")
    paths = {"stock": stock(), **{name: ours(name) for name in names}}
    speedup = compare(benchmark, paths, images)
    assert speedup["auto"] >= REQUIRED_RATIO
    assert speedup["float32"] >= 1
    assert speedup["mixed"] >= 1


@pytest.mark.weights
def test_with_a_given_diameter(benchmark, cyto, images):
    paths = {
        "stock": stock(27.0),
        **{name: ours(name, 27.0) for name in ("auto", "float32", "mixed")},
    }
    speedup = compare(benchmark, paths, images)
    assert speedup["auto"] >= 2
    assert speedup["float32"] >= 1
