"""How often each method takes each rank in the bootstrap samples, as numbers."""

from __future__ import annotations

from collections.abc import Mapping

from cellharness.report.rankings.ranked import MAIN, Ranked
from cellharness.report.rendering import Row, Table
from cellharness.report.wording import share_words


def frequency_table(ranked: Ranked, colours: Mapping[str, str]) -> Table:
    """List the ranks of each method by the main scheme, the most frequent first.

    The CSV has every scheme.
    """
    frame = ranked.accuracy.frequencies()
    frame.insert(2, "label", frame["method"].map(ranked.run.labels))
    main = frame[frame["scheme"] == MAIN].sort_values("share", ascending=False, kind="stable")
    rows = []
    for method in ranked.order:
        own = main[main["method"] == method]
        ranks = [f"{r.rank} ({share_words(float(r.share))})" for r in own.itertuples()]  # type: ignore[arg-type]
        name = ranked.run.labels[method]
        rows.append(Row((name, ", ".join(ranks)), colour=colours[method]))
    return Table(
        name="ranking_frequencies",
        title=f"Ranks in {ranked.resampling.samples:,} bootstrap samples, {MAIN}",
        header=("Method", "Rank (share of the samples)"),
        rows=tuple(rows),
        frame=frame.assign(samples=ranked.resampling.samples),
        text=frozenset({0, 1}),
    )
