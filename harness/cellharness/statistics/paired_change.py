"""How paired scores differ: size with bootstrap intervals, and Wilcoxon's signed-rank test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from cellharness.statistics.resampling import Resampling, center, resample
from cellharness.statistics.significance import ALPHA, SignedRanks, adjust_by_holm
from cellharness.statistics.staged_scores import Floats, ForgettingError

#: What `verdict` can say.
LOSS, GAIN, OPEN, NO_PAIRS = "loss", "gain", "not proven", "no pairs"

#: Up to this many differences p is exact, above it comes from the normal distribution.
EXACT_UP_TO = 50


class SignedRank(NamedTuple):
    """Wilcoxon's signed-rank test of paired differences, after minus before.

    Attributes
    ----------
    n_changed
        Differences other than 0; the others are dropped (Wilcoxon's own rule for zeros).
    p_loss, p_gain
        One-sided: the differences tend to be below, or above, 0.
    p_two_sided
        Twice the smaller of the two, at most 1.
    """

    n_changed: int
    p_loss: float
    p_gain: float
    p_two_sided: float


class PairedChange(NamedTuple):
    """What changed over the cases that have both scores; the columns of a table of changes.

    Attributes
    ----------
    n, n_missing
        Cases with both scores, and cases that lack at least one.
    n_changed
        Cases whose two scores differ.
    median_change, median_low, median_high
        Median of the differences (not the difference of the medians), and its interval.
    mean_change, mean_low, mean_high
        Their mean, and its interval.
    p_loss, p_gain, p_two_sided
        See `SignedRank`.
    """

    n: int
    n_missing: int
    n_changed: int
    median_change: float
    median_low: float
    median_high: float
    mean_change: float
    mean_low: float
    mean_high: float
    p_loss: float
    p_gain: float
    p_two_sided: float


def paired_changes(
    differences: Floats, resampling: Resampling, group: Sequence[str] = ()
) -> list[PairedChange]:
    """Describe several series of differences over the same cases.

    Parameters
    ----------
    differences : ndarray of float64, shape (series, cases)
        After minus before; NaN where either is missing.
    resampling : Resampling
        How the intervals are made.
    group : sequence of str
        What the cases are; see `Resampling.draw`. They are drawn once for all series.

    Returns
    -------
    list of PairedChange
        One a series.

    Examples
    --------
    >>> drop = np.array([[-0.1, -0.2, -0.3, -0.15, -0.25, np.nan]])
    >>> (found,) = paired_changes(drop, Resampling())
    >>> found.n, found.n_missing, round(found.median_change, 3), found.p_loss
    (5, 1, -0.2, 0.03125)
    """
    weights = resampling.draw(differences.shape[1], *group)
    columns = []
    for statistic in ("median", "mean"):
        low, high = resampling.interval(resample(differences, weights, statistic))
        columns += [center(differences, statistic), low, high]
    changes = []
    for row, sizes in zip(differences, np.transpose(columns).tolist(), strict=True):
        test = signed_rank(row)
        n = int(np.count_nonzero(~np.isnan(row)))
        changes.append(PairedChange._make((n, row.size - n, test.n_changed, *sizes, *test[1:])))
    return changes


def signed_rank(differences: Floats) -> SignedRank:
    """Test whether paired differences tend to one side of 0 (Wilcoxon 1945, Biometrics 1:80).

    Differences of 0 are dropped, equal absolute differences share their mean rank. Up to
    `EXACT_UP_TO` differences, p is exact given the ties: the share of the 2 ** n ways of giving
    the ranks signs whose sum is as extreme. Above, it is that of the rankings
    (`cellharness.statistics.significance`): normal, corrected for ties and continuity.

    Parameters
    ----------
    differences : ndarray of float64, shape (n,)
        NaN is passed over.

    Returns
    -------
    SignedRank
        With p NaN where no difference is other than 0.

    Examples
    --------
    >>> signed_rank(np.array([-3.0, -1.0, 2.0, 0.0]))
    SignedRank(n_changed=3, p_loss=0.375, p_gain=0.75, p_two_sided=0.75)
    """
    changed = differences[~np.isnan(differences) & (differences != 0)]
    n = changed.size
    if n == 0:
        return SignedRank(0, math.nan, math.nan, math.nan)
    if n > EXACT_UP_TO:
        against_zero = np.stack([changed, np.zeros(n)], axis=1)
        p = SignedRanks(against_zero, np.ones((n, 1))).p_values()[0]
        p_gain, p_loss = float(p[0, 1]), float(p[1, 0])
    else:
        # Mean ranks are multiples of one half, so doubled they are whole.
        twice_ranks = np.rint(2 * rankdata(np.abs(changed))).astype(np.int64)
        ways = _ways(tuple(sorted(twice_ranks.tolist())))
        positive = int(twice_ranks[changed > 0].sum())
        p_gain = float(ways[positive:].sum() / 2.0**n)
        p_loss = float(ways[: positive + 1].sum() / 2.0**n)
    return SignedRank(n, p_loss, p_gain, min(1.0, 2 * min(p_loss, p_gain)))


def adjust_families(p: Sequence[float], families: Sequence[object]) -> Floats:
    """Adjust p values by Holm's method (1979), each family of tests for itself.

    Parameters
    ----------
    p : sequence of float
        NaN for a test that could not be done; it does not count.
    families : sequence
        To which family each test belongs.
    """
    raw = np.asarray(p, np.float64)
    adjusted = np.full(raw.shape, np.nan)
    members: dict[object, list[int]] = {}
    for place, family in enumerate(families):
        members.setdefault(family, []).append(place)
    for places in members.values():
        adjusted[places] = adjust_by_holm(raw[places][None])[0]
    return adjusted


def verdict(change: PairedChange, p_adjusted: float, alpha: float) -> str:
    """Say what a change proves: a loss, a gain, or neither.

    A side is proven if the adjusted two-sided p is below `alpha`, Wilcoxon's test and the mean
    point to that side, and the interval of the mean lies on it. A few large losses among many
    small gains, where the test points one way and the mean the other, prove neither.

    Returns
    -------
    str
        `LOSS`, `GAIN`, `OPEN` or `NO_PAIRS`.
    """
    if change.n == 0:
        return NO_PAIRS
    if p_adjusted < alpha and change.mean_high < 0 and change.p_loss < change.p_gain:
        return LOSS
    if p_adjusted < alpha and change.mean_low > 0 and change.p_gain < change.p_loss:
        return GAIN
    return OPEN


def check_alpha(alpha: float) -> None:
    """Raise a `ForgettingError` unless `alpha` is a level."""
    if not 0 < alpha < 1:
        msg = f"alpha is {alpha!r}; valid are numbers between 0 and 1, such as {ALPHA}"
        raise ForgettingError(msg)


@lru_cache(maxsize=256)
def _ways(twice_ranks: tuple[int, ...]) -> NDArray[np.float64]:
    """In how many ways of choosing ranks their doubled sum is 0, 1, 2, ...; exact below 2 ** 53."""
    ways = np.zeros(sum(twice_ranks) + 1)
    ways[0] = 1
    for rank in twice_ranks:
        chosen = np.zeros_like(ways)
        chosen[rank:] = ways[:-rank]
        ways += chosen
    return ways
