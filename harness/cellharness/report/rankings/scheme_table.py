"""Ranks by every scheme, the challenge's own among them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from cellharness.report.rankings.ranked import MAIN, PAPER_SCHEMES, Ranked
from cellharness.report.rankings.ranking_table import rank_interval
from cellharness.report.records import by_key
from cellharness.report.rendering import Row, Table
from cellharness.report.wording import NOTHING
from cellharness.statistics.rank_bootstrap import CHALLENGE

_HOLM = "test-based-holm"
_TIME = "time"


def scheme_table(ranked: Ranked, colours: Mapping[str, str]) -> Table:
    """Give each method's rank and its bootstrap interval by every scheme."""
    level = ranked.resampling.confidence
    blocks = [ranked.accuracy.intervals(level).assign(metric="f1")]
    if ranked.challenge is not None:
        blocks.append(ranked.challenge.intervals(level).assign(metric="f1 and adjusted time"))
    if ranked.time is not None:
        blocks.append(ranked.time.intervals(level).assign(metric=_TIME))
    frame = pd.concat(blocks, ignore_index=True)
    frame.insert(2, "label", frame["method"].map(ranked.run.labels))
    found = by_key(frame, "metric", "scheme", "method")
    columns = [("f1", scheme, scheme) for scheme in (*PAPER_SCHEMES, _HOLM)]
    if ranked.challenge is not None:
        columns.append(("f1 and adjusted time", CHALLENGE, "challenge"))
    if ranked.time is not None:
        columns.append((_TIME, MAIN, "time alone"))
    rows = []
    for method in ranked.order:
        cells, strong = [ranked.run.labels[method]], set()
        for metric, scheme, _ in columns:
            row = found.get((metric, scheme, method))
            if row is None:
                cells.append(NOTHING)
                continue
            if row["rank"] == 1:
                strong.add(len(cells))
            cells.append(f"{row['rank']} ({rank_interval(row['low'], row['high'])})")
        rows.append(Row(tuple(cells), strong=frozenset(strong), colour=colours[method]))
    schemes = len(PAPER_SCHEMES) + 1
    other = len(columns) - schemes
    return Table(
        name="ranking_schemes",
        title="Ranks by every scheme",
        header=("Method", *(head for _, _, head in columns)),
        rows=tuple(rows),
        frame=frame,
        spans=(("", 1), ("F1", schemes), *((("With time", other),) if other else ())),
        notes=(
            f"Rank, and {100 * level:g} % interval of it, bootstrap of {ranked.drawn}. Mean- and "
            "median-then-rank rank the mean or median F1; rank-then-mean and -median rank the "
            "methods in each image first; test-based ranks by the share of the others that a "
            "method is significantly better than (one-sided Wilcoxon, p < 0.05), -holm with the "
            "correction." + _more(ranked),
        ),
    )


def _more(ranked: Ranked) -> str:
    words = ""
    if ranked.challenge is not None:
        words += (
            " Challenge: as in NeurIPS 2022, every image ranks the methods by F1 and by cold "
            "running time less the tolerance, and the mean of both orders them."
        )
    if ranked.time is not None:
        words += (
            f" Time alone: warm running time, {MAIN}; an image without a mask is behind all "
            "others, and – is a method whose masks have no times."
        )
    return words
