"""What the way of evaluating explains: the loss taken apart, and F1 under every protocol."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from cellharness.printing import wording
from cellharness.printing.table import Row, Table, blocks, group_title
from cellharness.printing.wording import NOTHING, absent, number, percent
from cellharness.records import Record, by_key, records
from cellharness.report import layout
from cellharness.report.declare import Section
from cellharness.report.study.data import StudyReport, part_title
from cellharness.report.study.result import NO_UNSEEN
from cellharness.report.study.sentences import of_units, share_of_loss
from cellharness.report.style import GREY, INK
from cellharness.statistics import ALL, decomposition
from cellharness.statistics.decomposition import ALIKE, APPARENT, IMAGES, OF_PROTOCOLS
from cellharness.statistics.estimates import how_tested, interval_head
from cellharness.statistics.staged_scores import SEEN, UNSEEN

causes = Section("causes", "Causes: the protocol or the weights", "Causes")

# Not the colours of losses and gains, nor those of remedies: parts of a loss are neither.
_PARTS = {
    APPARENT: ("As published", "#a6a6a6"),
    OF_PROTOCOLS: ("Difference of the protocols", "#DDCC77"),
    ALIKE: ("Both evaluated alike", "#A493C7"),
}
_LEFT_MM = 12.0


@causes.words(look="empty")
def _not_split(d: StudyReport) -> str:
    if UNSEEN not in d.findings.parts:
        return NO_UNSEEN
    if d.findings.causes.parts is not None:
        return ""
    return d.findings.notes.get("causes", "No case was scored under every protocol") + "."


@causes.figure(
    "decomposition",
    alt="Bar charts by modality of the loss on unseen experiments as published and with both "
    "evaluated alike; the numbers stand in the table below",
    caption="""{{ d.stage_label(d.findings.subject) }}. Grey, the loss as published comparisons see
