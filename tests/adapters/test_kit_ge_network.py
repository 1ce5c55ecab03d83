"""The distance U-Net against the published one."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch")

from cellharness.weights import WeightFileError  # noqa: E402
from cellharness_adapters.kit_ge.network import DUNet, network_from  # noqa: E402


@pytest.fixture(scope="module")
def golden(shared):
    folder = shared / "golden" / "kit_ge"
    if not folder.is_dir():
        pytest.skip("needs ../shared/golden/kit_ge, which is not here")
    return folder


def test_the_output_is_that_of_the_published_network(golden):
    arrays = np.load(golden / "dunet_state.npz")
    network = network_from({name: torch.from_numpy(arrays[name]) for name in arrays.files})
    expected = np.load(golden / "dunet_io.npz")
    with torch.no_grad():
        neighbor, cell = network(torch.from_numpy(expected["input"]))
    np.testing.assert_allclose(neighbor.numpy(), expected["neighbor"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(cell.numpy(), expected["cell"], atol=1e-5, rtol=0)


def test_names_and_shapes_are_those_of_the_published_checkpoints(golden):
    expected = json.loads((golden / "dunet_64_1024_state_shapes.json").read_text())
    with torch.device("meta"):
        state = DUNet(filters=(64, 1024)).state_dict()
    assert {name: list(value.shape) for name, value in state.items()} == expected


@pytest.mark.parametrize("activation", ["relu", "mish"])
def test_a_checkpoint_says_itself_how_wide_it_is(activation):
    network = DUNet((4, 32), activation)
    again = network_from(network.state_dict(), activation)
    assert again.filters == (4, 32)
    x = torch.randn(1, 1, 16, 24)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(network.eval()(x), again(x), strict=True))


@pytest.mark.parametrize("filters", [(4, 4), (4, 12), (0, 8), (8, 4)])
def test_filters_that_do_not_double_are_refused(filters):
    with pytest.raises(ValueError, match="the second must be the first times 2, 4, 8"):
        DUNet(filters)


def test_weights_of_another_network_are_refused_with_the_first_differences():
    state = DUNet((4, 16)).state_dict()
    with pytest.raises(WeightFileError, match=r"begins with conv.weight"):
        network_from({"conv.weight": torch.zeros(2)}, name="other.pt")
    missing = {name: value for name, value in state.items() if name != "decoder2Conv.2.bias"}
    with pytest.raises(WeightFileError, match=r"decoder2Conv.2.bias is missing"):
        network_from(missing)
    wrong = {**state, "decoder1Conv.2.bias": torch.zeros(3)}
    with pytest.raises(WeightFileError, match=r"has shape \(3,\), expected \(1,\)"):
        network_from(wrong)
    with pytest.raises(WeightFileError, match=r"extra.weight is not of this network"):
        network_from({**state, "extra.weight": torch.zeros(3)})
