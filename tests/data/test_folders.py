"""What a folder holds, and what of it is passed over and why."""

from __future__ import annotations

import re

import pytest

from cellharness.data.folders import images_of, label_files, label_of, labels_of, tell
from cellharness.errors import UsageError

COMPOSED, DECOMPOSED = "zelle_\u00f6", "zelle_o\u0308"


def folder_of(tmp_path, *names):
    for name in names:
        if name.endswith("/"):
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize(
    ("names", "images", "told"),
    [
        (["a.png", "b.gif", "c.webp", "d.jp2", "e.czi", "f.lsm"], ["a"],
         ["5 files passed over, of a kind that is not read: b.gif, c.webp, d.jp2, e.czi, f.lsm"]),
        (["a.png", "a_seg.npy", "a_cp_masks.png", "a_flows.tif"], ["a"],
         ["3 files passed over, saved by Cellpose beside the image: a_cp_masks.png, a_flows.tif, "
          "a_seg.npy"]),
        (["a.png", "a_label.tiff", "b.tif", "b_masks.tif", "c_mask.png"], ["a", "b", "c_mask"],
         ["2 files passed over, the label image of an image beside it: a_label.tiff, b_masks.tif"]),
        (["a.png", "b_seg.npy", "a_cp_outlines.txt"], ["a"],
         ["1 file passed over, of a kind that is not read: a_cp_outlines.txt",
          "1 file passed over, saved by Cellpose beside the image: b_seg.npy"]),
        (["a.png", ".b.png", "more/", ".DS_Store", "Thumbs.db"], ["a"],
         ["1 file passed over, hidden: .b.png",
          "1 file passed over, a folder, which is not looked into: more"]),
        (["a.b.png", "a.c.PNG"], ["a.b", "a.c"], []),
        (["a.png", "a_gt.png", "b_gt.png"], ["a", "b_gt"],
         ["1 file passed over, the label image of an image beside it: a_gt.png"]),
        (["a.tif", "a_overlay.png", "a_flows.tiff", "b_overlay.png"], ["a", "b_overlay"],
         ["2 files passed over, the overlay or the flows of a mask beside it: a_flows.tiff, "
          "a_overlay.png"]),
    ],
)  # fmt: skip
def test_images_and_what_is_passed_over(tmp_path, names, images, told):
    contents = images_of(folder_of(tmp_path, *names))
    assert sorted(contents.files) == images
    assert sorted(tell(contents.passed_over)) == sorted(told)
    litter = sum(name in (".DS_Store", "Thumbs.db") for name in names)
    assert len(contents.files) + len(contents.passed_over) + litter == len(names)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a.png", "a.tif"], "'a.png' and 'a.tif' would both become"),
        ([f"{COMPOSED}.png", f"{DECOMPOSED}.png"], "would both become"),
        (["a\nb.png"], "line break"),
        (["b.gif"], "no image in .*1 file passed over, of a kind that is not read: b.gif"),
        ([], "no image in"),
    ],
)
def test_folders_that_cannot_be_used_are_refused(tmp_path, names, words):
    with pytest.raises(UsageError, match=re.compile(words, re.DOTALL)):
        images_of(folder_of(tmp_path, *names))


@pytest.mark.parametrize(
    ("names", "labels", "told"),
    [
        (["a_label.tiff", "b.npy", "c.npz", "d.bmp", "e_seg.npy", "f_cp_masks.png", "g.jpg"],
         {"a": "a_label.tiff", "b": "b.npy", "c": "c.npz", "d": "d.bmp", "e": "e_seg.npy",
          "f": "f_cp_masks.png"}, ["g.jpg"]),
        (["a_cp_masks.png", "a_seg.npy", "a_flows.tif"], {"a": "a_cp_masks.png"},
         ["a_flows.tif", "a_seg.npy"]),
        (["a_label.tiff", "a.npy"], {"a": "a_label.tiff"}, ["a.npy"]),
        (["a_label.tiff", "a_overlay.png", "a_flows.tiff", "a_overlay_label.tiff"],
         {"a": "a_label.tiff", "a_overlay": "a_overlay_label.tiff"},
         ["a_flows.tiff", "a_overlay.png"]),
        ([f"{DECOMPOSED}_label.tif"], {COMPOSED: f"{DECOMPOSED}_label.tif"}, []),
        (["a_labels.tif", "b_mask.PNG", "c_gt.npy", ".cellharness.sha256", "provenance.json"],
         {"a": "a_labels.tif", "b": "b_mask.PNG", "c": "c_gt.npy"}, []),
    ],
)  # fmt: skip
def test_labels_and_what_is_passed_over(tmp_path, names, labels, told):
    contents = labels_of(folder_of(tmp_path, *names))
    assert {name: path.name for name, path in contents.files.items()} == labels
    assert sorted(path.name for path, _ in contents.passed_over) == told


@pytest.mark.parametrize(
    "names",
    [("a.png", "a_label.tif"), ("a.npy", "a.bmp"), (f"{COMPOSED}.tif", f"{DECOMPOSED}.tif")],
)
def test_two_label_images_of_one_name_are_refused(tmp_path, names):
    with pytest.raises(UsageError, match="two files for the case"):
        labels_of(folder_of(tmp_path, *names))


@pytest.mark.parametrize(
    ("case", "found"),
    [
        ("a", "a_label.TIF"), ("b_mask", "b_mask.png"), ("c", "c_seg.npy"), ("d", None),
        (COMPOSED, f"{DECOMPOSED}_gt.tif"),
    ],
)  # fmt: skip
def test_the_label_image_of_one_case(tmp_path, case, found):
    names = ("a_label.TIF", "a.npy", "b_mask.png", "c_seg.npy", "d.jpg", f"{DECOMPOSED}_gt.tif")
    path = label_of(case, label_files(folder_of(tmp_path, *names)))
    assert (path.name if path else None) == found


def test_several_label_images_of_one_case_are_refused(tmp_path):
    there = label_files(folder_of(tmp_path, "a_gt.png", "a.tif"))
    with pytest.raises(UsageError, match=r"a\.tif and a_gt\.png are two files for the case 'a'"):
        label_of("a", there)
