"""An image segmented by tiles has the cells of the image in one piece: on real images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cellharness.api import predict
from cellharness.config.run import RunConfig, TilesConfig, tiles_of
from cellharness.data.images import model_input, read_label
from cellharness.data.manifest import Case
from cellharness.errors import UsageError
from cellharness.methods.base import BaseSegmenter, MethodInfo, UnsupportedCaseError
from cellharness.methods.registry import build
from cellharness.running.by_tiles import segment_by_tiles
from cellharness.running.identity import prediction_identity
from cellharness.running.labels import check_labels
from cellharness.running.plan import make_plan
from tiled_both_ways import both_ways, equal_share, mosaic


@pytest.mark.parametrize("modality", ["Fluorescent", "Brightfield"])
def test_the_classical_method_finds_the_same_cells(modality, realdata, tmp_path):
    segmenter = build("otsu-watershed", {})
    pixels = mosaic(realdata, modality, 2, 400)
    tiles = TilesConfig(size=300, overlap=128)
    whole, found, made = both_ways(segmenter, pixels, tiles, tmp_path)
    assert whole.max() > 100
    assert equal_share(whole, found) >= 0.995
    assert equal_share(found, whole) >= 0.995
    assert made.details["tiles"]["cut"] == 0
    # The next image in one piece has its own threshold again.
    np.testing.assert_array_equal(
        check_labels(segmenter.segment(model_input(pixels, "gray_max")), pixels.shape), whole
    )


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize("diameter", [30, 45.5])
def test_cellpose_finds_the_same_cells(diameter, realdata, tmp_path):
    segmenter = build("cellpose", {"weights": "cyto", "diameter": diameter})
    segmenter.load()
    pixels = mosaic(realdata, "Fluorescent", 2, 400)
    tiles = TilesConfig(size=384, overlap=160)
    whole, found, made = both_ways(segmenter, pixels, tiles, tmp_path)
    assert whole.max() > 100
    assert equal_share(whole, found) >= 0.995
    assert equal_share(found, whole) >= 0.995
    assert made.details["tiles"]["cut"] == 0
    assert made.details["diameter"] == diameter


@pytest.mark.weights
@pytest.mark.slow
def test_cellpose_estimates_the_same_diameter(realdata, tmp_path):
    segmenter = build("cellpose", {"weights": "cyto", "diameter": "estimate"})
    segmenter.load()
    pixels = mosaic(realdata, "Fluorescent", 2, 400)
    tiles = TilesConfig(size=512, overlap=256)
    whole, found, made = both_ways(segmenter, pixels, tiles, tmp_path)
    assert whole.max() > 100
    segmenter.segment(model_input(pixels, "gray_max"))
    expected = segmenter.details()
    assert made.details["diameter_from_style"] == pytest.approx(
        expected["diameter_from_style"], rel=1e-5
    )
    assert made.details["diameter"] == pytest.approx(expected["diameter"], rel=1e-4)
    assert equal_share(whole, found) >= 0.995
    assert equal_share(found, whole) >= 0.995


class Alone(BaseSegmenter):
    """Looks at no whole image; its labels are what is brighter than the mean."""

    info = MethodInfo(summary="", licence="")

    def segment(self, image):
        return (image > image.mean()).astype(np.uint8)

    def details(self):
        return {"same": 1, "remark": "seen"}


def test_a_method_that_looks_at_no_whole_image_is_remarked_on(tmp_path):
    pixels = np.zeros((100, 200), np.uint8)
    pixels[20:30, 10:20] = pixels[40:60, 150:160] = 200
    np.save(tmp_path / "a.npy", pixels)
    case = Case("a", tmp_path / "a.npy", None, None, "", "folder", "folder", "")
    made = segment_by_tiles(
        Alone(), case, "gray", TilesConfig(size=128, overlap=32), 0, tmp_path / "m.tiff"
    )
    assert made.details["remark"] == "seen; each tile was segmented as an image by itself"
    assert made.details["same"] == 1
    assert (made.cells, made.pixels, made.details["tiles"]["count"]) == (2, 20_000, 2)


def test_masks_of_whole_images_are_not_cut_into_tiles(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((100, 100), np.uint8))
    case = Case("a", tmp_path / "a.npy", None, None, "", "folder", "folder", "")
    segmenter = build("precomputed", {"folder": str(tmp_path), "provenance": "drawn"})
    with pytest.raises(UnsupportedCaseError, match="whole images"):
        segment_by_tiles(segmenter, case, "gray", TilesConfig(), 0, tmp_path / "m.tiff")


def test_a_folder_is_predicted_by_tiles(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 30, (300, 300)).astype(np.uint8)
    for top, left in np.ndindex(9, 9):
        pixels[top * 32 + 8 : top * 32 + 24, left * 32 + 8 : left * 32 + 24] += 150
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images" / "a.npy", pixels)
    for name, tile in (("whole", None), ("tiles", 128)):
        result = predict("otsu-watershed", tmp_path / "images", tmp_path / name, tile=tile)
        assert dict(result.statuses["otsu-watershed"]) == {"ok": 1}
    whole, found = (read_label(tmp_path / name / "a_label.tiff") for name in ("whole", "tiles"))
    assert whole.max() == found.max() == 81
    assert equal_share(whole, found) == 1
    note = json.loads((tmp_path / "tiles" / "provenance.json").read_text())
    assert note["tiles"] == {"size": 128, "overlap": 64}
    assert note["images"]["a"]["tiles"]["count"] == 16


def test_tiles_that_cannot_be_are_refused(tmp_path):
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images" / "a.npy", np.zeros((90, 90), np.uint8))
    asked = ("otsu-watershed", tmp_path / "images", tmp_path / "out")
    with pytest.raises(UsageError, match="choose from 0 to 64"):
        predict(*asked, tile=128, tile_overlap=100)
    with pytest.raises(UsageError, match="greater than or equal to 64"):
        predict(*asked, tile=20)
    with pytest.raises(UsageError, match="needs their size"):
        predict(*asked, tile_overlap=20)
    with pytest.raises(UsageError, match="leave one out"):
        predict("cellpose", *asked[1:], parameters={"weights": "cyto"}, tile=128, flows=True)
    theirs = {"folder": str(tmp_path), "provenance": "drawn"}
    with pytest.raises(UsageError, match="whole images only"):
        predict("precomputed", *asked[1:], parameters=theirs, tile=128)
    assert tiles_of(100).overlap == 50


def test_a_configuration_takes_tiles_for_all_methods_and_for_one():
    config = RunConfig.model_validate(
        {
            "name": "a",
            "dataset": {"phantom": {}},
            "tiles": {"size": 1024, "overlap": 100},
            "methods": [
                {"name": "one", "method": "otsu-watershed"},
                {"name": "two", "method": "otsu-watershed", "tiles": {"size": 512}},
            ],
        }
    )
    plans = [make_plan(config, method, Path("run"), {}) for method in config.methods]
    assert [plan.spec.tiles.size for plan in plans] == [1024, 512]
    assert [plan.record().tiles["overlap"] for plan in plans] == [100, 256]
    # Tiles are part of what a mask depends on; without any it has the identity that it always had.
    case = Case("a", Path("a.npy"), None, None, "", "folder", "folder", "")
    pieces = [*plans, replace(plans[0], spec=replace(plans[0].spec, tiles=None))]
    assert len({prediction_identity(plan, case, "0") for plan in pieces}) == 3
    assert (config.tiles.size, config.methods[1].tiles.size) == (1024, 512)
    assert config.methods[0].tiles is None
