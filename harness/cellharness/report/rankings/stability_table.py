"""How much bootstrap rankings agree with the full one, as numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cellharness.report.rankings.ranked import Ranked
from cellharness.report.rankings.tau_violins import tau_series
from cellharness.report.records import records
from cellharness.report.rendering import Row, Table
from cellharness.report.wording import number, spread


def stability_table(ranked: Ranked) -> Table:
    """Give median, interval and smallest of Kendall's tau for every ranking."""
    tail = (1 - ranked.resampling.confidence) / 2
    found = []
    for name, _, taus in tau_series(ranked):
        known = taus[np.isfinite(taus)]
        ends = np.quantile(known, [tail, 0.5, 1 - tail]) if known.size else [float("nan")] * 3
        low, middle, high = map(float, ends)
        found.append(
            {
                "ranking": name,
                "tau_median": middle,
                "tau_low": low,
                "tau_high": high,
                "tau_min": float(known.min()) if known.size else float("nan"),
                "n_without_order": int(taus.size - known.size),
            }
        )
    frame = pd.DataFrame(found).assign(**ranked.resampling.settings())
    rows = [
        Row(
            (
                row["ranking"], number(row["tau_median"]), spread(row["tau_low"], row["tau_high"]),
                number(row["tau_min"]),
            )
        )
        for row in records(frame)
    ]  # fmt: skip
    return Table(
        name="ranking_stability",
        title="Agreement of bootstrap rankings with the full one",
        header=("Ranking", "Median τ", f"{100 * ranked.resampling.confidence:g} %", "Least"),
        rows=tuple(rows),
        frame=frame,
        notes=(
            f"Kendall's τ-b over {ranked.resampling.samples:,} samples of "
            f"{ranked.drawn}, seed "
            f"{ranked.resampling.seed}. –, all ranks equal: no order to compare.",
        ),
    )
