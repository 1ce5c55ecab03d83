"""Omnipose behind the harness against a direct call of the library with the same weights."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest

from cellharness.data.images import prepare, read_image
from cellharness.data.manifest import Manifest
from cellharness.errors import UsageError
from cellharness.methods.base import UnsupportedCaseError
from cellharness.weights import HostedWeights, WeightFileError, WeightsUnavailableError
from cellharness_adapters.omnipose import weights as omnipose_weights
from cellharness_adapters.omnipose.segmenter import (
    Omnipose,
    OmniposePaper,
    OmniposePaperParameters,
    OmniposeParameters,
)

torch = pytest.importorskip("torch", reason="needs the extra 'omnipose'")
pytest.importorskip("omnipose", reason="needs the extra 'omnipose'")
pytest.importorskip("cellpose", reason="needs the extra 'omnipose'")

from cellharness_adapters.cellpose.network import load_network  # noqa: E402
from cellharness_adapters.omnipose.library import library  # noqa: E402
from cellharness_adapters.omnipose.network import FieldNetworks, load_omnipose_network  # noqa: E402

CPU = torch.device("cpu")
# Bacteria of three experiments, and one image of each other modality; large ones cut.
CASES = ("cell_00111", "cell_00116", "cell_00103", "cell_00064", "cell_00030", "cell_00141")
OWN = {
    name: source
    for name, source in vars(omnipose_weights).items()
    if isinstance(source, HostedWeights) and source.base_url == omnipose_weights._HOST
}


def gray(realdata, name):
    image = prepare(read_image(realdata[name].image), "gray_max")
    return np.ascontiguousarray(image[:240, :260])


def without_diameters(network):
    return {
        name: value for name, value in network.state_dict().items() if not name.startswith("diam_")
    }


@pytest.fixture(scope="module")
def state(cyto):
    """The cyto weights as a state dict of torch."""
    return without_diameters(load_network(cyto.files["network"], 27.0))


@pytest.fixture(scope="module")
def library_call(tmp_path_factory):
    """Call with a state dict to get the library as a user calls it, on a file of these weights.

    The library prints and goes on with random weights where a file does not fit, so it is
    checked that it has them.
    """
    models = library("cellpose_omni.models")
    folder = tmp_path_factory.mktemp("weights")

    def build(state, *, outputs=3, channels=2):
        path = folder / f"file_{len(list(folder.iterdir()))}"
        torch.save(state, path)
        model = models.CellposeModel(
            gpu=False,
            pretrained_model=str(path),
            nclasses=outputs - 1,
            nchan=channels,
            diam_mean=27.0,
        )
        assert all(
            torch.equal(value, state[name]) for name, value in model.net.state_dict().items()
        )

        def segment(image, **options):
            options = {"diameter": None, "channels": [0, 0], "omni": True, **options}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return model.eval([image], **options)[0][0]

        segment.path = path
        return segment

    return build


@pytest.fixture(scope="module")
def direct(library_call, state):
    return library_call(state)


def paper(**parameters):
    parameters = {"weights": "cyto", "device": "cpu", "network": "whole", **parameters}
    segmenter = OmniposePaper(OmniposePaperParameters(**parameters))
    segmenter.load()
    return segmenter


def assert_same_cells(found, expected):
    """Equal up to the numbers that the cells have."""
    assert found.shape == expected.shape
    pairs = np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
    np.testing.assert_array_equal(found > 0, expected > 0)


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_masks_equal_the_librarys_own(cyto, direct, realdata, case):
    """Acceptance: the same cells, pixel by pixel, with our network and with the library's."""
    image = gray(realdata, case)
    expected = direct(image)
    assert expected.any()
    for precision in ("stock", "float32"):
        segmenter = paper(precision=precision)
        assert_same_cells(segmenter.segment(image), expected)
        assert segmenter.details() == {
            "networks": 1,
            "network": "whole",
            "precision": precision,
            "device": "cpu",
            "affinity": False,
        }
        assert set(segmenter.timer.seconds) == {"network", "postprocess"}


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        ({"diameter": 20}, {"diameter": 20}),
        ({"cluster": True, "min_size": 40}, {"cluster": True, "min_size": 40}),
        (
            {"mask_threshold": -1.0, "flow_threshold": 0},
            {"mask_threshold": -1, "flow_threshold": 0},
        ),
        ({"affinity": True}, {"affinity_seg": True}),
    ],
    ids=["diameter", "cluster", "thresholds", "affinity"],
)
def test_options_do_what_the_librarys_do(cyto, direct, realdata, parameters, options):
    image = gray(realdata, "cell_00111")[:160, :170]
    assert_same_cells(paper(**parameters).segment(image), direct(image, **options))


