"""Which cases are shown as pixels: by a stated rule, and only where a licence allows."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from cellharness.analysis.run_data import RunData
from cellharness.records import records
from cellharness.run_directory import RunDirectoryError
from cellharness.vocabulary import SEGMENTED

EXAMPLE_RULE = (
    "the case whose F1, averaged over methods, lies nearest the median of these averages in its "
    "modality (the first by name where two are equally near)"
)


def showable(run: RunData) -> tuple[set[str], str]:
    """Find the cases whose pixels may be shown, and the rule in words.

    ``config.report.panel_licences`` is a list of regular expressions that are searched, without
    regard to case, in the manifest's licence column; a case needs one hit. Without the list
    every case may be shown.

    Returns
    -------
    cases, rule
        Case names, and a sentence for the report.

    Raises
    ------
    RunDirectoryError
        If a pattern is not a regular expression.
    """
    cases = set(run.manifest["case"])
    patterns = (run.config.get("report") or {}).get("panel_licences")
    if patterns is None:
        return cases, "The configuration does not restrict which images may be shown."
    try:
        searches = [re.compile(pattern, re.IGNORECASE).search for pattern in patterns]
    except re.error as error:
        msg = (
            f"report.panel_licences holds {error.pattern!r}, which is not a regular expression "
            f"({error}); mend it in the configuration"
        )
        raise RunDirectoryError(msg) from error
    rows = records(run.manifest[["case", "licence"]])
    allowed = {row["case"] for row in rows if any(search(row["licence"]) for search in searches)}
    named = ", ".join(f"“{pattern}”" for pattern in patterns) or "no pattern at all"
    rule = f"Only images whose licence matches {named} are shown: {len(allowed)} of {len(cases)}."
    return allowed, rule


def example_case(scores: pd.DataFrame, allowed: set[str]) -> str | None:
    """Choose the case that stands for a modality, see `EXAMPLE_RULE`.

    Returns
    -------
    str or None
        None where no case is allowed or none has an F1.
    """
    means = scores.groupby("case")["f1"].mean().dropna().sort_index()
    distance = (means - means.median()).abs()
    distance = distance[distance.index.isin(allowed)]
    return None if distance.empty else str(distance.idxmin())


def extremes(scores: pd.DataFrame, k: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the best and the worst `k` cases of one method among those with a mask.

    With fewer than ``2 k`` cases no case is in both.

    Returns
    -------
    best, worst : DataFrame
        Best first and worst first; equal scores in order of case name.
    """
    rows = scores[scores["status"].isin(SEGMENTED) & scores["f1"].notna()]
    best = rows.sort_values(["f1", "case"], ascending=[False, True])
    worst = rows.sort_values(["f1", "case"])
    n_best = min(k, -(-len(rows) // 2))
    return best.head(n_best), worst.head(min(k, len(rows) - n_best))


def first_methods(methods: Sequence[str], medians: pd.Series, limit: int) -> list[str]:
    """Keep at most `limit` methods, those with the highest median, in their given order."""
    if len(methods) <= limit:
        return list(methods)
    ranked = medians.reindex(list(methods)).sort_values(ascending=False, na_position="last")
    kept = set(ranked.index[:limit])
    return [method for method in methods if method in kept]
