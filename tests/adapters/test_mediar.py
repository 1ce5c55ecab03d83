"""MEDIAR: network, checkpoints and presets by what was published, cells by flows that are known."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("segmentation_models_pytorch", reason="needs the extra 'mediar'")
pytest.importorskip("monai", reason="needs the extra 'mediar'")

from cellharness.data.images import read_image  # noqa: E402
from cellharness.errors import UsageError  # noqa: E402
from cellharness.methods.base import CaseError, NotFiniteError  # noqa: E402
from cellharness.methods.registry import build  # noqa: E402
from cellharness.running.worker import check_labels  # noqa: E402
from cellharness.weights import (  # noqa: E402
    WeightFileError,
    WeightsHashError,
    WeightsUnavailableError,
    shapes_of,
)
from cellharness_adapters.kit_ge.network import DUNet  # noqa: E402
from cellharness_adapters.mediar import cells  # noqa: E402
from cellharness_adapters.mediar.network import load_network, unfilled_network  # noqa: E402
from cellharness_adapters.mediar.prediction import Predictor  # noqa: E402
from cellharness_adapters.mediar.preparing import prepare  # noqa: E402
from cellharness_adapters.mediar.presets import Pass, overlap_of, passes_of  # noqa: E402

WIDTHS, DEPTHS, REDUCTIONS = (64, 128, 320, 512), (3, 6, 40, 3), (8, 4, 2, 1)


def conv(name, outputs, inputs, kernel, *, bias=True):
    yield f"{name}.weight", (outputs, inputs, kernel, kernel)
    if bias:
        yield f"{name}.bias", (outputs,)


def pair(name, *shape):
    """Weight and bias of a linear layer or a norm."""
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def batch_norm(name, width):
    yield from pair(name, width)
    yield f"{name}.running_mean", (width,)
    yield f"{name}.running_var", (width,)
    yield f"{name}.num_batches_tracked", ()


def convolved(name, outputs, inputs, kernel=3):
    yield from conv(f"{name}.0", outputs, inputs, kernel, bias=False)
    yield from batch_norm(f"{name}.1", outputs)


def segformer_b5():
    """MiT-B5 as Xie et al. 2021, table 6, describe it, by the names of their code."""
    before = 3
    for stage, (width, depth, reduction) in enumerate(
        zip(WIDTHS, DEPTHS, REDUCTIONS, strict=True), start=1
    ):
        yield from conv(f"patch_embed{stage}.proj", width, before, 7 if stage == 1 else 3)
        yield from pair(f"patch_embed{stage}.norm", width)
        for block in (f"block{stage}.{number}" for number in range(depth)):
            yield from pair(f"{block}.norm1", width)
            yield from pair(f"{block}.attn.q", width, width)
            yield from pair(f"{block}.attn.kv", 2 * width, width)
            yield from pair(f"{block}.attn.proj", width, width)
            if reduction > 1:
                yield from conv(f"{block}.attn.sr", width, width, reduction)
                yield from pair(f"{block}.attn.norm", width)
            yield from pair(f"{block}.norm2", width)
            yield from pair(f"{block}.mlp.fc1", 4 * width, width)
            yield from conv(f"{block}.mlp.dwconv.dwconv", 4 * width, 1, 3)
            yield from pair(f"{block}.mlp.fc2", width, 4 * width)
        yield from pair(f"norm{stage}", width)
        before = width


def manet_decoder(outputs=(1024, 512, 256, 128, 64), attention=256, reduction=16):
    """Position-wise attention, then a fusion block where there are features to join (Fan 2020)."""
    head = WIDTHS[-1]
    yield from conv("center.top_conv", attention, head, 1)
    yield from conv("center.center_conv", attention, head, 1)
    yield from conv("center.bottom_conv", head, head, 3)
    yield from conv("center.out_conv", head, head, 3)
    inputs = (head, *outputs[:-1])
    skips = (*WIDTHS[-2::-1], 0, 0)
    for number, (given, skip, made) in enumerate(zip(inputs, skips, outputs, strict=True)):
        name = f"blocks.{number}"
        if skip:
            yield from convolved(f"{name}.hl_conv.0", given, given)
            yield from convolved(f"{name}.hl_conv.1", skip, given, 1)
            for gate in ("SE_ll", "SE_hl"):
                yield from conv(f"{name}.{gate}.1", skip // reduction, skip, 1)
                yield from conv(f"{name}.{gate}.3", skip, skip // reduction, 1)
        yield from convolved(f"{name}.conv1", made, 2 * skip or given)
        yield from convolved(f"{name}.conv2", made, made)


def head(outputs):
    yield from conv("0", 32, 64, 3)
    yield from batch_norm("2", 32)
    yield from conv("3", outputs, 32, 3)


def published():
    """Names and shapes of a checkpoint of the repository."""
    parts = {
        "encoder": segformer_b5(),
        "decoder": manet_decoder(),
        "cellprob_head": head(1),
        "gradflow_head": head(2),
    }
    return {f"{part}.{name}": shape for part, made in parts.items() for name, shape in made}


@pytest.fixture(scope="module")
def state():
    """Seeded random weights with which cells are found; of the published names and shapes."""
    generator = torch.Generator().manual_seed(0)
    made = {}
    for name, shape in published().items():
        if name.endswith("num_batches_tracked"):
            made[name] = torch.tensor(7)
        elif len(shape) > 1:
            fan_in = int(np.prod(shape[1:]))
            made[name] = torch.randn(shape, generator=generator) * fan_in**-0.5
        else:
            made[name] = torch.full(shape, float(name.endswith(("weight", "var"))))
    made["gradflow_head.3.weight"] *= 20
    return made


@pytest.fixture(scope="module")
def files(state, tmp_path_factory):
    """The two published layouts; deleted in the end, since they are large."""
    folder = tmp_path_factory.mktemp("mediar")
    halved = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    unused = {
        "segmentation_head.0.weight": torch.full((3, 64, 3, 3), 5.0),
        "segmentation_head.0.bias": torch.zeros(3),
    }
    torch.save(halved, folder / "from_phase1.pth")
    torch.save(halved | unused, folder / "sub_model.pth")
    yield folder / "from_phase1.pth", folder / "sub_model.pth"
    for path in folder.iterdir():
        path.unlink()


@pytest.fixture(scope="module")
def networks(files):
    return {path: load_network(path) for path in files}


@pytest.fixture
def mediar(files, networks, monkeypatch):
    """The method with both files, which are read but once."""
    monkeypatch.setattr("cellharness_adapters.mediar.network.load_network", networks.__getitem__)

    def make(**parameters):
        options = {"device": "cpu", "window": 64, "weights": files[0], "second_weights": files[1]}
        made = build("mediar", options | parameters)
        made.load()
        return made

    return make


def test_names_and_shapes_are_the_published_ones():
    network = unfilled_network()
    assert shapes_of(network.state_dict()) == published()
    assert sum(each.numel() for each in network.parameters()) == 121_303_587
    # A file fills all of it.
    assert dict(network.named_buffers()).keys() < network.state_dict().keys()


def test_both_published_layouts_load(networks, state):
    plain, with_unused = networks.values()
    assert {each.dtype for each in plain.parameters()} == {torch.float32}
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=1e-3, atol=1e-3)
    tiles = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = plain(tiles)
        assert torch.equal(found, with_unused(tiles))
    assert found.shape == (1, 3, 64, 64)
    assert found.std() > 0.1


def test_flows_come_first_then_cell(networks):
    plain, _ = networks.values()
    decoded = torch.rand(1, 64, 8, 8, generator=torch.Generator().manual_seed(1))
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(plain.encoder, "forward", lambda x: x)
        patch.setattr(plain.decoder, "forward", lambda _: decoded)
        found = plain(torch.zeros(1, 3, 8, 8))
        flows, cell = plain.gradflow_head(decoded), plain.cellprob_head(decoded)
    assert torch.equal(found[:, :2], flows)
    assert torch.equal(found[:, 2:], cell)


class Trap:
    def __reduce__(self):
        return (exec, ("raise SystemExit('the pickle was run')",))


def hostile(path, state):
    torch.save({"model": Trap()}, path)


def truncated(path, state):
    few = {name: value for name, value in state.items() if "head" in name}
    torch.save(few, path)
    path.write_bytes(path.read_bytes()[:-2000])


def foreign(path, state):
    torch.save(DUNet((4, 16)).state_dict(), path)


def unknown(path, state):
    torch.save({"gradflow_head.0.weight": torch.zeros(1), "cellprob_head.x": torch.zeros(1)}, path)


def of_another_width(path, state):
    whole = {name: torch.zeros(()).expand(value.shape) for name, value in state.items()}
    torch.save(whole | {"cellprob_head.0.weight": torch.zeros(16, 32, 3, 3)}, path)


def astray(path, state):
    few = {name: value for name, value in state.items() if "head" in name}
    torch.save(few | {"gradflow_head.0.bias": torch.full((32,), torch.nan)}, path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (hostile, "pickled Python object.*refused"),
        (truncated, "cut short or damaged"),
        (foreign, "holds a distance U-Net.*Use method kit-ge"),
        (unknown, "does not fit a MEDIAR-Former: .* is missing"),
        (of_another_width, "does not fit a MEDIAR-Former: cellprob_head.0.weight has shape"),
        (astray, "'gradflow_head.0.bias' holds NaN"),
    ],
)
def test_other_files_are_refused_by_name(write, message, state, tmp_path):
    write(tmp_path / "weights.pth", state)
    with pytest.raises(WeightFileError, match=message):
        load_network(tmp_path / "weights.pth")


def test_other_methods_know_a_file_of_mediar(tmp_path, state):
    few = {name: v for name, v in state.items() if "head" in name or "patch_embed1" in name}
    torch.save(few, tmp_path / "mediar.pth")
    method = build("kit-ge", {"weights": str(tmp_path / "mediar.pth"), "device": "cpu"})
    with pytest.raises(WeightFileError, match=r"holds a MEDIAR-Former.*Use method mediar"):
        method.load()


def test_the_hash_that_is_asked_for_is_checked(tmp_path):
    path = tmp_path / "main_model.pth"
    path.write_bytes(b"weights")
    found = build("mediar", {"weights": path}).weights()[0].sha256["network"]
    for digits in (found, found[:8].upper()):
        assert build("mediar", {"weights": path, "sha256": digits}).weights()
    with pytest.raises(WeightsHashError, match=f"has SHA256 {found}, and 00000000 was asked for"):
        build("mediar", {"weights": path, "sha256": "00000000"}).weights()
    second = {"weights": path, "second_weights": path, "second_sha256": "00000000"}
    with pytest.raises(WeightsHashError):
        build("mediar", second).weights()
    with pytest.raises(WeightsUnavailableError, match="no weight file"):
        build("mediar", {"weights": tmp_path / "none.pth"}).weights()


def test_an_image_is_stretched_by_what_is_not_zero():
    rng = np.random.default_rng(0)
    gray = rng.integers(100, 4000, (40, 50)).astype(np.uint16)
    gray[:5] = 0
    ready = prepare(gray, "image")
    assert (ready.shape, ready.dtype) == ((3, 40, 50), np.float32)
    assert np.array_equal(ready[0], ready[2])
    seen = gray[gray > 0].astype(np.float64)
    low, high = seen.min(), np.percentile(seen, 99.5)
    expected = np.floor(np.clip((gray - low) / (high - low), 0, 1) * 255) / 255
    # A value may fall to the other side of a whole number by float32's rounding.
    assert np.abs(ready[0] - expected).max() <= 1.001 / 255
    assert (np.abs(ready[0] - expected) > 1e-6).mean() < 0.03


def test_channels_are_stretched_together_or_apart():
    rng = np.random.default_rng(0)
    colours = rng.uniform(1, [10, 100, 200], (40, 50, 3))
    together, apart = prepare(colours, "image"), prepare(colours, "channel")
    assert together[0].max() < 0.06
    assert apart[0].max() == apart[2].max() == 1
    two = prepare(colours[..., :2], "channel")
    assert np.array_equal(two[:2], apart[:2])
    assert not two[2].any()
    assert np.array_equal(prepare(np.dstack([colours, colours[..., 0]]), "channel"), apart)


@pytest.mark.parametrize("value", [0, 7])
def test_a_flat_image_has_no_cells_and_says_so(mediar, value):
    method = mediar()
    assert not method.segment(np.full((40, 50), value, np.uint8)).any()
    assert "flat" in method.details()["remark"]


def test_passes_are_those_of_the_authors():
    plain, sideways, upside = None, 2, 1
    assert passes_of("all", 10, 10, 2) == tuple(
        Pass(network, axis) for network in (0, 1) for axis in (plain, sideways, upside)
    )
    assert passes_of("none", 10, 10, 1) == (Pass(0),)
    assert passes_of("by_size", 1999, 2000, 2) == (Pass(0), Pass(1, sideways))
    four = (Pass(0), Pass(0, sideways), Pass(1), Pass(1, upside))
    assert passes_of("by_size", 2000, 2000, 2) == four
    assert passes_of("by_size", 2000, 2000, 1) == (Pass(0), Pass(0, sideways), Pass(0, upside))
    assert passes_of("by_size", 5000, 5000, 2) == (Pass(0),)
    sizes = [(900, 1000), (1000, 1000), (1150, 1000), (2000, 2000)]
    assert [overlap_of("napari", *size) for size in sizes] == [0.6, 0.5, 0.6, 0.6]
    assert {overlap_of("repo", *size) for size in sizes} == {0.6}


class Gradient(torch.nn.Module):
    """Flows along the slope of the first channel, which turn with the image."""

    def forward(self, x):
        gray = torch.nn.functional.pad(x[:, :1], (1, 1, 1, 1), mode="replicate")
        down = gray[:, :, 2:, 1:-1] - gray[:, :, :-2, 1:-1]
        along = gray[:, :, 1:-1, 2:] - gray[:, :, 1:-1, :-2]
        return torch.cat([down, along, x[:, :1]], dim=1)


@pytest.mark.parametrize("shape", [(64, 64), (50, 37)])
def test_flips_turn_flows_back(shape):
    image = np.random.default_rng(0).uniform(size=(3, *shape)).astype(np.float32)
    predict = Predictor([Gradient()], "cpu", "float32", 64, 2)
    plain = predict(image, passes_of("none", *shape, 1), 0.6)
    assert np.abs(plain[:2]).mean() > 0.1
    for one in passes_of("all", *shape, 1):
        np.testing.assert_allclose(predict(image, [one], 0.6), plain, atol=1e-6)
    np.testing.assert_allclose(predict(image, passes_of("all", *shape, 1), 0.6), plain, atol=1e-6)


def test_networks_are_averaged():
    image = np.random.default_rng(0).uniform(size=(3, 64, 64)).astype(np.float32)
    one, two = torch.nn.Identity(), Gradient()
    predict = Predictor([one, two], "cpu", "float32", 64, 2)
    mean = (predict(image, [Pass(0)], 0.6) + predict(image, [Pass(1)], 0.6)) / 2
    np.testing.assert_allclose(predict(image, passes_of("none", 64, 64, 2), 0.6), mean, atol=1e-6)


def test_nan_of_a_network_is_an_error():
    predict = Predictor([torch.nn.Identity()], "cpu", "float32", 64, 2)
    with pytest.raises(NotFiniteError, match="MEDIAR's network gave NaN or infinity"):
        predict(np.full((3, 64, 64), np.nan, np.float32), [Pass(0)], 0.6)


SETTINGS = {"cellprob_threshold": 0.5, "flow_threshold": 0.4, "clean": False}


def discs(shape, centres, radius):
    """Output of a network that knows discs: unit flows to the centre, times 5; and the labels."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    output = np.zeros((3, *shape), np.float32)
    output[2] = -9
    labels = np.zeros(shape, np.uint16)
    for number, (row, column) in enumerate(centres, start=1):
        distance = np.hypot(y - row, x - column)
        inside = (distance <= radius) & (labels == 0)
        labels[inside] = number
        output[0][inside] = (5 * (row - y) / np.maximum(distance, 1))[inside]
        output[1][inside] = (5 * (column - x) / np.maximum(distance, 1))[inside]
        output[2][inside] = 9
    return output, labels


