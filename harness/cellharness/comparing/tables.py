"""The tables of a comparison: methods, pairs, ranks."""

from __future__ import annotations

import pandas as pd

from cellharness.comparing.combine import Combined
from cellharness.comparing.sources import ScoreChoice
from cellharness.printing.table import Row, Table
from cellharness.printing.wording import number, p_value, signed, with_interval
from cellharness.records import Record, records
from cellharness.statistics.contrasts import HIGHER, LOWER, Unit
from cellharness.statistics.estimates import how_tested, too_few_words
from cellharness.statistics.method_pairs import compare_pairs
from cellharness.statistics.ranking import compare_schemes
from cellharness.statistics.summary import ALL


def comparison_tables(
    combined: Combined,
    choice: ScoreChoice,
    baseline: str | None = None,
    unit: Unit | None = None,
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
    unit : {"experiment", "image"} or None
        See :func:`cellharness.statistics.method_pairs.compare_pairs`.

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
    scores = combined.scores
    apart = set(scores.loc[scores["oracle"], "method"])
    pairs = compare_pairs(scores, baseline, apart=apart, unit=unit)
    tables = [
        _methods(scores, title),
        _pairs(pairs, title),
        _ranks(scores[~scores["method"].isin(apart)], title),
    ]
    return [table for table in tables if table is not None]


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


def _plural(pairs: pd.DataFrame) -> str:
    return f"{pairs['unit'].iloc[0]}s" if len(pairs) else "units"


def _pairs(pairs: pd.DataFrame, title: str) -> Table:
    rows: list[Row] = []
    last = None
    for row in records(pairs):
        if row["modality"] != last:
            rows.append(Row((row["modality"],), heading=True))
            last = row["modality"]
        better = row["verdict"] == HIGHER
        worse = row["verdict"] == LOWER
        rows.append(
            Row(
                (
                    row["method"],
                    row["other"],
                    f"{row['n_images']} / {row['n_units']}",
                    with_interval(row),
                    signed(row["median_difference"]),
                    p_value(row["p_adjusted"]),
                    row["verdict"],
                ),
                strong=frozenset({0} if better else {1} if worse else ()),
            )
        )
    return Table(
        name="pairs",
        title=f"{title}, first less second method, on the cases that both have",
        header=(
            "First",
            "Second",
            f"Images / {_plural(pairs)}",
            "Mean difference (interval)",
            "Median difference",
            "p",
            "First is",
        ),
        rows=tuple(rows),
        frame=pairs,
        text=frozenset({0, 1, 6}),
        notes=(f"{how_tested(pairs)} {too_few_words(pairs)}".strip(),) if len(pairs) else (),
    )


def _ranks(scores: pd.DataFrame, title: str) -> Table | None:
    whole = scores.pivot_table("value", "case", "method", "first")
    methods = list(dict.fromkeys(scores["method"]))
    common = whole.reindex(columns=methods).dropna().index
    if common.empty or len(methods) < 2:
        return None
    on_common = scores[scores["case"].isin(common)]
    table = compare_schemes(on_common[["case", "method", "value"]])
    schemes = list(dict.fromkeys(table["scheme"]))
    ranks = table.pivot_table("rank", "method", "scheme", "first")[schemes]
    ranks = ranks.loc[ranks.mean(axis=1).sort_values(kind="stable").index]
    rows = [Row((str(method), *(str(rank) for rank in row))) for method, row in ranks.iterrows()]
    return Table(
        name="ranks",
        title=f"Rank by {title} under {len(schemes)} schemes",
        header=("Method", *(scheme.replace("-", " ") for scheme in schemes)),
        rows=tuple(rows),
        frame=table,
        notes=(f"Over the {len(common)} cases that all methods have a score for.",),
    )
