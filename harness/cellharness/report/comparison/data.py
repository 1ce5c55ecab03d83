"""What the report of a comparison is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from cellharness.analysis.ranked import Ranked, rank_run
from cellharness.analysis.run_data import load_run
from cellharness.printing.wording import count, listing
from cellharness.report.cutouts import CaseTiles, case_tiles
from cellharness.report.declare import Report, Section
from cellharness.report.rows import Rows, plan_rows
from cellharness.report.selection import first_methods
from cellharness.report.style import LineStyle, ranked_styles
from cellharness.statistics import ALL, differing_cases, summarise

#: As many methods as the paper's Fig. 4f has columns; more would be too small to see.
_MOST_PANEL_METHODS = 7


@dataclass(frozen=True)
class Comparison(Report):
    """A run in which methods are compared."""

    @property
    def sections(self) -> Sequence[Section]:
        """See `Report`."""
        from cellharness.report.comparison import SECTIONS

        return SECTIONS

    @cached_property
    def summary(self) -> pd.DataFrame:
        """From `cellharness.statistics.summarise`: by modality, all profiles and thresholds."""
        return summarise(self.run.scores)

    @cached_property
    def main_summary(self) -> pd.DataFrame:
        """Rows of `summary` of the main profile and threshold."""
        rows, run = self.summary, self.run
        return rows[(rows["profile"] == run.profile) & (rows["threshold"] == run.threshold)]

    @cached_property
    def differing(self) -> pd.DataFrame:
        """Cases to which the two profiles give different F1 values, from `differing_cases`."""
        rows, threshold = self.run.scores, self.run.threshold
        return differing_cases(rows[rows["threshold"] == threshold], threshold)

    @cached_property
    def ranked(self) -> Ranked | None:
        """Rankings of the methods; None where there are not two to rank."""
        return rank_run(self.run)

    @cached_property
    def styles(self) -> dict[str, LineStyle]:
        """Look of each method; of more than seven the best have a colour."""
        ranked = self.ranked
        return ranked_styles(self.run.methods, ranked.order if ranked else self.run.methods)

    @property
    def groups(self) -> list[str]:
        """Groups worth a panel: a run of one modality has no separate overall group."""
        modalities = [group for group in self.run.groups if group != ALL]
        return modalities if len(modalities) == 1 else [ALL, *modalities]

    @property
    def cost_left_out(self) -> str:
        """Why nothing is shown or ranked by time and memory, in a sentence; empty where it is."""
        run = self.run
        if not run.untimed:
            return ""
        timed = set(run.times.loc[run.times["warm_seconds"].notna(), "method"])
        if not timed.intersection(run.competing):
            return "Time and memory are not shown: no method has running times."
        none = [run.labels[name] for name in run.untimed if name not in timed]
        said = [f"{listing(none)} {'has' if len(none) == 1 else 'have'} no running times"] * any(
            none
        )
        said += [
            f"{run.labels[name]} has none of {count(n, 'image')}"
            for name, n in run.untimed.items()
            if name in timed
        ]
        return (
            f"Time and memory are not shown: {listing(said)}, and the others alone would be no "
            "comparison."
        )

    def rows(self, width_mm: float) -> Rows:
        """Plan rows of all methods: the ranked ones best first, then those that read the truth."""
        ranked = self.ranked
        order = ranked.order if ranked else self.run.competing
        others = [name for name in self.run.methods if name not in order]
        labels = self.run.labels
        return plan_rows([*order, *others], labels, self.styles, width_mm, len(order))

    @cached_property
    def panel_methods(self) -> list[str]:
        """Methods that have pictures: those with the highest medians where there are many."""
        rows = self.main_summary
        medians = rows[rows["modality"] == ALL].set_index("method")["median_f1"]
        return first_methods(self.run.methods, medians, _MOST_PANEL_METHODS)

    def tiles(self, case: str, methods: Sequence[str]) -> CaseTiles:
        """Cut out a case; one cut serves all who show some of its methods."""
        cut = self._cut.get(case)
        if cut is None or cut.picture is None or not cut.has(methods):
            cut = self._cut[case] = case_tiles(self.run, case, methods)
        return replace(cut, methods=[tile for tile in cut.methods if tile.method in methods])

    @cached_property
    def _cut(self) -> dict[str, CaseTiles]:
        return {}


def load_comparison(run_dir: Path, *, for_print: bool | None = None) -> Comparison:
    """Read a run directory; see `cellharness.report.build_report`."""
    return Comparison(load_run(run_dir, for_print=for_print))
