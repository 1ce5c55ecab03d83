"""Profile `challenge`: the official script of the challenge, to the last digit.

Its rules, as read in the script:

- Dice is taken before the border rule, everything else after it.
- 25,000,000 pixels or more are scored in patches of 2000 x 2000, padded with zeros to the right
  and below; the counts of the patches are summed. Prediction ids wrap to the dtype of the truth
  there; in smaller images both wrap to int32.
- A cell with a pixel in the outer 2 rows or columns is removed, in truth and prediction each by
  itself.
- Of the values found in the frame the lowest is spared, as it is the background. Where the frame
  is the whole image (4 pixels or fewer across) and has no background, it is a cell.
- A (patch of a) prediction without cells adds nothing to the missed cells, two empty images have
  an F1 of 0, and ratios are rounded to 4 decimals.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from cellharness.scoring.contingency import Contingency, Labels, count_overlaps
from cellharness.scoring.matching import match
from cellharness.scoring.overlaps import find_overlaps
from cellharness.scoring.score import Match, Score, foreground_sizes, matches_of, plain_ids
from cellharness.scoring.validation import ScoringError

_BORDER = 2
_PATCH = 2000
_PATCHED_FROM_PIXELS = 25_000_000
_DECIMALS = 4


def score_challenge(
    gt: Labels, pred: Labels, thresholds: tuple[float, ...], *, matches: bool
) -> list[Score]:
    """Score one checked pair as the official script does, one `Score` a threshold.

    In an image that is scored in patches, the ids in `Score.matches` and `Score.excluded_pred`
    are those after the wrap, and a cell is excluded if it is so in any patch.

    Raises
    ------
    ScoringError
        If an id wraps to a negative number: the official script fails then, and drops the case.
    """
    counts = [_Counts() for _ in thresholds]
    sizes = np.zeros(3, np.int64)
    n_true = n_pred = 0
    no_interior = min(gt.shape) <= 2 * _BORDER and not is_patched(gt)
    excluded_true: list[int] = []
    excluded_pred: list[int] = []
    for table in _tables(gt, pred):
        sizes += foreground_sizes(table)
        overlaps = find_overlaps(_wrapped(table, gt, pred), spare_lowest=no_interior)
        n_true += overlaps.true.count
        n_pred += overlaps.pred.count
        if matches:
            excluded_true += plain_ids(overlaps.true.excluded)
            excluded_pred += plain_ids(overlaps.pred.excluded)
        if overlaps.pred.count == 0:
            continue
        for count, threshold in zip(counts, thresholds, strict=True):
            chosen = match(overlaps, threshold)
            count.tp += len(chosen)
            count.fp += overlaps.pred.count - len(chosen)
            count.fn += overlaps.true.count - len(chosen)
            if matches:
                count.matches += matches_of(overlaps, chosen)
    dice = _dice(*(int(size) for size in sizes))
    scores = []
    for count, threshold in zip(counts, thresholds, strict=True):
        precision = recall = f1 = 0.0
        if count.tp:
            precision, recall = count.tp / n_pred, count.tp / n_true
            f1 = 2 * (precision * recall) / (precision + recall)
        scores.append(
            Score(
                threshold=threshold,
                n_true=n_true,
                n_pred=n_pred,
                tp=count.tp,
                fp=count.fp,
                fn=count.fn,
                precision=_rounded(precision),
                recall=_rounded(recall),
                f1=_rounded(f1),
                dice=_rounded(dice),
                sq=math.nan,
                rq=math.nan,
                pq=math.nan,
                ap=math.nan,
                aji=math.nan,
                matches=tuple(sorted(count.matches)) if matches else None,
                excluded_true=plain_ids(excluded_true) if matches else None,
                excluded_pred=plain_ids(excluded_pred) if matches else None,
            )
        )
    return scores


class _Counts:
    """What one threshold gathers over the patches."""

    def __init__(self) -> None:
        self.tp = self.fp = self.fn = 0
        self.matches: list[Match] = []


def is_patched(gt: Labels) -> bool:
    """Whether the official script works through an image of this size in patches."""
    return gt.size >= _PATCHED_FROM_PIXELS


def _tables(gt: Labels, pred: Labels) -> Iterator[Contingency]:
    if not is_patched(gt):
        yield count_overlaps(gt, pred, border=_BORDER)
        return
    height, width = gt.shape
    for top in range(0, height, _PATCH):
        for left in range(0, width, _PATCH):
            patch = np.s_[top : top + _PATCH, left : left + _PATCH]
            # The frame is that of the padded patch, so a cell on the true right or lower edge of
            # the image is kept where there is padding.
            yield count_overlaps(gt[patch], pred[patch], border=_BORDER, frame=(_PATCH, _PATCH))


def _wrapped(table: Contingency, gt: Labels, pred: Labels) -> Contingency:
    """Wrap ids where the official script casts the images."""
    if is_patched(gt):
        wrapped = table.cast(gt.dtype, gt.dtype)
        why = (
            f"ids of the prediction ({pred.dtype}) are cast to the dtype of the truth ({gt.dtype})"
        )
    else:
        wrapped = table.cast(np.dtype(np.int32), np.dtype(np.int32))
        why = f"ids (truth {gt.dtype}, prediction {pred.dtype}) are cast to int32"
    for ids in (wrapped.gt, wrapped.pred):
        if ids.dtype.kind == "i" and len(ids) and ids.min() < 0:
            msg = (
                f"The official script fails on this pair of shape {gt.shape}: {why}, and some "
                "become negative. Number the cells from 1, or score with profile 'strict'."
            )
            raise ScoringError(msg)
    return wrapped


def _dice(true_size: int, pred_size: int, common: int) -> float:
    if true_size == 0:
        return 1.0 if pred_size == 0 else 0.0
    return 2 * common / (true_size + pred_size)


def _rounded(ratio: float) -> float:
    return float(np.round(ratio, _DECIMALS))
