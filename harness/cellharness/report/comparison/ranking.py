"""The section on rankings: who is first, how surely, and by what else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cellharness.analysis.ranked import CORRECTED, LEVEL, MAIN, PAPER_SCHEMES, RAW, Ranked
from cellharness.printing.table import Row, Table, group_title
from cellharness.printing.wording import (
    NOTHING,
    count,
    f1_at,
    listing,
    number,
    share_words,
    short_letters,
    spread,
)
from cellharness.records import by_key, records
from cellharness.report.comparison import rank_panels as panels
from cellharness.report.comparison.data import Comparison
from cellharness.report.declare import Section
from cellharness.report.layout import Panel, alone, compose
from cellharness.report.sensitivity import power_of_run, power_sentence
from cellharness.report.style import GREY, ONE_COLUMN_MM, TWO_COLUMNS_MM
from cellharness.statistics.estimates import how_tested, not_tested_words
from cellharness.statistics.rank_bootstrap import CHALLENGE
from cellharness.statistics.schemes import CORRECTION_WORDS, TEST_WORDS

ranking = Section("ranking", "Ranking")

_FEW_CASES, _LONG_TABLE, _MOST_NAMES = 10, 20, 4
_GAP_MM, _BETWEEN_MM = TWO_COLUMNS_MM - 2 * ONE_COLUMN_MM, 3.0
_ORDER = (
    f"Methods in the order of their ranking by F1 ({MAIN}); numbers before the panels are "
    f"places in it.{{% if '{GREY}' in d.colours.values() %}} The best have a colour "
    "each, the others are grey.{% endif %} "
)

_Cells = Callable[[str], Iterable[str]]


def _if_ranked(make: Callable[[Comparison, Ranked], Table]) -> Callable[[Comparison], Any]:
    """Make a table from the rankings; there is none where there are none."""

    @wraps(make)
    def table(d: Comparison) -> Table | None:
        return None if d.ranked is None else make(d, d.ranked)

    return table


def _rows(
    d: Comparison, ranked: Ranked, cells: _Cells, *, ranks: bool = False, numbered: bool = False
) -> tuple[Row, ...]:
    """Lay out a row a method, best first; cells that are `ranks` are strong for the first."""
    rows = []
    for i, method in enumerate(ranked.order, start=1):
        label = ranked.run.labels[method]
        texts = (f"{i} {label}" if numbered else label, *cells(method))
        first = {j for j, text in enumerate(texts) if ranks and j and text.split(" ")[0] == "1"}
        rows.append(Row(texts, strong=frozenset(first), colour=d.colours[method]))
    return tuple(rows)


def _arrange(drawn: Sequence[Panel], width_mm: float) -> Figure:
    """Put panels beside each other where there is room for two columns."""
    rows = [drawn] if width_mm >= TWO_COLUMNS_MM else [[panel] for panel in drawn]
    return compose(rows, _GAP_MM, _BETWEEN_MM)


@ranking.words()
def who_is_first(d: Comparison) -> str:
    """Say who is first, by how many schemes, how surely, and better than whom."""
    ranked = d.ranked
    if ranked is None:
        return ""
    table, labels = ranked.table, ranked.run.labels
    firsts = list(table.loc[table["rank"] == 1, "method"])
    if len(firsts) > 1:
        names = listing([labels[method] for method in firsts])
        return f"{names} share the first rank of {len(table)} ({MAIN} by F1)."
    first, schemes = firsts[0], len(PAPER_SCHEMES)
    best = ranked.scheme_ranks[ranked.order.index(first)] == 1
    won = [scheme for scheme, is_best in zip(PAPER_SCHEMES, best, strict=True) if is_best]
    by = f"all {schemes} schemes" if len(won) == schemes else listing(won)
    shares = by_key(ranked.frequencies, "scheme", "method", "rank")
    share = shares.get((MAIN, first, 1), {"share": 0.0})["share"]
    said = [
        f"{labels[first]} ranks first by {by}, and in {share_words(share)} of "
        f"{ranked.resampling.samples:,} bootstrap samples of {ranked.drawn} ({MAIN}).",
        _against_others(ranked, first),
    ]
    if not _differ(d):
        share = f"{100 * (1 - ranked.tail):g} %"
        said.append(f"Every scheme ranks them the same, as do {share} of the samples or more.")
    if len(table) - 1 > ranked.tests["better"][ranked.tests["method"] == first].sum():
        # A share near 100 % beside a difference that is not significant looks like a contradiction.
        said.append(ranked.no_test)
    n_images = int(ranked.run.main["case"].nunique())
    if n_images < _FEW_CASES:
        said.append(f"With {count(n_images, 'image')} no ranking is to be relied on.")
    return " ".join([*said, power_sentence(power_of_run(ranked.run))]).strip()


def _against_others(ranked: Ranked, first: str) -> str:
    """Say than whom the first is significantly better."""
    tests, labels = ranked.tests, ranked.run.labels
    own = records(tests[tests["method"] == first])
    better = {row["other"] for row in own if row["better"]}
    level = [labels[m] for m in ranked.order if m != first and m not in better]
    if own[0]["why_not"]:
        return not_tested_words(own[0])
    among = f"(mean F1, {count(own[0]['n_units'], own[0]['unit'])})"
    if len(own) == 1:
        other = labels[own[0]["other"]]
        return f"It is {'not ' if level else ''}significantly better than {other} {among}."
    if not level:
        whom = "every other method"
    elif not better:
        return f"It is not significantly better than any other method {among}."
    elif len(level) <= _MOST_NAMES:
        whom = f"all but {listing(level)}"
    else:
        whom = f"{len(better)} of the {len(own)} others"
    return f"It is significantly better than {whom} {among}."


def _is_long(d: Comparison) -> bool:
    ranked = d.ranked
    return ranked is not None and len(ranked.order) * len(ranked.groups) > _LONG_TABLE


@ranking.table(folded=_is_long)
@_if_ranked
def ranking_table(d: Comparison, ranked: Ranked) -> Table:
    """Give the ranking by F1 on all images and on those of each modality, best first."""
    rows, blocks = [], []
    for group, own in ranked.groups.items():
        frame = own.table.assign(modality=group)
        frame.insert(1, "label", frame["method"].map(ranked.run.labels))
        blocks.append(frame)
        rows.append(Row((f"{group_title(group)} (n = {frame['n'].iloc[0]:,})",), heading=True))
        rows += [
            Row(
                (
                    row["label"], str(row["rank"]), interval(row["rank_low"], row["rank_high"]),
                    number(row["score"], 2), number(row["median_f1"]), spread(row["q1"], row["q3"]),
                    short_letters(row["letters"]),
                ),
                strong=frozenset({1} if row["rank"] == 1 else ()), colour=d.colours[row["method"]],
            )
            for row in records(frame)
        ]  # fmt: skip
    frame = _first_columns(pd.concat(blocks, ignore_index=True), "modality", "rank")
    return Table(
        name="ranking",
        title=f"Ranking by {f1_at(ranked.run.threshold)}, {MAIN}",
        header=(
            "Method", "Rank", f"{ranked.interval} interval", "Mean rank", "Median F1", "IQR",
            "Letters",
        ),
        rows=tuple(rows),
        frame=frame.assign(scheme=MAIN, **ranked.resampling.settings()),
        spans=(("", 1), ("Place among the methods", 3), ("F1 over images", 2), ("", 1)),
        text=frozenset({0, 6}),
        notes=(
            f"Profile {ranked.run.profile}. Every image ranks the methods; the mean of these ranks "
            "orders them, and an image without a score counts as F1 0. Equal methods share the "
            f"smaller rank. Interval, percentiles of {ranked.samples}. Letters: methods that share "
            f"none differ significantly within the block. {how_tested(ranked.tests)}",
        ),
    )  # fmt: skip


def _first_columns(frame: pd.DataFrame, *first: str) -> pd.DataFrame:
    return frame[[*first, *(name for name in frame.columns if name not in first)]]


def interval(low: float, high: float) -> str:
    """Write the ends of an interval of ranks."""
    low_text, high_text = (f"{end:.1f}".removesuffix(".0") for end in (low, high))
    return low_text if low_text == high_text else f"{low_text}–{high_text}"


@ranking.figure(
    "ranking_significance",
    when=lambda d: d.ranked is not None,
    alt="Table of colours of which method is significantly better than which, and blob plot of the "
    "ranks that each method takes in bootstrap samples; the numbers stand in the tables",
    caption=_ORDER
    + "a, Whether the method of the row has a better F1 than that of the column: blue, "
    f"significantly{{% if d.ranked.has_state({RAW}) %}}; ochre, only before the correction for "
    f"many tests{{% endif %}}{{% if d.ranked.has_state({LEVEL}) %}}; grey, not significant"
    "{% endif %}; blank, the column is better; dot, the method itself. "
    "{{ how_tested(d.ranked.tests) }} Wins, blue cells of the row. b, Ranks in "
    "{{ d.ranked.samples }}: area, share of the samples; ×, median; line, {{ d.ranked.interval }} "
    "interval; dotted, place of the methods in the full ranking. {{ d.ranked.no_test }}",
)
def significance(d: Comparison, width_mm: float) -> Figure:
    """Draw who is better than whom, and the ranks of the samples."""
    assert d.ranked is not None
    common = d.ranked, d.styles, ONE_COLUMN_MM
    return _arrange([panels.significance_panel(*common), panels.frequency_panel(*common)], width_mm)


@ranking.table(folded=True)
@_if_ranked
def tests_table(d: Comparison, ranked: Ranked) -> Table:
    """List for each method by number which others it is better than, and which it is level with.

    The CSV holds one row a modality and ordered pair.
    """
    place = {method: i for i, method in enumerate(ranked.order, start=1)}
    won = ranked.tests[ranked.tests["better"]]
    pairs = {(place[row["method"]], place[row["other"]]) for row in records(won)}

    def cells(method: str) -> tuple[str, ...]:
        own = place[method]
        better = {other for one, other in pairs if one == own}
        worse = {one for one, other in pairs if other == own}
        level = set(place.values()) - {own} - better - worse
        return str(len(better)), *(ranges(sorted(found)) for found in (better, level, worse))

    frame = pd.concat([group.tests for group in ranked.groups.values()], ignore_index=True)
    for name in ("method", "other"):
        frame[f"{name}_label"] = frame[name].map(ranked.run.labels)
    first = ("modality", "method", "method_label", "other", "other_label")
    return Table(
        name="ranking_tests",
        title="Significantly better F1, all images",
        header=("Method", "Wins", "Better than", "Not significant", "Worse than"),
        rows=_rows(d, ranked, cells, numbered=True),
        frame=_first_columns(frame, *first),
        text=frozenset({0, 2, 3, 4}),
        measure="difference of F1",
        notes=(
            f"Numbers are those before the names. {how_tested(ranked.tests)} The CSV has all "
            "differences, intervals and p values, of each modality as well, corrected within it.",
        ),
    )


def ranges(numbers: Sequence[int]) -> str:
    """Write sorted numbers, neighbours as ranges."""
    runs: list[list[int]] = []
    for value in numbers:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    texts = [f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(texts) or NOTHING


@ranking.table(folded=True)
@_if_ranked
def frequency_table(d: Comparison, ranked: Ranked) -> Table:
    """List the ranks of each method by the main scheme, the most frequent first.

    The CSV has every scheme.
    """
    frame = ranked.frequencies.copy()
    frame.insert(2, "label", frame["method"].map(ranked.run.labels))
    main = frame[frame["scheme"] == MAIN].sort_values("share", ascending=False, kind="stable")

    def cells(method: str) -> tuple[str]:
        own = records(main[main["method"] == method])
        return (", ".join(f"{row['rank']} ({share_words(row['share'])})" for row in own),)

    return Table(
        name="ranking_frequencies",
        title=f"Ranks in {ranked.resampling.samples:,} bootstrap samples, {MAIN}",
        header=("Method", "Rank (share of the samples)"),
        rows=_rows(d, ranked, cells),
        frame=frame.assign(samples=ranked.resampling.samples),
        text=frozenset({0, 1}),
        notes=(ranked.no_test,),
    )


def _differ(d: Comparison) -> bool:
    """Whether schemes differ, or more samples than a tail of their intervals from the full one."""
    ranked = d.ranked
    if ranked is None or not ranked.schemes_agree:
        return ranked is not None
    lowest = [np.quantile(np.nan_to_num(taus, nan=-1.0), ranked.tail) for _, _, taus in ranked.taus]
    return bool(min(lowest) < 1)


@ranking.figure(
    "ranking_stability",
    when=_differ,
    alt="{% if not d.ranked.schemes_agree %}Ranks of each method by every scheme as lines, and "
    "{% endif %}distributions of Kendall's tau between bootstrap rankings and the full one; the "
    "numbers stand in the tables",
    caption="{% if d.ranked.schemes_agree %}Every scheme of the paper gives the methods the same "
    "ranks. {% else %}a, Ranks by F1 with each scheme of the paper; methods of the same rank stand "
    "beside each other. b, {% endif %}Kendall's τ of the rankings in {{ d.ranked.samples }}, to "
    "the ranking on all images: violin, or bars where few values occur; ○, median; line, "
    f"{{{{ d.ranked.interval }}}} interval; the lowest {100 * panels.TAU_CUT:g} % of a ranking may "
    "lie beyond the axis.{% if d.ranked.time %} Time, warm running time.{% endif %}",
)
def stability(d: Comparison, width_mm: float) -> Figure:
    """Draw ranks by every scheme where they differ, and how far samples agree."""
    assert d.ranked is not None
    if d.ranked.schemes_agree:
        return alone(panels.tau_panel(d.ranked, width_mm))
    lines = panels.rank_line_panel(d.ranked, d.styles, ONE_COLUMN_MM)
    beside = lines.height_mm if width_mm >= TWO_COLUMNS_MM else 0.0
    return _arrange([lines, panels.tau_panel(d.ranked, ONE_COLUMN_MM, beside)], width_mm)


@ranking.table(folded=True)
@_if_ranked
def scheme_table(d: Comparison, ranked: Ranked) -> Table:
    """Give each method's rank and its bootstrap interval by every scheme."""
    columns = [("f1", scheme, scheme) for scheme in (*PAPER_SCHEMES, CORRECTED)]
    schemes, blocks, more = len(columns), [ranked.spread.assign(metric="f1")], ""
    level = ranked.resampling.confidence
    if ranked.challenge is not None:
        columns.append(("f1 and adjusted time", CHALLENGE, "challenge"))
        blocks.append(ranked.challenge.intervals(level).assign(metric=columns[-1][0]))
        more += (
            " Challenge: as in NeurIPS 2022, every image ranks the methods by F1 and by cold "
            "running time less the tolerance, and the mean of both orders them."
        )
    if ranked.time is not None:
        columns.append(("time", MAIN, "time alone"))
        blocks.append(ranked.time.intervals(level).assign(metric=columns[-1][0]))
        more += (
            f" Time alone: warm running time, {MAIN}; an image without a mask is behind all others."
        )
    if d.cost_left_out:
        more += f" {d.cost_left_out}"
    frame = pd.concat(blocks, ignore_index=True)
    frame.insert(2, "label", frame["method"].map(ranked.run.labels))
    found = by_key(frame, "metric", "scheme", "method")

    def cells(method: str) -> Iterator[str]:
        for metric, scheme, _ in columns:
            row = found.get((metric, scheme, method))
            yield f"{row['rank']} ({interval(row['low'], row['high'])})" if row else NOTHING

    other = len(columns) - schemes
    return Table(
        name="ranking_schemes",
        title="Ranks by every scheme",
        header=("Method", *(head for _, _, head in columns)),
        rows=_rows(d, ranked, cells, ranks=True),
        frame=frame,
        spans=(("", 1), ("F1", schemes), *((("With time", other),) if other else ())),
        notes=(
            f"Rank, and {ranked.interval} interval of it, from {ranked.samples}. Mean- and "
            "median-then-rank rank the mean or median F1; rank-then-mean and -median rank the "
            "methods in each image first; test-based ranks by the share of the others that a "
            f"method is significantly better than ({TEST_WORDS}), -holm after {CORRECTION_WORDS}."
            + more,
        ),
    )


