"""Sparse matching against a dense Hungarian oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from cellharness.scoring import matching, score_pair

THRESHOLDS = (0.05, 0.2, 0.25, 0.3, 1 / 3, 0.4, 0.5, 0.6, 2 / 3, 0.9, 1.0)


def without_border(labels, border):
    frame = np.ones(labels.shape, bool)
    frame[border : labels.shape[0] - border, border : labels.shape[1] - border] = False
    return np.where(np.isin(labels, labels[frame]), 0, labels)


def dense_iou(gt, pred):
    """IoU of every true with every predicted cell, through the full matrix of overlaps."""
    true_ids, true = np.unique(np.append(gt.ravel(), 0), return_inverse=True)
    pred_ids, found = np.unique(np.append(pred.ravel(), 0), return_inverse=True)
    overlap = np.zeros((len(true_ids), len(pred_ids)), np.uint64)
    # The zero appended to both makes row and column 0 the background.
    np.add.at(overlap, (true[:-1], found[:-1]), np.uint64(1))
    areas = overlap.sum(1, keepdims=True) + overlap.sum(0, keepdims=True) - overlap
    return (overlap[1:, 1:] / np.maximum(areas[1:, 1:], 1)), true_ids[1:], pred_ids[1:]


def official_count(iou, threshold):
    """Correct cells by the cost that the challenge hands to the Hungarian algorithm."""
    if not iou.size:
        return 0
    cost = -(iou >= threshold).astype(float) - iou / (2 * min(iou.shape))
    rows, columns = linear_sum_assignment(cost)
    return int((iou[rows, columns] >= threshold).sum())


def best_sum(iou, threshold):
    """Largest summed IoU of the correct cells among all choices with the most of them."""
    if not iou.size:
        return 0.0
    worth = np.where(iou >= threshold, 1 + iou / (2 * min(iou.shape)), 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    chosen = iou[rows, columns]
    return chosen[chosen >= threshold].sum()


def blocks(max_id):
    """Label images of blocks of 2 x 2 pixels: exact halves and thirds come up all the time."""
    shapes = st.tuples(st.integers(1, 8), st.integers(1, 8))
    return shapes.flatmap(
        lambda shape: st.tuples(
            arrays(np.uint16, shape, elements=st.integers(0, max_id)),
            arrays(np.uint16, shape, elements=st.integers(0, max_id)),
        )
    ).map(lambda pair: tuple(np.kron(side, np.ones((2, 2), np.uint16)) for side in pair))


@st.composite
def split_cells(draw):
    """Tiles of 4 x 4 as truth; in the prediction each is whole, halved, moved, merged or gone."""
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    gt = np.kron(np.arange(1, rows * columns + 1).reshape(rows, columns), np.ones((4, 4), int))
    pred = np.zeros_like(gt)
    label = 0
    for row in range(0, 4 * rows, 4):
        for column in range(0, 4 * columns, 4):
            kind = draw(st.sampled_from(["whole", "halves", "rows", "shift", "join", "none"]))
            if kind == "none":
                continue
            label += kind != "join"
            tile = pred[row : row + 4, column : column + 4]
            tile[:] = label
            if kind == "halves":
                label += 1
                tile[:, 2:] = label
            elif kind == "rows":
                label += 1
                tile[2:] = label
            elif kind == "shift":
                pred[row : row + 4, column + 2 : column + 6] = label
    return gt, pred


@settings(max_examples=150, deadline=None)
@given(st.one_of(blocks(3), blocks(9), split_cells()), st.sampled_from([0, 1, 2]), st.booleans())
def test_equals_the_dense_oracle(pair, border, sparse_solver):
    gt, pred = pair
    kept_gt, kept_pred = without_border(gt, border), without_border(pred, border)
    iou, true_ids, pred_ids = dense_iou(kept_gt, kept_pred)
    scores = score_pair(gt, pred, "strict", THRESHOLDS, border=border, matches=True)
    for score in scores:
        assert (score.n_true, score.n_pred) == iou.shape
        assert score.tp == official_count(iou, score.threshold)
        assert score.tp == len(score.matches)
        # One to one, with the IoU that the full matrix has, and the best sum there is.
        assert len({match.gt_label for match in score.matches}) == score.tp
        assert len({match.pred_label for match in score.matches}) == score.tp
        for match in score.matches:
            row = np.searchsorted(true_ids, match.gt_label)
            assert match.iou == iou[row, np.searchsorted(pred_ids, match.pred_label)]
            assert match.iou >= score.threshold
        total = sum(match.iou for match in score.matches)
        assert total == pytest.approx(best_sum(iou, score.threshold), abs=1e-9)
        assert score.sq * score.tp == pytest.approx(total, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(blocks(6), st.randoms(use_true_random=False))
def test_score_does_not_depend_on_the_numbering_or_orientation(pair, random):
    gt, pred = pair
    names = np.array([0, *random.sample(range(1, 60_000), 6)], np.uint16)
    for profile in ("challenge", "strict"):
        # Images all of frame are apart: there the official script spares the lowest id.
        if min(gt.shape) <= 4:
            continue
        expected = score_pair(gt, pred, profile, THRESHOLDS)
        for other in (
            score_pair(names[gt], names[pred], profile, THRESHOLDS),
            score_pair(gt.T, pred.T, profile, THRESHOLDS),
            score_pair(gt[::-1, ::-1], pred[::-1, ::-1], profile, THRESHOLDS),
        ):
            for first, second in zip(expected, other, strict=True):
                assert (first.tp, first.fp, first.fn) == (second.tp, second.fp, second.fn)
                assert first.f1 == second.f1
                assert first.sq == pytest.approx(second.sq, nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(st.one_of(blocks(4), split_cells()))
def test_truth_and_prediction_may_change_places(pair):
    gt, pred = pair
    forth = score_pair(gt, pred, "strict", THRESHOLDS, border=0)
    back = score_pair(pred, gt, "strict", THRESHOLDS, border=0)
    for first, second in zip(forth, back, strict=True):
        assert (first.tp, first.fp, first.fn) == (second.tp, second.fn, second.fp)
        assert (first.precision, first.recall) == (second.recall, second.precision)


@settings(max_examples=60, deadline=None)
@given(st.one_of(blocks(4), split_cells()))
def test_measures_hang_together(pair):
    scores = score_pair(*pair, "strict", THRESHOLDS, border=0, both_empty="one")
    for score in scores:
        assert score.tp + score.fn == score.n_true
        assert score.tp + score.fp == score.n_pred
        assert score.ap == pytest.approx(score.f1 / (2 - score.f1))
        assert score.pq == pytest.approx(score.sq * score.rq)
        assert 0 <= score.aji <= 1
    counts = [score.tp for score in scores]
    assert counts == sorted(counts, reverse=True)


def test_the_better_of_two_rivals_wins_below_one_half():
    # The cell reaches 0.3 of the first and 0.4 of the second predicted cell.
    gt, pred = np.zeros((1, 100), int), np.zeros((1, 100), int)
    gt[0, 20:60] = 1
    pred[0, 20:32] = 5
    pred[0, 32:48] = 6
    (match,) = score_pair(gt, pred, "strict", 0.25, border=0, matches=True).matches
    assert (match.pred_label, match.iou) == (6, 0.4)


def test_count_comes_before_iou():
    # Cell 1 fits 6 best (IoU 0.56), but then cell 2 has nobody: the pairs of 0.3 and 0.21 win.
    gt, pred = np.zeros((1, 100), int), np.zeros((1, 100), int)
    gt[0, :40] = 1
    gt[0, 40:60] = 2
    pred[0, :12] = 5
    pred[0, 12:50] = 6
    score = score_pair(gt, pred, "strict", 0.2, border=0, matches=True)
    assert [(match.gt_label, match.pred_label) for match in score.matches] == [(1, 5), (2, 6)]


def test_the_sparse_solver_finds_the_same_best_choice_as_the_dense_one(monkeypatch):
    rng = np.random.default_rng(1)
    for _ in range(20):
        rows, columns = np.unique(rng.integers(0, 12, (2, 40)), axis=1)
        iou = rng.integers(1, 20, len(rows)) / 40
        chosen = []
        for limit in (10_000, 0):
            monkeypatch.setattr(matching, "_DENSE_ENTRIES", limit)
            chosen.append(matching._assign(rows, columns, iou))
        dense, sparse = chosen
        assert len(sparse) == len(dense)
        assert len(np.unique(rows[sparse])) == len(np.unique(columns[sparse])) == len(sparse)
        assert iou[sparse].sum() == pytest.approx(iou[dense].sum())


@pytest.mark.parametrize("cells", [3, 600])
def test_a_long_chain_of_rivals(cells):
    """Every cell meets two others at IoU 1/3; 600 of them are solved sparsely."""
    row = np.arange(4 * cells + 2)
    gt = np.where(row < 4 * cells, row // 4 + 1, 0)[None]
    pred = ((row + 2) // 4 + 1)[None]
    assert cells < 600 or cells * (cells + 1) > 250_000
    score = score_pair(gt, pred, "strict", 0.3, border=0)
    assert score.tp == cells
