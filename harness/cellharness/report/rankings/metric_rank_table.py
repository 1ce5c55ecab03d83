"""Ranks by threshold, modality, time and memory beside each other, as numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from cellharness.report.rankings.metric_ranks import columns_of, ranks_in
from cellharness.report.rankings.ranked import MAIN, Ranked
from cellharness.report.rendering import Row, Table
from cellharness.report.wording import NOTHING


def metric_rank_table(ranked: Ranked, colours: Mapping[str, str]) -> Table:
    """Give each method's rank by every column of the figure; the CSV has every combination."""
    columns = columns_of(ranked)
    ranks = [ranks_in(ranked, column) for column in columns]
    rows = []
    for method in ranked.order:
        found = [series[method] for series in ranks]
        cells = [NOTHING if pd.isna(rank) else str(rank) for rank in found]
        strong = frozenset(i for i, cell in enumerate(cells, start=1) if cell == "1")
        name = ranked.run.labels[method]
        rows.append(Row((name, *cells), strong=strong, colour=colours[method]))
    blocks = list(dict.fromkeys(column.block for column in columns))
    sizes = [(block, sum(column.block == block for column in columns)) for block in blocks]
    frame = ranked.side_by_side
    frame = frame.assign(label=frame["method"].map(ranked.run.labels))
    return Table(
        name="ranking_side_by_side",
        title=f"Ranks by accuracy, time and memory, {MAIN}",
        header=("Method", *(column.head for column in columns)),
        rows=tuple(rows),
        frame=frame,
        spans=(("", 1), *sizes),
        notes=(
            f"Profile {ranked.run.profile}. Time, warm seconds; GPU and host, peaks of memory; an "
            "image without a mask is behind all others. –, never measured of this method. The CSV "
            "ranks by every threshold and cost within each modality as well.",
        ),
    )
