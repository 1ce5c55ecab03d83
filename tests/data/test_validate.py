from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellharness.data.images import write_label
from cellharness.data.manifest import Case, Manifest
from cellharness.data.validation import validate
from cellharness.files import hash_file


def squares(count: int = 6, side: int = 8) -> np.ndarray:
    labels = np.zeros((16, 16 * count), np.uint16)
    for k in range(count):
        labels[4 : 4 + side, 16 * k + 4 : 16 * k + 4 + side] = k + 1
    return labels


class Folder:
    """Builds a manifest case by case."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cases: list[Case] = []

    def add(self, name="a", image=None, labels=None, split="test", modality="DIC", sha256=""):
        if image is None:
            seed = sum(map(ord, name))
            image = np.random.default_rng(seed).integers(0, 200, squares().shape, dtype=np.uint8)
        path = self.root / f"{name}.tif"
        tifffile.imwrite(path, image)
        label = self.root / f"{name}_label.tiff"
        if labels is None:
            # No two cases have the same truth.
            labels = squares() + (squares() > 0) * sum(map(ord, name))
        write_label(label, labels)
        source = "given" if modality else ""
        case = Case(name, path, label, modality, source, "e", split, sha256)
        self.cases.append(case)
        return case

    def codes(self) -> list[tuple[str, str, str]]:
        return [(f.level, f.case, f.code) for f in self.report().findings]

    def report(self):
        return validate(Manifest(tuple(self.cases), self.root))


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


def test_sound_data_have_no_findings(folder):
    case = folder.add()
    folder.cases[0] = replace(case, sha256=hash_file(case.image))
    folder.add("b", split="train")
    report = folder.report()
    assert report.findings == ()
    assert report.ok
    assert report.n_cases == 2
    assert list(report.frame().columns) == ["level", "case", "code", "message"]


def test_truncated_and_absent_files(folder):
    cut = folder.add("cut")
    cut.image.write_bytes(cut.image.read_bytes()[:-9])
    cut_label = folder.add("cutlabel").label
    cut_label.write_bytes(cut_label.read_bytes()[:-9])
    folder.add("gone").image.unlink()
    folder.add("nolabel").label.unlink()
    report = folder.report()
    assert not report.ok
    assert folder.codes() == [
        ("error", "cut", "image-unreadable"),
        ("error", "cutlabel", "label-unreadable"),
        ("error", "gone", "image-unreadable"),
        ("error", "nolabel", "label-unreadable"),
    ]
    assert "cut.tif" in report.findings[0].message


def test_unsupported_images(folder):
    shape = squares().shape
    folder.add("nan", image=np.full(shape, np.nan, np.float32))
    folder.add("stack", image=np.zeros((7, *shape), np.uint8))
    assert folder.codes() == [
        ("error", "nan", "image-unsupported"),
        ("error", "stack", "image-unsupported"),
    ]
    assert "nan.tif" in folder.report().findings[0].message


@pytest.mark.parametrize(
    "array", [squares() + 0.5, -squares().astype("i2"), np.stack([squares()] * 6)]
)
def test_bad_labels(folder, array):
    case = folder.add()
    tifffile.imwrite(case.label, array)
    assert folder.codes() == [("error", "a", "label-unsupported")]


def test_constant_image_is_a_warning(folder):
    folder.add(image=np.full(squares().shape, 7, np.uint8))
    assert folder.codes() == [("warning", "a", "constant-image")]


def test_hash_and_shape_mismatch(folder):
    folder.add("hash", sha256="0" * 64)
    folder.add("shape", image=np.eye(20, dtype=np.uint8))
    assert folder.codes() == [
        ("error", "hash", "hash-mismatch"),
        ("error", "shape", "shape-mismatch"),
    ]
    assert "(20, 20)" in folder.report().findings[1].message


def test_missing_label_and_modality(folder):
    case = folder.add(modality=None)
    folder.cases[0] = replace(case, label=None)
    folder.cases.append(replace(folder.add("b"), modality_source="guessed"))
    folder.cases.pop(1)
    assert folder.codes() == [
        ("warning", "a", "no-label"),
        ("note", "", "no-modality"),
        ("note", "", "guessed-modality"),
    ]
    assert "--write-guesses" in folder.report().at("note")[0].message


def test_few_and_tiny_cells(folder):
    folder.add("few", labels=squares() * (squares() < 5))
    folder.add("none", labels=squares() * 0)
    # 3 x 5 = 15 px is not under 15.
    exact = squares()
    exact[exact == 6] = 0
    exact[4:7, 84:89] = 6
    folder.add("exact", labels=exact)
    tiny = squares()
    tiny[tiny == 6] = 0
    tiny[4:6, 84:91] = 6
    folder.add("under", labels=tiny)
    assert folder.codes() == [
        ("warning", "few", "few-cells"),
        ("warning", "none", "few-cells"),
        ("warning", "under", "tiny-cells"),
    ]
    assert "Cells under 15 px: 1 of 6 (ids 6)" in folder.report().findings[2].message


def test_disconnected_and_duplicate_ids(folder):
    cut = squares()
    cut[4:12, 8] = 0  # cell 1 falls in two halves, one column apart
    folder.add("cut", labels=cut)
    twice = squares()
    twice[twice == 6] = 1  # cell 1 occurs at both ends
    folder.add("twice", labels=twice)
    diagonal = squares()
    diagonal[diagonal == 1] = 0
    diagonal[0:4, 0:4] = diagonal[4:8, 4:8] = 1  # touch at a corner only: one piece
    folder.add("diagonal", labels=diagonal)
    assert folder.codes() == [
        ("warning", "cut", "disconnected-id"),
        ("warning", "twice", "duplicate-id"),
    ]


def test_huge_ids_cost_no_memory(folder):
    labels = squares().astype(np.uint32)
    labels[labels == 2] = 4_000_000_000
    labels[labels == 3] = 1
    folder.add(labels=labels)
    assert folder.codes() == [("warning", "a", "duplicate-id")]
    assert "(ids 1)" in folder.report().findings[0].message


def test_label_without_background(folder):
    labels = squares() + 1
    labels[labels == 1] = 9
    folder.add(labels=labels)
    assert folder.codes() == []


def test_leaks_by_bytes_and_by_pixels(folder):
    image = np.random.default_rng(0).integers(0, 255, squares().shape, dtype=np.uint8)
    folder.add("train", image=image, split="train")
    folder.add("bytes", image=image)
    folder.add("deeper", image=image.astype(np.uint16))
    folder.add("colour", image=np.dstack([image] * 3))
    folder.add("other", image=image + 1)
    report = folder.report()
    assert {(f.level, f.case, f.code) for f in report.findings} == {
        ("error", "bytes", "leak"),
        ("error", "deeper", "leak"),
        ("error", "colour", "leak"),
    }
    assert "as train (split 'train'" in report.findings[0].message


def test_duplicates_within_a_split_are_a_warning(folder):
    image = np.random.default_rng(0).integers(0, 255, squares().shape, dtype=np.uint8)
    folder.add("a", image=image)
    folder.add("b", image=image)
    assert folder.codes() == [("warning", "b", "duplicate-image")]


def test_progress_counts_every_case(folder):
    for name in "abc":
        folder.add(name)
    seen = []
    validate(Manifest(tuple(folder.cases), folder.root), progress=lambda *n: seen.append(n))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_the_real_images_are_sound(realdata):
    report = validate(realdata.select(limit=24))
    assert report.ok, report.at("error")
    assert {finding.code for finding in report.findings} <= {"disconnected-id", "duplicate-id"}
