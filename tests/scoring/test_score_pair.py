"""Scores of small hand-made pairs, computed by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from cellharness.scoring import ScoringError, score_pair
from cellharness.scoring.challenge import score_challenge
from cellharness.vocabulary import METRICS

PROFILES = ("challenge", "strict")
RATIOS = ("precision", "recall", "f1", "dice", "sq", "rq", "pq", "ap", "aji")


def blank(height=40, width=60, dtype=np.uint16):
    return np.zeros((height, width), dtype)


def square(left, width=10, label=1):
    labels = blank()
    labels[10:20, left : left + width] = label
    return labels


def disc(row, column, radius=2, label=1):
    rows, columns = np.mgrid[:40, :60]
    inside = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    return np.where(inside, label, 0).astype(np.uint16)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("gt", "pred", "iou"),
    [
        (square(20), square(20), 1.0),
        # 10 x 10 shifted by 2: 80 pixels in common, 120 in either.
        (square(20), square(22), 80 / 120),
        (square(20), square(20, width=9), 0.9),
        (square(20), square(20, width=7), 0.7),
        (square(20), square(20, width=5), 0.5),
        (square(20), square(20, width=3), 0.3),
        # A disc of radius 2 has 1 + 3 + 5 + 3 + 1 = 13 pixels. Shifted by one column, its rows
        # share 0 + 2 + 4 + 2 + 0 = 8 pixels, and 18 are in either.
        (disc(20, 30), disc(20, 31), 8 / 18),
    ],
)
def test_threshold_just_below_at_and_above_the_iou(profile, gt, pred, iou):
    below, above = np.nextafter(iou, 0), np.nextafter(iou, 2)
    assert score_pair(gt, pred, profile, float(below)).tp == 1
    assert score_pair(gt, pred, profile, iou).tp == 1
    if iou < 1:
        missed = score_pair(gt, pred, profile, float(above))
        assert (missed.tp, missed.fp, missed.fn, missed.f1) == (0, 1, 1, 0.0)


@pytest.mark.parametrize("profile", PROFILES)
def test_two_halves_of_one_cell_are_one_hit_and_one_false_cell(profile):
    pred = square(20, width=5, label=3) + square(25, width=5, label=9)
    score = score_pair(square(20), pred, profile, 0.5, matches=True)
    assert (score.tp, score.fp, score.fn) == (1, 1, 0)
    assert score.matches == ((1, 3, 0.5),)
    merged = score_pair(pred, square(20), profile, 0.5)
    assert (merged.tp, merged.fp, merged.fn) == (1, 0, 1)


def test_strict_numbers_by_hand():
    # Truth: A and B of 100 pixels. Prediction: 80 pixels of A, nothing of B, 30 elsewhere.
    gt = square(5, label=1) + square(40, label=2)
    pred = square(5, width=8, label=1) + square(25, width=3, label=2)
    score = score_pair(gt, pred, "strict", 0.5)
    assert (score.n_true, score.n_pred, score.tp, score.fp, score.fn) == (2, 2, 1, 1, 1)
    assert score.precision == score.recall == score.f1 == score.rq == 0.5
    assert score.sq == 0.8
    assert score.pq == 0.4
    assert score.ap == 1 / 3
    assert score.dice == 2 * 80 / (200 + 110)
    # 80 in common; A with its partner 100, B without any 100, the false cell 30.
    assert score.aji == 80 / 230


def test_aji_may_use_one_predicted_cell_twice():
    gt = square(20, width=5, label=1) + square(25, width=5, label=2)
    score = score_pair(gt, square(20), "strict", 0.5)
    assert score.aji == (50 + 50) / (100 + 100)
    assert score.tp == 1


def test_aji_prefers_the_higher_iou_over_the_larger_overlap():
    gt = square(20, width=10)
    pred = blank()
    pred[10:20, 20:24] = 1  # 40 of the cell and nothing else: IoU 0.4
    pred[10:20, 24:54] = 2  # 60 of the cell and 240 outside: IoU 60 / 340
    score = score_pair(gt, pred, "strict", 0.5)
    assert score.aji == 40 / (100 + 300)


def test_challenge_rounds_and_leaves_the_strict_measures_out():
    gt = sum(square(left, width=5, label=left) for left in (5, 15, 25))
    pred = sum(square(left, width=5, label=left) for left in (5, 15, 40))
    score = score_pair(gt, pred, "challenge", 0.5)
    assert (score.tp, score.precision, score.f1) == (2, 0.6667, 0.6667)
    assert all(math.isnan(getattr(score, name)) for name in ("sq", "rq", "pq", "ap", "aji"))
    assert score_pair(gt, pred, "strict", 0.5).f1 == 2 / 3


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("rows", "columns", "kept"),
    [
        ((1, 5), (10, 15), False),
        ((2, 6), (10, 15), True),
        ((10, 15), (1, 5), False),
        ((10, 15), (2, 6), True),
        ((34, 39), (10, 15), False),
        ((34, 38), (10, 15), True),
        ((10, 15), (54, 59), False),
        ((10, 15), (54, 58), True),
    ],
)
def test_cells_within_two_pixels_of_the_border_are_left_out(profile, rows, columns, kept):
    labels = blank()
    labels[slice(*rows), slice(*columns)] = 7
    score = score_pair(labels, labels, profile, 0.5, matches=True)
    assert (score.n_true, score.n_pred) == (kept, kept)
    assert score.excluded_true == score.excluded_pred == (() if kept else (7,))
    assert score.dice == 1.0


def test_a_fragment_at_the_border_takes_the_whole_label_with_it():
    gt, pred = square(20), square(20)
    pred[0, 0] = 1
    score = score_pair(gt, pred, "strict", 0.5, matches=True)
    assert (score.n_true, score.n_pred, score.fn) == (1, 0, 1)
    assert (score.excluded_true, score.excluded_pred) == ((), (1,))
    assert score_pair(gt, pred, "strict", 0.5, border=0).tp == 1


def test_strict_border_is_an_option():
    labels = blank()
    labels[3:9, 20:30] = 1
    counts = [score_pair(labels, labels, "strict", 0.5, border=b).n_true for b in (0, 2, 3, 4)]
    assert counts == [1, 1, 1, 0]
    assert score_pair(labels, labels, "strict", 0.5, border=1000).n_true == 0


@pytest.mark.parametrize(("rule", "value"), [("one", 1.0), ("zero", 0.0), ("nan", math.nan)])
def test_strict_rule_for_two_empty_images(rule, value):
    score = score_pair(blank(), blank(), "strict", 0.5, both_empty=rule)
    assert (score.tp, score.fp, score.fn) == (0, 0, 0)
    for name in RATIOS:
        np.testing.assert_equal(getattr(score, name), value)


def test_the_rule_does_not_touch_pairs_with_one_empty_side():
    for gt, pred, counts in ((square(20), blank(), (0, 0, 1)), (blank(), square(20), (0, 1, 0))):
        for rule in ("one", "zero", "nan"):
            score = score_pair(gt, pred, "strict", 0.5, both_empty=rule)
            assert (score.tp, score.fp, score.fn) == counts
            assert [getattr(score, name) for name in RATIOS] == [0.0] * len(RATIOS)


def test_challenge_forgets_the_missed_cells_of_an_empty_prediction():
    score = score_pair(square(20), blank(), "challenge", 0.5)
    assert (score.n_true, score.n_pred, score.fn, score.f1, score.dice) == (1, 0, 0, 0.0, 0.0)
    both = score_pair(blank(), blank(), "challenge", 0.5)
    assert (both.f1, both.dice) == (0.0, 1.0)
    false = score_pair(blank(), square(20), "challenge", 0.5)
    assert (false.fp, false.f1, false.dice) == (1, 0.0, 0.0)


def test_challenge_spares_the_lowest_id_where_all_the_image_is_frame():
    labels = np.array([[5, 5, 3, 3]] * 4, np.uint8)
    score = score_pair(labels, labels, "challenge", 0.5, matches=True)
    assert (score.n_true, score.tp, score.excluded_true) == (1, 1, (5,))
    with_background = labels.copy()
    with_background[0, 0] = 0
    assert score_pair(with_background, with_background, "challenge", 0.5).n_true == 0
    assert score_pair(labels, labels, "strict", 0.5).n_true == 0


class TestPatches:
    """The path of large images, with patches of 20 x 20 from 900 pixels on."""

    @pytest.fixture(autouse=True)
    def small_patches(self, monkeypatch):
        monkeypatch.setattr("cellharness.scoring.challenge._PATCH", 20)
        monkeypatch.setattr("cellharness.scoring.challenge._PATCHED_FROM_PIXELS", 900)

    @staticmethod
    def labels(shape, *cells, dtype=np.uint16):
        labels = np.zeros(shape, dtype)
        for label, rows, columns in cells:
            labels[slice(*rows), slice(*columns)] = label
        return labels

    def test_cells_near_a_patch_line_vanish(self):
        cells = [(1, (5, 10), (5, 10)), (2, (5, 10), (17, 23)), (3, (5, 10), (30, 39))]
        labels = self.labels((40, 40), *cells)
        score = score_pair(labels, labels, "challenge", 0.5, matches=True)
        assert (score.n_true, score.tp) == (1, 1)
        assert score.excluded_true == (2, 3)
        assert score_pair(labels, labels, "strict", 0.5).n_true == 2

    def test_just_below_the_limit_the_image_is_whole(self):
        labels = self.labels((29, 31), (1, (5, 10), (17, 23)))
        assert labels.size == 899
        assert score_pair(labels, labels, "challenge", 0.5).n_true == 1
        labels = self.labels((30, 30), (1, (5, 10), (17, 23)))
        assert score_pair(labels, labels, "challenge", 0.5).n_true == 0

    def test_cells_on_the_true_edge_stay_where_there_is_padding(self):
        labels = self.labels((35, 37), (1, (30, 35), (23, 30)), (2, (25, 29), (32, 37)))
        assert score_pair(labels, labels, "challenge", 0.5).n_true == 2
        assert score_pair(labels, labels, "strict", 0.5).n_true == 0

    def test_no_cell_is_spared_in_a_narrow_image(self):
        labels = np.ones((4, 300), np.uint8)
        assert score_pair(labels, labels, "challenge", 0.5).n_true == 0

    def test_prediction_ids_wrap_to_the_dtype_of_the_truth(self):
        rows = (5, 15)
        gt = self.labels((40, 40), (1, rows, (5, 10)), (2, rows, (25, 30)), dtype=np.uint8)
        pred = self.labels((40, 40), (256, rows, (5, 10)), (300, rows, (25, 30)))
        score = score_pair(gt, pred, "challenge", 0.5, matches=True)
        # 256 becomes background, 300 becomes 44.
        assert (score.n_true, score.n_pred, score.tp) == (2, 1, 1)
        assert score.matches == ((2, 44, 1.0),)
        # The dice is taken before, and the patch without prediction forgets its missed cell.
        assert (score.dice, score.fn) == (1.0, 0)

    def test_ids_that_wrap_together_are_one_cell(self):
        gt = self.labels((40, 40), (1, (5, 15), (4, 14)), dtype=np.uint8)
        pred = self.labels((40, 40), (7, (5, 15), (4, 9)), (263, (5, 15), (9, 14)))
        score = score_pair(gt, pred, "challenge", 0.9)
        assert (score.n_pred, score.tp) == (1, 1)

    def test_ids_that_wrap_to_negative_fail_as_officially(self):
        gt = self.labels((40, 40), (1, (5, 15), (5, 15)), dtype=np.int16)
        pred = self.labels((40, 40), (40000, (5, 15), (5, 15)))
        with pytest.raises(ScoringError, match=r"uint16.*dtype of the truth \(int16\).*negative"):
            score_pair(gt, pred, "challenge", 0.5)


def test_one_pass_gives_the_same_as_one_call_a_threshold():
    rng = np.random.default_rng(3)
    gt, pred = (np.kron(rng.integers(0, 9, (12, 12)), np.ones((3, 3), int)) for _ in range(2))
    levels = (0.1, 0.5, 0.75)
    for profile in PROFILES:
        together = score_pair(gt, pred, profile, levels)
        assert isinstance(together, tuple)
        singly = [score_pair(gt, pred, profile, level) for level in levels]
        np.testing.assert_equal([s.as_dict() for s in together], [s.as_dict() for s in singly])


def test_score_is_a_frozen_record():
    score = score_pair(square(20), square(20), "strict", 0.5)
    assert list(score.as_dict()) == ["threshold", *METRICS]
    assert score.matches is score.excluded_true is score.excluded_pred is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        score.tp = 4


def test_inputs_are_not_changed():
    gt, pred = square(0), square(20)
    before = gt.copy(), pred.copy()
    for profile in PROFILES:
        score_pair(gt, pred, profile)
    np.testing.assert_array_equal(gt, before[0])
    np.testing.assert_array_equal(pred, before[1])


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("gt", "pred", "message"),
    [
        (blank(), blank(41), r"gt has shape \(40, 60\).*pred has shape \(41, 60\)"),
        (blank()[None], blank(), r"gt has shape \(1, 40, 60\).*2-D"),
        (blank(), blank()[..., None], r"pred has shape \(40, 60, 1\).*2-D"),
        (blank(), blank(dtype=np.float32), r"pred has .*float32.*integers"),
        (blank() > 0, blank(), r"gt has .*bool.*own integer id"),
        (blank(), blank(dtype=np.int16) - 3, r"pred has .*int16.*negative ids \(lowest -3\)"),
        (blank(0), blank(0), r"gt has shape \(0, 60\).*no pixels"),
        (blank().tolist(), blank(), r"gt is a list"),
    ],
)
def test_what_cannot_be_scored_is_named(profile, gt, pred, message):
    with pytest.raises(ScoringError, match=message):
        score_pair(gt, pred, profile)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "challange"}, "'challange'.*challenge, strict"),
        ({"thresholds": 0}, r"0.0 is not in \(0, 1\]"),
        ({"thresholds": (0.5, 1.1)}, r"1.1 is not in \(0, 1\]"),
        ({"thresholds": math.nan}, r"nan is not in \(0, 1\]"),
        ({"thresholds": ()}, "No IoU threshold"),
        ({"profile": "strict", "border": -1}, "whole number of pixels, 0 or more, not -1"),
        ({"profile": "strict", "border": 1.5}, "not 1.5"),
        ({"profile": "strict", "both_empty": "two"}, "'two'; valid are one, zero, nan"),
        ({"border": 0}, "border=0.*options of profile 'strict'"),
        ({"both_empty": "nan"}, "both_empty='nan'.*options of profile 'strict'"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ScoringError, match=message):
        score_pair(blank(), blank(), **options)


def test_scoring_errors_are_value_errors():
    with pytest.raises(ValueError, match="shape"):
        score_pair(blank(), blank(5))


def test_official_script_fails_beyond_int32():
    labels = np.where(square(20) > 0, 2**31, 0).astype(np.uint32)
    with pytest.raises(ScoringError, match=r"cast to int32.*negative.*'strict'"):
        score_pair(labels, labels, "challenge")
    assert score_pair(labels, labels, "strict", 0.5).tp == 1
    # 2**32 + 1 wraps to 1, so the script takes it for a part of cell 1.
    wide = (square(20, width=5) + square(25, width=5).astype(np.uint64) * (2**32 + 1)).astype(
        np.uint64
    )
    assert score_pair(wide, square(20), "challenge", 1.0).tp == 1


def test_challenge_without_matches_keeps_no_ids():
    (score,) = score_challenge(square(20), square(20), (0.5,), matches=False)
    assert score.matches is None
