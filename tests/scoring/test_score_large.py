"""A large label image is scored by rows, with the scores of the image in memory."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from cellharness.data import label_rows
from cellharness.data.images import write_label
from cellharness.data.label_rows import LabelRows, open_label_rows
from cellharness.scoring import Job, score_files, score_pair
from cellharness.scoring import challenge as challenge_module
from cellharness.slides.label_file import LABEL_TILE, write_label_rows


def grains(shape, seed, moved=0):
    """Squares of random size, some of them at the border; ids beyond 16 bits."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint32)
    for number, (y, x) in enumerate(np.ndindex(shape[0] // 14, shape[1] // 14)):
        high, wide = rng.integers(5, 13, 2)
        top, left = y * 14 + moved, x * 14 + rng.integers(0, 2)
        labels[top : top + high, left : left + wide] = 70_000 + number
    return labels


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """Truth and prediction with their files, large enough to be read by rows and in patches."""
    monkeypatch.setattr(label_rows, "LARGE", 500_000)
    monkeypatch.setattr(challenge_module, "_PATCHED_FROM_PIXELS", 500_000)
    monkeypatch.setattr(challenge_module, "_PATCH", 300)
    shape = (1100, 750)
    gt, pred = grains(shape, 1), grains(shape, 2, moved=1)
    write_label(tmp_path / "gt.tiff", gt)
    rows = (pred[top : top + LABEL_TILE] for top in range(0, shape[0], LABEL_TILE))
    write_label_rows(tmp_path / "pred.tiff", rows, shape, int(pred.max()))
    return gt, pred, tmp_path / "gt.tiff", tmp_path / "pred.tiff"


@pytest.mark.parametrize("profile", ["challenge", "strict"])
def test_scores_by_rows_are_those_in_memory(pair, profile):
    gt, pred, gt_file, pred_file = pair
    expected = score_pair(gt, pred, profile, (0.5, 0.7, 0.9), matches=True)
    with open_label_rows(gt_file) as true, open_label_rows(pred_file) as found:
        assert isinstance(true, LabelRows)
        assert isinstance(found, LabelRows)
        by_rows = score_pair(true, found, profile, (0.5, 0.7, 0.9), matches=True)
    # Text, so that NaN is equal to NaN.
    assert repr(by_rows) == repr(expected)
    assert expected[0].tp > 1000


def test_files_are_scored_by_rows(pair, monkeypatch):
    gt, pred, gt_file, pred_file = pair

    def never(path):
        raise AssertionError(path)

    monkeypatch.setattr("cellharness.scoring.files.read_label", never)
    (scores,) = score_files([Job("a", gt_file, pred_file, "ok")], thresholds=0.5)
    found = {row["profile"]: row["f1"] for row in scores.rows}
    expected = {name: score_pair(gt, pred, name, 0.5).f1 for name in found}
    assert found == expected
    (missing,) = score_files([Job("a", gt_file, None)], "strict", 0.5)
    assert missing.rows[0]["n_true"] == score_pair(gt, gt, "strict", 0.5).n_true


def test_other_shapes_and_empty_masks_are_told_as_ever(pair, tmp_path):
    gt, _, gt_file, _ = pair
    write_label(tmp_path / "small.tiff", gt[:-1])
    (scores,) = score_files([Job("a", gt_file, tmp_path / "small.tiff")], "strict", 0.5)
    assert "same pixels" in scores.message
    noise = np.zeros(gt.shape, np.uint16)
    tifffile.imwrite(tmp_path / "empty.tiff", noise)
    (scores,) = score_files([Job("a", gt_file, tmp_path / "empty.tiff")], "strict", 0.5)
    assert scores.rows[0]["status"] == "empty"


@pytest.mark.parametrize("array", [np.int32, np.float32, "colours"])
def test_what_needs_more_than_rows_is_read_whole(array, pair, tmp_path):
    gt = pair[0]
    large = np.dstack([gt % 255] * 3).astype(np.uint8) if array == "colours" else gt.astype(array)
    tifffile.imwrite(tmp_path / "other.tiff", large)
    with open_label_rows(tmp_path / "other.tiff") as rows:
        assert rows is None
