"""Cellpose-SAM: names, messages and, where Cellpose 4 is built, the masks of its library."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
import tifffile
import torch

from cellharness.cli import main
from cellharness.environments import EnvironmentSource, status_of
from cellharness.errors import MissingDependencyError, UsageError
from cellharness.methods.doctor import examine
from cellharness.methods.registry import build, environment_source, weight_source
from cellharness.running.predict import predict_folder
from cellharness.weights import WeightsHashError, WeightsUnavailableError
from drawn_case import draw_case

NAMES = ("cpsam_v2", "cpsam", "cpdino", "cpdino-vitb")


@pytest.fixture
def models(tmp_path, monkeypatch):
    """The library's own folder of models, which is empty; no network."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(folder))
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CELLHARNESS_OFFLINE", "1")
    return folder


def test_the_default_is_the_librarys():
    assert build("cellpose-sam", {}).parameters.weights == "cpsam_v2"


@pytest.mark.parametrize("name", NAMES)
def test_named_weights_are_never_replaced_by_others(models, name):
    method = build("cellpose-sam", {"weights": name})
    (models / next(other for other in NAMES if other != name)).write_bytes(b"another")
    with pytest.raises(WeightsUnavailableError, match=f"Put {name} .* into '{models}'"):
        method.weights()
    (models / name).write_bytes(b"not it")
    with pytest.raises(WeightsHashError, match=f"expected [0-9a-f]{{64}}.*fetch {name} --force"):
        method.weights()


@pytest.mark.parametrize("name", ["cyto3", "cpsam_v3", "CPSAM", ""])
def test_other_names_are_refused(models, name):
    # The library would take its default for each of them.
    with pytest.raises(UsageError, match="Valid: cpdino, cpdino-vitb, cpsam, cpsam_v2"):
        build("cellpose-sam", {"weights": name}).weights()


def test_a_file_of_the_librarys_folder_is_found_by_name(models):
    (models / "mine").write_bytes(b"x")
    (found,) = build("cellpose-sam", {"weights": "mine"}).weights()
    assert found.files["network"] == models / "mine"


def test_in_a_python_without_cellpose_4_it_says_where_it_runs(models, capsys):
    pytest.importorskip("cellpose", reason="needs the extra 'cellpose'")
    method = build("cellpose-sam", {})
    for look in (method.resolved, method.load):
        with pytest.raises(MissingDependencyError, match=r"cellpose 3.*environment: cellpose4"):
            look()
    (told,) = [each for each in examine() if each.subject == "method cellpose-sam"]
    assert told.ok is None
    assert told.remedy == "cellharness environments create cellpose4"
    assert "absent" in told.state
    with pytest.raises(SystemExit):
        main(["methods", "cellpose-sam"])
    assert "environment: cellpose4" in capsys.readouterr().out


def test_a_half_made_environment_is_to_be_mended(models):
    source = environment_source("cellpose4")
    source.folder.mkdir(parents=True)
    source.note.write_text('{"environment": "cellpose4", "status": "building"}')
    (told,) = [each for each in examine() if each.subject == "method cellpose-sam"]
    assert told.ok is False
    assert told.remedy.endswith("create cellpose4 --overwrite")


def test_cyto3_has_a_known_hash(models):
    source = weight_source("cyto3")
    for name in source.file_names.values():
        (models / name).write_bytes(b"not it")
    with pytest.raises(WeightsHashError, match="expected 2dc3087a8abd7da4"):
        source.locate()
    with pytest.raises(WeightsHashError, match="expected 2dc3087a8abd7da4"):
        build("cellpose", {"weights": "cyto3"}).weights()


@pytest.fixture(scope="module")
def cellpose4() -> EnvironmentSource:
    source = environment_source("cellpose4")
    if status_of(source) != "ready":
        pytest.skip("needs environment cellpose4 (6 GB): cellharness environments create cellpose4")
    return source


def write_random_weights(source, path):
    """Write seeded weights of the real network, as its authors' files are: without diameters."""
    code = f"""
import torch
from cellpose.vit import CPSAM
torch.manual_seed(0)
state = CPSAM().state_dict()
torch.save({{k: v for k, v in state.items() if not k.startswith("diam")}}, {str(path)!r})
"""
    subprocess.run([source.python, "-I", "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_masks_are_those_of_the_library(cellpose4, tmp_path):
    weights, images = tmp_path / "random.pt", tmp_path / "images"
    write_random_weights(cellpose4, weights)
    images.mkdir()
    image, _ = draw_case(np.random.default_rng(0), (128, 160))
    tifffile.imwrite(images / "one.tif", image)
    # Random weights find nothing at the usual thresholds.
    found = {"cellprob_threshold": -6.0, "flow_threshold": 0.0}
    settings = {"weights": str(weights), "precision": "float32", "device": "cpu", **found}
    result = predict_folder(
        "cellpose-sam", images, tmp_path / "masks", parameters=settings, environment="cellpose4"
    )
    assert result.statuses["cellpose-sam"] == {"ok": 1}
    code = f"""
import numpy, tifffile, torch
from cellpose.models import CellposeModel
model = CellposeModel(
    device=torch.device("cpu"), pretrained_model={str(weights)!r}, use_bfloat16=False
)
labels = model.eval(tifffile.imread({str(images / "one.tif")!r}), **{found!r})[0]
numpy.save({str(tmp_path / "library.npy")!r}, labels)
"""
    subprocess.run([cellpose4.python, "-I", "-c", code], check=True)
    ours = tifffile.imread(tmp_path / "masks" / "one_label.tiff")
    assert ours.any()
    np.testing.assert_array_equal(ours, np.load(tmp_path / "library.npy"))

    # What lacks a tensor is refused; the library would leave it as it comes.
    state = torch.load(weights, weights_only=True)
    del state["encoder.blocks.7.mlp.lin1.weight"]
    torch.save(state, weights)
    with pytest.raises(UsageError, match=r"encoder.blocks.7.mlp.lin1.weight is missing"):
        predict_folder(
            "cellpose-sam", images, tmp_path / "out", parameters=settings, environment="cellpose4"
        )


@pytest.mark.slow
def test_weights_of_cellpose_3_are_told_by_name(cellpose4, cyto, tmp_path):
    from cellharness_adapters.cellpose.network import load_network

    network = load_network(cyto.files["network"], 27.0)
    torch.save(network.state_dict(), tmp_path / "three.pt")
    images = tmp_path / "images"
    images.mkdir()
    tifffile.imwrite(images / "one.tif", np.zeros((64, 64), np.uint8))
    with pytest.raises(UsageError, match=r"holds the usual network of Cellpose 1 to 3.*cellpose"):
        predict_folder(
            "cellpose-sam",
            images,
            tmp_path / "out",
            parameters={"weights": str(tmp_path / "three.pt")},
            environment="cellpose4",
        )
