"""Medians, bootstrap intervals, ranks and significance letters, by modality."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from cellharness.report.rankings.ranked import MAIN, Ranked
from cellharness.report.records import Record, group_title, records
from cellharness.report.rendering import Row, Table
from cellharness.report.wording import f1_at, number, short_letters, spread
from cellharness.statistics import ALL
from cellharness.statistics.estimates import how_tested


def ranking_table(ranked: Ranked, colours: Mapping[str, str]) -> Table:
    """Give the ranking by F1 on all images and on those of each modality, best first."""
    rows, blocks = [], []
    for group, ranking in ranked.groups.items():
        frame = ranking.table.assign(modality=group)
        frame.insert(1, "label", frame["method"].map(ranked.run.labels))
        blocks.append(frame)
        n = int(frame["n"].iloc[0])
        rows.append(Row((f"{group_title(group)} (n = {n:,})",), heading=True))
        rows += [
            Row(_cells(row), strong=frozenset({1} if row["rank"] == 1 else ()),
                colour=colours[row["method"]])
            for row in records(frame)
        ]  # fmt: skip
    resampling = ranked.resampling
    frame = pd.concat(blocks, ignore_index=True)
    first = ["modality", "rank"]
    frame = frame[[*first, *(name for name in frame.columns if name not in first)]]
    interval = f"{100 * resampling.confidence:g} %"
    return Table(
        name="ranking",
        title=f"Ranking by {f1_at(ranked.run.threshold)}, {MAIN}",
        header=(
            "Method", "Rank", "Interval", "Mean rank", "Median F1", "IQR", "Letters",
        ),
        rows=tuple(rows),
        frame=frame.assign(scheme=MAIN, **resampling.settings()),
        spans=(("", 1), ("Place among the methods", 3), ("F1 over images", 2), ("", 1)),
        text=frozenset({0, 6}),
        notes=(
            f"Profile {ranked.run.profile}. Every image ranks the methods; the mean of these ranks "
            "orders them, and an image without a score counts as F1 0. Equal methods share the "
            f"smaller rank. Interval, {interval} percentile bootstrap of "
            f"{ranked.drawn}, {resampling.samples:,} samples, seed "
            f"{resampling.seed}. Letters: methods that share none differ significantly within the "
            f"block. {how_tested(ranked.groups[ALL].tests)}",
        ),
    )  # fmt: skip


def _cells(row: Record) -> tuple[str, ...]:
    return (
        row["label"],
        f"{row['rank']}",
        rank_interval(row["rank_low"], row["rank_high"]),
        number(row["score"], 2),
        number(row["median_f1"]),
        spread(row["q1"], row["q3"]),
        short_letters(row["letters"]),
    )


def rank_interval(low: float, high: float) -> str:
    """Write the ends of an interval of ranks.

    Examples
    --------
    >>> rank_interval(1.0, 3.0), rank_interval(2.0, 2.0), rank_interval(1.0, 2.5)
    ('1–3', '2', '1–2.5')
    """
    low_text, high_text = (f"{end:.1f}".removesuffix(".0") for end in (low, high))
    return low_text if low_text == high_text else f"{low_text}–{high_text}"
