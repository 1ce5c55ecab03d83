"""Every pair of methods on the cases that both have, over all cases and by modality."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from cellharness.statistics.paired_change import (
    PairedChange,
    adjust_families,
    paired_changes,
    verdict,
)
from cellharness.statistics.resampling import RESAMPLING, Resampling
from cellharness.statistics.significance import ALPHA
from cellharness.statistics.summary import ALL

#: What the verdict on a pair can be, besides "not proven" and "no pairs".
BETTER, WORSE = "better", "worse"

_VERDICTS = {"gain": BETTER, "loss": WORSE}


def compare_pairs(
    scores: pd.DataFrame,
    baseline: str | None = None,
    *,
    resampling: Resampling = RESAMPLING,
    alpha: float = ALPHA,
) -> pd.DataFrame:
    """Compare methods two by two.

    Parameters
    ----------
    scores : DataFrame
        Columns ``method``, ``case``, ``modality`` ("" where unknown) and ``value`` (larger is
        better, NaN for a case without a score), one row a method and case.
    baseline : str or None
        Compare every other method with this one; with None, every pair.
    resampling : Resampling
        Of the intervals.
    alpha : float
        Level of the verdict.

    Returns
    -------
    DataFrame
        Columns ``modality`` (`ALL` first), ``method``, ``other``, the fields of `PairedChange` for
        the value of ``method`` minus that of ``other`` on their common cases, ``p_holm``
        (two-sided, adjusted by Holm over the pairs of a modality; those of all cases are a family
        of their own) and ``verdict``: `BETTER` or `WORSE` where p, mean and interval agree, see
        `cellharness.statistics.paired_change.verdict`.

    Raises
    ------
    ValueError
        If the baseline is no method of the table.
    """
    methods = list(dict.fromkeys(scores["method"]))
    if baseline is not None and baseline not in methods:
        msg = f"no method '{baseline}' to compare with; there are {', '.join(methods)}"
        raise ValueError(msg)
    pairs = (
        list(combinations(methods, 2))
        if baseline is None
        else [(method, baseline) for method in methods if method != baseline]
    )
    modalities = dict(zip(scores["case"], scores["modality"], strict=True))
    values = scores.pivot_table("value", "case", "method", "first")
    # The pivot has dropped cases and methods without any score; they are missing, not unknown.
    values = values.reindex(index=sorted(modalities), columns=methods)
    differences = np.stack([(values[a] - values[b]).to_numpy(float) for a, b in pairs])
    groups = np.array([modalities[case] for case in values.index], dtype=object)
    names = [name for name in dict.fromkeys(scores["modality"]) if name]
    blocks: list[tuple[str, Sequence[bool]]] = [(ALL, [True] * len(groups))]
    # With a single modality and no case without one, its block would repeat the first.
    if len(set(groups)) > 1:
        blocks += [(name, (groups == name).tolist()) for name in names]
    rows = []
    for modality, chosen in blocks:
        changes = paired_changes(differences[:, np.asarray(chosen)], resampling, (modality,))
        rows += [
            (modality, method, other, *change)
            for (method, other), change in zip(pairs, changes, strict=True)
        ]
    table = pd.DataFrame(rows, columns=["modality", "method", "other", *PairedChange._fields])
    table["p_holm"] = adjust_families(table["p_two_sided"].tolist(), table["modality"].tolist())
    fields = list(PairedChange._fields)
    found = [
        verdict(PairedChange._make(row[fields]), row["p_holm"], alpha)
        for _, row in table.iterrows()
    ]
    return table.assign(verdict=[_VERDICTS.get(each, each) for each in found])
