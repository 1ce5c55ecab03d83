"""Winograd convolutions and the network made of them against torch's own in float64."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("cellpose", reason="needs the extra 'cellpose'")

import torch.nn.functional as F  # noqa: E402, N812
from torch import nn  # noqa: E402

from cellharness_adapters.cellpose import precision  # noqa: E402
from cellharness_adapters.cellpose.cpu.folded import FoldedNetwork  # noqa: E402
from cellharness_adapters.cellpose.cpu.tile_networks import TileNetworks  # noqa: E402
from cellharness_adapters.cellpose.cpu.winograd import (  # noqa: E402
    Before,
    Scratch,
    WinogradConvolution,
    fits,
)
from cellharness_adapters.cellpose.cpu.winograd_network import WinogradNetwork  # noqa: E402
from cellharness_adapters.cellpose.network import FastNetwork, load_network  # noqa: E402
from cellharness_adapters.cellpose.precision import automatic_precision  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture
def random():
    return torch.Generator().manual_seed(0)


def layer(inputs, outputs, random):
    conv = nn.Conv2d(inputs, outputs, 3, padding=1).requires_grad_(False)
    conv.weight.normal_(0, (2 / (9 * inputs)) ** 0.5, generator=random)
    conv.bias.normal_(generator=random)
    return conv


def last(image):
    """(1, C, H, W) to a channels-last image."""
    return image[0].permute(1, 2, 0).contiguous().numpy()


def twice(image):
    return F.interpolate(image, scale_factor=2, mode="nearest")


def exact(conv, image):
    return F.conv2d(image.double(), conv.weight.double(), conv.bias.double(), padding=1)


@pytest.mark.parametrize(
    ("inputs", "outputs", "height", "width"),
    [
        (32, 32, 224, 224),
        (64, 32, 40, 224),
        (32, 64, 112, 60),
        (128, 128, 56, 52),
        (256, 256, 28, 28),
        (64, 64, 26, 18),
        (32, 32, 2, 2),
        (32, 96, 5, 7),
    ],
)
def test_a_convolution_is_nearly_as_exact_as_torchs(random, inputs, outputs, height, width):
    conv = layer(inputs, outputs, random)
    image = torch.randn(1, inputs, height, width, generator=random)
    expected = exact(conv, image)
    out = np.full((height, width, outputs), np.nan, np.float32)
    found = WinogradConvolution(conv)(last(image), out, Scratch())
    error = np.sqrt(np.mean((found - last(expected)) ** 2))
    direct = (conv(image) - expected).square().mean().sqrt()
    assert found is out
    assert error <= 6 * direct
    assert error <= 1e-5


@pytest.mark.parametrize("height", [8, 18])
def test_what_stands_before_and_after(random, height):
    conv = layer(32, 64, random)
    image = torch.randn(1, 32, height, 24, generator=random)
    scale, shift = torch.randn(2, 32, generator=random)
    before = Before(scale.numpy(), shift.numpy())
    activated = (image * scale[:, None, None] + shift[:, None, None]).relu()
    small = torch.randn(1, 64, height, 24, generator=random)
    large = twice(torch.randn(1, 64, height, 24, generator=random))
    ours, scratch = WinogradConvolution(conv), Scratch()

    def run(doubled=False, **how):
        size = 2 if doubled else 1
        out = np.empty((size * height, size * 24, 64), np.float32)
        return ours(last(image), out, scratch, doubled=doubled, **how)

    near = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(run(before=before), last(exact(conv, activated)), **near)
    np.testing.assert_allclose(run(cut=True), last(exact(conv, image).relu()), **near)
    np.testing.assert_allclose(run(added=last(small)), last(exact(conv, image) + small), **near)
    doubled = exact(conv, twice(activated))
    np.testing.assert_allclose(
        run(before=before, doubled=True, added=last(large)), last(doubled + large), **near
    )
    np.testing.assert_allclose(
        run(before=before, doubled=True, added=last(small), added_doubled=True),
        last(doubled + twice(small)),
        **near,
    )


def test_the_result_may_be_written_over_what_is_added(random):
    conv = layer(32, 32, random)
    image, residual = torch.randn(2, 1, 32, 20, 20, generator=random)
    out = last(residual)
    WinogradConvolution(conv)(last(image), out, Scratch(), added=out)
    np.testing.assert_allclose(out, last(exact(conv, image) + residual), rtol=1e-4, atol=1e-4)


def test_an_image_that_is_too_wide_is_refused(random):
    wide = np.zeros((4, 1000, 64), np.float32)
    with pytest.raises(ValueError, match="an image 1000 px wide does not fit; at most 448 px do"):
        WinogradConvolution(layer(64, 64, random))(wide, wide.copy(), Scratch())


def test_which_convolutions_fit(random):
    assert fits(layer(32, 64, random))
    assert not fits(layer(2, 32, random))
    assert not fits(layer(32, 48, random))
    assert not fits(nn.Conv2d(32, 32, 1))


@pytest.fixture(scope="module")
def network(cyto):
    return load_network(cyto.files["network"], 27.0)


@pytest.mark.weights
@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize("shape", [(224, 224), (208, 144), (16, 32)])
def test_the_network_is_nearly_as_exact_as_the_folded_one(network, random, shape):
    import copy

    tiles = torch.randn(1, 2, *shape, generator=random)
    folded = FoldedNetwork(network)
    with torch.no_grad():
        expected, expected_style, _ = copy.deepcopy(network).double()(tiles.double())
        direct, _ = folded(tiles)
        found, style = WinogradNetwork(folded)(last(tiles), Scratch())
    error = (found - expected[0]).square().mean().sqrt()
    assert error <= 4 * (direct - expected).square().mean().sqrt()
    assert error <= 1e-5
    torch.testing.assert_close(style.double(), expected_style[0], rtol=1e-4, atol=1e-6)


@pytest.mark.weights
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_tiles_keep_their_order_on_any_number_of_threads(network, random, threads):
    tiles = torch.randn(5, 2, 48, 64, generator=random)
    one = WinogradNetwork(FoldedNetwork(network))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            outputs, styles = TileNetworks([FoldedNetwork(network)])(tiles, style_only=False)
            nothing, alone = TileNetworks([FoldedNetwork(network)])(tiles, style_only=True)
            for number in range(len(tiles)):
                output, style = one(last(tiles[number][None]), Scratch())
                torch.testing.assert_close(outputs[number], output, rtol=1e-5, atol=1e-5)
                torch.testing.assert_close(styles[number], style, rtol=1e-5, atol=1e-6)
        assert torch.equal(styles, alone)
        assert not nothing.any()
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.weights
def test_a_failing_tile_is_raised_and_leaves_torch_as_it_was(network):
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError):
        TileNetworks([FoldedNetwork(network)])(torch.zeros(2, 3, 32, 32), style_only=False)
    assert torch.get_num_threads() == before


@pytest.mark.weights
def test_few_tiles_on_many_cores_and_large_ones_go_the_direct_way(network, random, monkeypatch):
    fast = FastNetwork([network], "float32", CPU)
    small = torch.randn(1, 2, 32, 32, generator=random)
    with torch.no_grad():
        monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
        few = fast(small)
        assert fast._by_tile is None
        large = fast(torch.randn(1, 2, 16, 256, generator=random))
        assert fast._by_tile is None
        assert large[0].shape == (1, 3, 16, 256)
        monkeypatch.undo()
        tile_by_tile = fast(small)
        assert fast._by_tile is not None
    torch.testing.assert_close(tile_by_tile[0], few[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(tile_by_tile[1], few[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("amx", "chosen"), [(True, "mixed"), (False, "float32")])
def test_auto_takes_bfloat16_only_where_matrices_are_multiplied_in_it(monkeypatch, amx, chosen):
    monkeypatch.setattr(precision, "has_amx", lambda: amx)
    assert automatic_precision("cpu") == chosen
    assert automatic_precision("cuda") == "float32"
