"""Which methods each method is significantly better than, with all p values in the CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from cellharness.report.rankings.ranked import Ranked
from cellharness.report.rendering import Row, Table
from cellharness.report.wording import NOTHING
from cellharness.statistics import ALL
from cellharness.statistics.estimates import how_tested


def significance_table(ranked: Ranked, colours: Mapping[str, str]) -> Table:
    """List for each method by number which others it is better than, and which it is level with.

    The CSV holds one row a modality and ordered pair.
    """
    order = list(ranked.order)
    number = {method: i for i, method in enumerate(order, start=1)}
    tests = ranked.groups[ALL].tests
    better: dict[str, list[int]] = {method: [] for method in order}
    worse: dict[str, list[int]] = {method: [] for method in order}
    for row in tests[tests["better"]].itertuples():
        better[str(row.method)].append(number[str(row.other)])
        worse[str(row.other)].append(number[str(row.method)])
    rows = []
    for method in order:
        level = set(number.values()) - {number[method], *better[method], *worse[method]}
        lists = [ranges(sorted(found)) for found in (better[method], level, worse[method])]
        cells = (f"{number[method]} {ranked.run.labels[method]}", str(len(better[method])), *lists)
        rows.append(Row(cells, colour=colours[method]))
    blocks = []
    for ranking in ranked.groups.values():
        labels = {
            f"{name}_label": ranking.tests[name].map(ranked.run.labels)
            for name in ("method", "other")
        }
        blocks.append(ranking.tests.assign(**labels))
    frame = pd.concat(blocks, ignore_index=True)
    first = ["modality", "method", "method_label", "other", "other_label"]
    return Table(
        name="ranking_tests",
        title="Significantly better F1, all images",
        header=("Method", "Wins", "Better than", "No difference from", "Worse than"),
        rows=tuple(rows),
        frame=frame[[*first, *(name for name in frame.columns if name not in first)]],
        text=frozenset({0, 2, 3, 4}),
        measure="difference of F1",
        notes=(
            f"Numbers are those before the names. {how_tested(tests)} The CSV has all "
            "differences, intervals and p values, of each modality as well, corrected within it.",
        ),
    )


def ranges(numbers: Sequence[int]) -> str:
    """Write sorted numbers, neighbours as ranges.

    Examples
    --------
    >>> ranges([1, 3, 4, 5, 8, 9]), ranges([])
    ('1, 3–5, 8, 9', '–')
    """
    runs: list[list[int]] = []
    for value in numbers:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    texts = [f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(texts) or NOTHING