@pytest.mark.usefixtures("one_core")
@pytest.mark.weights
def test_the_librarys_euler_steps_are_given_what_they_take(cyto, realdata):
    """They refuse float64, which one NumPy number on the way would make of the flows."""
    image = gray(realdata, "cell_00116").astype(np.float64)
    segmenter = paper(diameter=np.float64(24), flow_threshold=np.float64(0.5))
    assert segmenter.segment(image).any()


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize(("channels", "outputs"), [(2, 4), (1, 3)])
def test_other_numbers_of_channels_and_outputs(
    state, library_call, realdata, channels, outputs, tmp_path
):
    """The bact and worm networks have a boundary output, bact_phase_affinity one channel."""
    changed = dict(state)
    if outputs == 4:
        # An edge where the network says that a pixel is cell, but only just.
        changed["output.2.weight"] = torch.cat(
            [state["output.2.weight"], -state["output.2.weight"][2:]]
        )
        changed["output.2.bias"] = torch.cat([state["output.2.bias"], -state["output.2.bias"][2:]])
    first = "downsample.down.res_down_0"
    for name, value in state.items() if channels == 1 else ():
        if name.startswith((f"{first}.proj.0", f"{first}.conv.conv_0.0")) and value.ndim == 1:
            changed[name] = value[:1]
        elif name in (f"{first}.proj.1.weight", f"{first}.conv.conv_0.2.weight"):
            changed[name] = value[:, :1]
    call = library_call(changed, outputs=outputs, channels=channels)
    image = gray(realdata, "cell_00111")[:, :180]
    expected = call(image, channels=[0, 0] if channels == 2 else None)
    assert expected.any()
    segmenter = Omnipose(OmniposeParameters(weights=str(call.path), device="cpu"))
    segmenter.load()
    assert_same_cells(segmenter.segment(image), expected)
    # In tiles the convolutions are others; they must take such networks as well.
    network = load_omnipose_network(call.path, 30.0)
    stock, fast = (
        FieldNetworks([network], precision, CPU, 4)(image, "tiles")
        for precision in ("stock", "float32")
    )
    assert (fast.boundary is None) == (outputs == 3)
    np.testing.assert_allclose(fast.distance, stock.distance, atol=2e-3)
    np.testing.assert_allclose(fast.flows, stock.flows, atol=2e-3)


@pytest.mark.slow
@pytest.mark.usefixtures("one_core")
@pytest.mark.weights
def test_tiles_run_as_they_were_cut_before_omnipose_1(state, cyto, realdata):
    """Step by step: edges repeated, mirrored to a multiple of 16, cut, run, tapered together."""
    transforms, utils = library("cellpose_omni.transforms"), library("omnipose.utils")
    image = gray(realdata, "cell_00103").astype(np.float32)
    channels = transforms.normalize_img(np.stack([image, 0 * image], axis=-1), omni=True)
    edged = np.pad(channels, ((3, 3), (3, 3), (0, 0)), "edge").transpose(2, 0, 1)
    padded, (rows, columns) = transforms.pad_image_ND(edged, dim=2)
    _, places, shape, _ = utils.make_tiles_ND(padded, tile_overlap=0.1, return_tiles=False)
    assert len(places) == 4
    network = load_network(cyto.files["network"], 27.0)
    with torch.no_grad():
        each = [network(torch.from_numpy(padded[None, :, y, x]))[0].numpy() for y, x in places]
    whole = utils.average_tiles_ND(np.concatenate(each), places, shape)
    expected = whole[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1][:, 3:-3, 3:-3]
    for precision in ("stock", "float32"):
        fields = FieldNetworks([network], precision, CPU, 3)(image, "tiles")
        np.testing.assert_allclose(fields.flows, expected[:2], atol=2e-3)
        np.testing.assert_allclose(fields.distance, expected[2], atol=2e-3)