it: mean {{ d.score }} before under {{ d.published[0] }} less after under {{ d.published[1] }}.
Purple, the loss with both under “{{ d.study.protocol_labels[d.findings.causes.protocol] }}”;
yellow, the difference of the two, which the protocols make, and its share
where the grey one is significant. Lines, {{ d.interval }}.
Only images scored under every protocol.""",
    when=lambda d: d.findings.causes.parts is not None,
)
def split_figure(d: StudyReport, width_mm: float) -> Figure:
    """Draw the loss on unseen experiments as published, and its two parts, as steps of a fall."""
    rows = d.findings.causes.parts
    assert rows is not None
    here = rows["protocol"].isin(["", d.findings.causes.protocol]) & (rows["estimand"] == IMAGES)
    found = by_key(rows[here], "modality", "measure")
    groups = [g for g in d.study.groups if found[g, APPARENT]["n_images"]]
    bars = {group: _bars([found[group, measure] for measure in _PARTS]) for group in groups}
    key = layout.Key(
        [Patch(facecolor=colour, label=label) for label, colour in _PARTS.values()],
        width_mm - _LEFT_MM, sample=1.3,
    )  # fmt: skip
    grid = layout.panel_grid(len(groups), width_mm, 27.0, _LEFT_MM)
    figure, axes = layout.panels(grid, len(groups), width_mm, 32.0, 3.0, key.height_mm)
    limits = layout.limits_of([[bar[2:] for bar in three] for three in bars.values()], 0.1)
    for i, (group, ax) in enumerate(zip(groups, axes, strict=True)):
        _steps(ax, bars[group])
        ax.set(xlim=(-0.6, len(_PARTS) - 0.4), ylim=limits, xticks=[])
        ax.yaxis.set_major_locator(MaxNLocator(nbins=5))
        ax.yaxis.set_major_formatter(layout.SIGNED)
        ax.axhline(0, color=INK, lw=0.5, zorder=1)
        ax.spines["bottom"].set_visible(False)
        if grid.place(i, len(groups))[1] == 0:
            ax.set_ylabel("Loss of mean F1", labelpad=3)
        else:
            ax.set_yticklabels([])
        share = found[group, OF_PROTOCOLS]
        told = "no share" if absent(share["share"]) else f"share {percent(share['share'])}"
        images = wording.count(found[group, APPARENT]["n_images"], "image")
        layout.letter(ax, i, "All" if group == ALL else group, f"{images}, {told}")
    key.draw(figure, _LEFT_MM - 2)
    return figure


_Bar = tuple[float, float, float, float]


def _bars(parts: Sequence[Record]) -> list[_Bar]:
    """Bottom and height of every bar, and where its interval, or else the bar itself, ends."""
    apparent, between, alike = (float(row["estimate"]) for row in parts)
    shapes = ((0.0, apparent), (alike, between), (0.0, alike))
    bars = []
    for (bottom, height), row in zip(shapes, parts, strict=True):
        low, high = (0.0, height) if absent(row["low"]) else (row["low"], row["high"])
        bars.append((bottom, height, bottom + low, bottom + high))
    return bars


def _steps(ax: Axes, bars: Sequence[_Bar]) -> None:
    for x, (bottom, height, low, high) in enumerate(bars):
        ax.bar(x, height, 0.68, bottom, color=list(_PARTS.values())[x][1], zorder=2)
        if (low, high) != (bottom, bottom + height):
            ax.plot([x, x], [low, high], color=INK, lw=0.8, zorder=3)
    for left, level in ((0.34, bars[0][1]), (1.34, bars[2][1])):
        ax.plot([left, left + 0.32], [level] * 2, color=GREY, lw=0.5, ls=(0, (1, 1.5)), zorder=1)


@causes.table()
def split_table(d: StudyReport) -> Table | None:
    """Give the loss as published beside that of weights evaluated alike; None without."""
    here, labels = d.findings.causes.parts, d.study.protocol_labels
    if here is None:
        return None
    found = by_key(here, "modality", "estimand", "measure", "protocol")
    protocols = list(dict.fromkeys(here.loc[here["measure"] == ALIKE, "protocol"]))
    shown = [(group, IMAGES, group_title(group)) for group in d.study.groups]
    if len(shown) > 1:
        shown.insert(1, (ALL, decomposition.MODALITIES, "Every modality weighing the same"))

    def row(group: str, estimand: str, protocol: str) -> Row:
        alike, between = (found[group, estimand, m, protocol] for m in (ALIKE, OF_PROTOCOLS))
        return Row((
            labels[protocol], _loss(alike), wording.p_value(alike["p_adjusted"]),
            alike["opposed"] or NOTHING, _loss(between), share_of_loss(between),
        ))  # fmt: skip

    groups = []
    for group, estimand, title in shown:
        whole = found[group, estimand, APPARENT, ""]
        rows = [row(group, estimand, protocol) for protocol in protocols if whole["n_images"]]
        groups.append((f"{title}: {of_units(whole)}, apparent loss {_loss(whole)}", rows))
    before, after = d.published
    return Table(
        "decomposition",
        "The loss of mean F1 on unseen experiments, as published and with both evaluated alike",
        ("Both evaluated under", "Loss, both alike", "p", "Other sign in",
         "Difference of the protocols", "Share of the apparent loss"),
        blocks(groups), pd.DataFrame(d.findings.causes.split),
        text=frozenset({0, 3, 5}), measure="parts of the loss",
        notes=(
            f"Apparent loss: before under {before}, after under {after}; the loss with both alike "
            "and the difference of the protocols add up to it. Other sign in: modalities whose own "
            "mean points the other way, so that the mean over all hides both. Share: "
            f"{decomposition.SHARE_INTERVAL}, only where the apparent loss is significant. Images "
            f"scored under every protocol. {how_tested(here)}",
        ),
    )  # fmt: skip


def _loss(row: Record) -> str:
    return wording.without_plus(wording.with_interval(row))


@causes.table(folded=True)
def robustness_table(d: StudyReport) -> Table | None:
    """Give the share of the protocols under other choices; None where there is none."""
    frame, threshold = d.findings.causes.robustness, d.run.threshold
    if frame is None or frame["share"].isna().all():
        return None
    unit = str(frame["unit"].iloc[0])

    def row(mine: pd.DataFrame, estimand: str) -> Row:
        here = mine[mine["threshold"] == threshold]
        whole, without, fewer = (here[here["left_out_is"] == w] for w in ("", unit, "modality"))
        return Row((
            f"Mean over {estimand}", share_of_loss(records(whole)[0]),
            _range(mine[mine["left_out_is"] == ""], "threshold", "IoU {:g}"),
            _range(without, "left_out"), _range(fewer, "left_out"),
        ))  # fmt: skip

    return Table(
        "robustness", "Share of the apparent loss that the protocols make, under other choices",
        (f"IoU ≥ {threshold:g}", "Share", "All thresholds", f"Without one {unit}",
         "Without one modality"),
        blocks(
            (f"Both evaluated under {d.study.protocol_labels[str(protocol)]}",
             [row(mine, str(name)) for name, mine in rows.groupby("estimand", sort=False)])
            for protocol, rows in frame.groupby("protocol", sort=False)
        ),
        frame, text=frozenset(range(5)),
        notes=(
            "Mean over experiments, modalities: each weighs the same. Ranges: the smallest and the "
            "largest share, and where; k of n, in which there is a loss, of thresholds one that is "
            "significant. The csv has every combination.",
        ),
    )  # fmt: skip


def _range(rows: pd.DataFrame, column: str, form: str = "{}") -> str:
    known = rows[rows["share"].notna()]
    if known.empty:
        return NOTHING
    least, most = (known.loc[known["share"].agg(f)] for f in ("idxmin", "idxmax"))
    ends = [f"{percent(row['share'])} ({form.format(row[column])})" for row in (least, most)]
    some = "" if len(known) == len(rows) else f", {len(known)} of {len(rows)}"
    return " to ".join(ends if least.name != most.name else ends[:1]) + some


@causes.table(folded=True)
def protocol_table(d: StudyReport) -> Table:
    """Give mean F1 before and after under every protocol, unseen and seen experiments."""
    accuracy, labels = d.findings.causes.accuracy, d.study.protocol_labels
    known = accuracy.assign(after=accuracy["stage"] > 0)
    found = by_key(known, "modality", "seen", "protocol", "after")

    def row(group: str, protocol: str) -> Row:
        cells = [labels[protocol]]
        for part in (UNSEEN, SEEN):
            pair = [found.get((group, part, protocol, after)) for after in (False, True)]
            n = max((row["n"] for row in pair if row is not None), default=0)
            cells += [f"{n:,}", *(_mean(row) for row in pair)]
        return Row(tuple(cells))

    names = [name for name in labels if name in set(accuracy["protocol"])]
    head = interval_head(d.findings.changes)
    columns = ("n", f"Before ({head})", f"After ({head})")
    return Table(
        "protocols",
        f"Mean F1 before and after {d.study.labels[d.findings.subject]} under every protocol",
        ("Protocol", *columns, *columns),
        blocks((group_title(group), [row(group, n) for n in names]) for group in d.study.groups),
        accuracy, spans=(("", 1), (part_title(UNSEEN), 3), (part_title(SEEN), 3)),
    )  # fmt: skip


def _mean(row: Record | None) -> str:
    if row is None or absent(row["mean"]):
        return NOTHING
    ends = "" if absent(row["mean_low"]) else wording.spread(row["mean_low"], row["mean_high"])
    return number(row["mean"]) + f" ({ends})" * bool(ends)
