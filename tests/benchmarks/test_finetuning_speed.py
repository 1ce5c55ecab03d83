"""A training step of Cellpose: the library's form against ours, on the CPU.

Timed: forward, loss, backward and optimizer step on one batch of eight crops of 224 px, the
best of five, both in one process by turns. Not timed: augmentation, which runs in the
background. "Stock" is what ``cellpose.train.train_seg`` does: float32, channels first.
"""

from __future__ import annotations

import time

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
from machine import matrix_products_per_s  # noqa: E402
from recording import PASSED, compared  # noqa: E402

_TURNS = 5


def _step(loss_of, network, optimizer, batch, dtype):
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
        loss = loss_of(network, batch)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


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


def test_a_step_is_faster_than_the_librarys_at_an_equal_loss_curve(benchmark, cyto, learner):
    precision = half_where_native("cpu")
    torch.manual_seed(0)
    images = torch.randn(8, 2, 224, 224)
    targets = torch.rand(8, 3, 224, 224)
    ways = {}
    for name, layout, dtype in (
        ("stock", torch.contiguous_format, "float32"),
        ("ours", torch.channels_last, precision),
    ):
        network = load_network(cyto.files["network"], 27.0).train().to(memory_format=layout)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
        batch = (images.contiguous(memory_format=layout), targets, torch.ones(8, dtype=torch.bool))
        ways[name] = (network, optimizer, batch, dtype, [], [])
    for _ in range(_TURNS):
        for network, optimizer, batch, dtype, seconds, losses in ways.values():
            begun = time.perf_counter()
            losses.append(_step(learner.loss, network, optimizer, batch, dtype))
            seconds.append(time.perf_counter() - begun)
    network, optimizer, batch, dtype, _, _ = ways["ours"]
    benchmark.pedantic(
        _step, args=(learner.loss, network, optimizer, batch, dtype), rounds=1, iterations=1
    )
    ratio = min(ways["stock"][4]) / min(ways["ours"][4])
    with FlopCounterMode(display=False) as counted:
        _step(learner.loss, *ways["stock"][:4])
    rate = counted.get_total_flops() / min(ways["ours"][4])
    share = rate / matrix_products_per_s(torch.get_num_threads(), precision)
    compared(
        benchmark, "fine-tuning", f"one step on eight crops of 224 px, {precision}",
        reference="the library's step, float32", reference_s=min(ways["stock"][4]),
        ours_s=min(ways["ours"][4]), clock=PASSED, least=5 if has_amx() else None,
        of_limit=(share, f"matrix products in {precision}"),
    )  # fmt: skip
    stock, ours = ways["stock"][5], ways["ours"][5]
    assert ours == pytest.approx(stock, rel=0.05), "the loss curves differ"
    if has_amx():
        assert ratio >= 5
    elif precision == "bfloat16":
        # AVX512-BF16 doubles the throughput of a multiply-add; AMX does eight times as much.
        assert ratio >= 2
    else:
        assert ratio >= 0.8
