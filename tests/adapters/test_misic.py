"""MiSiC against Keras' outputs and the functions of the authors' plug-in."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch")
h5py = pytest.importorskip("h5py", reason="needs the extra 'misic' (h5py)")

from cellharness.data.images import model_input, read_image, read_label  # noqa: E402
from cellharness.data.manifest import Manifest  # noqa: E402
from cellharness.methods.base import NotFiniteError, UnsupportedCaseError  # noqa: E402
from cellharness.methods.registry import build, weight_source  # noqa: E402
from cellharness.methods.timing import PhaseTimer  # noqa: E402
from cellharness.scoring.pair import score_pair  # noqa: E402
from cellharness.weights import WeightFileError, WeightsUnavailableError  # noqa: E402
from cellharness_adapters.misic import cells, preparing, tiles, width  # noqa: E402
from cellharness_adapters.misic.convolution import WideConvolution  # noqa: E402
from cellharness_adapters.misic.network import (  # noqa: E402
    ArchitectureError,
    MisicNet,
    load_network,
)
from cellharness_adapters.misic.prediction import Predictor, predict_cells  # noqa: E402
from cellharness_adapters.misic.segmenter import MisicParameters  # noqa: E402
from cellharness_adapters.misic.weights import MISIC  # noqa: E402


@pytest.fixture(scope="module")
def misic():
    """The real weights; fetched with pip once. Without a network the tests that need them skip."""
    source = weight_source("misic")
    try:
        return source.locate() or source.fetch()
    except WeightsUnavailableError as error:
        pytest.skip(f"needs the misic weights: {error}")


@pytest.fixture(scope="module")
def golden(shared):
    path = shared / "golden" / "misic" / "network.npz"
    if not path.is_file():
        pytest.skip("needs ../shared/golden/misic, which is not here")
    return np.load(path)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """Modules of the authors' wheel, imported without TensorFlow and napari, which they name."""
    folder = tmp_path_factory.mktemp("misic")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(folder), MISIC.requirement]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip(f"needs the wheel {MISIC.requirement}, which pip cannot fetch now")
    with zipfile.ZipFile(folder / MISIC.wheel) as archive:
        archive.extractall(folder)
    package = types.ModuleType("misic_ui")
    package.__path__ = [str(folder / "misic_ui")]
    keras = types.ModuleType("tensorflow.keras.models")
    keras.load_model = None
    helpers = types.ModuleType("tensorflow.keras.utils")
    helpers.get_file = None
    stand_ins = {
        "misic_ui": package,
        "tensorflow": types.ModuleType("tensorflow"),
        "tensorflow.keras": types.ModuleType("tensorflow.keras"),
        "tensorflow.keras.models": keras,
        "tensorflow.keras.utils": helpers,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, module in stand_ins.items():
            patch.setitem(sys.modules, name, module)
        yield importlib.import_module("misic_ui.misic_helpers")
        for name in [name for name in sys.modules if name.startswith("misic_ui.")]:
            patch.delitem(sys.modules, name)


def rods(shape=(150, 230), *, radius=4, light=True, seed=0):
    """Rods as in phase contrast: darker than their surroundings, uneven, noisy; and their truth."""
    random = np.random.default_rng(seed)
    truth = np.zeros(shape, np.uint16)
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    number = 0
    for y in range(14, shape[0] - 14, 26):
        for x in range(22, shape[1] - 22, 46):
            angle = random.uniform(0, np.pi)
            along = (xx - x) * np.cos(angle) + (yy - y) * np.sin(angle)
            across = (yy - y) * np.cos(angle) - (xx - x) * np.sin(angle)
            inside = np.hypot(np.maximum(np.abs(along) - 8, 0), across) <= radius
            number += 1
            truth[inside & (truth == 0)] = number
    from scipy.ndimage import gaussian_filter

    cell = gaussian_filter((truth > 0).astype(float), 1)
    image = 120 - 60 * cell if light else 40 + 60 * cell
    return (image + random.normal(0, 2, shape)).astype(np.float32), truth


@pytest.mark.weights
def test_the_output_is_that_of_keras(misic, golden):
    network = load_network(misic.files["network"])
    assert sum(each.numel() for each in network.parameters()) == 1_817_153
    given = torch.from_numpy(golden["input"].transpose(0, 3, 1, 2).copy())
    with torch.inference_mode():
        found = network(given)
    assert found.shape == (3, 1, 256, 256)
    # Relative and absolute, as NumPy has it: in float64 the network lies 1.1e-5 from what Keras
    # gave in float32, so absolute alone is a matter of the processor.
    np.testing.assert_allclose(found[:, 0].numpy(), golden["output"], atol=1e-5, rtol=1e-5)


def test_convolving_by_blocks_is_the_convolution():
    torch.manual_seed(0)
    layer = WideConvolution(64, 8).eval()
    given = torch.randn(2, 64, 70, 97)  # neither side a multiple of a block's
    wanted = layer.double()(given.double())
    layer.float().by_blocks = True
    with torch.inference_mode():
        found = layer(given)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted.detach(), atol=5e-6)
    assert not torch.equal(found, layer(given).detach())  # with gradients it is direct
    with torch.no_grad():
        layer.weight.mul_(2)  # the kernels' spectra are made anew
        layer.bias.mul_(2)
        np.testing.assert_allclose(layer(given), 2 * wanted.detach(), atol=1e-5)