def test_cells_that_touch_are_told_apart():
    output, labels = discs((60, 90), [(20, 20), (20, 41), (40, 70)], 10)
    found = cells.find_cells(output, **SETTINGS)
    assert np.array_equal(found > 0, labels > 0)
    assert {(a, b) for a, b in zip(found.flat, labels.flat, strict=True)} == {
        (0, 0), (1, 1), (2, 2), (3, 3)
    }  # fmt: skip


def test_cells_against_the_flow_are_dropped():
    output, labels = discs((60, 60), [(20, 20), (40, 45)], 10)
    output[:2][:, labels == 2] *= 0.3
    assert len(np.unique(cells.find_cells(output, **SETTINGS))) == 2
    kept = cells.find_cells(output, **SETTINGS | {"flow_threshold": 0})
    assert len(np.unique(kept)) == 3


def test_probability_is_that_of_the_logit():
    output, labels = discs((40, 40), [(20, 20)], 10)
    output[2] = np.where(labels, np.log(0.45 / 0.55), -9)
    assert not cells.find_cells(output, **SETTINGS).any()
    assert cells.find_cells(output, **SETTINGS | {"cellprob_threshold": 0.4}).any()


class TestFaults:
    def test_no_foreground(self):
        output = np.full((3, 30, 30), -9, np.float32)
        found = cells.find_cells(output, **SETTINGS)
        assert (found.shape, found.any()) == ((30, 30), False)
        with pytest.raises(CaseError, match="breaks off without a mask; take 'no_foreground' out"):
            cells.find_cells(output, **SETTINGS, faults=["no_foreground"])

    def test_tile_ids(self, monkeypatch):
        output, labels = discs((60, 120), [(30, 30), (30, 90)], 10)
        monkeypatch.setattr(cells, "_TILE", 60)
        monkeypatch.setattr(cells, "_TILED_FROM", 60 * 120)
        for faults, ids in [((), [0, 1, 2]), (("tile_ids",), [0, 1])]:
            found = cells.find_cells(output, **SETTINGS, faults=faults)
            assert np.unique(found).tolist() == ids
            assert np.array_equal(found > 0, labels > 0)
        monkeypatch.setattr(cells, "_TILED_FROM", 60 * 120 + 1)
        assert cells.find_cells(output, **SETTINGS, faults=["tile_ids"]).max() == 2

    def test_large_dropped(self):
        output, labels = discs((41, 41), [(20, 20)], 27)
        assert labels.mean() > 0.9
        settings = SETTINGS | {"flow_threshold": 0}
        assert np.array_equal(cells.find_cells(output, **settings) > 0, labels > 0)
        assert not cells.find_cells(output, **settings, faults=["large_dropped"]).any()

    def test_unknown_ones_are_refused(self):
        with pytest.raises(UsageError, match=r"'no_foreground', 'tile_ids' or 'large_dropped'"):
            build("mediar", {"weights": "a.pth", "faults": ["slow"]})


