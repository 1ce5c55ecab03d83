"""Slips of the pen in a manifest: shared truths, the image as its truth, foreign paths."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from cellharness.data.manifest import Manifest, ManifestError
from cellharness.data.validation import validate
from drawn_case import draw_case

HEADER = "case,image,label,modality,experiment,split,sha256\n"


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "im").mkdir()
    (tmp_path / "lab").mkdir()
    for k in range(3):
        image, labels = draw_case(rng)
        labels = np.roll(labels, 3 * k, axis=1)
        tifffile.imwrite(tmp_path / "im" / f"c{k}.tif", np.roll(image, 3 * k, axis=1))
        tifffile.imwrite(tmp_path / "lab" / f"c{k}.tif", labels)
    tifffile.imwrite(
        tmp_path / "lab" / "copy.tif", draw_case(rng)[1].astype(np.uint32), compression="zlib"
    )
    return tmp_path


def manifest(folder, *rows):
    lines = "".join(f"{case},{image},{label},DIC,e,test,\n" for case, image, label in rows)
    (folder / "m.csv").write_text(HEADER + lines, encoding="utf-8")
    return Manifest.read(folder / "m.csv")


def codes(cases):
    return [(f.level, f.case, f.code) for f in validate(cases).findings]


def test_a_truth_of_another_image_is_warned_of(folder):
    cases = manifest(
        folder,
        ("c0", "im/c0.tif", "lab/c0.tif"),
        ("c1", "im/c1.tif", "lab/c0.tif"),
        ("c2", "im/c2.tif", "lab/copy.tif"),
    )
    assert codes(cases) == [("warning", "c1", "shared-label"), ("warning", "c2", "shared-label")]
    assert "same truth as c0" in validate(cases).findings[0].message


def test_own_truths_and_empty_ones_are_not(folder):
    for k in (0, 1):
        tifffile.imwrite(folder / "lab" / f"empty{k}.tif", np.zeros((96, 112), np.uint8))
    cases = manifest(
        folder,
        *((f"c{k}", f"im/c{k}.tif", f"lab/c{k}.tif") for k in (1, 2)),
        ("e0", "im/c0.tif", "lab/empty0.tif"),
    )
    assert codes(cases) == [("warning", "e0", "few-cells")]


def test_the_image_as_its_own_truth_is_refused_and_a_copy_found(folder):
    for label in ("im/c0.tif", "im/../im/c0.tif", "im\\c0.tif"):
        with pytest.raises(ManifestError, match=r"line 2.*label is the image itself"):
            manifest(folder, ("c0", "im/c0.tif", label))
    (folder / "lab" / "c9.tif").write_bytes((folder / "im" / "c0.tif").read_bytes())
    cases = manifest(folder, ("c0", "im/c0.tif", "lab/c9.tif"))
    assert ("error", "c0", "label-is-image") in codes(cases)


def test_backslashes_are_slashes_unless_a_file_is_called_so(folder):
    (case,) = manifest(folder, ("c0", "im\\c0.tif", "lab\\c0.tif")).cases
    assert case.image == folder / "im" / "c0.tif"
    assert case.label == folder / "lab" / "c0.tif"
    odd = folder / "im\\c0.tif"
    odd.write_bytes(b"x")
    (case,) = manifest(folder, ("c0", "im\\c0.tif", "lab/c0.tif")).cases
    assert case.image == odd


@pytest.mark.parametrize("path", ["..\\..\\etc\\passwd", "im\\..\\..\\x.tif"])
def test_backslashes_do_not_lead_out(folder, path):
    with pytest.raises(ManifestError, match="leads out"):
        manifest(folder, ("c0", path, "lab/c0.tif"))


@pytest.mark.parametrize("written", [("\u00f6", "o\u0308"), ("o\u0308", "\u00f6")])
def test_names_that_differ_in_unicode_form_are_the_same(folder, written):
    there, named = written
    (folder / f"{there}rdner").mkdir()
    (folder / "im" / "c0.tif").rename(folder / f"{there}rdner" / f"{there}.tif")
    (case,) = manifest(folder, ("c0", f"{named}rdner/{named}.tif", "lab/c0.tif")).cases
    assert case.image == folder / f"{there}rdner" / f"{there}.tif"
    assert validate(Manifest.read(folder / "m.csv")).ok
    (case,) = manifest(folder, ("c0", f"{named}rdner/other.tif", "lab/c0.tif")).cases
    assert not case.image.exists()
