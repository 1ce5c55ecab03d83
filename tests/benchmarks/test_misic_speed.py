"""MiSiC's network on one tile: convolutions by blocks against torch's own.

Run with ``pytest tests/benchmarks/test_misic_speed.py -o addopts= -rP``. Times are processor time
of one thread, alternating; the least of three counts. Weights do not matter for the time.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("h5py", reason="needs h5py")

from cellharness_adapters.misic.convolution import WideConvolution  # noqa: E402
from cellharness_adapters.misic.network import MisicNet  # noqa: E402
from cellharness_adapters.misic.prediction import Predictor  # noqa: E402
from recording import compared  # noqa: E402

#: 1.8 on a processor with AVX2; torch is faster itself with AVX512.
REQUIRED_RATIO = 1


def seconds(predict, tile):
    start = time.process_time()
    predict(tile)
    return time.process_time() - start


@pytest.mark.benchmark
def test_convolutions_by_blocks_take_less_time(benchmark):
    torch.manual_seed(0)
    network = MisicNet().eval().to(memory_format=torch.channels_last)
    predict = Predictor(network, "cpu", "float32")
    layers = [layer for layer in network.modules() if isinstance(layer, WideConvolution)]
    tile = np.random.default_rng(0).uniform(-1, 1, (1, 3, 256, 256)).astype(np.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times = {True: [], False: []}

    def alternate():
        for by_blocks in (True, False):
            for layer in layers:
                layer.by_blocks = by_blocks
            times[by_blocks].append(seconds(predict, tile))

    try:
        alternate()  # spectra and buffers are made
        times = {True: [], False: []}
        benchmark.pedantic(alternate, rounds=3)
    finally:
        torch.set_num_threads(threads)
    ours, torchs = min(times[True]), min(times[False])
    ratio = torchs / ours
    compared(
        benchmark, "misic", "the network on one tile of 256 px, one thread",
        reference="torch's own convolutions", reference_s=torchs, ours_s=ours,
    )  # fmt: skip
    assert ratio > REQUIRED_RATIO
