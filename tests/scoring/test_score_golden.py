"""Profile `challenge` against what the official script printed (../shared/golden/metric)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cellharness.data.images import read_label
from cellharness.scoring import score_folders, score_pair

THRESHOLDS = (0.5, 0.7, 0.9)
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
OFFICIAL_NAMES = {
    "n_true": "true_num",
    "n_pred": "pred_num",
    "tp": "correct_num(TP)",
    "fn": "missed_num(FN)",
    "fp": "wrong_num(FP)",
    "precision": "precision",
    "recall": "recall",
    "dice": "dice",
    "f1": "F1",
}


@pytest.fixture(scope="module")
def golden(shared):
    folder = shared / "golden" / "metric"
    if not folder.is_dir():
        pytest.skip("needs ../shared/golden/metric, which is not here")
    return folder


@pytest.fixture(scope="module")
def table(golden):
    return score_folders(golden / "gt", golden / "seg", "challenge", THRESHOLDS)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_equals_the_official_script_on_every_row_and_column(golden, table, threshold):
    official = pd.read_csv(golden / f"reference-{threshold}.csv")
    rows = table[table["threshold"] == threshold].reset_index(drop=True)
    assert len(official) == 113
    assert (rows["case"] + "_label.tiff").tolist() == official["names"].tolist()
    for ours, theirs in OFFICIAL_NAMES.items():
        different = rows.loc[rows[ours].to_numpy(float) != official[theirs].to_numpy(float), "case"]
        assert different.tolist() == [], ours


def test_columns_and_statuses(table):
    assert table.columns.tolist() == COLUMNS
    empty = table.loc[table["status"] == "empty", "case"].unique().tolist()
    assert empty == ["case_0101", "case_0103"]
    assert set(table["status"]) == {"ok", "empty"}
    assert table.attrs["messages"] == {}


def test_the_patched_case_differs_from_the_whole_image(golden):
    gt = read_label(golden / "gt" / "case_0113.tif")
    pred = read_label(golden / "seg" / "case_0113_label.tiff")
    assert gt.size >= 25_000_000
    patched, whole = (score_pair(gt, pred, profile, 0.5) for profile in ("challenge", "strict"))
    assert patched.n_true == 8625
    # Cells on a 2000-pixel grid line are lost to the patches only.
    assert whole.n_true > patched.n_true
    assert whole.tp > patched.tp


def test_strict_finds_the_same_cells_where_challenge_has_no_quirk(golden):
    for number in (1, 24, 81, 109, 112):
        case = f"case_{number:04d}"
        gt = read_label(golden / "gt" / f"{case}.tif")
        pred = read_label(golden / "seg" / f"{case}_label.tiff")
        pairs = zip(
            score_pair(gt, pred, "challenge", THRESHOLDS),
            score_pair(gt, pred, "strict", THRESHOLDS),
            strict=True,
        )
        for challenge, strict in pairs:
            for name in ("n_true", "n_pred", "tp", "fp", "fn"):
                assert getattr(challenge, name) == getattr(strict, name)
            for name in ("precision", "recall", "f1", "dice"):
                assert getattr(challenge, name) == np.round(getattr(strict, name), 4)
