"""Seen against unseen experiments for many methods: two medians and quartiles a row."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cellharness.report.rankings.panel import Panel
from cellharness.report.rankings.ranked import Ranked
from cellharness.report.rankings.row_grid import row_grid
from cellharness.report.rankings.rows import Rows
from cellharness.report.seen_unseen import SEEN, UNSEEN, with_kinds
from cellharness.report.style import LineStyle

# From the middle of the row, upwards and downwards.
_OFFSETS = {SEEN: -0.18, UNSEEN: 0.18}
_MARK_PT, _LINE_PT = 2.7, 0.7


def seen_panel(ranked: Ranked, styles: Mapping[str, LineStyle], width_mm: float) -> Panel:
    """Draw median and quartiles of F1 on seen and on unseen experiments, row by row.

    Images of which it is not stated whether their experiment was seen are left out.

    Parameters
    ----------
    ranked : Ranked
        Rankings of the run.
    styles : mapping of str to LineStyle
        Colours of the methods.
    width_mm : float
        Of the panel.
    """
    scores = with_kinds(ranked.run)
    scores = scores[scores["seen"].isin((SEEN, UNSEEN))]
    return row_grid(
        ranked, styles, width_mm, scores, _draw, _sizes,
        "●, seen experiments; ○, unseen; lines, quartiles",
    )  # fmt: skip


def _sizes(scores: pd.DataFrame) -> str:
    n = scores.drop_duplicates("case")["seen"].value_counts()
    return f"{n.get(SEEN, 0):,} ●  {n.get(UNSEEN, 0):,} ○"


def _draw(ax: Axes, rows: Rows, scores: pd.DataFrame) -> None:
    parts = {key: part.dropna() for key, part in scores.groupby(["method", "seen"])["f1"]}
    for i, (method, colour) in enumerate(zip(rows.methods, rows.colours, strict=True)):
        for kind, offset in _OFFSETS.items():
            f1 = parts.get((method, kind))
            if f1 is None or f1.empty:
                continue
            low, middle, high = np.percentile(f1.to_numpy(float), (25, 50, 75))
            y, fill = i + offset, colour if kind == SEEN else "white"
            ax.plot([low, high], [y, y], color=colour, lw=_LINE_PT, clip_on=False, zorder=2)
            ax.plot(
                middle, y, "o", ms=_MARK_PT, mfc=fill, mec=colour, mew=0.7, clip_on=False, zorder=3
            )