@ranking.table(folded=True)
@_if_ranked
def stability_table(_: Comparison, ranked: Ranked) -> Table:
    """Give median, interval and smallest of Kendall's tau for every ranking."""
    tail = ranked.tail
    found, rows = [], []
    for name, _by, taus in ranked.taus:
        known = taus[np.isfinite(taus)]
        quantiles = [0.0, tail, 0.5, 1 - tail]
        least, low, middle, high = (
            map(float, np.quantile(known, quantiles)) if known.size else [float("nan")] * 4
        )
        found.append(
            {
                "ranking": name, "tau_median": middle, "tau_low": low, "tau_high": high,
                "tau_min": least, "n_without_order": int(taus.size - known.size),
            }
        )  # fmt: skip
        rows.append(Row((name, number(middle), spread(low, high), number(least))))
    return Table(
        name="ranking_stability",
        title="Agreement of bootstrap rankings with the full one",
        header=("Ranking", "Median τ", f"{ranked.interval} interval", "Least"),
        rows=tuple(rows),
        frame=pd.DataFrame(found).assign(**ranked.resampling.settings()),
        notes=(
            f"Kendall's τ-b over {ranked.samples}. {NOTHING}, all ranks equal: no order to "
            "compare.",
        ),
    )


@ranking.figure(
    "ranking_side_by_side",
    when=lambda d: d.ranked is not None and len(d.ranked.columns) > 1,
    alt="Table of colours of the ranks by F1 at every threshold, by modality"
    "{% if d.ranked.by_cost %}, time and memory{% endif %}; the numbers stand in the table below",
    caption="Ranks by F1 at every threshold on all images, {% if d.ranked.groups | length > 1 %}"
    "at IoU ≥ {{ '%g' % run.threshold }} in each modality, {% endif %}"
    "{% if d.ranked.by_cost %}and by what was measured of time and memory, {% endif %}"
    f"all {MAIN}. The darker, the better."
    f"{{% if d.ranked.by_cost %}} {NOTHING}, never measured.{{% endif %}}"
    "{% if d.cost_left_out %} {{ d.cost_left_out }}{% endif %}",
)
def ranks_side_by_side(d: Comparison, width_mm: float) -> Figure:
    """Draw the ranks by every measure."""
    assert d.ranked is not None
    return alone(panels.metric_rank_panel(d.ranked, d.styles, width_mm))


