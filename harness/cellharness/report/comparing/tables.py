"""The tables of a comparison: methods, pairs, ranks."""

from __future__ import annotations

import pandas as pd

from cellharness.report.comparing.combine import Combined
from cellharness.report.comparing.sources import ScoreChoice
from cellharness.report.records import Record, records
from cellharness.report.rendering import Row, Table
from cellharness.report.wording import change_with_ends, number, p_value
from cellharness.statistics.method_pairs import BETTER, WORSE, compare_pairs
from cellharness.statistics.ranking import compare_schemes
from cellharness.statistics.resampling import RESAMPLING, Resampling
from cellharness.statistics.summary import ALL


def comparison_tables(
    combined: Combined,
    choice: ScoreChoice,
    baseline: str | None = None,
    resampling: Resampling = RESAMPLING,
) -> list[Table]:
    """Make the tables of a comparison.

    Parameters
    ----------
    combined : Combined
        Scores of all sources.
    choice : ScoreChoice
        Says what the scores are.
    baseline : str or None
        Compare the others with this one only.
    resampling : Resampling
        Of the intervals.

    Returns
    -------
    list of Table
        ``methods``, ``pairs`` and ``ranks``.

    Raises
    ------
    ValueError
        If the baseline is no method.
    """
    what = choice.metric.upper() if len(choice.metric) < 4 else choice.metric
    title = f"{what} (IoU ≥ {choice.threshold:g})"
    pairs = compare_pairs(combined.scores, baseline, resampling=resampling)
    return [
        _methods(combined.scores, title),
        _pairs(pairs, title, resampling),
        _ranks(combined.scores, title),
    ]


def _blocks(scores: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    names = [name for name in dict.fromkeys(scores["modality"]) if name]
    blocks = [(ALL, scores)]
    if len(scores["modality"].unique()) > 1:
        blocks += [(name, scores[scores["modality"] == name]) for name in names]
    return blocks


def _methods(scores: pd.DataFrame, title: str) -> Table:
    methods = list(dict.fromkeys(scores["method"]))
    found, rows = [], []
    for modality, block in _blocks(scores):
        whole = block.pivot_table("value", "case", "method", "first")
        common = whole.reindex(columns=methods).dropna()
        rows.append(Row((f"{modality}: {len(common)} common cases",), heading=True))
        for method in methods:
            own = block.loc[block["method"] == method, "value"]
            record: Record = {
                "modality": modality,
                "method": method,
                "n": len(own),
                "n_scored": int(own.notna().sum()),
                "median": float(own.median()),
                "mean": float(own.mean()),
                "n_common": len(common),
                "median_common": float(common[method].median()),
                "mean_common": float(common[method].mean()),
            }
            found.append(record)
            numbers = (number(record["median_common"]), number(record["mean_common"]))
            rows.append(Row((method, str(record["n"]), str(record["n_scored"]), *numbers)))
    return Table(
        name="methods",
        title=f"{title} of each method",
        header=("Method", "n", "Scored", "Median", "Mean"),
        rows=tuple(rows),
        frame=pd.DataFrame(found),
        notes=(
            "n, cases of the method, and those with a score. Median and mean over the common "
            "cases, which have a score of every method; those of all its cases are in the CSV.",
        ),
    )


def _pairs(pairs: pd.DataFrame, title: str, resampling: Resampling) -> Table:
    rows: list[Row] = []
    last = None
    for row in records(pairs):
        if row["modality"] != last:
            rows.append(Row((row["modality"],), heading=True))
            last = row["modality"]
        better = row["verdict"] == BETTER
        worse = row["verdict"] == WORSE
        rows.append(
            Row(
                (
                    row["method"],
                    row["other"],
                    str(row["n"]),
                    change_with_ends(row, "mean_change", "mean"),
                    change_with_ends(row, "median_change", "median"),
                    p_value(row["p_holm"]),
                    row["verdict"],
                ),
                strong=frozenset({0} if better else {1} if worse else ()),
            )
        )
    return Table(
        name="pairs",
        title=f"{title}, first less second method, on the cases that both have",
        header=("First", "Second", "n", "Mean difference", "Median difference", "p", "First is"),
        rows=tuple(rows),
        frame=pairs.assign(**resampling.settings()),
        text=frozenset({0, 1, 6}),
        notes=(
            f"In brackets {resampling.confidence:.0%} bootstrap intervals over cases "
            f"({resampling.samples} samples, seed {resampling.seed}). p, Wilcoxon's signed-rank "
            "test, two-sided, Holm-corrected over the pairs of a block. Better or worse only where "
            "p < 0.05 and the interval of the mean lies on the same side of 0.".replace("%", " %"),
        ),
    )


def _ranks(scores: pd.DataFrame, title: str) -> Table:
    table = compare_schemes(scores[["case", "method", "value"]], missing=0.0)
    schemes = list(dict.fromkeys(table["scheme"]))
    ranks = table.pivot_table("rank", "method", "scheme", "first")[schemes]
    ranks = ranks.loc[ranks.mean(axis=1).sort_values(kind="stable").index]
    rows = [Row((str(method), *(str(rank) for rank in row))) for method, row in ranks.iterrows()]
    return Table(
        name="ranks",
        title=f"Rank by {title} under the five schemes",
        header=("Method", *(scheme.replace("-", " ") for scheme in schemes)),
        rows=tuple(rows),
        frame=table,
        notes=("Over all cases of all sources; a case without a score counts as 0.",),
    )
