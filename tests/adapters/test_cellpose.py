"""Cellpose behind the harness against a direct call of the library with the same weights."""

from __future__ import annotations

import numpy as np
import pytest

from cellharness.data.images import prepare, read_image, read_label
from cellharness.data.manifest import Manifest
from cellharness.errors import UsageError
from cellharness.methods.device import has_native_bfloat16
from cellharness.methods.registry import build
from cellharness.scoring import score_pair
from cellharness.weights import WeightFileError
from cellharness_adapters.cellpose.mxnet_arrays import ArrayFileError, read_arrays, torch_name

# Eight images of four modalities, small ones, seen and unseen experiments alike.
CASES = (
    "cell_00030",
    "cell_00035",
    "cell_00064",
    "cell_00052",
    "cell_00066",
    "cell_00115",
    "cell_00105",
    "cell_00098",
    "cell_00141",
)


@pytest.fixture(scope="module")
def direct(cyto, tmp_path_factory):
    """The library as a user calls it: CellposeModel and SizeModel on a converted weight file."""
    import torch
    from cellpose.models import CellposeModel, SizeModel

    arrays = read_arrays(cyto.files["network"])
    state = {torch_name(name): torch.from_numpy(array.copy()) for name, array in arrays.items()}
    state["diam_mean"] = state["diam_labels"] = torch.full((1,), 27.0)
    path = tmp_path_factory.mktemp("weights") / "cyto_converted"
    torch.save(state, path)
    model = CellposeModel(gpu=False, pretrained_model=str(path))
    size = SizeModel(cp_model=model, pretrained_size=str(cyto.files["size"]))
    assert float(model.diam_mean) == 27.0

    def segment(image):
        diameter, _ = size.eval(image, channels=[0, 0])
        masks = model.eval(image, channels=[0, 0], diameter=diameter)[0]
        return masks, float(diameter)

    segment.model = model
    return segment


def made(cyto, **parameters):
    segmenter = build("cellpose", {"weights": "cyto", "device": "cpu", **parameters})
    segmenter.load()
    return segmenter


@pytest.mark.weights
def test_the_conversion_fits_the_network_shape_by_shape(cyto):
    from cellpose.resnet_torch import CPnet

    arrays = read_arrays(cyto.files["network"])
    assert len(arrays) == 270
    expected = {
        name: tuple(value.shape)
        for name, value in CPnet([2, 32, 64, 128, 256], 3, sz=3).state_dict().items()
        if not name.endswith("num_batches_tracked") and not name.startswith("diam_")
    }
    assert {torch_name(name): array.shape for name, array in arrays.items()} == expected
    assert all(np.isfinite(array).all() for array in arrays.values())


