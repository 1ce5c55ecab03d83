"""The arithmetic of the ranking schemes, on matrices and for many bootstrap samples at once.

A ranking of the full table is the one "sample" in which every case is drawn once, so `rank` and
the bootstrap cannot differ.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellharness.errors import unknown_name
from cellharness.statistics.case_table import Floats, Missing, RankingError, check_missing, fill
from cellharness.statistics.significance import ALPHA, SignedRanks, adjust_by_holm, share_of_wins

Integers = NDArray[np.int64]

#: Names of the schemes. The paper compares the first five; the last adjusts p for many tests.
SCHEMES: tuple[str, ...] = (
    "mean-then-rank",
    "median-then-rank",
    "rank-then-mean",
    "rank-then-median",
    "test-based",
    "test-based-holm",
)

#: The test of the schemes ``test-based``, and what ``test-based-holm`` adds, in words.
TEST_WORDS = f"one-sided Wilcoxon signed-rank test, p < {ALPHA:g}"
CORRECTION_WORDS = "Holm's correction"

# Scores closer than this share of the largest one are equal: the mean of the same numbers differs
# by about 1e-16 with the order in which they are added.
_ROUNDING = 1e-12


class Sampled:
    """The scores that each scheme gives the methods in each sample of the cases.

    Parameters
    ----------
    values : ndarray of float64, shape (cases, methods)
        NaN where a method has no value for a case.
    weights : ndarray of float64, shape (cases, samples)
        How often each case was drawn.
    larger_is_better : bool
        False for times and memory.
    missing : "worst" or float
        See `cellharness.statistics.ranking.rank`. The worst value is that of all cases, drawn or
        not, so that what a failure costs does not depend on the draw.
    alpha : float
        Level of the tests.
    """

    def __init__(
        self,
        values: Floats,
        weights: Floats,
        *,
        larger_is_better: bool,
        missing: Missing,
        alpha: float = ALPHA,
    ) -> None:
        self._weights = weights
        self.larger_is_better = larger_is_better
        self.missing = check_missing(missing)
        self.alpha = alpha
        self._values = values

    def scores(self, scheme: str) -> Floats:
        """Return the scores, shape (samples, methods); `larger_wins` says which way they go."""
        match scheme:
            case "mean-then-rank":
                return means(self._filled, self._weights)
            case "median-then-rank":
                return _medians(self._filled.T, self._weights).T
            case "rank-then-mean":
                return means(self._case_ranks, self._weights)
            case "rank-then-median":
                return _medians(self._case_ranks.T, self._weights).T
            case "test-based":
                return share_of_wins(self._p_values, self.alpha)
            case "test-based-holm":
                return share_of_wins(adjust_by_holm(self._p_values), self.alpha)
        raise unknown_name(
            kind="ranking scheme", name=str(scheme), known=SCHEMES, error=RankingError
        )

    def larger_wins(self, scheme: str) -> bool:
        """Whether the largest score of a scheme is the best one."""
        if scheme.startswith("rank-then-"):
            return False
        return True if scheme.startswith("test-based") else self.larger_is_better

    def ranks(self, scheme: str) -> Integers:
        """Return the ranks, 1 the best, shape (samples, methods)."""
        return order_scores(self.scores(scheme), larger_is_better=self.larger_wins(scheme))

    @cached_property
    def _filled(self) -> Floats:
        return fill(self._values, self.missing, larger_is_better=self.larger_is_better)

    @cached_property
    def _case_ranks(self) -> Floats:
        values = self._values if self.missing == "worst" else self._filled
        return rank_cases(values, larger_is_better=self.larger_is_better).astype(np.float64)

    @cached_property
    def _p_values(self) -> Floats:
        better = self._filled if self.larger_is_better else -self._filled
        return SignedRanks(better, self._weights).p_values()


def means(matrix: Floats, weights: Floats) -> Floats:
    """Weighted means over cases: (cases, methods) and (cases, samples) to (samples, methods)."""
    return weights.T @ matrix / weights.sum(axis=0)[:, None]


def _medians(values: Floats, weights: Floats) -> Floats:
    """Median of every series in every sample of the cases.

    Parameters
    ----------
    values : ndarray of float64, shape (series, cases)
        NaN where there is no value.
    weights : ndarray of float64, shape (cases, samples)
        How often each case was drawn.

    Returns
    -------
    ndarray of float64, shape (series, samples)
        NaN in samples that drew no case with a value.
    """
    found = np.full((len(values), weights.shape[1]), np.nan)
    # NDArray[Any] are small, and half the bytes take half the time.
    most = max(weights.sum(axis=0).max(initial=0), len(weights))
    times: NDArray[Any] = weights.astype(np.int16 if most < 2**14 else np.int64)
    scored = ~np.isnan(values)
    for series, (row, kept) in enumerate(zip(values, scored, strict=True)):
        places = np.flatnonzero(kept)
        if places.size == 0:
            continue
        order = places[np.argsort(row[places], kind="stable")]
        ordered = row[order]
        up_to: NDArray[Any] = np.cumsum(times[order], axis=0, dtype=times.dtype)
        total = up_to[-1]
        lower = _count_below(up_to, (total + 1) // 2)
        upper = _count_below(up_to, total // 2 + 1)
        drawn = total > 0
        found[series, drawn] = (ordered[lower[drawn]] + ordered[upper[drawn]]) / 2
    return found


def _count_below(up_to: NDArray[Any], position: NDArray[Any]) -> NDArray[Any]:
    """Index of the first row of each column that reaches `position`."""
    below: NDArray[Any] = np.add.reduce((up_to < position).view(np.int8), axis=0, dtype=up_to.dtype)
    return below


def rank_cases(values: Floats, *, larger_is_better: bool) -> Integers:
    """Rank the methods in each case; those without a value come behind all that have one.

    Parameters
    ----------
    values : ndarray of float64, shape (cases, methods)
        NaN where there is no value.
    larger_is_better : bool
        False for times and memory.

    Returns
    -------
    ndarray of int64, shape (cases, methods)
        1 is the best; equal values share the smallest of their ranks.
    """
    last = -np.inf if larger_is_better else np.inf
    behind = np.where(np.isnan(values), last, values)
    return _competition_ranks(-behind if larger_is_better else behind, 0.0)


def order_scores(scores: Floats, *, larger_is_better: bool) -> Integers:
    """Rank scores along the last axis, ties ``min``; scores equal but for rounding are equal.

    Parameters
    ----------
    scores : ndarray of float64, shape (samples, methods)
        A row is either all finite or all NaN; then all share rank 1.
    larger_is_better : bool
        Whether the largest score is the best.

    Returns
    -------
    ndarray of int64, shape (samples, methods)
        1 is the best.
    """
    cost = -scores if larger_is_better else scores
    return _competition_ranks(cost, _ROUNDING * np.abs(cost).max(axis=1, keepdims=True))


def _competition_ranks(cost: Floats, tolerance: Floats | float) -> Integers:
    order = np.argsort(cost, axis=1, kind="stable")
    ordered = np.take_along_axis(cost, order, axis=1)
    places = np.broadcast_to(np.arange(1, cost.shape[1] + 1), cost.shape).copy()
    tied = ~(ordered[:, 1:] > ordered[:, :-1] + tolerance)
    places[:, 1:][tied] = 0
    ranks = np.empty(cost.shape, np.int64)
    np.put_along_axis(ranks, order, np.maximum.accumulate(places, axis=1), axis=1)
    return ranks
