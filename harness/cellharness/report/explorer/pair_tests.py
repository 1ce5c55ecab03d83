"""Whether two methods differ: tested beforehand for every pair, so that the page need not."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from cellharness.statistics.paired_change import adjust_families, signed_rank


def pair_tests(f1: np.ndarray, groups: Mapping[str, np.ndarray]) -> np.ndarray:
    """Test every pair of methods by Wilcoxon's signed-rank test, in every group of cases.

    Parameters
    ----------
    f1 : ndarray of float, (methods, cases)
        NaN where there is no score; a pair is tested on the cases that both have.
    groups : mapping of str to ndarray of bool, (cases,)
        Name to its cases.

    Returns
    -------
    ndarray of float64, (groups, 2, pairs)
        Two-sided p (see `cellharness.statistics.paired_change.signed_rank`), and the same adjusted
        by Holm over the pairs of the group. Pairs are in the order of `itertools.combinations`. NaN
        where no case differs.
    """
    pairs = list(combinations(range(len(f1)), 2))
    found = np.full((len(groups), 2, len(pairs)), np.nan)
    for place, chosen in enumerate(groups.values()):
        part = f1[:, chosen]
        raw = [signed_rank(part[j] - part[i]).p_two_sided for i, j in pairs]
        found[place] = raw, adjust_families(raw, [None] * len(raw))
    return found