@ranking.table(folded=True)
@_if_ranked
def side_by_side_table(d: Comparison, ranked: Ranked) -> Table:
    """Give each method's rank by every column of the figure; the CSV has every combination."""
    columns = ranked.columns
    ranks = [ranked.ranks_in(column) for column in columns]

    def cells(method: str) -> list[str]:
        return [NOTHING if pd.isna(own[method]) else str(own[method]) for own in ranks]

    blocks = [column.block for column in columns]
    frame = ranked.side_by_side
    measured = (
        "Time, warm seconds; memory, peaks; an image without a mask is behind all others. "
        f"{NOTHING}, never measured of this method. "
    ) * ranked.by_cost
    return Table(
        name="ranking_side_by_side",
        title=f"Ranks by accuracy{', time and memory' * ranked.by_cost}, {MAIN}",
        header=("Method", *(column.head for column in columns)),
        rows=_rows(d, ranked, cells, ranks=True),
        frame=frame.assign(label=frame["method"].map(ranked.run.labels)),
        spans=(("", 1), *((block, blocks.count(block)) for block in dict.fromkeys(blocks))),
        notes=(
            f"Profile {ranked.run.profile}. Modality, {f1_at(ranked.run.threshold)} on its images. "
            f"{measured}The CSV ranks by every threshold{' and cost' * ranked.by_cost} within each "
            "modality as well.",
            *filter(None, [d.cost_left_out]),
        ),
    )