@pytest.mark.weights
def test_predicting_by_blocks_stays_near_keras(misic, golden):
    predict = Predictor(load_network(misic.files["network"]), "cpu", "float32")
    found = predict(golden["input"].transpose(0, 3, 1, 2).copy())
    np.testing.assert_allclose(found, golden["output"], atol=5e-5, rtol=0)
    assert np.mean((found > 0.999) != (golden["output"] > 0.999)) < 1e-4


def test_the_image_is_prepared_as_by_the_plug_in(plugin):
    for light in (True, False):
        image = preparing.normalise(rods(light=light)[0])
        for scale, gamma, laplacian, noise in [
            (1.0, 0.5, False, 0.001),
            (1.3, 1.0, False, 0.1),
            (0.6, 0.5, True, 0.0),
        ]:
            expected = plugin.preprocess(
                image.copy(),
                {
                    "invert": light,
                    "scale": scale,
                    "gamma": gamma,
                    "sharpness_sigma": 0,
                    "gaussian_laplace": laplacian,
                    "sensitivity": noise,
                    "local_noise": True,
                },
            )
            chosen = MisicParameters(gamma=gamma, gaussian_laplace=laplacian, noise=noise)
            found = preparing.prepare(image, scale, chosen, light=light)
            np.testing.assert_allclose(found, expected, atol=1e-12)


def test_noise_leaves_the_global_generator_alone():
    np.random.seed(3)  # noqa: NPY002 - what is tested
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    preparing.with_noise(rods()[0], 0.1)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("shape", [(224, 448), (150, 230), (300, 10), (9, 7)])
def test_tiles_are_cut_and_put_together_as_by_the_plug_in(plugin, shape):
    class Reversible:
        """What depends on a pixel and its neighbours alone, with one channel as the network's."""

        def predict(self, given):
            return given.mean(axis=-1, keepdims=True)

    image = np.random.default_rng(0).normal(size=shape)
    theirs = plugin.MiSiC.__new__(plugin.MiSiC)
    theirs.model, theirs.size = Reversible(), 256
    expected = theirs.segment(image)[:, :, 0]
    found = tiles.predict_tiled(image, lambda batch: batch.mean(axis=1))
    assert found.shape == shape
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_cells_are_found_as_by_the_plug_in(plugin):
    from scipy.ndimage import gaussian_filter

    image, truth = rods()
    random = np.random.default_rng(1)
    probability = gaussian_filter((truth > 0).astype(float), 1.5)
    probability = np.clip(probability * 1.3 - 0.1, 0, 0.99999)
    probability[random.random(truth.shape) < 0.002] = 0.2
    for mean_width in (4.2, 9.87, 14.0):
        expected = plugin.postprocessing(image, probability, int(mean_width))
        found = cells.find_cells(image, probability, mean_width, MisicParameters())
        assert found.max() > 0 or mean_width > 10
        assert np.array_equal(found, expected)


