"""Profile `strict`: whole image, unrounded, every missed cell counted, empties ruled by name."""

from __future__ import annotations

import math

import numpy as np

from cellharness.compiled import compiled
from cellharness.scoring.contingency import Labels, count_overlaps
from cellharness.scoring.matching import match
from cellharness.scoring.overlaps import Overlaps, find_overlaps
from cellharness.scoring.score import Score, foreground_sizes, matches_of, plain_ids

_BOTH_EMPTY = {"one": 1.0, "zero": 0.0, "nan": math.nan}


def score_strict(
    gt: Labels,
    pred: Labels,
    thresholds: tuple[float, ...],
    *,
    border: int,
    both_empty: str,
    matches: bool,
) -> list[Score]:
    """Score one checked pair, one `Score` a threshold; `score_pair` explains the options."""
    table = count_overlaps(gt, pred, border=border)
    overlaps = find_overlaps(table)
    n_true, n_pred = overlaps.true.count, overlaps.pred.count
    rule = _BOTH_EMPTY[both_empty]
    no_cells = 0.0 if n_true or n_pred else rule
    true_size, pred_size, common = foreground_sizes(table)
    dice = _ratio(2 * common, true_size + pred_size, rule)
    aji = _ratio(*_aggregate(overlaps), no_cells)
    scores = []
    for threshold in thresholds:
        chosen = match(overlaps, threshold)
        tp = len(chosen)
        f1 = _ratio(2 * tp, n_true + n_pred, no_cells)
        # The exact sum, so that the numbering of the cells cannot show in the last digit.
        sq = _ratio(math.fsum(overlaps.iou[chosen].tolist()), tp, no_cells)
        scores.append(
            Score(
                threshold=threshold,
                n_true=n_true,
                n_pred=n_pred,
                tp=tp,
                fp=n_pred - tp,
                fn=n_true - tp,
                precision=_ratio(tp, n_pred, no_cells),
                recall=_ratio(tp, n_true, no_cells),
                f1=f1,
                dice=dice,
                sq=sq,
                rq=f1,
                pq=sq * f1,
                ap=_ratio(tp, n_true + n_pred - tp, no_cells),
                aji=aji,
                matches=tuple(sorted(matches_of(overlaps, chosen))) if matches else None,
                excluded_true=plain_ids(overlaps.true.excluded) if matches else None,
                excluded_pred=plain_ids(overlaps.pred.excluded) if matches else None,
            )
        )
    return scores


def count_cells(gt: Labels, border: int) -> int:
    """Return how many cells of a checked label image the border rule leaves to be found."""
    return find_overlaps(count_overlaps(gt, gt, border=border)).true.count


def _ratio(part: float, whole: float, if_nothing: float) -> float:
    return part / whole if whole else if_nothing


def _aggregate(overlaps: Overlaps) -> tuple[int, int]:
    """Return numerator and denominator of the aggregated Jaccard index, in pixels.

    Kumar et al. 2017 (IEEE TMI 36:1550), algorithm 1: each true cell takes the predicted cell of
    highest IoU, which other true cells may take as well; the sums of the intersections and of the
    unions are the two numbers, and predicted cells that nobody took add their area to the second,
    as do true cells without any overlap. Of equal IoU the lower id is taken.
    """
    return _aggregate_areas(
        overlaps.true.areas,
        overlaps.pred.areas,
        overlaps.pred.ids,
        overlaps.true_index,
        overlaps.pred_index,
        overlaps.intersection,
        overlaps.iou,
    )


@compiled
def _aggregate_areas(
    true_areas: np.ndarray,
    pred_areas: np.ndarray,
    pred_ids: np.ndarray,
    true_index: np.ndarray,
    pred_index: np.ndarray,
    intersection: np.ndarray,
    iou: np.ndarray,
) -> tuple[int, int]:
    best = np.full(len(true_areas), -1, np.int64)
    for pair in range(len(iou)):
        rival = best[true_index[pair]]
        if (
            rival < 0
            or iou[pair] > iou[rival]
            or (
                iou[pair] == iou[rival] and pred_ids[pred_index[pair]] < pred_ids[pred_index[rival]]
            )
        ):
            best[true_index[pair]] = pair
    taken = np.zeros(len(pred_areas), np.bool_)
    common = total = 0
    for cell in range(len(true_areas)):
        total += true_areas[cell]
        pair = best[cell]
        if pair >= 0:
            common += intersection[pair]
            total += pred_areas[pred_index[pair]] - intersection[pair]
            taken[pred_index[pair]] = True
    for cell in range(len(pred_areas)):
        if not taken[cell]:
            total += pred_areas[cell]
    return common, total
