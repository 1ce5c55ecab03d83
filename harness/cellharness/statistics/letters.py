"""Compact letters for pairwise tests: methods that share a letter do not differ significantly.

The letters of Piepho 2004 (Journal of Computational and Graphical Statistics 13:456): every two
methods that differ have no letter in common, and every two that do not have at least one.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from string import ascii_letters

import numpy as np
import pandas as pd

from cellharness.statistics.case_table import RankingError


def compact_letters(
    tests: pd.DataFrame, order: Sequence[Hashable], column: str = "significant_holm"
) -> dict[Hashable, str]:
    """Give every method its letters.

    Parameters
    ----------
    tests : DataFrame
        One row an ordered pair, as `cellharness.statistics.significance.signed_rank_tests` makes
        them: ``method``, ``other``, and `column`, whether the first is better. Two methods differ
        where either is better than the other; a pair without a row does not.
    order : sequence
        All methods, best first: the best gets an ``a``, and letters go down the order.
    column : str
        Which verdict to use.

    Returns
    -------
    dict of method to str
        Letters ``a`` to ``z``, then ``A`` to ``Z``, then all of them with a prime.

    Raises
    ------
    RankingError
        If a test names a method that is not in `order`.

    Examples
    --------
    >>> rows = [("a", "b", False), ("b", "a", False), ("b", "c", False), ("a", "c", True)]
    >>> tests = pd.DataFrame(rows, columns=["method", "other", "significant_holm"])
    >>> compact_letters(tests, ["a", "b", "c"])
    {'a': 'a', 'b': 'ab', 'c': 'b'}
    """
    place = {method: i for i, method in enumerate(order)}
    unknown = sorted({*tests["method"], *tests["other"]} - set(place), key=str)
    if unknown:
        msg = (
            f"the tests name {', '.join(map(str, unknown))}, which the order of methods lacks; "
            f"it has {', '.join(map(str, order)) or 'none'}"
        )
        raise RankingError(msg)
    differ = np.zeros((len(place), len(place)), bool)
    for first, second, better in zip(tests["method"], tests["other"], tests[column], strict=True):
        if better:
            differ[place[first], place[second]] = differ[place[second], place[first]] = True
    groups = sorted(sorted(group) for group in _groups(differ))
    return {
        method: "".join(_letter(number) for number, group in enumerate(groups) if i in group)
        for method, i in place.items()
    }


def _groups(differ: np.ndarray) -> list[frozenset[int]]:
    """Find the largest groups without a difference in them: insert a pair, split, absorb."""
    groups = [frozenset(range(len(differ)))] if len(differ) else []
    for i, j in zip(*np.nonzero(np.triu(differ)), strict=True):
        split = [group for group in groups if i in group and j in group]
        kept = [group for group in groups if not (i in group and j in group)]
        parts = sorted((g - {m} for g in split for m in (int(i), int(j))), key=len, reverse=True)
        for part in parts:
            if not any(part <= other for other in kept):
                kept.append(part)
        groups = kept
    return groups


def _letter(number: int) -> str:
    turn, at = divmod(number, len(ascii_letters))
    return ascii_letters[at] + "′" * turn