def test_a_flat_part_of_an_image_is_no_cell_and_spoils_nothing():
    image = np.zeros((64, 80))
    image[:, 40:] = rods((64, 40))[0]
    indices = preparing.shape_indices(image)
    assert np.isfinite(indices).all()
    assert not indices[:, :, :30].any()
    assert not preparing.shape_indices(np.full((16, 16), 7.0)).any()


@pytest.mark.parametrize("radius", [3, 5, 8])
def test_width_is_measured_and_estimated(radius):
    image, truth = rods((200, 260), radius=radius, light=False)
    measured = np.median(width.cell_widths(truth))
    assert measured == pytest.approx(2 * radius, abs=1.5)
    assert width.estimate_width(image) == pytest.approx(measured, rel=0.5)


def test_width_of_an_image_without_ridges_is_the_networks():
    assert width.estimate_width(np.zeros((30, 40))) == width.STANDARD_WIDTH
    assert width.scale_for(2 * width.STANDARD_WIDTH) == 0.5
    assert width.scale_for(1) == 2.5


def made(**parameters):
    segmenter = build("misic", {"device": "cpu", "precision": "float32", **parameters})
    segmenter.load()
    return segmenter


@pytest.mark.weights
def test_the_background_is_told_given_or_guessed(misic, small_manifest):
    from dataclasses import replace

    image, truth = rods((110, 150))
    fluorescent = Manifest.read(small_manifest)["case_1"]
    phase = replace(fluorescent, modality="Phase-contrast")
    guessed = replace(fluorescent, modality="DIC")
    for given, case, background in (
        (image, phase, "light"),
        (200 - image, fluorescent, "dark"),
        (image, guessed, "light"),
    ):
        segmenter = made(width=8)
        segmenter.begin_case(case)
        found = segmenter.segment(given)
        assert segmenter.details()["background"] == background
        assert score_pair(truth, found, "strict", 0.5).f1 > 0.75
    assert segmenter.case_identity(phase) == "light"


@pytest.mark.weights
def test_the_whole_is_what_the_plug_in_does(misic, plugin):
    from skimage.transform import resize

    image, _ = rods(radius=6)
    image = preparing.normalise(image)
    network = load_network(misic.files["network"])

    class Keras:
        def predict(self, given):
            batch = torch.from_numpy(given.transpose(0, 3, 1, 2).astype(np.float32))
            with torch.inference_mode():
                return network(batch).numpy().transpose(0, 2, 3, 1)

    theirs = plugin.MiSiC.__new__(plugin.MiSiC)
    theirs.model, theirs.size = Keras(), 256
    settings = {
        "invert": True,
        "scale": 9.87 / 12,
        "gamma": 0.5,
        "sharpness_sigma": 0,
        "gaussian_laplace": False,
        "sensitivity": 0.001,
        "local_noise": True,
    }
    seen = theirs.segment(plugin.preprocess(image.copy(), settings), exclude=16)[:, :, 0]
    expected = plugin.postprocessing(
        image, resize(seen, image.shape), int(9.87 / settings["scale"])
    )
    found = made(width=12, background="light").segment(image)
    assert expected.max() > 10
    assert np.array_equal(found, expected)


@pytest.mark.weights
def test_every_width_policy_is_used_and_recorded(misic, small_manifest):
    case = Manifest.read(small_manifest)["case_1"]
    image = model_input(read_image(case.image), "gray_max")
    used = {}
    for policy in ("estimate", "truth_median", 20.0):
        segmenter = made(width=policy, background="dark")
        segmenter.begin_case(case)
        assert segmenter.segment(image).shape == image.shape
        details = segmenter.details()
        assert details["width_policy"] == (policy if isinstance(policy, str) else "fixed")
        used[policy] = details["width"]
        assert bool(segmenter.case_identity(case)) == (policy == "truth_median")
    truth = read_label(case.label)
    assert used["truth_median"] == np.median(width.cell_widths(truth))
    assert used[20.0] == 20
    assert used["estimate"] == pytest.approx(used["truth_median"], rel=0.4)


