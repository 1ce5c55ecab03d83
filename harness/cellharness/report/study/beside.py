"""What stands beside the numbers: pictures of the cases that moved most, and the top teams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from cellharness.printing import wording
from cellharness.printing.table import Row, Table, blocks, group_title
from cellharness.printing.wording import NOTHING, absent, number, signed
from cellharness.records import Record, by_key
from cellharness.report import layout
from cellharness.report.cutout_figure import cutout_figure
from cellharness.report.cutouts import CaseTiles, case_tiles, has_picture
from cellharness.report.declare import Section
from cellharness.report.published import PREPRINT, median_and_iqr, published, published_wanted
from cellharness.report.study.data import StudyReport
from cellharness.report.style import GREY, INK
from cellharness.statistics import ALL, summarise
from cellharness.statistics.change import change
from cellharness.statistics.estimates import how_tested, images_and_units, interval_head
from cellharness.vocabulary import PRETRAINED, SEGMENTED

panels = Section("panels", "Lost and gained in pictures", "Pictures")
teams = Section("teams", "Beside the top teams", "Top teams")

#: How pictures are chosen, in words.
CHOICE_RULE = (
    "the cases with the largest fall and the largest rise of F1 under the main protocol, of those "
    "with a mask before and after (the first by name where two are level)"
)
# Of either kind.
_SHOWN = 2
_PICTURE_PX = 448

#: Stands over everything that comes from other images.
OTHER_DATA = "Published, other data"
_ROW_MM, _OTHER_MM, _WIDEST_MM, _TITLE_MM, _BELOW_MM = 4.6, 6.0, 88.0, 8.0, 9.5
_BAND = "#f5f5f5"


@dataclass(frozen=True)
class Chosen:
    """One case to be shown: ``"lost"`` or ``"gained"``, by how much, and whether it is seen."""

    kind: str
    change: float
    seen: bool
    tiles: CaseTiles


@dataclass(frozen=True)
class Pictures:
    """What may be shown: the cases, those that lost first, and methods by their names in print."""

    chosen: Sequence[Chosen]
    methods: dict[str, str]
    licence_rule: str
    n_allowed: int


def choose_pictures(d: StudyReport) -> Pictures:
    """Choose and cut out the cases that the subject lost and gained most on."""
    methods = {method: d.stage_label(remedy) for remedy, method in d.shown_methods.items()}
    allowed, rule = d.licences
    run = replace(d.run, labels={**d.run.labels, **methods})
    chosen = [
        Chosen(kind, by, seen, case_tiles(run, case, list(methods)))
        for kind, case, by, seen in _choose(d, allowed)
    ]
    return Pictures(chosen, methods, rule, len(allowed & set(d.findings.table.cases)))


def _choose(d: StudyReport, allowed: set[str]) -> Iterator[tuple[str, str, float, bool]]:
    table, subject = d.findings.table, d.findings.subject
    pair = next(p for p in table.pairs(d.study.record.main) if p.remedy == subject)
    two = [d.shown_methods[name] for name in (PRETRAINED, subject)]
    masks = d.run.main[d.run.main["status"].isin(SEGMENTED) & d.run.main["method"].isin(two)]
    counts = masks["case"].value_counts()
    usable = allowed & set(counts[counts == len(two)].index)
    changes = zip(table.cases, pair.after - pair.before, table.seen, strict=True)
    # Cases are sorted by name, and so are those that are level.
    moved = [(case, float(by), bool(seen)) for case, by, seen in changes if case in usable]
    for kind, sign in (("lost", -1), ("gained", 1)):
        most = sorted((c for c in moved if sign * c[1] > 0), key=lambda c: -sign * c[1])
        yield from ((kind, *case) for case in most[:_SHOWN])


@panels.words()
def _rule(d: StudyReport) -> str:
    told = f"Shown are {CHOICE_RULE}. {d.pictures.licence_rule}"
    if len(seeds := d.study.seeds) > 1:
        told += (
            f" The change beside a case is the mean over {len(seeds)} trainings, the pictures and "
            f"their F1 are of seed {seeds[0]}."
        )
    return told


@panels.words(look="empty")
def _none_allowed(d: StudyReport) -> str:
    nothing = "No image that was scored may be shown under the configured licences."
    return nothing * (not d.pictures.n_allowed)


@panels.figure("panels", when=lambda d: bool(d.pictures.chosen), inline=False)
def panels_figure(d: StudyReport, _: float) -> Figure:
    """Draw all pictures as one figure for print."""
    rows: list[tuple[str, CaseTiles | None]] = [
        (f"{c.kind.capitalize()} {signed(c.change).lstrip('+−')}: {c.tiles.modality}", c.tiles)
        for c in d.pictures.chosen
    ]
    return cutout_figure(rows, list(d.pictures.methods), d.pictures.methods, d.styles)


@panels.block("panels_study.html")
def _panes(d: StudyReport) -> Mapping[str, Any]:
    subject, groups = d.study.labels[d.findings.subject], []
    for kind in ("lost", "gained"):
        rows = [_pane_row(d, chosen) for chosen in d.pictures.chosen if chosen.kind == kind]
        title = f"{kind.capitalize()} most under {subject}"
        groups.append((title, rows, f"No case that may be shown {kind} F1."))
    return {"groups": groups, "any": any(row["panes"] for _, rows, _ in groups for row in rows)}


def _pane_row(d: StudyReport, chosen: Chosen) -> Mapping[str, Any]:
    tiles, panes = chosen.tiles, []
    about = [tiles.modality, tiles.experiment, "seen" if chosen.seen else "unseen"]
    note = f"{tiles.case}: {', '.join(part for part in about if part)}; F1 {signed(chosen.change)}."
    note += f" Licence: {tiles.licence}." * bool(tiles.licence)
    if has_picture(tiles):
        panes = d.gallery.panes(tiles, chosen.kind, _PICTURE_PX, d.pictures.methods, d.colours)
    return {"case": tiles.case, "panes": panes, "problem": tiles.problem, "note": note}


@dataclass(frozen=True)
class Standing:
    """Medians of this study's weights, and those of others.

    `measured` is from `cellharness.statistics.summarise`, of `methods`: weights of the study, then
    teams, with their names in print. `remedies` are those of the methods of the study. `published`
    has the methods with a published median over all images, if they are wanted. `against` has the
    study's weights less a team, as `change` has changes, with ``method`` and ``team``.
    """

    measured: pd.DataFrame
    methods: dict[str, str]
    remedies: dict[str, str]
    published: pd.DataFrame
    against: pd.DataFrame


def stand(d: StudyReport) -> Standing:
    """Set the weights before training, of the subject and of the remedy beside it among others."""
    run, known = d.run, published()
    remedies = {method: remedy for remedy, method in d.shown_methods.items()}
    names = {method: d.stage_label(remedy) for method, remedy in remedies.items()}
    names |= {team: run.labels[team] for team in d.study.teams}
    whole = known[(known["modality"] == ALL) & known["median_f1"].notna()]
    known = known[known["method"].isin(whole["method"]) & published_wanted(run)]
    measured = summarise(run.main[run.main["method"].isin(names)])
    return Standing(measured, names, remedies, known, _against(d))


def _groups(d: StudyReport) -> list[str]:
    """Groups of images: of a study of one modality that one, as published medians are of one."""
    return list(d.study.modalities) if len(d.study.modalities) == 1 else d.study.groups


def _against(d: StudyReport) -> pd.DataFrame:
    """Compare weights of some stage with teams case by case, each team in the place of before."""
    if not d.study.teams:
        return pd.DataFrame()
    scores = d.run.main.assign(protocol=d.study.record.main, seen=False)
    stages = {m: d.findings.stages.get(name, 0) for name, m in d.shown_methods.items()}
    pairs = {f"{method} - {team}": (method, team) for team in d.study.teams for method in stages}
    sides = [
        scores[scores["method"] == name].assign(remedy=pair, stage=stage)
        for pair, both in pairs.items()
        for stage, name in zip((1, 0), both, strict=True)
    ]
    rows = change(d.study.staged(pd.concat(sides, ignore_index=True)), d.study.record.main)
    # Seen and unseen is no distinction between methods trained on different images.
    rows = rows[(rows["level"] != "experiment") & (rows["seen"] == ALL)]
    methods, others = zip(*(pairs[name] for name in rows["remedy"]), strict=True)
    return rows.assign(stage=[stages[m] for m in methods], method=methods, team=others)


@teams.figure(
    "teams",
    alt="Dot plot of median F1 over all images: weights of this study above, published medians of "
    "other images below; the numbers stand in the table below",
    caption="""Median {{ d.score }} and interquartile range. Filled, measured in this run
{%- if not d.standing.published.empty %}; hollow diamonds in the grey band, published medians on the
NeurIPS test set: other images, so the two are not comparable case by case, and no test is made
between them{% endif %}.""",
    when=lambda d: bool(d.study.teams) or not d.standing.published.empty,
)
def team_figure(d: StudyReport, width_mm: float) -> Figure:
    """Draw medians and quartiles over all images, published ones of other images below."""
    standing, width, group = d.standing, min(width_mm, _WIDEST_MM), _groups(d)[0]
    measured = by_key(standing.measured, "method", "modality")
    known = standing.published
    others = by_key(known[known["modality"] == group], "method")
    # Name, row, colour, marker and its filling.
    drawn: list[tuple[str, Record, str, str, str]] = []
    for method, label in standing.methods.items():
        remedy = standing.remedies.get(method)
        colour = d.looks[remedy].colour if remedy else INK
        name, marker = (d.study.labels[remedy], "o") if remedy else (label, "s")
        drawn.append((name, measured[method, group], colour, marker, colour))
    drawn += [(name, row, GREY, "D", "white") for (name,), row in others.items()]
    left = layout.left_room([*(name for name, *_ in drawn), OTHER_DATA], 12.0, 0.45 * width)
    # Axes in rows: those of others stand lower by the room of their heading.
    n, shift = len(standing.methods), _OTHER_MM / _ROW_MM if others else 0.0
    places = [y + (shift if y >= n else 0.0) for y in range(len(drawn))]
    high = len(drawn) + shift
    sheet = layout.Sheet(width, _TITLE_MM + _ROW_MM * high + _BELOW_MM)
    sheet.text(left, 3.0, group_title(group), va="baseline")
    sheet.small(left, 6.0, wording.count(int(drawn[0][1]["n"]), "image") + " here")
    ax = sheet.axes(left, _TITLE_MM, width - left - 3.0, _ROW_MM * high)
    for y, (_, row, colour, marker, fill) in zip(places, drawn, strict=True):
        ax.plot([row["q1"], row["q3"]], [y, y], color=colour, lw=1.0, zorder=2)
        ax.plot(row["median_f1"], y, marker, ms=4.2, mfc=fill, mec=colour, mew=0.8, zorder=3)
    ax.set(xlim=(-0.02, 1.02), ylim=(high - 0.5, -0.5), xlabel=f"Median {d.score}")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", color="#ececec", lw=0.5)
    ax.set_axisbelow(True)
    ax.set_yticks(places, [layout.shorten(name, left - 2) for name, *_ in drawn])
    if others:
        ax.axhspan(n - 0.5, high - 0.5, color=_BAND, lw=0, zorder=0)
        ax.annotate(
            OTHER_DATA, (0, n - 0.5 + 0.5 * shift), (-4, 0), va="center", ha="right", color=GREY,
            xycoords=("axes fraction", "data"), textcoords="offset points", style="italic",
            annotation_clip=False,
        )  # fmt: skip
        for tick in ax.get_yticklabels()[n:]:
            tick.set_color(GREY)
    return sheet.figure


@teams.words(look="empty")
def _no_teams(d: StudyReport) -> str:
    nothing = (
        "No masks of a team are in the run, so there is no paired test; give a folder of them as a "
        "precomputed method to have one."
    )
    if d.standing.published.empty:
        nothing += " Published medians are switched off in the configuration."
    return nothing * (not d.study.teams)


@teams.table()
def team_table(d: StudyReport) -> Table:
    """Put medians of the study above those of others, which are of other images."""
    standing, groups = d.standing, _groups(d)
    measured = by_key(standing.measured, "method", "modality")
    known = by_key(standing.published, "method", "modality")
    first = next(iter(standing.methods))
    mine = [Row(("Images", *(f"{measured[first, group]['n']:,}" for group in groups)))]
    for method, label in standing.methods.items():
        cells = (_median(measured[method, group]) for group in groups)
        remedy = standing.remedies.get(method)
        mine.append(Row((label, *cells), colour=d.looks[remedy].colour if remedy else INK))
    others = list(dict.fromkeys(standing.published["method"]))
    theirs = [Row((name, *(_median(known.get((name, g))) for g in groups))) for name in others]
    if others:
        sizes = [known.get((others[0], group)) for group in groups]
        theirs.insert(0, Row(("Images", *(f"{int(r['n']):,}" if r else NOTHING for r in sizes))))
    named = standing.measured.assign(source="this run")
    named.insert(1, "label", [standing.methods[method] for method in named["method"]])
    frame = pd.concat([named, standing.published], ignore_index=True)
    where = (
        f"Published rows are numbers printed in the preprint's text ({PREPRINT}), measured on "
        f"other images: not comparable case by case. {NOTHING}, no number in that text."
    )
    return Table(
        "teams", "Median F1 (IQR) beside the top teams", ("Weights", *map(group_title, groups)),
        blocks([("Measured in this run", mine), (f"{OTHER_DATA}: NeurIPS test set", theirs)]),
        frame[frame["modality"].isin(groups)], notes=(where,) * bool(others),
    )  # fmt: skip


def _median(row: Record | None) -> str:
    return NOTHING if row is None or absent(row["median_f1"]) else median_and_iqr(row)


@teams.table()
def team_test_table(d: StudyReport) -> Table | None:
    """Compare with the masks of teams case by case; None where there are none."""
    against, remedies = d.standing.against, d.standing.remedies
    if against.empty:
        return None
    found = by_key(against, "team", "method", "modality")

    def row(team: str, method: str, group: str) -> Row:
        mine = found[team, method, group]
        cells = (
            d.standing.methods[method], images_and_units(mine), number(mine["mean_before"]),
            number(mine["mean_after"]), wording.with_interval(mine),
            signed(mine["median_change"]), wording.p_value(mine["p_adjusted"]),
        )  # fmt: skip
        return Row(cells, colour=d.looks[remedies[method]].colour)

    return Table(
        "team_tests", "Against masks of the teams on the same images",
        ("Weights", "n", "Mean F1 of the team", "Mean F1",
         f"Mean difference ({interval_head(against)})", "Median difference", "p"),
        blocks(
            (f"{d.run.labels[team]}, {group_title(group)}", [row(team, m, group) for m in remedies])
            for team in d.study.teams
            for group in _groups(d)
        ),
        against, measure="difference of F1",
        notes=(f"Weights less team, paired by image. {how_tested(against)}",),
    )  # fmt: skip
