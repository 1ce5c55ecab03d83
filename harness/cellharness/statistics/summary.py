"""Medians, quartiles and counts from the long score table, with nothing dropped in silence."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations

import pandas as pd

from cellharness.vocabulary import ALL, SEGMENTED, STATUSES

#: Name of the group of cases whose manifest row gives no modality.
UNKNOWN_MODALITY = "Unknown modality"

KEYS = ("method", "profile", "threshold", "case")
REQUIRED = (*KEYS, "modality", "experiment", "seen", "status", "f1")

# The challenge profile stores four decimals, so a smaller difference is only rounding.
_ROUNDING = 0.5e-4 + 1e-9


def check_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Return a clean copy of a score table, or say what is wrong with it.

    The table is the product of methods, profiles, thresholds and cases: a case without a
    prediction has a row with its status, so a missing row is a fault and not a missing case.

    Parameters
    ----------
    scores : DataFrame
        Long table, one row a method, profile, threshold and case, with at least the columns
        ``method, profile, threshold, case, modality, experiment, seen, status, f1``.

    Returns
    -------
    DataFrame
        The same rows; an empty modality is `UNKNOWN_MODALITY`, an empty experiment ``""``.

    Raises
    ------
    ValueError
        If there are no rows, columns are missing, a status is unknown, a row occurs twice, or
        a method lacks a row for a case.
    """
    absent = [name for name in REQUIRED if name not in scores.columns]
    if absent:
        msg = (
            f"the score table lacks the columns {', '.join(absent)}; it needs "
            f"{', '.join(REQUIRED)} and has {', '.join(map(str, scores.columns)) or 'none'}"
        )
        raise ValueError(msg)
    if scores.empty:
        msg = "the score table has no rows; score at least one case"
        raise ValueError(msg)
    table = scores.copy()
    table["modality"] = _named(table["modality"], UNKNOWN_MODALITY)
    table["experiment"] = _named(table["experiment"], "")
    unknown = sorted(set(table["status"].map(str)) - set(STATUSES))
    if unknown:
        msg = f"unknown status {', '.join(map(repr, unknown))}; valid: {', '.join(STATUSES)}"
        raise ValueError(msg)
    keys = list(KEYS)
    twice = table[table.duplicated(keys)]
    if not twice.empty:
        msg = f"the score table has more than one row for {_describe(twice.iloc[0])}"
        raise ValueError(msg)
    levels = [table[key].unique() for key in keys]
    grid = pd.MultiIndex.from_product(levels, names=keys)
    if len(grid) != len(table):
        lacking = grid.difference(pd.MultiIndex.from_frame(table[keys]))
        first = lacking.to_frame(index=False).iloc[0]
        msg = (
            f"the score table has no row for {_describe(first)} ({len(lacking)} such rows); a case "
            "without a prediction needs a row with its status, such as 'missing'"
        )
        raise ValueError(msg)
    return table


def summarise(
    scores: pd.DataFrame, by: Sequence[str] = ("modality",), value: str = "f1"
) -> pd.DataFrame:
    """Summarise one metric per method, profile, threshold and group of cases.

    Every image counts once: medians, quartiles and means run over images, as in the paper's
    Fig. 4, not over pooled cells. Quartiles interpolate linearly between order statistics.

    Parameters
    ----------
    scores : DataFrame
        Long score table, see `check_scores`.
    by : sequence of str
        Columns whose values form the groups. For each of them there is also a group `ALL`.
    value : str
        Metric column to summarise.

    Returns
    -------
    DataFrame
        Columns ``method, profile, threshold``, those of `by`, then ``n`` (cases of the group in
        the manifest), ``n_scored`` (those whose value is a number), ``n_failed`` (those without
        a mask, whatever the profile makes of them), ``median_<value>``, ``q1``, ``q3`` and
        ``mean_<value>``. Where no case has a number, the last four are NaN. Rows keep the order
        in which methods, profiles, thresholds and groups first occur, `ALL` first.

    Raises
    ------
    ValueError
        If the table is not valid (see `check_scores`) or lacks a column of `by` or `value`.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [("a", "strict", 0.5, f"c{i}", "DIC", "e", False, "ok", i / 4) for i in range(5)]
    >>> table = summarise(pd.DataFrame(rows, columns=REQUIRED))
    >>> table[["modality", "n", "median_f1", "q1", "q3"]].to_numpy().tolist()
    [['All', 5, 0.5, 0.25, 0.75], ['DIC', 5, 0.5, 0.25, 0.75]]
    """
    by = tuple(by)
    absent = [name for name in (*by, value) if name not in scores.columns]
    if absent:
        msg = (
            f"the score table has no column {', '.join(absent)}; "
            f"it has {', '.join(map(str, scores.columns))}"
        )
        raise ValueError(msg)
    table = check_scores(scores)[[*dict.fromkeys((*KEYS, *by, "status", value))]]
    table["failed"] = ~table["status"].isin(SEGMENTED)
    table[value] = pd.to_numeric(table[value])
    keys = ["method", "profile", "threshold", *by]
    totals = chain.from_iterable(combinations(by, k) for k in range(len(by), -1, -1))
    blocks = [
        table.astype(dict.fromkeys(by, object)).assign(**dict.fromkeys(t, ALL)) for t in totals
    ]
    grouped = pd.concat(blocks, ignore_index=True).groupby(keys, sort=False, dropna=False)
    summary = pd.DataFrame(
        {
            "n": grouped.size(),
            "n_scored": grouped[value].count(),
            "n_failed": grouped["failed"].sum(),
            f"median_{value}": grouped[value].median(),
            "q1": grouped[value].quantile(0.25),
            "q3": grouped[value].quantile(0.75),
            f"mean_{value}": grouped[value].mean(),
        }
    )
    return summary.reset_index()