@pytest.fixture
def four_files(state, tmp_path, monkeypatch):
    """Files like the four networks of cyto2: the last layer of each is another."""
    monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(tmp_path / "models"))
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CELLHARNESS_OFFLINE", "1")
    (tmp_path / "models").mkdir()
    for number in range(4):
        weight = state["output.2.weight"] * (1 + 0.2 * number)
        torch.save(
            {**state, "output.2.weight": weight}, tmp_path / "models" / f"cyto2torch_{number}"
        )
    return tmp_path / "models"


@pytest.mark.usefixtures("one_core")
@pytest.mark.weights
@pytest.mark.parametrize("precision", ["stock", "float32"])
def test_the_papers_four_networks_are_averaged(four_files, realdata, precision):
    image = gray(realdata, "cell_00116")[:90, :100]
    options = {"weights": "cyto2-four-networks", "precision": precision}
    assert OmniposePaperParameters().weights == options["weights"]
    average = paper(**options)
    average.segment(image)
    assert average.details()["networks"] == 4
    assert len(average.weights()[0].sha256) == 4
    each = [
        FieldNetworks([load_omnipose_network(path, 27.0)], precision, CPU, 1)(image, "whole")
        for path in sorted(four_files.iterdir())
    ]
    fields = average._networks(image, "whole")
    for part in ("flows", "distance"):
        expected = np.mean([getattr(one, part) for one in each], axis=0)
        np.testing.assert_allclose(getattr(fields, part), expected, atol=2e-4)
    first = paper(**options, net_avg=False)
    first.segment(image)
    assert first.details()["networks"] == 1
    np.testing.assert_allclose(first._networks(image, "whole").flows, each[0].flows, atol=2e-4)


@pytest.mark.weights
def test_networks_that_are_not_alike_are_not_averaged(four_files, state):
    other = {**state, "output.2.weight": torch.zeros(4, 32, 1, 1), "output.2.bias": torch.zeros(4)}
    torch.save(other, four_files / "cyto2torch_2")
    with pytest.raises(WeightFileError, match="cannot be averaged"):
        paper(weights="cyto2-four-networks")


@pytest.mark.weights
def test_averaging_one_network_is_refused(cyto):
    with pytest.raises(UsageError, match=r"hold one.*cyto2-four-networks"):
        OmniposePaper(OmniposePaperParameters(weights="cyto", net_avg=True)).weights()


@pytest.mark.parametrize("source", OWN.values(), ids=OWN)
def test_own_weights_are_where_the_library_looks_for_them(source, tmp_path, monkeypatch):
    models, core = library("cellpose_omni.models"), library("omnipose.core")
    assert source.base_url == models._MODEL_URL
    monkeypatch.setattr(models, "cache_model_path", lambda name: name)
    assert source.file_names == {"network": models.model_path(source.name, 0, use_torch=True)}
    assert source.name in (*core.C2_BD_MODELS, *core.C1_MODELS)
    monkeypatch.delenv("CELLPOSE_LOCAL_MODELS_PATH", raising=False)
    assert source.folder == models._MODEL_DIR_DEFAULT


def test_missing_weights_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(tmp_path))
    monkeypatch.setenv("CELLHARNESS_OFFLINE", "1")
    for parameters, missing in (
        (OmniposeParameters(weights="bact_phase_omni"), "bact_phase_omnitorch_0"),
        (OmniposePaperParameters(), "cyto2torch_0, cyto2torch_1, cyto2torch_2, cyto2torch_3"),
    ):
        kind = OmniposePaper if isinstance(parameters, OmniposePaperParameters) else Omnipose
        with pytest.raises(WeightsUnavailableError, match=f"Put {missing} .* into"):
            kind(parameters).load()
    with pytest.raises(UsageError, match="unknown weights 'bact_phase'"):
        Omnipose(OmniposeParameters(weights="bact_phase")).load()


@pytest.mark.weights
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda _: {"fc.weight": torch.zeros(3)}, "does not fit.* is missing"),
        (lambda state: {"epoch": state["output.2.bias"], "deep": [state]}, "holds no state dict"),
        (
            lambda state: {**state, "output.2.weight": torch.zeros(7, 32, 1, 1)},
            r"output.2.weight has shape \(7, 32, 1, 1\), expected \(3,",
        ),
        (
            lambda state: {
                name: value[..., None] if value.ndim == 4 else value
                for name, value in state.items()
            },
            "a network for volumes",
        ),
        (None, "a text file that begins with 'this is no weight file"),
    ],
    ids=["other", "nested", "outputs", "volumes", "garbage"],
)
def test_weights_of_another_architecture_are_refused(state, tmp_path, content, message):
    path = tmp_path / "other.pth"
    if content is None:
        path.write_bytes(b"this is no weight file at all")
    else:
        torch.save(content(state), path)
    with pytest.raises(WeightFileError, match=message):
        Omnipose(OmniposeParameters(weights=str(path), device="cpu")).load()


