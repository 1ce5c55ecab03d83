"""What people do to files, by the command line: the cases that come with the project's sources.

Each kind is tried in full beside its module; here the commands are seen to say it.
"""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from PIL import Image

from cellharness.cli import main
from cellharness.data.images import ImageError, open_image, read_image
from cellharness.scoring import score_folders


def call(*args):
    with pytest.raises(SystemExit) as stopped:
        main([str(arg) for arg in args])
    return stopped.value.code


@pytest.fixture
def given(shared, tmp_path, monkeypatch):
    """Make the files of a case in an empty folder, which becomes the working directory."""

    def make(name):
        script = shared / "cases" / name / "make.py"
        if not script.is_file():
            pytest.skip(f"needs ../shared/cases/{name}, which is not here")
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        runpy.run_path(str(script))

    return make


def discs(count=6, side=20):
    labels = np.zeros((side, side * count), np.uint16)
    for k in range(count):
        labels[4:16, side * k + 4 : side * k + 16] = k + 1
    return labels


@pytest.mark.filterwarnings("ignore")
def test_masks_that_are_no_labels_are_told_of_by_score(given, capsys):
    given("binary_and_wrapped_labels")
    arguments = ("--gt", "gt", "--pred", "pred", "--profile", "challenge")
    assert call("score", *arguments, "--out", "scores.csv") == 0
    said = capsys.readouterr().err
    rows = pd.read_csv("scores.csv").set_index("case")
    for case, words in {
        "pred_binary": "prediction: one id, 255, in 361 pieces: a binary mask, not labels?",
        "gt_binary": "truth: one id, 255, in 361 pieces: a binary mask, not labels?",
        "pred_wrapped": "prediction: the largest id is 255 and 105 ids",
        "both_wrapped": "truth: the largest id is 255 and 105 ids",
    }.items():
        assert f"{case}: {words}" in said
        assert words in rows.loc[case, "remarks"]
    assert rows["f1"].round(3).to_dict() == {
        "both_wrapped": 1.0, "gt_binary": 0.0, "pred_binary": 0.0, "pred_wrapped": 0.828,
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_the_given_images_and_labels(given):
    given("tiff_colour_model")
    with Image.open("im/ref.png") as image:
        reference = np.asarray(image).astype(int)
    for name in ("cmyk", "ycbcr"):
        assert np.abs(read_image(f"im/{name}.tif") - reference).max() <= 2
    with pytest.raises(ImageError, match=r"CIELAB.*save it again as RGB"):
        read_image("im/cielab.tif")
    with Image.open("im/ref_grey.png") as image:
        grey = np.asarray(image)
    np.testing.assert_array_equal(read_image("im/grey_alpha.tif"), grey)
    (told,) = open_image("im/miniswhite.tif").findings
    assert told.code == "min-is-white"
    given("four_channels")
    for name in ("fiji.tif", "ome.ome.tif", "array.npy"):
        with pytest.raises(ImageError, match="the fourth is not declared alpha"):
            read_image(f"im/{name}")
    assert read_image("im/three.tif").shape == (96, 128, 3)
    given("plain_stack")
    assert open_image("im/z3.tif").findings[0].code == "planes"
    for name in ("z4", "z3_said"):
        with pytest.raises(ImageError):
            read_image(f"im/{name}.tif")
    given("palette_float_labels")
    assert score_folders("gt", "pred")["f1"].tolist() == [1.0] * 4
    given("ome_multifile")
    for name, low, high in (
        ("as_saved/s_C0.ome", 3000, 18000), ("as_saved/s_C1.ome", 5000, 5000),
        ("renamed/field1_dapi", 3000, 18000), ("renamed/field1_actin", 5000, 5000),
    ):  # fmt: skip
        pixels = read_image(f"{name}.tif")
        assert (pixels.shape, pixels.min(), pixels.max()) == ((96, 128), low, high)


@pytest.mark.filterwarnings("ignore")
def test_the_given_manifests(given, capsys):
    given("shared_label")
    assert call("data", "validate", "m.csv") == 0
    said = capsys.readouterr().out
    assert "c1 shared-label" in said
    assert "c2 shared-label" in said
    assert call("data", "validate", "m2.csv") == 2
    assert "the label is the image itself" in capsys.readouterr().err
    assert call("data", "validate", "m3.csv") == 0


@pytest.mark.filterwarnings("ignore")
def test_the_given_folders_are_told_in_full(given, capsys):
    given("passed_over")
    call("predict", "--method", "otsu-watershed", "--images", "im", "--out", "masks")
    said = capsys.readouterr().err
    assert "5 files passed over, of a kind that is not read: b.gif, c.webp, d.jp2, e.czi" in said
    call("predict", "--method", "otsu-watershed", "--images", "mixed", "--out", "masks2")
    assert "3 files passed over, saved by Cellpose" in capsys.readouterr().err
    assert [path.name for path in Path("masks2").glob("*.tiff")] == ["a_label.tiff"]
    scores = score_folders("gt", "pred", "strict").set_index("case")
    assert scores["f1"].tolist()[:3] == [1.0, 1.0, 1.0]


def test_score_names_what_it_passes_over(tmp_path, capsys):
    for side in ("gt", "pred"):
        (tmp_path / side).mkdir()
        tifffile.imwrite(tmp_path / side / "a_label.tiff", discs())
    (tmp_path / "pred" / "a_overlay.jpg").write_bytes(b"x")
    (tmp_path / "gt" / "notes.txt").write_text("x")
    arguments = ("--gt", tmp_path / "gt", "--pred", tmp_path / "pred", "--profile", "strict")
    assert call("score", *arguments, "--out", tmp_path / "s.csv") == 0
    said = capsys.readouterr().err
    assert "2 files passed over, of a kind that is not read: notes.txt, a_overlay.jpg" in said


def test_a_run_tells_of_pixels_and_masks_in_row_and_summary(small_manifest, tmp_path, capsys):
    root = small_manifest.parent
    with Image.open(root / "images/case_1.tif") as image:
        array = np.asarray(image)
    tifffile.imwrite(root / "images/case_1.tif", array, photometric="miniswhite")
    masks = tmp_path / "masks"
    masks.mkdir()
    for k in range(6):
        labels = tifffile.imread(root / f"labels/case_{k}_label.tiff")
        binary = k == 2
        np.save(
            masks / f"case_{k}.npy", (labels > 0) * 255 if binary else labels.astype(np.float32)
        )
    (masks / "made.txt").write_text("made by hand")
    config = {
        "name": "told",
        "dataset": {"manifest": str(small_manifest), "splits": ["test"]},
        "methods": [{
            "name": "masks", "method": "precomputed",
            "parameters": {"folder": str(masks), "provenance": str(masks / "made.txt")},
        }],
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    call("run", tmp_path / "config.yaml", "--out", tmp_path / "run")
    said = capsys.readouterr().err
    assert "case_1: image: 0 is white (MinIsWhite)" in said
    assert "masks, case_2: prediction: one id, 1, in 9 pieces: a binary mask" in said
    ledger = pd.read_csv(tmp_path / "run" / "ledger.csv").set_index("case")
    assert "MinIsWhite" in ledger.loc["case_1", "details"]
    assert "one id, 255, in 9 pieces" in ledger.loc["case_2", "details"]
    scores = pd.read_csv(tmp_path / "run" / "scores.csv").set_index("case")
    assert scores.loc[["case_2"], "remarks"].str.contains("binary mask").all()
    assert (scores.drop("case_2")["f1"] == 1).all()
