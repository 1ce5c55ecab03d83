"""Score one pair of label images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np

from cellharness.scoring.challenge import score_challenge
from cellharness.scoring.contingency import Labels
from cellharness.scoring.score import Score
from cellharness.scoring.strict import score_strict
from cellharness.scoring.validation import (
    ScoringError,
    check_pair,
    check_profile,
    check_strict_options,
    check_thresholds,
)

_BORDER = 2
_BOTH_EMPTY = "one"


@overload
def score_pair(
    gt: Labels,
    pred: Labels,
    profile: str = ...,
    thresholds: Sequence[float] = ...,
    *,
    border: int = ...,
    both_empty: str = ...,
    matches: bool = ...,
) -> tuple[Score, ...]: ...


@overload
def score_pair(
    gt: Labels,
    pred: Labels,
    profile: str = ...,
    *,
    thresholds: float,
    border: int = ...,
    both_empty: str = ...,
    matches: bool = ...,
) -> Score: ...


def score_pair(
    gt: Labels,
    pred: Labels,
    profile: str = "challenge",
    thresholds: float | Sequence[float] = (0.5,),
    *,
    border: int = _BORDER,
    both_empty: str = _BOTH_EMPTY,
    matches: bool = False,
) -> Score | tuple[Score, ...]:
    """Score a predicted label image against the true one.

    The images are read once, however many thresholds there are. A predicted cell is correct at
    threshold t if it is matched, one to one, to a true cell with IoU >= t; `match` says how ties
    are settled. Ids may be of any size and have gaps; connected components play no part, all
    pixels of one id are one cell.

    Parameters
    ----------
    gt, pred
        Shape (H, W), any integer dtype and memory layout, no negative values; 0 is background. A
        `cellharness.data.label_rows.LabelRows` is read by rows, for images larger than memory.
    profile
        ``"challenge"``: the official script of the NeurIPS 2022 challenge to the last digit, quirks
        included; the module `cellharness.scoring.challenge` lists them.
        ``"strict"``: the whole image in one piece, nothing rounded, every cell that an empty
        prediction missed is counted, and the quality measures sq, rq, pq, ap and aji as well.
    thresholds
        IoU thresholds in (0, 1]: one number, or a sequence of them.
    border
        Profile ``strict`` only. A cell with a pixel in this many outer rows or columns is taken
        out, on each side by itself and before matching; 0 keeps all cells.
    both_empty
        Profile ``strict`` only: what every ratio is when neither side has a cell to score.
        ``"one"`` calls that a perfect result, ``"zero"`` a failure (as profile ``challenge``
        does), ``"nan"`` undefined. The dice follows the same rule when neither side has any
        foreground. If only one side is empty, all ratios are 0 under each rule.
    matches
        Also return the matched pairs and the excluded labels, in the ids of the input.

    Returns
    -------
    Score or tuple of Score
        One `Score` for a single number, otherwise a tuple in the order of `thresholds`.

    Raises
    ------
    ScoringError
        If an array is not 2-D, integer and non-negative, if the shapes differ, if an option is
        unknown, if an option of ``strict`` is used with ``challenge``, or if the official script
        fails on the pair because of wrapping ids.

    Examples
    --------
    >>> import numpy as np
    >>> gt = np.zeros((10, 10), np.uint16)
    >>> gt[3:5, 3:7] = 1
    >>> pred = np.zeros((10, 10), np.uint16)
    >>> pred[3:5, 3:6] = 8
    >>> score = score_pair(gt, pred, "strict", thresholds=0.75)
    >>> score.tp, score.f1, score.sq
    (1, 1.0, 0.75)
    >>> [score.tp for score in score_pair(gt, pred, "strict", thresholds=(0.5, 0.9))]
    [1, 0]
    """
    check_profile(profile)
    levels = check_thresholds(thresholds)
    check_strict_options(border, both_empty)
    check_pair(gt, pred)
    if profile == "strict":
        scores = score_strict(
            gt, pred, levels, border=border, both_empty=both_empty, matches=matches
        )
    elif (border, both_empty) == (_BORDER, _BOTH_EMPTY):
        scores = score_challenge(gt, pred, levels, matches=matches)
    else:
        msg = (
            f"border={border!r} and both_empty={both_empty!r} are options of profile 'strict'; "
            "'challenge' is the official script, whose rules are fixed."
        )
        raise ScoringError(msg)
    return scores[0] if np.ndim(thresholds) == 0 else tuple(scores)