@pytest.mark.weights
def test_images_without_cells_and_tiny_ones(cyto):
    rng = np.random.default_rng(0)
    for form in ("auto", "tiles"):
        segmenter = paper(network=form)
        for image in (
            np.full((64, 80), 7, np.float32),
            rng.normal(100, 5, (30, 30)).astype(np.float32),
            rng.integers(0, 9, (40, 30, 3)).astype(np.uint8),
            rng.random((5, 90)).astype(np.float32),
            np.zeros((2, 2), np.float32),
        ):
            labels = segmenter.segment(image)
            assert labels.shape == image.shape[:2]
            assert labels.dtype == np.uint32
        assert not segmenter.segment(np.full((64, 80), 65535, np.float32)).any()
        with pytest.raises(UnsupportedCaseError, match="1 x 50 px"):
            segmenter.segment(np.zeros((1, 50), np.float32))


@pytest.mark.weights
def test_warming_up_leaves_no_time_behind(cyto):
    segmenter = paper()
    segmenter.warmup()
    assert segmenter.timer.seconds == {}


@pytest.mark.weights
def test_large_images_run_as_tiles_unless_told_otherwise(cyto):
    auto, large = paper(network="auto"), np.broadcast_to(np.float32(0), (2501, 2500))
    for image, form in ((large[:2500], "whole"), (large, "tiles")):
        auto.segment(image)
        assert auto.details()["network"] == form
    # What counts is the size after zooming.
    assert paper(network="auto", diameter=54)._form(large) == "whole"
    assert paper(network="auto", diameter=13.5)._form(large[:2000]) == "tiles"


def test_an_affinity_graph_is_for_the_weights_made_for_it(cyto, tmp_path, monkeypatch):
    monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(tmp_path))
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "bact_phase_affinitytorch_0"
    path.write_bytes(cyto.files["network"].read_bytes())
    for chosen, expected in ((None, True), (False, False)):
        segmenter = Omnipose(
            OmniposeParameters(weights="bact_phase_affinity", affinity=chosen, device="cpu")
        )
        segmenter.load()
        segmenter.segment(np.zeros((9, 9), np.float32))
        assert segmenter.details()["affinity"] is expected


@pytest.mark.slow
def test_the_library_is_not_let_take_over_logging_and_printing():
    code = """
        import logging, sys
        import numpy as np
        handler = logging.NullHandler()
        logging.getLogger().addHandler(handler)
        from cellharness_adapters.omnipose.segmenter import Omnipose
        assert not {"torch", "omnipose", "cellpose"} & set(sys.modules)
        from cellharness_adapters.omnipose.library import library
        library("omnipose.core")
        assert logging.getLogger().handlers == [handler], logging.getLogger().handlers
        assert logging.getLogger().level == logging.WARNING
        library("cellpose_omni.plot")
        assert "colour" in sys.modules, "nothing to put back: look where numpy is changed now"
        assert str(np.float64(2 / 3)) == str(2 / 3), np.get_printoptions()
    """
    result = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert not result.stdout
    assert logging.getLogger().level != logging.INFO


@pytest.mark.weights
def test_running_says_nothing_and_warns_of_nothing(cyto, small_manifest, capsys, recwarn):
    segmenter = paper()
    case = Manifest.read(small_manifest)["case_1"]
    assert segmenter.segment(prepare(read_image(case.image), "gray_max")).any()
    printed = capsys.readouterr()
    assert not printed.out + printed.err
    assert not [str(warning.message) for warning in recwarn]


@pytest.mark.gpu
@pytest.mark.weights
def test_the_gpu_finds_the_same_cells(cyto, realdata):
    image = gray(realdata, "cell_00064")
    expected = paper().segment(image)
    for precision in ("stock", "float32"):
        on_gpu = paper(precision=precision, device="cuda")
        labels = on_gpu.segment(image)
        assert on_gpu.details()["device"] == "cuda"
        assert labels.max() == pytest.approx(expected.max(), abs=1)
        assert np.mean((labels > 0) == (expected > 0)) > 0.999
