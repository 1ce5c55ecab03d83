"""Every pair of methods on the cases that both have a score for, over all cases and by modality."""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations

import numpy as np
import pandas as pd

from cellharness.errors import did_you_mean
from cellharness.statistics.contrasts import (
    HIGHER,
    LOWER,
    OF_SCORES,
    ContrastError,
    Unit,
    mean_difference,
    units_of,
)
from cellharness.statistics.estimates import estimate_rows
from cellharness.statistics.summary import ALL


def compare_pairs(
    scores: pd.DataFrame,
    baseline: str | None = None,
    *,
    apart: Collection[str] = (),
    unit: Unit | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare methods two by two.

    Parameters
    ----------
    scores : DataFrame
        Columns ``method, case, modality, experiment`` (both ``""`` where unknown) and ``value``
        (larger is better), one row a method and case. A case with NaN, or without a row, is left
        out of the comparisons of its method; the profile ``strict`` gives a failure the value 0.
    baseline : str or None
        Compare every other method with this one; with None, every pair.
    apart : collection of str
        Methods that do not compete, such as those that read the truth; they are in no pair.
    unit : {"experiment", "image"}, optional
        What is independent; see `cellharness.statistics.contrast`.
    confidence : float
        Of the intervals.

    Returns
    -------
    DataFrame
        Columns ``modality`` (`ALL` first), ``method``, ``other``, ``median_difference``, and the
        `ESTIMATE_COLUMNS` of the value of ``method`` less that of ``other``. The pairs of a
        modality are a family, and those of all cases are one of their own.

    Raises
    ------
    ContrastError
        If the baseline is no method of the table, or experiments are asked for and not named.
    """
    methods = [name for name in dict.fromkeys(scores["method"]) if name not in set(apart)]
    if baseline is not None and baseline not in methods:
        meant = did_you_mean(str(baseline), map(str, methods))
        there = ", ".join(map(str, methods))
        msg = f"no method {baseline!r} to compare with; there are {there}.{meant}"
        raise ContrastError(msg)
    pairs = (
        list(combinations(methods, 2))
        if baseline is None
        else [(method, baseline) for method in methods if method != baseline]
    )
    cases = scores.drop_duplicates("case").set_index("case").sort_index()
    values = scores.pivot_table("value", "case", "method", "first")
    # The pivot has dropped cases and methods without any score.
    values = values.reindex(index=cases.index, columns=methods)
    unit, units = units_of(cases["modality"], cases["experiment"], unit)
    groups = cases["modality"].to_numpy(object)
    names = [name for name in dict.fromkeys(scores["modality"]) if name]
    # With a single modality and no case without one, its block would repeat the first.
    blocks = [ALL, *(names if len(set(groups)) > 1 else [])]
    about, found = [], []
    for modality in blocks:
        chosen = np.full(len(groups), True) if modality == ALL else groups == modality
        part = {method: values[method].to_numpy(float)[chosen] for method in methods}
        for method, other in pairs:
            differences = part[method] - part[other]
            known = differences[~np.isnan(differences)]
            about.append((modality, method, other, np.median(known) if known.size else np.nan))
            found.append(
                mean_difference(
                    differences, units[chosen], unit=unit, confidence=confidence, bounds=OF_SCORES
                )
            )
    table = pd.DataFrame(about, columns=["modality", "method", "other", "median_difference"])
    families = [
        f"pairs of methods{' with ' + str(baseline) if baseline is not None else ''}, {modality}"
        for modality in table["modality"]
    ]
    return estimate_rows(table, found, families)


def both_ways(pairs: pd.DataFrame) -> pd.DataFrame:
    """Give every pair of `compare_pairs` in both orders, with all that changes sides changed."""
    turned = pairs.rename(columns={"method": "other", "other": "method"})
    turned = turned.assign(estimate=-pairs["estimate"], low=-pairs["high"], high=-pairs["low"],
                           median_difference=-pairs["median_difference"],
                           p_higher=pairs["p_lower"], p_lower=pairs["p_higher"],
                           verdict=pairs["verdict"].replace(_TURNED))  # fmt: skip
    return pd.concat([pairs, turned[list(pairs.columns)]], ignore_index=True)


_TURNED = {HIGHER: LOWER, LOWER: HIGHER}
