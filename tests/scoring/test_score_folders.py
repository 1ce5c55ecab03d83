"""Folders: which file belongs to which, and the table that comes of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from cellharness.scoring import ScoringError, pair_folders, score_folders

COLUMNS = [
    "case",
    "threshold",
    "status",
    "n_true",
    "n_pred",
    "tp",
    "fp",
    "fn",
    "precision",
    "recall",
    "f1",
    "dice",
    "remarks",
]


def cells(*lefts):
    labels = np.zeros((30, 60), np.uint8)
    for number, left in enumerate(lefts, start=1):
        labels[10:16, left : left + 6] = number
    return labels


@pytest.fixture
def gt_dir(tmp_path):
    folder = tmp_path / "gt"
    folder.mkdir()
    return folder


@pytest.fixture
def pred_dir(tmp_path):
    folder = tmp_path / "pred"
    folder.mkdir()
    return folder


def save(folder, name, labels):
    path = folder / name
    if path.suffix.lower() == ".png":
        Image.fromarray(labels).save(path)
    else:
        tifffile.imwrite(path, labels)


NAMES = ("x_label.tiff", "x_label.tif", "x.tiff", "x.tif", "x_label.png", "x.png", "x.TIF")


@pytest.mark.parametrize("pred_name", NAMES)
@pytest.mark.parametrize("gt_name", ["x_label.tiff", "x.png"])
def test_every_accepted_name_pairs_with_every_other(gt_dir, pred_dir, gt_name, pred_name):
    save(gt_dir, gt_name, cells(10, 30))
    save(pred_dir, pred_name, cells(10))
    table = score_folders(gt_dir, pred_dir)
    assert table.columns.tolist() == COLUMNS
    (row,) = table.to_dict("records")
    assert (row["case"], row["status"], row["tp"], row["fn"]) == ("x", "ok", 1, 1)


def test_dotted_stems_are_different_cases(gt_dir, pred_dir):
    for folder in (gt_dir, pred_dir):
        save(folder, "a.b_label.tiff", cells(10))
        save(folder, "a.c.tif", cells(10, 30))
        save(folder, "a.png", cells())
    save(gt_dir, "v1.0_label_label.tif", cells(10))
    jobs = {job.case: job for job in pair_folders(gt_dir, pred_dir)}
    assert list(jobs) == ["a", "a.b", "a.c", "v1.0_label"]
    assert jobs["a.b"].pred == pred_dir / "a.b_label.tiff"
    assert jobs["v1.0_label"].pred is None


@pytest.mark.parametrize("side", ["gt", "pred"])
def test_two_files_for_one_case_are_refused(gt_dir, pred_dir, side):
    for folder in (gt_dir, pred_dir):
        save(folder, "x.tif", cells(10))
    save(gt_dir.parent / side, "x_label.tiff", cells(10))
    with pytest.raises(ScoringError, match=rf"{side}: x.tif and x_label.tiff.*case 'x'"):
        score_folders(gt_dir, pred_dir)


def test_a_truth_without_prediction_is_a_missing_row(gt_dir, pred_dir):
    save(gt_dir, "a.tif", cells(10, 30))
    save(gt_dir, "b.tif", cells(10, 30))
    save(pred_dir, "b.tif", cells(10, 30))
    challenge = score_folders(gt_dir, pred_dir, "challenge", (0.5, 0.9))
    missing = challenge[challenge["case"] == "a"]
    assert missing["status"].tolist() == ["missing", "missing"]
    assert missing[COLUMNS[3:-1]].isna().all(axis=None)
    assert challenge.attrs["messages"] == {"a": "there is no prediction"}
    strict = score_folders(gt_dir, pred_dir, "strict", 0.5).set_index("case")
    assert strict.loc["a", ["n_true", "n_pred", "fn", "f1"]].tolist() == [2, 0, 2, 0.0]
    assert strict.loc["b", "f1"] == 1.0


def test_a_prediction_without_truth_is_refused_by_name(gt_dir, pred_dir):
    save(gt_dir, "a.tif", cells(10))
    for name in ("a.tif", "odd.tif", "other_label.tiff"):
        save(pred_dir, name, cells(10))
    with pytest.raises(ScoringError, match=r"2 predictions have no truth.*odd.tif, other_label"):
        score_folders(gt_dir, pred_dir)
    table = score_folders(gt_dir, pred_dir, ignore_extra=True)
    assert table["case"].tolist() == ["a"]


def test_many_extra_predictions_are_counted_not_listed(gt_dir, pred_dir):
    save(gt_dir, "a.tif", cells(10))
    for number in range(12):
        save(pred_dir, f"extra_{number:02d}.tif", cells(10))
    with pytest.raises(ScoringError, match=r"12 predictions.*extra_09.tif and 2 more"):
        score_folders(gt_dir, pred_dir)


def test_other_and_hidden_files_are_passed_over(gt_dir, pred_dir):
    for folder in (gt_dir, pred_dir):
        save(folder, "a.tif", cells(10))
        (folder / ".b.tif").write_text("half a download")
        (folder / "notes.csv").write_text("text")
    assert [job.case for job in pair_folders(gt_dir, pred_dir)] == ["a"]


def test_folders_without_truths_are_refused(gt_dir, pred_dir):
    (gt_dir / "a.jpg").write_bytes(b"")
    with pytest.raises(ScoringError, match=r"gt: no label image; expected <stem>_label"):
        score_folders(gt_dir, pred_dir)
    with pytest.raises(ScoringError, match="nowhere: no such folder"):
        score_folders(gt_dir, pred_dir.parent / "nowhere")
    with pytest.raises(ScoringError, match="'exact'"):
        score_folders(gt_dir, pred_dir, "exact")


def test_a_broken_prediction_is_an_error_row_with_its_reason(gt_dir, pred_dir):
    for name in ("a.tif", "b.tif"):
        save(gt_dir, name, cells(10))
    save(pred_dir, "a.tif", cells(10))
    (pred_dir / "b.tif").write_bytes(b"II*\0 not a tiff")
    table = score_folders(gt_dir, pred_dir, "strict").set_index("case")
    assert table["status"].tolist() == ["ok", "error"]
    assert table["f1"].tolist() == [1.0, 0.0]
    assert list(table.attrs["messages"]) == ["b"]
    assert "b.tif" in table.attrs["messages"]["b"]


def test_strict_has_five_more_columns_and_survives_csv(gt_dir, pred_dir, tmp_path):
    save(gt_dir, "a.tif", cells(10, 30))
    save(gt_dir, "b.tif", cells(10))
    save(pred_dir, "a.tif", cells(10))
    table = score_folders(gt_dir, pred_dir, "strict", (0.5, 0.7))
    assert table.columns.tolist() == [*COLUMNS[:-1], "sq", "rq", "pq", "ap", "aji", "remarks"]
    table.to_csv(tmp_path / "scores.csv", index=False)
    back = pd.read_csv(tmp_path / "scores.csv", dtype={"remarks": str}).fillna({"remarks": ""})
    pd.testing.assert_frame_equal(back, table, check_dtype=False, check_exact=True)
    # Counts are written as whole numbers even beside a missing one.
    challenge = score_folders(gt_dir, pred_dir, "challenge").to_csv(index=False)
    assert "a,0.5,ok,2,1,1,0,1,1.0,0.5,0.6667," in challenge
    assert "b,0.5,missing,,,,,,,,," in challenge


def test_two_workers_give_the_same_table(gt_dir, pred_dir):
    for number in range(5):
        save(gt_dir, f"case_{number}.tif", cells(10, 30))
        save(pred_dir, f"case_{number}.tif", cells(10 + number, 40 - number))
    (pred_dir / "case_2.tif").unlink()
    (pred_dir / "case_3.tif").write_bytes(b"broken")
    steps = []
    alone = score_folders(gt_dir, pred_dir, "strict", (0.5, 0.9))
    together = score_folders(
        gt_dir,
        pred_dir,
        "strict",
        (0.5, 0.9),
        workers=2,
        progress=lambda done, total: steps.append((done, total)),
    )
    pd.testing.assert_frame_equal(together, alone, check_exact=True)
    assert together.attrs == alone.attrs
    assert list(together.attrs["messages"]) == ["case_2", "case_3"]
    assert steps == [(number, 5) for number in range(1, 6)]
