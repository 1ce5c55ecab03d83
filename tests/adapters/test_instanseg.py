"""InstanSeg: masks of a small random model are those of its own library."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cellharness.data.images import read_image
from cellharness.errors import UsageError
from cellharness.methods.base import UnsupportedCaseError
from cellharness.methods.registry import build, built_in_weights
from cellharness.weights import WeightFileError, WeightsHashError, WeightsUnavailableError

NAMES = ("brightfield_nuclei", "fluorescence_nuclei_and_cells", "single_channel_nuclei")
#: Random weights find little at the thresholds of trained ones.
LOW = {"seed_threshold": 0.4, "mask_threshold": 0.4}


@pytest.mark.parametrize("name", NAMES)
def test_named_models_say_where_to_get_them(tmp_path, monkeypatch, name):
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path))
    monkeypatch.setenv("CELLHARNESS_OFFLINE", "1")
    folder = tmp_path / "weights" / name
    with pytest.raises(WeightsUnavailableError, match=f"Put {name}.zip .* into '{folder}'"):
        build("instanseg", {"weights": name}).weights()


def test_the_archive_of_a_known_hash_must_have_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path))
    source = built_in_weights()["single_channel_nuclei"]()
    source.folder.mkdir(parents=True)
    (source.folder / "single_channel_nuclei.zip").write_bytes(b"PK")
    with pytest.raises(WeightsHashError, match="expected 6bc2e4cd8acd9bea"):
        source.locate()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """TorchScript of small seeded models, made as the library exports its own."""
    loader = pytest.importorskip("instanseg.utils.model_loader", reason="needs extra 'instanseg'")
    from instanseg.utils.loss.instanseg_loss import InstanSeg as Loss
    from instanseg.utils.loss.instanseg_loss import InstanSeg_Torchscript

    folder = tmp_path_factory.mktemp("instanseg")
    for name, both in (("nuclei", False), ("both", True)):
        shape = {"cells_and_nuclei": both, "n_sigma": 2, "dim_coords": 2, "dim_seeds": 1}
        other = {"dim_in": 3, "multihead": False, "layers": [16, 8], "norm": "BATCH"}
        network = loader.build_model_from_dict(
            {"model_str": "InstanSeg_UNet", **shape, **other}, random_seed=0
        )
        network = Loss(device="cpu", **shape).initialize_pixel_classifier(network)
        del shape["dim_seeds"], shape["dim_coords"]
        script = InstanSeg_Torchscript(network, pixel_size=0.5, backbone_dim_in=3, **shape)
        torch.jit.save(torch.jit.script(script), folder / f"{name}.pt")
    return folder


def loaded(path, **settings):
    method = build("instanseg", {"weights": str(path), "device": "cpu", **settings})
    method.load()
    return method


@pytest.fixture
def part(realdata):
    (case,) = [each for each in realdata.cases if each.case == "cell_00001"]
    return np.ascontiguousarray(read_image(case.image)[:120, :150])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("model", "settings", "target", "pixel_size"),
    [
        ("nuclei", {}, "all_outputs", None),
        ("both", {"target": "nuclei", "pixel_size": 0.4}, "nuclei", 0.4),
        ("both", {"target": "cells", "pixel_size": 0.5}, "cells", 0.5),
    ],
)
def test_masks_are_those_of_the_library(models, part, model, settings, target, pixel_size):
    from instanseg import InstanSeg

    method = loaded(models / f"{model}.pt", **LOW, **settings)
    ours = method.segment(part)
    library = InstanSeg(torch.jit.load(models / f"{model}.pt"), device="cpu", verbosity=0)
    theirs = library.eval_small_image(
        part.copy(), pixel_size, return_image_tensor=False, target=target, **LOW
    )
    assert ours.shape == part.shape[:2]
    assert ours.any()
    np.testing.assert_array_equal(ours, theirs[0, 0].numpy())
    assert method.details() == {"device": "cpu", "model_pixel_size": 0.5}
    assert method.segment(np.full((40, 50, 3), 7, np.uint8)).max() == 0
    assert "flat" in method.details()["remark"]


@pytest.mark.filterwarnings("ignore")
def test_large_images_are_tiled_as_the_library_does(models, part):
    method = loaded(models / "nuclei.pt", **LOW)
    method._model.small_image_threshold = 1
    theirs = method._model.eval_medium_image(part.copy(), None, return_image_tensor=False, **LOW)
    np.testing.assert_array_equal(method.segment(part), theirs[0, 0].numpy())


@pytest.mark.filterwarnings("ignore")
def test_images_that_a_model_is_not_for_are_unsupported(models, part):
    method = loaded(models / "nuclei.pt")
    with pytest.raises(UnsupportedCaseError, match=r"for 3 channels.* with 1; .*input: gray"):
        method.segment(part[..., 0])
    with pytest.raises(UnsupportedCaseError, match="9 x 150 px is too small"):
        method.segment(part[:9])


@pytest.mark.filterwarnings("ignore")
def test_what_is_no_model_of_instanseg_is_refused(models, tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "state.pt")
    with pytest.raises(WeightFileError, match=r"is no TorchScript model.*give the instanseg.pt"):
        loaded(tmp_path / "state.pt")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "linear.pt")
    with pytest.raises(WeightFileError, match="another model than InstanSeg: it has no pixel_size"):
        loaded(tmp_path / "linear.pt")
    spoiled = torch.jit.load(models / "nuclei.pt")
    with torch.no_grad():
        next(spoiled.parameters())[0] = float("nan")
    torch.jit.save(spoiled, tmp_path / "nan.pt")
    with pytest.raises(UsageError, match="NaN"):
        loaded(tmp_path / "nan.pt")
