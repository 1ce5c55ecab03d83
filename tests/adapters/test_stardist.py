"""StarDist: its named models are never replaced, and masks are those of its own library."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import zipfile

import numpy as np
import pytest
import tifffile
from pydantic import ValidationError

from cellharness.data.images import read_image
from cellharness.environments import EnvironmentSource, status_of
from cellharness.errors import MissingDependencyError, UsageError
from cellharness.methods.doctor import examine
from cellharness.methods.registry import build, code_of_ours, environment_source, weight_source
from cellharness.running.predict import predict_folder
from cellharness.weights import WeightsHashError, WeightsUnavailableError

NAMES = ("2D_paper_dsb2018", "2D_versatile_fluo", "2D_versatile_he")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CELLHARNESS_OFFLINE", "1")
    return tmp_path / "cache"


def weights_of(given):
    (found,) = build("stardist", {"weights": str(given)}).weights()
    return found


def make_folder(folder, *names):
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_named_models_are_never_replaced_by_others(cache, name):
    folder = cache / "weights" / name
    with pytest.raises(WeightsUnavailableError, match=f"Put python_{name}.zip .* into '{folder}'"):
        weights_of(name)
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / f"python_{name}.zip", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(WeightsHashError, match=f"expected [0-9a-f]{{64}}.*fetch {name} --force"):
        weights_of(name)


def test_a_named_model_is_taken_out_of_its_archive(cache, monkeypatch):
    source = weight_source("2D_versatile_he")
    source.folder.mkdir(parents=True)
    path = source.folder / "python_2D_versatile_he.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in source.members.values():
            archive.writestr(name, name)
    known = source.archive.known_sha256
    monkeypatch.setitem(known, "archive", hashlib.sha256(path.read_bytes()).hexdigest())
    found = weights_of("2D_versatile_he")
    assert found.files["network"].read_text() == "weights_best.h5"
    assert found.training_data == ("MoNuSeg", "TNBC 2018")
    assert set(found.sha256) == {"config", "thresholds", "network"}


@pytest.mark.parametrize("name", ["2D_demo", "2d_versatile_fluo", "versatile", ""])
def test_other_names_are_refused(cache, name):
    valid = "Valid: 2D_paper_dsb2018, 2D_versatile_fluo, 2D_versatile_he"
    with pytest.raises(UsageError, match=valid):
        weights_of(name)


def test_a_folder_of_a_model_is_read_as_its_training_wrote_it(cache, tmp_path):
    names = ("config.json", "thresholds.json", "weights_best.h5", "weights_last.h5")
    folder = make_folder(tmp_path / "mine", *names)
    found = weights_of(folder)
    assert found.files["network"].name == "weights_best.h5"
    assert found.files["thresholds"].name == "thresholds.json"
    assert weights_of(folder / "weights_last.h5").files["network"].name == "weights_last.h5"
    assert found.sha256["network"] == hashlib.sha256(b"weights_best.h5").hexdigest()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("weights_best.h5",), "holds no config.json"),
        (("config.json",), "no weights_best.h5 and 0 other weight files; give the path"),
        (("config.json", "a.h5", "b.h5"), "2 other weight files: a.h5, b.h5; give the path"),
    ],
)
def test_a_folder_from_which_the_library_would_guess_is_refused(cache, tmp_path, names, message):
    with pytest.raises(WeightsUnavailableError, match=message):
        weights_of(make_folder(tmp_path / "mine", *names))


def test_percentiles_must_rise():
    with pytest.raises((UsageError, ValidationError), match="must rise"):
        build("stardist", {"percentiles": [99, 1]})


def test_in_a_python_without_stardist_it_says_where_it_runs(cache):
    try:
        import stardist  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("stardist is in this Python")
    method = build("stardist", {})
    for look in (method.resolved, method.load):
        with pytest.raises(MissingDependencyError, match=r"environment: stardist"):
            look()
    (told,) = [each for each in examine() if each.subject == "method stardist"]
    assert told.remedy == "cellharness environments create stardist"


@pytest.fixture(scope="module")
def environment() -> EnvironmentSource:
    source = environment_source("stardist")
    if status_of(source) != "ready":
        pytest.skip("needs environment stardist (3 GB): cellharness environments create stardist")
    return source


def there(source, code):
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PATH": "/usr/bin:/bin"}
    subprocess.run([source.python, "-I", "-c", code], check=True, env=quiet, capture_output=True)


@pytest.fixture(scope="module")
def random_models(environment, tmp_path_factory):
    """Folders of seeded random models for 1 and 3 channels, as the library saves them."""
    base = tmp_path_factory.mktemp("models")
    code = f"""
import json, keras
from stardist.models import Config2D, StarDist2D
for channels in (1, 3):
    keras.utils.set_random_seed(channels)
    config = Config2D(n_channel_in=channels, n_rays=32, grid=(2, 2))
    model = StarDist2D(config, name=f"c{{channels}}", basedir={str(base)!r})
    # Random distances are about 0, of which no polygon comes.
    kernel, bias = model.keras_model.get_layer("dist").get_weights()
    model.keras_model.get_layer("dist").set_weights([kernel, bias + 9])
    model.keras_model.save_weights(str(model.logdir / "weights_best.h5"))
    with open(model.logdir / "thresholds.json", "w") as file:
        json.dump({{"prob": 0.5, "nms": 0.3}}, file)
