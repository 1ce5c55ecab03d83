"""Checkpoints that users of Cellpose, Omnipose and KIT-GE bring."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'cellpose'")
pytest.importorskip("cellpose", reason="needs the extra 'cellpose'")

from cellharness.errors import UsageError  # noqa: E402
from cellharness.methods.registry import build  # noqa: E402
from cellharness.weights import WeightFileError, WeightsUnavailableError  # noqa: E402
from cellharness_adapters.cellpose.network import load_network  # noqa: E402
from cellharness_adapters.cellpose.weights import diam_mean_of, resolve  # noqa: E402
from cellharness_adapters.kit_ge.network import DUNet  # noqa: E402
from cellharness_adapters.omnipose.network import load_omnipose_network  # noqa: E402


@pytest.fixture(scope="module")
def network():
    """A network of the library, as a training leaves it: batches counted, diameters set."""
    from cellpose.resnet_torch import CPnet

    torch.manual_seed(0)
    made = CPnet([2, 32, 64, 128, 256], 3, sz=3)
    made.train()
    with torch.no_grad():
        made(torch.randn(2, 2, 32, 32))
    made.diam_labels.data = torch.tensor([22.5])
    return made.eval()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder of its own, where the library keeps models."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CELLPOSE_LOCAL_MODELS_PATH", raising=False)
    models = tmp_path / ".cellpose" / "models"
    models.mkdir(parents=True)
    return models


def cellpose(path, **parameters):
    return build(
        "cellpose",
        {"weights": str(path), "diameter": "training_mean", "device": "cpu"} | parameters,
    )


# What lies in a file, by the version of the library that wrote it. Compared with files that
# Cellpose 0.6.5, 1.0.2, 2.0.5, 2.2.3 and 3.0.11 wrote: names and shapes are these.
LAYOUTS = {
    "0.6 and 1": lambda state: {k: v for k, v in state.items() if not k.startswith("diam_")},
    "2 and 3": lambda state: state,
    "2 on several GPUs": lambda state: {f"module.{k}": v for k, v in state.items()},
    "compiled": lambda state: {f"_orig_mod.{k}": v for k, v in state.items()},
    "kept with the optimizer": lambda state: {"model": state, "epoch": 3},
    "converted": lambda state: {k: v for k, v in state.items() if "num_batches" not in k},
    "half": lambda state: {k: v.half() if v.is_floating_point() else v for k, v in state.items()},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_own_models_of_cellpose_load(network, tmp_path, layout):
    path = tmp_path / "CP_20220903_161314"
    torch.save(layout(network.state_dict()), path)
    loaded = load_network(path, 30.0)
    tiles = torch.randn(1, 2, 32, 32)
    with torch.no_grad():
        expected, found = network(tiles)[0], loaded(tiles)[0]
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-2)
    assert float(loaded.diam_mean) == 30


def test_a_file_that_the_library_writes_is_loaded_as_by_the_library(network, tmp_path):
    from cellpose.models import CellposeModel

    network.save_model(str(tmp_path / "mine"))
    ours = load_network(tmp_path / "mine", 30.0)
    theirs = CellposeModel(gpu=False, pretrained_model=str(tmp_path / "mine"))
    assert float(ours.diam_labels) == pytest.approx(float(theirs.diam_labels)) == 22.5
    state = theirs.net.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in ours.state_dict().items())


def test_models_are_found_where_the_librarys_gui_keeps_them(network, tmp_path, home, monkeypatch):
    torch.save(network.state_dict(), home / "my model")
    assert resolve("my model").files["network"] == home / "my model"
    assert resolve("~/.cellpose/models/my model").files == resolve("my model").files
    assert resolve(str(home)).files == resolve("my model").files
    other = tmp_path / "elsewhere"
    other.mkdir()
    (home / "my model").rename(other / "my model")
    monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(other))
    assert resolve("my model").files["network"] == other / "my model"


@pytest.mark.parametrize("method", ["cellpose", "cellpose2", "omnipose"])
def test_a_name_that_is_nowhere_says_where_was_looked(method, home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = f"unknown weights 'cytto'. Did you mean 'cyto'.*'{tmp_path}/cytto', '{home}/cytto'"
    with pytest.raises(UsageError, match=message):
        build(method, {"weights": "cytto", "diameter": 30}).weights()


def test_misic_does_not_look_among_the_models_of_cellpose(network, home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(network.state_dict(), home / "misik")
    with pytest.raises(UsageError, match=rf"'misik'.*is none at '{tmp_path}/misik'\.$"):
        build("misic", {"weights": "misik"}).weights()


def test_kit_ge_looks_in_home_and_in_folders(home, tmp_path):
    model = tmp_path / "kit"
    model.mkdir()
    torch.save({"module." + k: v for k, v in DUNet((4, 16)).state_dict().items()}, model / "a.pth")
    for given in ("~/kit/a.pth", "~/kit", str(model)):
        method = build("kit-ge", {"weights": given, "device": "cpu", "precision": "float32"})
        method.load()
        assert method.details()["filters"] == [4, 16]
    with pytest.raises(WeightsUnavailableError, match=f"looked for '{tmp_path}/none.pth'"):
        build("kit-ge", {"weights": "~/none.pth"}).weights()


def test_a_copy_of_the_librarys_nuclei_file_has_its_mean_diameter(network, tmp_path):
    torch.save(LAYOUTS["0.6 and 1"](network.state_dict()), tmp_path / "nucleitorch_0")
    assert diam_mean_of(resolve(str(tmp_path / "nucleitorch_0"))) == 17


def without_residuals(state):
    return {name.replace("res_", "conv_"): value for name, value in state.items()}


def joined(state):
    name = "upsample.up.res_up_0.conv.conv_1.full.weight"
    return {**state, name: torch.zeros(64, 256)}


def with_outputs(n):
    return lambda state: {**state, "output.2.weight": torch.zeros(n, 32, 1, 1)}


FOREIGN = {
    "Cellpose 4": (
        lambda _: {"W2": torch.zeros(3), "encoder.pos_embed": torch.zeros(1)},
        r"Cellpose 4 \(Cellpose-SAM\) checkpoint.*method cellpose-sam",
    ),
    "Cellpose 4, wrapped": (
        lambda _: {"state_dict": {"module.W2": torch.zeros(3)}},
        r"Cellpose 4 \(Cellpose-SAM\) checkpoint",
    ),
    "SAM": (
        lambda _: {"image_encoder.pos_embed": torch.zeros(1), "mask_decoder.a": torch.zeros(1)},
        "a Segment Anything checkpoint",
    ),
    "KIT-GE": (lambda _: DUNet((4, 16)).state_dict(), r"distance U-Net \(KIT-GE\).*Use method kit"),
    "restoration": (with_outputs(1), "an image restoration network of Cellpose 3"),
    "transformer": (
        lambda _: {"encoder.patch_embed1.proj.weight": torch.zeros(1)},
        "a transformer of Cellpose 3",
    ),
    "residual off": (without_residuals, "without residual blocks.*Train again"),
    "concatenation": (joined, "that joins features.*Train again"),
    "volumes": (
        lambda state: {k: v[..., None] if v.ndim == 4 else v for k, v in state.items()},
        "a network for volumes",
    ),
    "four outputs": (with_outputs(4), "a network of Omnipose.*Use method omnipose"),
}


@pytest.mark.parametrize(("make", "message"), FOREIGN.values(), ids=FOREIGN)
def test_checkpoints_of_other_networks_are_named(network, tmp_path, make, message):
    torch.save(make(network.state_dict()), tmp_path / "net")
    with pytest.raises(WeightFileError, match=message):
        load_network(tmp_path / "net", 30.0)


@pytest.mark.parametrize("kind", ["Cellpose 4", "KIT-GE", "restoration", "transformer"])
def test_omnipose_names_them_too(network, tmp_path, kind):
    make, message = FOREIGN[kind]
    torch.save(make(network.state_dict()), tmp_path / "net")
    with pytest.raises(WeightFileError, match=message):
        load_omnipose_network(tmp_path / "net", 30.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        FOREIGN["Cellpose 4"],
        (lambda state: state, "the usual network of Cellpose 1 to 3.*Use method cellpose"),
    ],
)
def test_kit_ge_names_them_too(network, tmp_path, make, message):
    torch.save(make(network.state_dict()), tmp_path / "net")
    with pytest.raises(WeightFileError, match=message):
        build("kit-ge", {"weights": str(tmp_path / "net"), "device": "cpu"}).load()


def test_a_model_without_style_is_told_by_its_name(network, tmp_path):
    path = tmp_path / "cellpose_residual_on_style_off_concatenation_off_train_2021"
    torch.save(network.state_dict(), path)
    with pytest.raises(WeightFileError, match="style_on off, as its name says"):
        load_network(path, 30.0)


def test_a_whole_model_is_told_by_name(network, tmp_path):
    torch.save(network, tmp_path / "net")
    with pytest.raises(
        WeightFileError, match=r"object \(cellpose.resnet_torch.CPnet\), as a whole"
    ):
        load_network(tmp_path / "net", 30.0)


@pytest.mark.parametrize("method", ["cellpose", "omnipose"])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("output.2.bias", float("nan"), "NaN or infinity"),
        ("downsample.down.res_down_0.conv.conv_0.0.running_mean", float("inf"), "NaN or infinity"),
        ("diam_mean", 0.0, "must be above 0"),
        ("diam_labels", -1.0, "must be above 0"),
        ("diam_labels", float("nan"), "NaN or infinity"),
    ],
)
def test_weights_that_give_no_cells_are_refused(network, tmp_path, method, name, value, message):
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    state[name][0] = value
    torch.save(state, tmp_path / "net")
    diameter = "training_mean" if method == "cellpose" else None
    with pytest.raises(WeightFileError, match=f"net': tensor '{name}' .*{message}"):
        build(
            method, {"weights": str(tmp_path / "net"), "diameter": diameter, "device": "cpu"}
        ).load()


@pytest.mark.weights
def test_the_original_arrays_are_checked_as_well(cyto, tmp_path):
    data = bytearray(cyto.files["network"].read_bytes())
    value = np.float32(np.nan).tobytes()
    # Within the values of the last large array.
    place = len(data) // 2 // 4 * 4
    data[place : place + 8] = value * 2
    (tmp_path / "cyto_0").write_bytes(data)
    with pytest.raises(WeightFileError, match="holds NaN or infinity"):
        load_network(tmp_path / "cyto_0", 27.0)
    (tmp_path / "cut").write_bytes(data[: len(data) // 3])
    with pytest.raises(WeightFileError, match="is cut short"):
        load_network(tmp_path / "cut", 27.0)
