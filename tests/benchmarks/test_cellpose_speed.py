"""Cellpose on the CPU: our paths against the library's own way of running it.

Timed is what a user waits for, image in memory to label image: diameter estimate by the
size model, network, mask reconstruction. Not timed: loading, reading, writing. The same
images go through every path in turn, round by round, so that a noisy machine slows all of
them alike; ratios are of the fastest round of each.

The real images are those beside the project; without them their rows are skipped.
"""

from __future__ import annotations

import time

import pytest

from cellharness.data.images import prepare, read_image
from cellharness.methods.registry import build
from machine import matrix_products_per_s
from recording import PASSED, PROCESSOR, compared, grows

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


def compare(benchmark, paths, images, what):
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
    for clock, found in ((PASSED, best), (PROCESSOR, used)):
        for name in found.keys() - {"stock"}:
            compared(
                benchmark, "cellpose", f"{what}, precision `{name}`",
                reference="the library", reference_s=found["stock"] / len(images),
                ours_s=found[name] / len(images), clock=clock,
                least=REQUIRED_RATIO if name == "auto" and clock == PASSED else None,
            )  # fmt: skip
    return {name: best["stock"] / value for name, value in best.items()}


@pytest.mark.weights
@pytest.mark.parametrize("case", REAL)
def test_real_images_with_an_estimated_diameter(benchmark, cyto, realdata, case):
    image = prepare(read_image(realdata[case].image), "gray_max")
    paths = {"stock": stock(), "auto": ours("auto")}
    what = f"real image of {image.shape[0]} x {image.shape[1]} px, estimated diameter"
    speedup = compare(benchmark, paths, [image], what)
    assert speedup["auto"] >= REQUIRED_RATIO


@pytest.mark.weights
def test_with_an_estimated_diameter(benchmark, cyto, images):
    names = ("auto", "float32", "mixed")
    paths = {"stock": stock(), **{name: ours(name) for name in names}}
    speedup = compare(benchmark, paths, images, "four embedded images, estimated diameter")
    assert speedup["auto"] >= REQUIRED_RATIO
    assert speedup["float32"] >= 1
    assert speedup["mixed"] >= 1


@pytest.mark.weights
def test_with_a_given_diameter(benchmark, cyto, images):
    paths = {
        "stock": stock(27.0),
        **{name: ours(name, 27.0) for name in ("auto", "float32", "mixed")},
    }
    speedup = compare(benchmark, paths, images, "four embedded images, given diameter")
    assert speedup["auto"] >= 2
    assert speedup["float32"] >= 1


@pytest.mark.weights
def test_the_network_against_the_machine(benchmark, cyto):
    """Multiplications that direct convolutions would take, beside products of matrices.

    More than all of what the machine can do is possible: Winograd's convolutions take a quarter.
    """
    import numpy as np
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from cellharness_adapters.cellpose.network import load_network

    segmenter = build("cellpose", {"weights": "cyto", "device": "cpu", "precision": "float32"})
    segmenter.load()
    network = segmenter._model.net
    library = load_network(cyto.files["network"], 30.0).eval()
    tiles = torch.from_numpy(np.random.default_rng(0).normal(size=(8, 2, 224, 224)))
    tiles = tiles.to(torch.float32)
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        library(tiles)
    operations = counted.get_total_flops()
    times = {"library": [], "ours": []}
    for _ in range(ROUNDS):
        for name, one in (("library", library), ("ours", network)):
            with torch.no_grad():
                begun = time.perf_counter()
                one(tiles)
                times[name].append(time.perf_counter() - begun)
    best = {name: min(values) for name, values in times.items()}
    benchmark.pedantic(network, args=(tiles,), rounds=1)
    share = operations / best["ours"] / matrix_products_per_s(torch.get_num_threads())
    compared(
        benchmark, "cellpose", "the network alone, eight tiles of 224 px, `float32`",
        reference="the library", reference_s=best["library"], ours_s=best["ours"], clock=PASSED,
        of_limit=(share, "matrix products, counted as direct convolutions"),
    )  # fmt: skip
    assert best["ours"] < best["library"]


@pytest.mark.weights
def test_time_grows_with_pixels(benchmark, cyto, images):
    """An embedded image repeated to 256, 512, 1024 px a side; the diameter is given."""
    import numpy as np

    segment = ours("auto", 27.0)
    seconds = {}
    for side in (256, 512, 1024):
        mosaic = np.tile(images[0], (5, 5))[:side, :side]
        segment(mosaic)
        rounds = []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            segment(mosaic)
            rounds.append(time.perf_counter() - begun)
        seconds[side**2] = min(rounds)
    benchmark.pedantic(segment, args=(images[0],), rounds=1)
    exponent = grows(benchmark, "growth", "Cellpose, one image", "pixels", seconds)
    assert exponent < 1.2
