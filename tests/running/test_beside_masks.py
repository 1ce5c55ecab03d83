"""What `predict` writes beside masks on request: overlays, what the network gave, a table."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from cellharness.data.network_maps import read_maps
from cellharness.errors import UsageError
from cellharness.files import hash_file
from cellharness.own_files import MASK_LIST, MASK_LOCK
from cellharness.running.mask_counts import median_diameter
from cellharness.running.overlay import draw_overlay
from cellharness.running.own_masks import Beside, ForeignMasksError
from cellharness.running.predict import predict_folder

ALL = Beside(overlays=True, flows=True, counts=True)
DRAWN = Beside(overlays=True, counts=True)

# Two maps of each image, a third that depends on how it is called, and one cell in a bright image.
MAPPED = """
    import numpy as np
    from cellharness.methods.base import BaseSegmenter, MethodInfo, Parameters

    class Given(Parameters):
        name: str = "probability"
        rows: int = 0

    class Mapped(BaseSegmenter):
        info = MethodInfo(summary="Gives maps.", licence="MIT", maps=("distance", "probability"))
        Parameters = Given

        def segment(self, image):
            if self.maps is not None and image.any():
                self.maps["distance"] = image * 2
                self.maps[self.parameters.name] = image[self.parameters.rows:] / 255
            return (image > 0).astype("uint8")