"""
    there(environment, code)
    return base


def write_parts(realdata, folder):
    """A part of a fluorescent and of a stained image, both in colour."""
    folder.mkdir()
    for case in realdata.cases:
        if case.case in ("cell_00001", "cell_00046"):
            pixels = read_image(case.image)[:160, :200]
            tifffile.imwrite(folder / f"{case.case}.tif", pixels, photometric="rgb")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("model", "settings", "library"),
    [
        ("c1", {}, {}),
        (
            "c3",
            {"joint_channels": True, "tiles": [2, 3], "scale": 0.8, "nms_threshold": 0.5},
            {"n_tiles": [2, 3, 1], "scale": 0.8, "nms_thresh": 0.5},
        ),
    ],
)
def test_masks_are_those_of_the_library(
    environment, random_models, realdata, tmp_path, model, settings, library
):
    images = tmp_path / "images"
    write_parts(realdata, images)
    result = predict_folder(
        "stardist",
        images,
        tmp_path / "masks",
        parameters={"weights": str(random_models / model), "device": "cpu", **settings},
        environment="stardist",
    )
    assert result.statuses["stardist"] == {"ok": 2}, result.messages
    code = f"""
import numpy, tifffile
from pathlib import Path
from csbdeep.utils import normalize
from skimage.color import rgb2gray
from stardist.models import StarDist2D
model = StarDist2D(None, name={model!r}, basedir={str(random_models)!r})
for path in Path({str(images)!r}).glob("*.tif"):
    image = tifffile.imread(path)
    if model.config.n_channel_in == 1:
        image = normalize(rgb2gray(image.astype("float32")), 1, 99.8, axis=(0, 1))
    else:
        image = normalize(image, 1, 99.8, axis=(0, 1, 2))
    labels, _ = model.predict_instances(image, **{library!r})
    numpy.save(Path({str(tmp_path)!r}) / f"{{path.stem}}.npy", labels)
"""
    there(environment, code)
    for name in ("cell_00001", "cell_00046"):
        ours = tifffile.imread(tmp_path / "masks" / f"{name}_label.tiff")
        assert len(np.unique(ours)) > 3
        # A polygon under others leaves a gap in the library's numbers, which are closed here.
        _, numbered = np.unique(np.load(tmp_path / f"{name}.npy"), return_inverse=True)
        np.testing.assert_array_equal(ours, numbered.reshape(ours.shape))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_is_not_the_model_is_refused(environment, random_models, tmp_path):
    code = f"""
import json, sys
from pathlib import Path
sys.path[:0] = {[str(place.parent.parent) for place in code_of_ours().values()]!r}
import h5py
from cellharness.methods.timing import PhaseTimer
from cellharness.weights import WeightFileError
from cellharness_adapters.stardist.network import load_model
from cellharness_adapters.stardist.weights import resolve
good, folder = Path({str(random_models / "c1")!r}), Path({str(tmp_path)!r}) / "changed"
folder.mkdir()
config = json.loads((good / "config.json").read_text())
weights = (good / "weights_best.h5").read_bytes()
def attempt(config, weights, spoil=False):
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "weights_best.h5").write_bytes(weights)
    if spoil:
        with h5py.File(folder / "weights_best.h5", "r+") as file:
            found = []
            file.visititems(lambda _, each: found.append(each) if hasattr(each, "shape") else None)
            found[-1][...] = float("nan")
    try:
        load_model(resolve(str(folder)), PhaseTimer())
    except WeightFileError as error:
        return str(error)
    return "taken"
said = [
    attempt(config, weights),
    attempt(config, weights[: len(weights) // 2]),
    attempt({{**config, "unet_n_depth": 2}}, weights),
    attempt({{**config, "n_dim": 3}}, weights),
    attempt({{**config, "n_rays": -1}}, weights),
    attempt(config, weights, spoil=True),
]
Path({str(tmp_path)!r}, "said.json").write_text(json.dumps(said))
"""
    there(environment, code)
    expected = (
        "^taken$",
        "is damaged",
        "does not fit the network",
        "for 3 dimensions",
        "no network can be built",
        "NaN or infinity",
    )
    said = json.loads((tmp_path / "said.json").read_text())
    for pattern, message in zip(expected, said, strict=True):
        assert re.search(pattern, message), message


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_odd_images(environment, random_models, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    tifffile.imwrite(images / "flat.tif", np.full((40, 50), 7, np.uint8))
    tifffile.imwrite(images / "row.tif", noise[:1, :, 0])
    tifffile.imwrite(images / "dot.tif", noise[:2, :2, 0])
    tifffile.imwrite(images / "colour.tif", noise, photometric="rgb")
    parameters = {"weights": str(random_models / "c1"), "device": "cpu"}
    result = predict_folder(
        "stardist", images, tmp_path / "one", parameters=parameters, environment="stardist"
    )
    # Of what little there is random weights may make no cell.
    statuses = result.statuses["stardist"]
    assert statuses["ok"] + statuses["empty"] == 4, result.messages
    assert not tifffile.imread(tmp_path / "one" / "flat_label.tiff").any()
    parameters["weights"] = str(random_models / "c3")
    result = predict_folder(
        "stardist", images, tmp_path / "three", parameters=parameters, environment="stardist"
    )
    assert result.statuses["stardist"]["unsupported"] == 3, result.messages
    assert "for 3 channels" in result.messages["stardist"]