@pytest.mark.weights
def test_a_truncated_or_foreign_weight_file_is_refused(cyto, tmp_path):
    data = cyto.files["network"].read_bytes()
    (tmp_path / "short").write_bytes(data[: len(data) // 2])
    with pytest.raises(ArrayFileError, match="cut short"):
        read_arrays(tmp_path / "short")
    (tmp_path / "other").write_bytes(b"\0" * 64)
    with pytest.raises(ArrayFileError, match="no MXNet array file"):
        read_arrays(tmp_path / "other")


@pytest.mark.weights
def test_weights_of_another_architecture_are_refused(cyto, tmp_path):
    import torch

    torch.save({"fc.weight": torch.zeros(3)}, tmp_path / "other.pth")
    segmenter = build("cellpose", {"weights": str(tmp_path / "other.pth"), "diameter": 30})
    with pytest.raises(WeightFileError, match="does not fit Cellpose's network"):
        segmenter.load()


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_masks_equal_the_librarys_own(cyto, direct, realdata, case):
    """Acceptance: the same label image, pixel by pixel, in both float32 forms."""
    image = prepare(read_image(realdata[case].image), "gray_max")
    expected, diameter = direct(image)
    stock = made(cyto, precision="stock")
    np.testing.assert_array_equal(stock.segment(image), expected)
    assert stock.details()["diameter"] == diameter
    fast = made(cyto, precision="float32")
    np.testing.assert_array_equal(fast.segment(image), expected)
    assert fast.details()["diameter"] == pytest.approx(diameter, abs=1e-6)


@pytest.mark.weights
def test_the_flows_that_are_kept_are_the_librarys_own(cyto, direct, realdata):
    image = prepare(read_image(realdata["cell_00141"].image), "gray_max")[:150, :130]
    _, flows, cell_logit = direct.model.eval(image, channels=[0, 0], diameter=20)[1]
    for precision in ("stock", "float32"):
        segmenter = made(cyto, precision=precision, diameter=20)
        without = segmenter.segment(image)
        segmenter.maps = {}
        np.testing.assert_array_equal(segmenter.segment(image), without)
        assert tuple(segmenter.maps) == segmenter.info.maps
        for name, expected in zip(segmenter.info.maps, (*flows, cell_logit), strict=True):
            np.testing.assert_allclose(segmenter.maps[name], expected, atol=2e-3)


@pytest.mark.weights
@pytest.mark.slow
def test_the_fast_path_finds_the_same_cells(cyto, realdata):
    """Acceptance: mean F1 within 0.002 of float32's, no case further than 0.02 (a sample here)."""
    if not has_native_bfloat16():
        pytest.skip("needs AVX512-BF16 or AMX: bfloat16 is emulated here, and never a default")
    fast, exact = made(cyto, precision="mixed"), made(cyto, precision="float32")
    differences = []
    for name in CASES:
        case = realdata[name]
        image = prepare(read_image(case.image), "gray_max")
        truth = read_label(case.label)
        scores = [score_pair(truth, s.segment(image), "strict", 0.5).f1 for s in (fast, exact)]
        differences.append(scores[0] - scores[1])
    assert np.abs(differences).max() <= 0.02
    assert abs(np.mean(differences)) <= 0.002


@pytest.mark.weights
def test_the_fast_path_estimates_the_diameter_in_float32(cyto, small_manifest):
    image = prepare(read_image(Manifest.read(small_manifest)["case_1"].image), "gray_max")
    mixed, exact = (
        made(cyto, precision=precision)._diameter(image, {"channels": [0, 0]})
        for precision in ("mixed", "float32")
    )
    assert mixed == exact


@pytest.mark.weights
def test_skipping_the_decoder_leaves_the_style_as_it_is(cyto):
    import torch

    network = made(cyto, precision="float32")._networks[0]
    tiles = torch.randn(2, 2, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        _, style = network(tiles)
        network.style_only = True
        flows, alone = network(tiles)
    assert torch.equal(style, alone)
    assert not flows.any()


@pytest.mark.weights
def test_folding_the_norms_changes_nothing_but_rounding(cyto):
    import torch

    from cellharness_adapters.cellpose.cpu.folded import FoldedNetwork
    from cellharness_adapters.cellpose.network import load_network

    network = load_network(cyto.files["network"], 27.0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    tiles = torch.randn(2, 2, 96, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, style = network(tiles)[:2]
        output, folded_style = FoldedNetwork(network)(tiles)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(folded_style, style, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.weights
def test_averaging_networks_is_the_mean_of_their_outputs(cyto):
    import torch

    from cellharness_adapters.cellpose.network import FastNetwork, load_network

    one = load_network(cyto.files["network"], 27.0)
    other = load_network(cyto.files["network"], 27.0)
    torch.manual_seed(0)
    torch.nn.init.normal_(other.output[2].weight)
    tiles = torch.randn(1, 2, 64, 64)
    with torch.no_grad():
        each = [network(tiles)[0] for network in (one, other)]
        both, _ = FastNetwork([one, other], "float32", torch.device("cpu"))(tiles)
    torch.testing.assert_close(both, (each[0] + each[1]) / 2, rtol=1e-4, atol=1e-4)


@pytest.mark.weights
def test_every_diameter_policy_is_used_and_recorded(cyto, small_manifest):
    case = Manifest.read(small_manifest)["case_1"]
    image = prepare(read_image(case.image), "gray_max")
    used = {}
    for policy in ("estimate", "training_mean", "truth_median", 20.0):
        segmenter = made(cyto, diameter=policy)
        segmenter.begin_case(case)
        labels = segmenter.segment(image)
        assert labels.shape == image.shape
        details = segmenter.details()
        assert details["diameter_policy"] == (policy if isinstance(policy, str) else "fixed")
        used[policy] = details["diameter"]
    # The true discs have radius 8: the median diameter of their equal-area discs is close to 16.
    assert used["truth_median"] == pytest.approx(16.0, abs=0.5)
    assert used["training_mean"] == 27.0
    assert used[20.0] == 20.0
    assert 10 < used["estimate"] < 25


@pytest.mark.weights
def test_options_that_the_weights_cannot_serve_are_refused(cyto, tmp_path):
    with pytest.raises(UsageError, match="net_avg needs several networks"):
        build("cellpose", {"weights": "cyto", "net_avg": True}).weights()
    copy = tmp_path / "mine"
    copy.write_bytes(cyto.files["network"].read_bytes())
    with pytest.raises(UsageError, match="needs a size model"):
        build("cellpose", {"weights": str(copy)}).weights()
    found = build("cellpose", {"weights": str(copy), "diameter": 30}).weights()[0]
    assert found.sha256["network"] == cyto.sha256["network"]


@pytest.mark.weights
@pytest.mark.parametrize("value", [0, 7])
def test_a_constant_image_has_no_cells(cyto, value):
    image = np.full((64, 80), value, np.uint8)
    assert not made(cyto).segment(image).any()


@pytest.mark.weights
def test_a_size_model_that_finds_no_cells_does_not_warn(cyto, recwarn):
    ramp = np.tile(np.arange(80, dtype=np.uint8), (64, 1))
    segmenter = made(cyto, diameter="estimate")
    assert not segmenter.segment(ramp).any()
    assert segmenter.details()["diameter"] > 0
    assert [str(each.message) for each in recwarn if each.category is RuntimeWarning] == []


@pytest.mark.weights
def test_colour_goes_through_natively_when_asked(cyto):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (64, 80, 3)).astype(np.uint8)
    assert made(cyto, channels=(2, 3), diameter=30).segment(image).shape == (64, 80)


@pytest.mark.gpu
@pytest.mark.weights
def test_the_gpu_finds_the_same_cells(cyto, realdata):
    case = realdata["cell_00064"]
    image, truth = prepare(read_image(case.image), "gray_max"), read_label(case.label)
    on_gpu = build("cellpose", {"weights": "cyto", "device": "cuda"})
    on_gpu.load()
    scores = [score_pair(truth, s.segment(image), "strict", 0.5).f1 for s in (on_gpu, made(cyto))]
    assert scores[0] == pytest.approx(scores[1], abs=0.02)
    assert on_gpu.details()["device"] == "cuda"