def count_statuses(scores: pd.DataFrame, by: Sequence[str] = ("modality",)) -> pd.DataFrame:
    """Count the cases of each status per method, profile and group.

    Parameters
    ----------
    scores : DataFrame
        Long score table, see `check_scores`.
    by : sequence of str
        Columns whose values form the groups; `ALL` is added.

    Returns
    -------
    DataFrame
        Columns ``method, profile``, those of `by`, ``status`` and ``n``; only statuses that
        occur. Profiles may differ where the official script cannot score a mask.
    """
    table = check_scores(scores).drop_duplicates(["method", "profile", "case"])
    by = list(by)
    total = table.astype(dict.fromkeys(by, object)).assign(**dict.fromkeys(by, ALL))
    both = pd.concat([total, table], ignore_index=True)
    keys = ["method", "profile", *by, "status"]
    return both.groupby(keys, sort=False, dropna=False).size().rename("n").reset_index()


def differing_cases(scores: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """List the cases to which the two profiles give different F1 values.

    Parameters
    ----------
    scores : DataFrame
        Long score table with the profiles ``strict`` and ``challenge``.
    threshold : float
        IoU threshold at which they are compared.

    Returns
    -------
    DataFrame
        Columns ``method, case, modality, status_strict, f1_strict, status_challenge,
        f1_challenge`` and ``dropped`` (challenge has no number for the case, strict has).
        Differences below the four decimals that the challenge profile stores do not count. Empty
        where a profile was not scored.
    """
    table = check_scores(scores)
    table = table[table["threshold"] == threshold]
    keys = ["method", "case", "modality"]
    strict, challenge = (
        table.loc[table["profile"] == name, [*keys, "status", "f1"]]
        for name in ("strict", "challenge")
    )
    both = strict.merge(challenge, on=keys, suffixes=("_strict", "_challenge"))
    both["dropped"] = both["f1_challenge"].isna() & both["f1_strict"].notna()
    differ = (both["f1_strict"] - both["f1_challenge"]).abs() > _ROUNDING
    return both[both["dropped"] | differ].reset_index(drop=True)


def profile_differences(scores: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Put the two profiles side by side, per method.

    Parameters
    ----------
    scores : DataFrame
        Long score table.
    threshold : float
        IoU threshold at which they are compared.

    Returns
    -------
    DataFrame
        Columns ``method, n, n_dropped`` (cases that the challenge profile leaves out),
        ``n_differ`` (other cases with another F1), ``median_strict, median_challenge,
        mean_strict, mean_challenge``. Empty where a profile was not scored.
    """
    columns = [
        "method", "n", "n_dropped", "n_differ", "median_strict", "median_challenge",
        "mean_strict", "mean_challenge",
    ]  # fmt: skip
    scores = scores[scores["threshold"] == threshold]
    if not {"strict", "challenge"} <= set(scores["profile"]):
        return pd.DataFrame(columns=columns)
    summary = summarise(scores, by=()).set_index(["profile", "method"])
    strict, challenge = summary.loc["strict"], summary.loc["challenge"]
    cases = differing_cases(scores, threshold)
    dropped = cases.groupby("method")["dropped"].sum()
    table = pd.DataFrame(
        {
            "n": strict["n"],
            "n_dropped": dropped.reindex(strict.index, fill_value=0).astype(int),
            "n_differ": (cases.groupby("method").size() - dropped)
            .reindex(strict.index, fill_value=0)
            .astype(int),
            "median_strict": strict["median_f1"],
            "median_challenge": challenge["median_f1"],
            "mean_strict": strict["mean_f1"],
            "mean_challenge": challenge["mean_f1"],
        }
    )
    return table.rename_axis("method").reset_index()[columns]


def _named(column: pd.Series, default: str) -> pd.Series:
    """Turn a text column into plain strings with a name for what is empty."""
    text = column.astype(object).where(column.notna(), default).map(str)
    return text.where(text != "", default)


def _describe(row: pd.Series) -> str:
    return ", ".join(f"{key} {row[key]}" for key in KEYS)
