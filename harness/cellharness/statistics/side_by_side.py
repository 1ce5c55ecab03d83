"""Rankings by accuracy, time and memory beside each other, over all cases and per modality."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from cellharness.statistics.case_table import Missing, RankingError
from cellharness.statistics.ranking import rank
from cellharness.statistics.summary import ALL, check_scores
from cellharness.vocabulary import SEGMENTED

#: Metrics of the score table that a ranking can be made by, and whether the largest is the best.
LARGER_IS_BETTER = {
    **dict.fromkeys(("f1", "precision", "recall", "dice", "sq", "rq", "pq", "ap", "aji"), True),
    **dict.fromkeys(("fp", "fn"), False),
}
#: Seconds of a case without loading and warming up, which are paid once; made from the ledger.
SECONDS_PER_CASE = "seconds_per_case"
#: What else of the ledger to rank by; less of it is better.
MEASURES = (SECONDS_PER_CASE, "peak_host_mb", "peak_gpu_mb")

_START_UP = ("seconds_load", "seconds_warmup")
_COLUMNS = ["modality", "metric", "threshold", "scheme", "method", "n", "score", "rank"]


def rank_side_by_side(
    scores: pd.DataFrame,
    ledger: pd.DataFrame | None = None,
    schemes: Sequence[str] = ("rank-then-mean",),
    *,
    profile: str = "strict",
    metrics: Sequence[str] = ("f1",),
    thresholds: Iterable[float] | None = None,
    measures: Sequence[str] = MEASURES,
) -> pd.DataFrame:
    """Rank the methods by every metric at every threshold, and by what they cost.

    Parameters
    ----------
    scores : DataFrame
        Long score table, see `cellharness.statistics.check_scores`.
    ledger : DataFrame or None
        Columns ``method``, ``case``, ``status`` and those that `measures` need. Without it there
        are no rankings by cost.
    schemes : sequence of str
        Some of `cellharness.statistics.schemes.SCHEMES`.
    profile : str
        Score profile to rank by.
    metrics : sequence of str
        Some of `LARGER_IS_BETTER`. A missing value counts as 0, for ``fp`` and ``fn`` as the worst.
    thresholds : iterable of float or None
        IoU thresholds; None for all of the table.
    measures : sequence of str
        `SECONDS_PER_CASE`, or columns of the ledger in which less is better. A case without a mask
        has no value, whatever it cost until it failed, and counts as the worst.

    Returns
    -------
    DataFrame
        Columns ``modality`` (`ALL` first), ``metric``, ``threshold`` (NaN for a measure),
        ``scheme``, ``method``, ``n`` (cases with a value), ``score``, ``rank`` (Int64); best first
        in each ranking. A method that made masks and of which a measure was never taken, such as
        GPU memory on a CPU, has no score and no rank by it: unknown is not worst.

    Raises
    ------
    RankingError
        If a profile, metric, threshold, measure or scheme is unknown.
    ValueError
        If the score table is not valid.

    Examples
    --------
    >>> rows = [(m, "strict", 0.5, c, "DIC", "e", False, "ok", f1)
    ...         for m, f1 in (("a", 0.6), ("b", 0.8)) for c in "cd"]
    >>> names = ["method", "profile", "threshold", "case", "modality", "experiment", "seen",
    ...          "status", "f1"]
    >>> table = rank_side_by_side(pd.DataFrame(rows, columns=names))
    >>> table[["modality", "method", "score", "rank"]].values.tolist()
    [['All', 'b', 1.0, 1], ['All', 'a', 2.0, 2], ['DIC', 'b', 1.0, 1], ['DIC', 'a', 2.0, 2]]
    """
    table = check_scores(scores)
    table = table[table["profile"] == _known("profile", profile, table["profile"].unique())]
    chosen = table["threshold"].unique() if thresholds is None else list(thresholds)
    tasks = [
        (_known("metric", metric, [name for name in LARGER_IS_BETTER if name in table]), threshold)
        for metric in metrics
        for threshold in chosen
    ]
    blocks = []
    for metric, threshold in tasks:
        _known("threshold", threshold, table["threshold"].unique())
        values = table.loc[table["threshold"] == threshold, ["case", "method", "modality", metric]]
        values = values.rename(columns={metric: "value"}).assign(measured=True)
        larger = LARGER_IS_BETTER[metric]
        facts = {"metric": metric, "threshold": threshold}
        blocks += _rank_groups(values, schemes, facts, larger=larger)
    if ledger is not None:
        cases = table.drop_duplicates(["case", "method"])[["case", "method", "modality"]]
        costs = _costs(ledger, measures)
        for measure in measures:
            values = cases.merge(costs[measure], on=["case", "method"], how="left")
            blocks += _rank_groups(
                _mark_measured(values), schemes, {"metric": measure, "threshold": float("nan")}
            )
    if not blocks:
        return pd.DataFrame(columns=_COLUMNS)
    return pd.concat(blocks, ignore_index=True)[_COLUMNS]


def _rank_groups(
    values: pd.DataFrame,
    schemes: Sequence[str],
    facts: dict[str, Any],
    *,
    larger: bool = False,
) -> list[pd.DataFrame]:
    """Rank one metric over all cases and per modality."""
    groups = [(ALL, values), *values.groupby("modality", sort=False)]
    blocks = []
    for modality, group in groups:
        n = group.groupby("method", sort=False)["value"].count()
        ranked = group[group["measured"]]
        unknown = group.loc[~group["measured"], "method"].unique()
        for scheme in schemes:
            parts = []
            if not ranked.empty:
                missing: Missing = 0.0 if larger else "worst"
                found = rank(ranked, scheme, larger, missing)
                parts.append(found.astype({"rank": "Int64"}))
            if len(unknown):
                nothing = pd.array([pd.NA] * len(unknown), "Int64")
                parts.append(
                    pd.DataFrame({"method": unknown, "score": float("nan"), "rank": nothing})
                )
            block = pd.concat(parts, ignore_index=True)
            block["n"] = block["method"].map(n.to_dict())
            blocks.append(block.assign(modality=modality, scheme=scheme, **facts))
    return blocks


def _costs(ledger: pd.DataFrame, measures: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Give each measure as a table ``case, method, segmented, value``."""
    absent = [name for name in ("method", "case", "status") if name not in ledger]
    if absent:
        msg = (
            f"the ledger lacks the columns {', '.join(absent)}; "
            f"it has {', '.join(map(str, ledger.columns)) or 'none'}"
        )
        raise RankingError(msg)
    columns = [*ledger.columns]
    if {"seconds_total", *_START_UP} <= set(columns):
        columns.append(SECONDS_PER_CASE)
    segmented = ledger["status"].isin(SEGMENTED)
    tables = {}
    for measure in measures:
        _known("measure", measure, columns)
        if measure == SECONDS_PER_CASE and measure not in ledger:
            parts = ledger[["seconds_total", *_START_UP]].apply(pd.to_numeric)
            value = parts["seconds_total"] - parts[list(_START_UP)].fillna(0).sum(axis=1)
        else:
            value = pd.to_numeric(ledger[measure])
        tables[measure] = ledger[["case", "method"]].assign(
            segmented=segmented, value=value.where(segmented)
        )
    return tables


def _mark_measured(values: pd.DataFrame) -> pd.DataFrame:
    """Mark the methods that have a value somewhere, or that never made a mask to measure."""
    known = set(values.loc[values["value"].notna(), "method"])
    segmented = set(values.loc[values["segmented"].eq(True), "method"])
    return values.assign(measured=values["method"].isin(known) | ~values["method"].isin(segmented))


def _known(kind: str, value: Any, valid: Iterable[Any]) -> Any:
    valid = list(valid)
    if value not in valid:
        msg = f"unknown {kind} {value!r}; valid: {', '.join(map(str, valid)) or 'none'}"
        raise RankingError(msg)
    return value
