"""A manifest of one's own photos and labels in one command."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from cellharness.data.manifest import Manifest, ManifestError
from cellharness.data.own_images import new_manifest
from cellharness.errors import UsageError


@pytest.fixture
def folder(tmp_path):
    for name in ("plate1_a", "plate1_b", "plate2_a"):
        for place, ending in (("photos", ".tif"), ("masks", "_label.tif")):
            path = tmp_path / place / f"{name}{ending}"
            path.parent.mkdir(exist_ok=True)
            tifffile.imwrite(path, np.ones((8, 9), np.uint8))
    return tmp_path


def test_images_and_labels_are_paired_and_experiments_found(folder):
    (folder / "photos" / "notes.txt").write_text("mine")
    (folder / "masks" / "lone_label.tif").write_bytes(b"")
    out = folder / "manifest.csv"
    answer = new_manifest(
        folder / "photos", folder / "masks", out, modality="phase", experiment_from=r"^(plate\d)_"
    )
    cases = Manifest.read(out).cases
    assert [case.case for case in cases] == ["plate1_a", "plate1_b", "plate2_a"]
    assert [case.experiment for case in cases] == ["plate1", "plate1", "plate2"]
    assert {case.modality for case in cases} == {"Phase-contrast"}
    assert all(case.label.name == f"{case.case}_label.tif" for case in cases)
    assert all(len(case.sha256) == 64 for case in cases)
    told = " ".join(answer.notes)
    assert "notes.txt" in told
    assert "lone_label.tif" in told


def test_one_folder_may_hold_both(folder):
    for path in (folder / "masks").iterdir():
        path.rename(folder / "photos" / path.name)
    out = folder / "photos" / "manifest.csv"
    cases = new_manifest(folder / "photos", folder / "photos", out).manifest.cases
    assert len(cases) == 3
    assert all(case.label is not None for case in cases)
    assert {case.experiment for case in cases} == {""}


def test_all_faults_are_told_at_once_and_nothing_is_written(folder):
    out = folder / "photos" / "manifest.csv"
    with pytest.raises(UsageError) as raised:
        new_manifest(
            folder / "photos", folder / "mask", out, modality="fase", experiment_from="plate("
        )
    message = str(raised.value)
    for part in ("no folder", "unknown modality 'fase'", "no regular expression", "--out"):
        assert part in message
    assert not out.exists()
    with pytest.raises(UsageError, match=r"finds nothing in 'plate2_a.tif'"):
        new_manifest(
            folder / "photos", folder / "masks", folder / "m.csv", experiment_from="plate1"
        )


def test_labels_are_found_by_the_rules_of_all_folders(folder):
    photos, masks = folder / "photos", folder / "masks"
    (photos / "plate1_a.tif").rename(photos / "zelle_\u00f6.tif")
    (masks / "plate1_a_label.tif").rename(masks / "zelle_o\u0308_gt.tif")
    (masks / "plate1_b_label.tif").rename(masks / "plate1_b_seg.npy")
    for name in ("plate1_b_outlines.png", "plate1_b_cp_output.png"):
        (photos / name).write_bytes(b"x")
    cases = new_manifest(photos, masks, folder / "manifest.csv").manifest.cases
    assert [(case.case, case.label.name) for case in cases] == [
        ("plate1_b", "plate1_b_seg.npy"),
        ("plate2_a", "plate2_a_label.tif"),
        ("zelle__", "zelle_o\u0308_gt.tif"),
    ]


def test_two_labels_of_one_image_are_refused_before_anything_is_hashed(folder):
    (folder / "masks" / "plate1_a_gt.tif").write_bytes(b"x")
    hashed = []
    with pytest.raises(UsageError) as raised:
        new_manifest(
            folder / "photos",
            folder / "masks",
            folder / "manifest.csv",
            experiment_from="plate1",
            progress=lambda *done: hashed.append(done),
        )
    assert "two files for the case 'plate1_a'; keep one" in str(raised.value)
    assert "finds nothing in 'plate2_a.tif'" in str(raised.value)
    assert hashed == []


def test_it_is_made_again_but_not_over_a_list_that_was_edited(folder):
    out = folder / "manifest.csv"
    for _ in range(2):
        new_manifest(folder / "photos", folder / "masks", out)
    out.write_text(out.read_text() + "\n")
    with pytest.raises(UsageError, match="--overwrite"):
        new_manifest(folder / "photos", folder / "masks", out)


@pytest.mark.parametrize("text", ["image\nphotos/plate1_a.tif\n", "case\nplate1_a\n"])
def test_an_image_or_a_case_is_all_that_a_manifest_needs(folder, text):
    path = folder / "photos" / "m.csv"
    path.write_text(text)
    root = folder if "photos" in text else folder / "photos"
    (case,) = Manifest.read(path, root).cases
    assert (case.case, case.image.name, case.split) == ("plate1_a", "plate1_a.tif", "test")
    assert (case.label, case.modality, case.experiment, case.sha256) == (None, None, "", "")


def test_a_manifest_tells_all_its_faults(folder):
    path = folder / "m.csv"
    path.write_text("image,modality\n../a.tif,DIC\nphotos/plate1_a.tif,bf\nb.tif,fase\n")
    with pytest.raises(ManifestError) as raised:
        Manifest.read(path)
    assert "line 2" in str(raised.value)
    assert "line 4" in str(raised.value)
    assert "line 3" not in str(raised.value)
