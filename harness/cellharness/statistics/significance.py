"""Pairwise one-sided Wilcoxon signed-rank tests, each against every other method.

The test is the one of the paper's Fig. 3c and of the reference toolkit: cases without a
difference are dropped (Wilcoxon's own rule for zeros), equal absolute differences share their mean
rank, and p comes from the normal distribution with the variance corrected for ties and a
continuity correction of a half. It equals
``scipy.stats.wilcoxon(a, b, zero_method="wilcox", correction=True, alternative="greater",
method="asymptotic")``.

Differences are taken in float64 as they are: values that were rounded to decimals before may have
differences that are equal on paper and not in the machine, here as in scipy and R.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from cellharness.statistics.case_table import Floats, Missing, RankingError, fill, tabulate

ALPHA = 0.05

_COLUMNS = (
    "method", "other", "n", "statistic", "p", "p_holm", "significant", "significant_holm",
)  # fmt: skip

# Resamples are worked through in blocks of this many weights, to bound the memory.
_BLOCK = 2**20


def signed_rank_tests(
    scores: pd.DataFrame,
    larger_is_better: bool = True,
    missing: Missing = "worst",
    alpha: float = ALPHA,
) -> pd.DataFrame:
    """Test for every ordered pair of methods whether the first is better than the second.

    Parameters
    ----------
    scores : DataFrame
        Columns ``case``, ``method``, ``value``, one row a case and method.
    larger_is_better : bool
        False for times and memory.
    missing : "worst" or float
        What stands for a missing value: the worst value of the table, or this number.
    alpha : float
        Level, between 0 and 1; a p below it is significant.

    Returns
    -------
    DataFrame
        One row an ordered pair, in the order in which the methods first occur: ``method, other``;
        ``n``, cases in which their values differ; ``statistic``, sum of the ranks of the cases in
        which `method` is better; ``p``; ``p_holm``, adjusted by Holm over all ordered pairs that
        could be tested; ``significant`` and ``significant_holm``, whether they are below `alpha`.
        Where two methods have the same value in every case there is nothing to test: p is NaN and
        the difference not significant. No rows for a single method.

    Raises
    ------
    RankingError
        If the table (see `tabulate`), `missing` or `alpha` is not valid.

    Examples
    --------
    >>> values = {"a": [0.9, 0.8, 0.7, 0.9, 0.8, 0.6], "b": [0.5, 0.6, 0.6, 0.4, 0.2, 0.3]}
    >>> rows = [(case, m, v) for m in values for case, v in enumerate(values[m])]
    >>> table = pd.DataFrame(rows, columns=["case", "method", "value"])
    >>> signed_rank_tests(table)[["method", "other", "p", "significant"]].round(4).values.tolist()
    [['a', 'b', 0.018, True], ['b', 'a', 0.9895, False]]
    """
    check_alpha(alpha)
    (table,) = tabulate(scores)
    filled = fill(table.values, missing, larger_is_better=larger_is_better)
    better = filled if larger_is_better else -filled
    tests = SignedRanks(better, np.ones((len(table.cases), 1)))
    p = tests.p_values()[0]
    p_holm = adjust_by_holm(p[None])[0]
    rows = [
        (
            method, other, int(tests.used[0, i, j]), tests.sums[0, i, j], p[i, j], p_holm[i, j],
            bool(p[i, j] < alpha), bool(p_holm[i, j] < alpha),
        )
        for i, method in enumerate(table.methods)
        for j, other in enumerate(table.methods)
        if i != j
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(_COLUMNS))


class SignedRanks:
    """Signed-rank statistics of all pairs of methods, for many weightings of the cases at once.

    A bootstrap sample is the table with the weight of each case, the number of times it was drawn,
    so the absolute differences of a pair are sorted once for all samples. Every sum is a multiple
    of one half and exact in float64, hence the same as on a table with the drawn rows written out.

    Parameters
    ----------
    values : ndarray of float64, shape (cases, methods)
        Larger is better. NaN only if all of it is.
    weights : ndarray of float64, shape (cases, samples)
        Whole numbers.

    Attributes
    ----------
    sums, used, ties : ndarray of float64, shape (samples, methods, methods)
        For methods i and j: sum of the ranks of the cases in which i is better than j, number of
        cases that differ, and sum of t ** 3 - t over groups of t equal absolute differences.
    """

    def __init__(self, values: Floats, weights: Floats) -> None:
        count, samples = values.shape[1], weights.shape[1]
        self.sums, self.used, self.ties = np.zeros((3, samples, count, count))
        step = max(1, _BLOCK // len(values))
        for start in range(0, samples, step):
            block = slice(start, min(start + step, samples))
            part = np.ascontiguousarray(weights[:, block])
            for i in range(count):
                for j in range(i + 1, count):
                    self._add_pair(values[:, i] - values[:, j], part, (block, i, j))

    def _add_pair(self, difference: Floats, weights: Floats, where: tuple[slice, int, int]) -> None:
        differing = np.flatnonzero(np.abs(difference) > 0)
        if differing.size == 0:
            return
        size = np.abs(difference[differing])
        order = np.argsort(size, kind="stable")
        size, rows = size[order], differing[order]
        starts_group = np.r_[True, size[1:] > size[:-1]]
        bounds = np.r_[np.flatnonzero(starts_group), size.size]
        drawn = weights[rows]
        below = np.zeros((size.size + 1, weights.shape[1]))
        np.cumsum(drawn, axis=0, out=below[1:])
        below = below[bounds]
        lower, upper = below[:-1], below[1:]
        # A group holds the ranks lower + 1 to upper; this is twice their mean.
        twice_rank = lower + upper + 1
        group = np.cumsum(starts_group) - 1
        wins = difference[rows] > 0
        total = below[-1]
        won = np.einsum("cs,cs->s", drawn[wins], twice_rank[group[wins]]) / 2
        tied = upper - lower
        ties = np.einsum("gs,gs,gs->s", tied, tied, tied) - total
        block, i, j = where
        self.sums[block, i, j] = won
        self.sums[block, j, i] = total * (total + 1) / 2 - won
        for a, b in ((i, j), (j, i)):
            self.used[block, a, b] = total
            self.ties[block, a, b] = ties

    def p_values(self) -> Floats:
        """Return p of "row is better than column", shape (samples, methods, methods).

        NaN where no case differs, the diagonal included.
        """
        n = self.used
        variance = (n * (n + 1) * (2 * n + 1) - self.ties / 2) / 24
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (self.sums - n * (n + 1) / 4 - 0.5) / np.sqrt(variance)
        return np.where(n > 0, ndtr(-z), np.nan)


def adjust_by_holm(p: Floats) -> Floats:
    """Adjust p values by Holm's step-down method, each sample for itself.

    Parameters
    ----------
    p : ndarray of float64, shape (samples, ...)
        One family of tests a sample; NaN marks a test that was not done and does not count.

    Returns
    -------
    ndarray of float64
        Same shape, NaN where `p` is NaN.
    """
    flat = p.reshape(len(p), -1)
    order = np.argsort(flat, axis=1, kind="stable")
    ordered = np.take_along_axis(flat, order, axis=1)
    tests = (~np.isnan(flat)).sum(axis=1, keepdims=True)
    # NaN sorts last, so it cannot reach the tests before it.
    stepped = np.maximum.accumulate(ordered * (tests - np.arange(flat.shape[1])), axis=1)
    adjusted = np.empty_like(flat)
    np.put_along_axis(adjusted, order, np.minimum(stepped, 1.0), axis=1)
    return adjusted.reshape(p.shape)


def share_of_wins(p: Floats, alpha: float) -> Floats:
    """Share of the other methods that each method is significantly better than.

    Parameters
    ----------
    p : ndarray of float64, shape (samples, methods, methods)
        p of "row is better than column".
    alpha : float
        Level.

    Returns
    -------
    ndarray of float64, shape (samples, methods)
        0 for a single method, which has no other to be better than.
    """
    wins: NDArray[np.int64] = (p < alpha).sum(axis=2)
    return wins / max(1, p.shape[1] - 1)


def check_alpha(alpha: float) -> None:
    """Raise a `RankingError` unless `alpha` is a level."""
    if not 0 < alpha < 1:
        msg = f"alpha is {alpha!r}; valid are numbers between 0 and 1, such as {ALPHA}"
        raise RankingError(msg)