@pytest.mark.weights
def test_images_that_hold_nothing(misic):
    segmenter = made()
    assert not segmenter.segment(np.full((20, 30), 7, np.float32)).any()
    with pytest.raises(UnsupportedCaseError, match="1 x 30 px has no shape index"):
        segmenter.segment(np.zeros((1, 30), np.float32))
    assert segmenter.segment(rods((2, 40))[0]).shape == (2, 40)


@pytest.mark.weights
def test_a_grey_image_in_its_files_8_bits_is_segmented_like_its_float32(misic):
    image = (200 - rods((110, 150))[0]).astype(np.uint8)
    segmenter = made(width=8, background="dark")
    found = segmenter.segment(image)
    assert found.max() > 3
    assert np.array_equal(found, segmenter.segment(image.astype(np.float32)))


@pytest.mark.parametrize(("shape", "calls"), [((110, 150), 2), ((150, 230), 3)])
def test_the_network_runs_once_on_an_image_that_was_probed_whole(shape, calls):
    given = []

    def predict(batch):
        given.append(len(batch))
        return np.clip(0.5 + batch[:, 1], 0, 0.9999)

    image, timer = rods(shape)[0], PhaseTimer()
    probed = predict_cells(image, predict, MisicParameters(background="auto"), 9.87, timer)
    assert len(given) == calls
    chosen = MisicParameters(background=probed.background)
    assert np.array_equal(probed.labels, predict_cells(image, predict, chosen, 9.87, timer).labels)
    assert probed.labels.max() > 3


def test_a_network_that_gives_no_numbers_is_an_error_and_no_empty_mask():
    network = MisicNet().eval()
    torch.nn.init.constant_(network.head.bias, float("nan"))
    predict = Predictor(network, "cpu", "float32")
    with pytest.raises(NotFiniteError, match="MiSiC's network gave NaN or infinity in 64 of 64"):
        predict(np.zeros((1, 3, 8, 8), np.float32))


def test_a_file_that_is_not_of_this_network_is_refused(tmp_path):
    path = tmp_path / "other.h5"
    path.write_bytes(b"no HDF5")
    with pytest.raises(ArchitectureError, match=r"'other\.h5' is no Keras file"):
        load_network(path)
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = '{"config": {"layers": []}}'
        file.create_group("model_weights")
    with pytest.raises(ArchitectureError, match="holds 0 layers with weights"):
        load_network(path)


@pytest.mark.weights
def test_another_shape_is_refused_and_named(misic, tmp_path):
    path = tmp_path / "changed.h5"
    path.write_bytes(misic.files["network"].read_bytes())
    with h5py.File(path, "a") as file:
        group = file["model_weights/conv2d_23/conv2d_23"]
        del group["kernel:0"]
        group["kernel:0"] = np.zeros((1, 1, 32, 1), np.float32)
    with pytest.raises(ArchitectureError, match=r"layer 15 has .*\(1, 32, 1, 1\)"):
        load_network(path)


@pytest.mark.weights
def test_values_that_are_no_numbers_are_refused_and_named(misic, tmp_path):
    path = tmp_path / "changed.h5"
    path.write_bytes(misic.files["network"].read_bytes())
    with h5py.File(path, "a") as file:
        file["model_weights/conv2d_23/conv2d_23/bias:0"][...] = np.nan
    with pytest.raises(WeightFileError, match=r"tensor 'head\.bias' holds NaN or infinity"):
        load_network(path)


@pytest.mark.slow
@pytest.mark.weights
def test_bacteria_on_real_images(misic, realdata):
    """What was measured once: 0.7 to 0.95 on phase contrast with the true width."""
    case = next(case for case in realdata.cases if case.experiment == "deepcell-ecoli")
    segmenter = made(width="truth_median")
    segmenter.begin_case(case)
    found = segmenter.segment(model_input(read_image(case.image), "gray_max"))
    assert score_pair(read_label(case.label), found, "strict", 0.5).f1 > 0.7
