"""Outlines of other programs become label images, pixel by pixel where they mean them."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest
import tifffile
from skimage.draw import polygon

from cellharness.cli import main
from cellharness.data.annotations import AnnotationError, draw_labels
from cellharness.data.images import read_label
from cellharness.errors import MissingDependencyError
from cellharness.installation import install_command

SHAPE = (20, 30)
SQUARE = [[2, 3], [8, 3], [8, 10], [2, 10]]


def square(top=3, bottom=10, left=2, right=8, number=1):
    labels = np.zeros(SHAPE, np.uint8)
    labels[top:bottom, left:right] = number
    return labels


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", square() * 90)
    return folder


def coco(*segmentations, size=SHAPE):
    return {
        "images": [{"id": 7, "file_name": "set\\a.png", "height": size[0], "width": size[1]}],
        "annotations": [{"id": k, "image_id": 7, "segmentation": s} for k, s in
                        enumerate(segmentations)],
    }  # fmt: skip


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def drawn(tmp_path, source, images=None):
    answer = draw_labels(source, tmp_path / "labels", images)
    (path,) = answer.written
    assert path.name == "a_label.tiff"
    return read_label(path), answer.problems


FLAT = [x for point in SQUARE for x in point]


def run_lengths(mask):
    flat = mask.T.ravel() > 0
    edges = np.r_[0, np.flatnonzero(np.diff(flat.astype(int))) + 1, flat.size]
    return {
        "size": list(mask.shape),
        "counts": [*([0] if flat[0] else []), *np.diff(edges).tolist()],
    }


@pytest.mark.parametrize(
    ("segmentations", "expected"),
    [
        ([[FLAT]], square()),
        ([[FLAT], [[20, 0, 24, 0, 24, 20, 20, 20]]], square() + square(0, 20, 20, 24, 2)),
        ([[FLAT, [20, 0, 24, 0, 24, 20, 20, 20]]], square() + square(0, 20, 20, 24)),
        ([run_lengths(square())], square()),
        ([run_lengths(square(0, 20, 0, 3)), [FLAT]],
         np.maximum(square(0, 20, 0, 3), 2 * (square() > 0) * (square(0, 20, 0, 3) == 0))),
    ],
)  # fmt: skip
def test_coco(tmp_path, segmentations, expected):
    labels, _ = drawn(tmp_path, write(tmp_path / "coco.json", coco(*segmentations)))
    np.testing.assert_array_equal(labels, expected)


def test_a_cell_is_what_all_of_the_image_would_hold_of_it(tmp_path):
    """Cells are drawn in a part of the image each; no pixel depends on which."""
    random = np.random.default_rng(0)

    def rings():
        for _ in range(random.integers(1, 4)):
            ring = random.uniform(-10, 40, 2) + random.normal(0, 8, (random.integers(3, 9), 2))
            yield np.round(2 * ring) / 2 if random.integers(2) else ring

    cells = [list(rings()) for _ in range(60)]
    expected, number = np.zeros(SHAPE, int), 0
    for cell in cells:
        inside = np.zeros(SHAPE, bool)
        for ring in cell:
            inside[polygon(ring[:, 1] - 0.5, ring[:, 0] - 0.5, SHAPE)] = True
        inside &= expected == 0
        number += inside.any()
        expected[inside] = number
    segmentations = [[ring.ravel().tolist() for ring in cell] for cell in cells]
    labels, _ = drawn(tmp_path, write(tmp_path / "coco.json", coco(*segmentations)))
    np.testing.assert_array_equal(labels, expected)


def test_packed_coco_masks(tmp_path):
    mask = pytest.importorskip("pycocotools.mask")
    packed = mask.encode(np.asfortranarray(square()))
    segmentation = {"size": packed["size"], "counts": packed["counts"].decode()}
    labels, _ = drawn(tmp_path, write(tmp_path / "coco.json", coco(segmentation)))
    np.testing.assert_array_equal(labels, square())


def test_a_package_that_is_missing_is_named_with_its_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    source = write(tmp_path / "coco.json", coco({"size": [20, 30], "counts": ";320009"}))
    with pytest.raises(MissingDependencyError, match=re.escape(install_command("annotations"))):
        draw_labels(source, tmp_path / "labels")


def feature(kind, coordinates):
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}}


HOLE = [[4, 5], [6, 5], [6, 8], [4, 8]]
FAR = [[20, 0], [24, 0], [24, 20], [20, 20]]


@pytest.mark.parametrize("name", ["a.geojson", "a.tif.geojson", "a.json"])
def test_geojson(tmp_path, images, name):
    features = [
        feature("Polygon", [SQUARE, HOLE]),
        feature("MultiPolygon", [[FAR], [[[27, 0], [29, 0], [29, 2], [27, 2]]]]),
        feature("Point", [1, 1]),
    ]
    content = {"type": "FeatureCollection", "features": features}
    labels, problems = drawn(tmp_path, write(tmp_path / name, content), images)
    expected = square() - square(5, 8, 4, 6)
    expected += square(0, 20, 20, 24, 2) + square(0, 2, 27, 29, 2)
    np.testing.assert_array_equal(labels, expected)
    assert problems == (f"{name}, a: a Point has no inside and is left out",)


def test_overlaps_and_outlines_off_the_image_are_told(tmp_path, images):
    features = [
        feature("Polygon", [ring]) for ring in (SQUARE, SQUARE, np.add(SQUARE, 90).tolist())
    ]
    labels, problems = drawn(tmp_path, write(tmp_path / "a.geojson", features), images)
    np.testing.assert_array_equal(labels, square())
    assert "42 pixels are in two outlines" in problems[0]
    assert "2 outlines hold no pixel" in problems[1]


def test_imagej_rois(tmp_path, images):
    roifile = pytest.importorskip("roifile")
    rect = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, left=20, top=0, right=24, bottom=20)
    rois = [
        roifile.ImagejRoi.frompoints(SQUARE, name="cell"),
        rect,
        roifile.ImagejRoi(roitype=roifile.ROI_TYPE.LINE, x1=0, y1=0, x2=5, y2=5, name="ruler"),
    ]
    roifile.roiwrite(tmp_path / "a_rois.zip", rois)
    labels, problems = drawn(tmp_path, tmp_path / "a_rois.zip", images)
    np.testing.assert_array_equal(labels, square() + square(0, 20, 20, 24, 2))
    assert "is a LINE without inside" in problems[0]


def test_an_image_may_end_as_exports_are_named(tmp_path, images):
    tifffile.imwrite(images / "a_roi.tif", square())
    features = write(tmp_path / "a_roi.geojson", [feature("Polygon", [SQUARE])])
    (drawn_file,) = draw_labels(features, tmp_path / "out", images).written
    assert drawn_file.name == "a_roi_label.tiff"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("coco.json", "{", "no json"),
        ("coco.json", json.dumps({"annotations": []}), "not as COCO has it"),
        ("coco.json", json.dumps(coco([[1, 2, 3]])), "not as COCO has it"),
        ("coco.json", json.dumps(coco({"size": [20, 30], "counts": [3]})), "not as COCO has it"),
        ("a.geojson", json.dumps([{"geometry": 3}]), "not as GeoJSON has it"),
        ("b.geojson", "[]", "--images"),
        ("a.zip", "x", "no ImageJ ROIs"),
        ("a.txt", "x", "no json"),
    ],
)
def test_bad_files_are_named(tmp_path, images, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(AnnotationError, match=rf"{name}.*{words}"):
        draw_labels(tmp_path / name, tmp_path / "labels", images)
    assert not (tmp_path / "labels").exists()


def test_the_command_draws_and_replaces_nothing(tmp_path, images, capsys):
    write(tmp_path / "a.geojson", [feature("Polygon", [SQUARE])])
    arguments = ["data", "import", tmp_path / "a.geojson", "--images", images]
    arguments += ["--out", tmp_path / "labels"]
    for expected in (0, 2):
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        assert stopped.value.code == expected
    said = capsys.readouterr()
    assert "1 label images" in said.out
    assert "is not replaced" in said.err