def test_cleaning_is_the_plug_ins():
    centres = [(20, 20 + 30 * n) for n in range(12)]
    output, labels = discs((70, 380), centres, 10)
    small, small_labels = discs((70, 380), [(55, 20)], 4)
    output = np.where(small_labels, small, output)
    output[2, 19:22, 19:22] = -9  # a hole in the first
    hole = cells.find_cells(output, **SETTINGS)
    assert len(np.unique(hole)) == 14
    cleaned = cells.find_cells(output, **SETTINGS | {"clean": True})
    assert np.array_equal(cleaned > 0, labels > 0)  # filled, and without the small one


def test_settings_are_the_presets_unless_given(mediar):
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    method = mediar(preset="napari")
    method.segment(image)
    found = method.details()
    assert (found["passes"], found["overlap"], found["networks"]) == (2, 0.6, 2)
    method = mediar(flips="none", overlap=0.25, second_weights=None)
    method.segment(image)
    found = method.details()
    assert (found["preset"], found["passes"], found["overlap"]) == ("repo", 1, 0.25)


@pytest.mark.parametrize(
    "case",
    [
        "cell_00116",
        *(
            pytest.param(n, marks=pytest.mark.slow)
            for n in ("cell_00062", "cell_00031", "cell_00141")
        ),
    ],
)
def test_real_images_of_all_modalities_run_from_file_to_mask(mediar, realdata, case):
    """A corner, with random weights: what is found means nothing, and it is found twice alike."""
    corner = read_image(realdata[case].image)[:64, :60]
    method = mediar(preset="napari", cellprob_threshold=0.3, flow_threshold=0)
    first, again = method.segment(corner), method.segment(corner)
    check_labels(first, (64, 60))
    assert np.array_equal(first, again)
    assert first.any()
    assert {"network", "postprocess"} <= method.timer.seconds.keys()
