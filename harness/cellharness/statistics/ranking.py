"""Rank methods by one metric, by the five schemes that the paper compares and a stricter sixth."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from cellharness.statistics.case_table import Floats, Missing, tabulate
from cellharness.statistics.schemes import SCHEMES, Integers, Sampled
from cellharness.statistics.significance import ALPHA, check_alpha

_COLUMNS = ["scheme", "method", "score", "rank"]


def rank(
    scores: pd.DataFrame,
    scheme: str,
    larger_is_better: bool = True,
    missing: Missing = "worst",
    *,
    alpha: float = ALPHA,
) -> pd.DataFrame:
    """Rank methods over all cases.

    Parameters
    ----------
    scores : DataFrame
        Columns ``case``, ``method``, ``value``, one row a case and method. A value is missing
        where it is NaN or the row is not there.
    scheme : str
        ``mean-then-rank`` and ``median-then-rank`` rank the mean or median value.
        ``rank-then-mean`` and ``rank-then-median`` rank the methods in each case and then their
        mean or median rank. ``test-based`` ranks the share of other methods that a method is
        significantly better than (one-sided Wilcoxon signed-rank tests, see
        `cellharness.statistics.significance`), and ``test-based-holm`` does so with p adjusted by
        Holm over all pairs.
    larger_is_better : bool
        False for times and memory.
    missing : "worst" or float
        With a number, it stands in for every missing value; 0 is the worst possible F1. With
        ``"worst"``, a missing value comes behind all others in the ranking of its case, and counts
        as the worst value of the table where a mean, median or test needs a number.
    alpha : float
        Level of the tests of the last two schemes.

    Returns
    -------
    DataFrame
        Columns ``method``, ``score`` (mean, median, mean rank, median rank or share, by the
        scheme) and ``rank``, the best method first. Equal scores share the smallest of their ranks.
        A single method has rank 1. If no method has a value, all have rank 1, and there is no mean
        or median: it is NaN with ``missing="worst"``.

    Raises
    ------
    RankingError
        If the scheme is unknown, or the table (see `tabulate`), `missing` or `alpha` is not valid.

    Notes
    -----
    The schemes are those of the paper's section "Ranking Scheme" and Fig. 3e; their names and
    details follow challengeR 1.0.5, with which scores and ranks agree.

    Examples
    --------
    >>> rows = [(1, "a", 0.9), (1, "b", 0.8), (2, "a", 0.4), (2, "b", 0.6), (3, "b", 0.7)]
    >>> table = pd.DataFrame(rows, columns=["case", "method", "value"])
    >>> rank(table, "median-then-rank", missing=0).values.tolist()
    [['b', 0.7, 1], ['a', 0.4, 2]]
    """
    ranking = compare_schemes(scores, [scheme], larger_is_better, missing, alpha=alpha)
    return ranking.drop(columns="scheme")


def compare_schemes(
    scores: pd.DataFrame,
    schemes: Sequence[str] = SCHEMES,
    larger_is_better: bool = True,
    missing: Missing = "worst",
    *,
    alpha: float = ALPHA,
) -> pd.DataFrame:
    """Rank methods by several schemes, as in the paper's Fig. 3e.

    Parameters
    ----------
    scores, larger_is_better, missing, alpha
        See `rank`.
    schemes : sequence of str
        Some of `SCHEMES`.

    Returns
    -------
    DataFrame
        Columns ``scheme``, ``method``, ``score``, ``rank``; one block a scheme, in the order given.

    Raises
    ------
    RankingError
        See `rank`.
    """
    check_alpha(alpha)
    (table,) = tabulate(scores)
    # Every case drawn once is the table itself.
    full = Sampled(
        table.values,
        np.ones((len(table.cases), 1)),
        larger_is_better=larger_is_better,
        missing=missing,
        alpha=alpha,
    )
    blocks = [
        ranking_frame(table.methods, full.scores(scheme)[0], full.ranks(scheme)[0]).assign(
            scheme=scheme
        )
        for scheme in schemes
    ]
    if not blocks:
        return pd.DataFrame(columns=_COLUMNS)
    return pd.concat(blocks, ignore_index=True)[_COLUMNS]


def ranking_frame(methods: Sequence[Hashable], scores: Floats, ranks: Integers) -> pd.DataFrame:
    """Make the frame that `rank` returns, best method first, ties in the order of `methods`."""
    frame = pd.DataFrame({"method": list(methods), "score": scores, "rank": ranks})
    return frame.sort_values("rank", kind="stable", ignore_index=True)
