"""A training step of Cellpose and of KIT-GE: the published form against ours, on the CPU.

Timed: forward, loss, backward and optimizer step on one batch of eight crops, the best of a few,
both in one process by turns. Not timed: augmentation, which runs in the background. "Stock" is what
``cellpose.train.train_seg`` and KIT-GE's published code do: float32, channels first.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("cellpose", reason="needs the extra 'cellpose'")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from cellharness.data.manifest import Manifest  # noqa: E402
from cellharness.methods.device import half_where_native, has_amx  # noqa: E402
from cellharness.training.samples import read_labelled  # noqa: E402
from cellharness_adapters.cellpose.finetuning_parameters import FinetuningParameters  # noqa: E402
from cellharness_adapters.cellpose.learner import CellposeLearner  # noqa: E402
from cellharness_adapters.cellpose.network import load_network  # noqa: E402
from cellharness_adapters.kit_ge.training import KitGeLearner, KitGeTrainingParameters  # noqa: E402
from machine import matrix_products_per_s  # noqa: E402
from recording import PASSED, compared  # noqa: E402

_CROPS = 8
_TURNS = 5


class Way:
    """A network with its optimizer, and what its steps took and lost."""

    def __init__(self, network, optimizer, loss_of, dtype):
        self.network, self.optimizer = network, optimizer
        self.loss_of, self.dtype = loss_of, dtype
        self.seconds, self.losses = [], []

    def step(self, batch):
        """Learn from one batch."""
        begun = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.dtype == "bfloat16"):
            loss = self.loss_of(self.network, batch)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.losses.append(float(loss.detach()))
        self.seconds.append(time.perf_counter() - begun)


def compare_steps(
    benchmark,
    what: str,
    reference: str,
    build: Callable[..., Way],
    batch,
    turns: int,
    least: float | None = None,
) -> float:
    """Record stock and our step, and give the ratio."""
    precision = half_where_native("cpu")
    images, *targets = batch
    ways = []
    for layout, dtype in (
        (torch.contiguous_format, "float32"),
        (torch.channels_last, precision),
    ):
        laid_out = images.contiguous(memory_format=layout)
        ways.append((build(layout, dtype), (laid_out, *targets)))
    for _ in range(turns):
        for way, its_batch in ways:
            way.step(its_batch)
    (stock, stock_batch), (ours, our_batch) = ways
    benchmark.pedantic(ours.step, args=(our_batch,), rounds=1, iterations=1)
    with FlopCounterMode(display=False) as counted:
        stock.step(stock_batch)
    rate = counted.get_total_flops() / min(ours.seconds)
    share = rate / matrix_products_per_s(torch.get_num_threads(), precision)
    compared(
        benchmark, "training steps", f"{what}, {precision}",
        reference=reference, reference_s=min(stock.seconds), ours_s=min(ours.seconds),
        clock=PASSED, least=least,
        of_limit=(share, f"matrix products in {precision}"),
    )  # fmt: skip
    assert ours.losses == pytest.approx(stock.losses, rel=0.05), "the loss curves differ"
    return min(stock.seconds) / min(ours.seconds)


def assert_fast(ratio: float) -> None:
    """Assert what the processor can give."""
    if has_amx():
        assert ratio >= 5
    elif half_where_native("cpu") == "bfloat16":
        # AVX512-BF16 doubles the throughput of a multiply-add; AMX does eight times as much.
        assert ratio >= 2
    else:
        assert ratio >= 0.8


@pytest.fixture
def learner(cyto, small_manifest):
    cases = list(Manifest.read(small_manifest).cases)
    options = {"recipe": "short", "weights": "cyto", "images_per_epoch": 8}
    return CellposeLearner(
        cyto,
        read_labelled(cases, "gray_max"),
        [],
        FinetuningParameters.model_validate(options),
    )


def test_a_step_of_cellpose(benchmark, cyto, learner):
    torch.manual_seed(0)
    batch = (
        torch.randn(_CROPS, 2, 224, 224),
        torch.rand(_CROPS, 3, 224, 224),
        torch.ones(_CROPS, dtype=torch.bool),
    )

    def build(layout, dtype):
        network = load_network(cyto.files["network"], 27.0).train().to(memory_format=layout)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
        return Way(network, optimizer, learner.loss, dtype)

    ratio = compare_steps(
        benchmark, "Cellpose, one step on eight crops of 224 px", "the library's step, float32",
        build, batch, _TURNS, least=5 if has_amx() else None,
    )  # fmt: skip
    assert_fast(ratio)


def test_a_step_of_kit_ge_as_published(benchmark):
    torch.manual_seed(0)
    maps = [torch.rand(_CROPS, 1, 320, 320) for _ in range(3)]

    def build(layout, dtype):
        parameters = KitGeTrainingParameters(epochs=1)
        learner = KitGeLearner([], [], [], parameters, seed=0)
        network = learner.model.train().to(memory_format=layout)
        return Way(network, learner.optimizer, learner.loss, dtype)

    compare_steps(
        benchmark, "KIT-GE as published, one step on eight crops of 320 px",
        "the published step, float32", build, maps, turns=3,
    )  # fmt: skip