"""


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(2):
        np.save(folder / f"i{number}.npy", np.pad(np.full((9, 9), 200, np.uint8), 5))
    np.save(folder / "black.npy", np.zeros((19, 19), np.uint8))
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def mapped(installed):
    installed(MAPPED, {"cellharness.methods": {"mapped": "Mapped"}})
    return "mapped"


def names(out):
    return {path.name for path in out.iterdir()}


def table(out):
    with (out / "counts.csv").open(newline="") as file:
        return {row.pop("image"): row for row in csv.DictReader(file)}


def test_every_image_has_a_row_and_every_mask_an_overlay(images, tmp_path):
    out = tmp_path / "masks"
    predict_folder("dummy-threshold", images, out, beside=DRAWN)
    rows = table(out)
    assert rows["i0.npy"] == {
        "cells": "1",
        "median_diameter_px": f"{2 * math.sqrt(81 / math.pi):.6g}",
        "covered_share": f"{81 / 19**2:.6g}",
        "status": "ok",
        "remark": "",
    }
    assert list(rows["black.npy"].values()) == ["0", "", "0", "empty", ""]
    broken = rows["broken.png"]
    assert [broken["cells"], broken["covered_share"], broken["status"]] == ["", "", "error"]
    assert "neither png nor jpeg" in broken["remark"]
    overlays = {f"{stem}_overlay.png" for stem in ("i0", "i1", "black")}
    assert {name for name in names(out) if name.endswith(".png")} == overlays
    listed = dict(
        reversed(line.split("  "))
        for line in (out / MASK_LIST).read_text().splitlines()
        if line[0] != "#"
    )
    assert {*overlays, "counts.csv"} <= set(listed)
    assert all(hash_file(out / name) == sha256 for name, sha256 in listed.items())


def test_outlines_stand_out_from_black_white_and_grey():
    labels = np.zeros((60, 60), np.uint8)
    labels[10:30, 10:30], labels[30:50, 10:30] = 1, 2
    for level in (0, 128, 255):
        image = np.full((60, 60), level, np.uint8)
        image[0, :2] = 0, 255  # the range that is stretched
        picture = draw_overlay(image, labels).astype(int)
        times = len(picture) // 60
        assert times == 2  # 22 px wide cells are enlarged to more than 32 px
        line = picture[20 * times, : 16 * times]
        brightness = line.sum(axis=-1) / 3
        assert np.ptp(brightness) > 150
        # Nothing is drawn but near outlines.
        inside = picture[20 * times, 20 * times]
        outside = picture[5 * times, 5 * times]
        assert (inside == inside[0]).all()
        assert (inside == outside).all()
    # Cells that touch are parted.
    between = picture[30 * times, 20 * times]
    assert between.tolist() == [240, 228, 66]


def test_an_overlay_shows_colours_that_the_method_was_given():
    image = np.zeros((40, 40, 3), np.uint8)
    image[..., 1] = np.arange(40)[:, None] * 5
    picture = draw_overlay(image, np.zeros((40, 40), np.uint8))
    assert picture.shape == image.shape
    assert picture[-1, 0, 1] == 255
    assert not picture[..., (0, 2)].any()


def test_the_median_diameter_is_that_of_a_disc():
    labels = np.zeros((50, 100), np.uint16)
    rows, columns = np.ogrid[:50, :100]
    labels[(rows - 25) ** 2 + (columns - 25) ** 2 <= 100] = 1
    labels[(rows - 25) ** 2 + (columns - 70) ** 2 <= 100] = 3
    assert median_diameter(labels) == pytest.approx(20, abs=0.3)
    assert median_diameter(np.zeros((4, 4), np.uint8)) is None


def test_flows_are_what_the_network_gave(images, tmp_path, mapped):
    out = tmp_path / "masks"
    predict_folder(mapped, images, out, beside=ALL)
    maps = read_maps(out / "i1_flows.tiff")
    image = np.load(images / "i1.npy")
    assert list(maps) == ["distance", "probability"]
    np.testing.assert_array_equal(maps["distance"], image * np.float32(2))
    assert maps["probability"].dtype == np.float32
    assert not (out / "broken_flows.tiff").exists()
    # Of this one the method had none, and the table says so.
    assert not (out / "black_flows.tiff").exists()
    assert table(out)["black.npy"]["remark"] == "no flows: the network was not run"


@pytest.mark.parametrize("parameters", [{"name": "other"}, {"rows": 3}])
def test_maps_that_are_not_as_declared_fail_the_image(images, tmp_path, mapped, parameters):
    out = tmp_path / "masks"
    result = predict_folder(mapped, images, out, parameters=parameters, beside=ALL)
    assert result.statuses[mapped] == {"error": 3, "empty": 1}
    assert "it declares distance, probability" in table(out)["i0.npy"]["remark"]
    assert not (out / "i0_label.tiff").exists()
    # Who asks for none is not troubled.
    result = predict_folder(mapped, images, out, parameters=parameters)
    assert result.statuses[mapped] == {"ok": 2, "empty": 1, "error": 1}


def test_flows_of_a_method_without_any_are_refused_before_anything_is_written(images, tmp_path):
    with pytest.raises(UsageError, match=r"'otsu-watershed' keeps no flows") as refused:
        predict_folder("otsu-watershed", images, tmp_path / "masks", beside=ALL)
    assert not (tmp_path / "masks").exists()
    for name in ("cellpose", "cellpose2", "kit-ge", "misic", "omnipose"):
        assert name in str(refused.value)
    assert "dummy" not in str(refused.value)


@pytest.mark.parametrize("name", ["counts.csv", "i1_overlay.png", "i0_flows.tiff"])
def test_files_of_others_are_in_the_way_only_of_what_is_asked_for(images, tmp_path, mapped, name):
    out = tmp_path / "masks"
    out.mkdir()
    (out / name).write_text("by hand")
    predict_folder(mapped, images, out)
    assert (out / name).read_text() == "by hand"
    before = names(out)
    with pytest.raises(ForeignMasksError, match=name):
        predict_folder(mapped, images, out, beside=ALL)
    assert (out / name).read_text() == "by hand"
    assert names(out) == before
    predict_folder(mapped, images, out, beside=ALL, overwrite=True)
    assert (out / name).read_bytes() != b"by hand"
    predict_folder(mapped, images, out, beside=ALL)


def test_what_lies_beside_a_mask_does_not_outlive_it(images, tmp_path, mapped):
    out = tmp_path / "masks"
    predict_folder(mapped, images, out, beside=ALL)
    (out / "i1_overlay.png").write_text("drawn on")
    predict_folder("dummy-threshold", images, out)
    left = {name for name in names(out) if name.endswith((".png", "_flows.tiff", ".csv"))}
    assert left == {"i1_overlay.png"}


def test_masks_and_overlays_beside_the_images_are_no_images(images, mapped):
    (images / "broken.png").unlink()
    for _ in range(2):
        result = predict_folder(mapped, images, images, beside=ALL)
        assert sum(result.statuses[mapped].values()) == 3
    assert Image.open(images / "i0_overlay.png").size == (19 * 4, 19 * 4)


def test_what_a_kill_came_upon_is_ours(images, tmp_path, mapped):
    out = tmp_path / "masks"
    predict_folder(mapped, images, out, beside=ALL)
    lines = (out / MASK_LIST).read_text().splitlines()
    last = max(i for i, line in enumerate(lines) if line == "# writing i1_flows.tiff")
    assert lines[last - 1] == "# writing i1_label.tiff"
    (out / MASK_LIST).write_text("\n".join(lines[: last + 1]) + "\n")
    for name in ("counts.csv", "i1_overlay.png"):
        (out / name).unlink()
    predict_folder(mapped, images, out, beside=ALL)


def test_two_calls_into_one_folder_are_kept_apart(images, tmp_path):
    out = tmp_path / "masks"
    predict_folder("dummy-threshold", images, out)
    # What a call that is busy has written and not listed yet.
    (out / "i0_label.tiff").write_bytes(b"being written")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with (
        FileLock(out / MASK_LOCK),
        pytest.raises(UsageError, match=r"another `cellharness predict` is busy in .*masks'"),
    ):
        predict_folder("dummy-empty", images, out, overwrite=True)
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.name in before} == before
    predict_folder("dummy-empty", images, out, overwrite=True)
