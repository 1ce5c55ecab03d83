"""The study beside the top teams: published medians, and paired tests where masks are there."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cellharness.report.forgetting.cells import shown_methods
from cellharness.report.forgetting.findings import Findings, stage_label
from cellharness.report.forgetting.look import left_room, worth_showing
from cellharness.report.forgetting.study import Study
from cellharness.report.layout import Grid, cut, letter, panels, place
from cellharness.report.records import Record, by_key
from cellharness.report.style import GREY, INK, TWO_COLUMNS_MM, LineStyle
from cellharness.report.wording import absent, count
from cellharness.statistics import ALL, summarise
from cellharness.statistics.change import change

#: Stands over everything that comes from other images.
OTHER_DATA = "Published, other data"

_ROW_MM, _OTHER_MM = 4.6, 6.0
_BAND = "#f5f5f5"


@dataclass(frozen=True)
class Standing:
    """Medians of this study's weights, and those of others.

    Attributes
    ----------
    measured
        From `cellharness.statistics.summarise`, main profile and threshold, of `methods`.
    methods
        Method of the run to its name in print: weights of the study, then teams.
    remedies
        Remedy of each method of the study.
    published
        Methods with a published median over all images, from
        `cellharness.report.published.published`; empty where the configuration does not want them.
    against
        Study weights less the team, by team: columns of `cellharness.statistics.change.change`,
        with ``method`` and ``team``. Empty without masks of a team.
    """

    measured: pd.DataFrame
    methods: dict[str, str]
    remedies: dict[str, str]
    published: pd.DataFrame
    against: pd.DataFrame


def stand(study: Study, findings: Findings, published: pd.DataFrame | None) -> Standing:
    """Set the weights before training, of the subject and of the remedy beside it among others.

    Parameters
    ----------
    study, findings
        The study and its measures.
    published : DataFrame or None
        From `cellharness.report.published.published`.
    """
    shown = shown_methods(study, findings)
    names = {method: stage_label(study, findings, remedy) for remedy, method in shown.items()}
    names |= {team: study.run.labels[team] for team in study.teams}
    main = study.run.scores
    main = main[(main["profile"] == study.run.profile) & main["method"].isin(names)]
    main = main[main["threshold"] == study.run.threshold]
    if published is None:
        published = pd.DataFrame(columns=["method", "modality", "median_f1", "q1", "q3", "n"])
    whole = published[(published["modality"] == ALL) & published["median_f1"].notna()]
    return Standing(
        measured=summarise(main),
        methods=names,
        remedies={method: remedy for remedy, method in shown.items()},
        published=published[published["method"].isin(whole["method"])],
        against=_against(study, {shown[name]: findings.stages.get(name, 0) for name in shown}),
    )


def shown_groups(study: Study) -> list[str]:
    """Groups of images: of a study of one modality that one, as published medians are of one."""
    named = list(study.modalities)
    return named if len(named) == 1 else worth_showing(named)


def _against(study: Study, methods: dict[str, int]) -> pd.DataFrame:
    """Compare weights of some stage with teams case by case, each team in the place of before."""
    if not study.teams:
        return pd.DataFrame()
    scores = study.run.main
    scores = scores.assign(protocol=study.record.main, seen=False)
    pairs = {f"{method} - {team}": (method, team) for team in study.teams for method in methods}
    blocks = [
        scores[scores["method"] == name].assign(remedy=pair, stage=stage)
        for pair, both in pairs.items()
        for stage, name in ((1, both[0]), (0, both[1]))
    ]
    rows = change(study.staged(pd.concat(blocks, ignore_index=True)), study.record.main)
    # Seen and unseen is no distinction between methods trained on different images.
    rows = rows[(rows["level"] != "experiment") & (rows["seen"] == ALL)]
    return rows.assign(
        stage=[methods[pairs[name][0]] for name in rows["remedy"]],
        method=[pairs[name][0] for name in rows["remedy"]],
        team=[pairs[name][1] for name in rows["remedy"]],
    )


def team_figure(
    study: Study, standing: Standing, styles: dict[str, LineStyle], width_mm: float
) -> Figure:
    """Draw medians and quartiles: measured ones above, published ones of other images below.

    Parameters
    ----------
    study : Study
        The study.
    standing : Standing
        What to draw.
    styles : dict of str to LineStyle
        Look of each remedy.
    width_mm : float
        Printed width.
    """
    others = list(dict.fromkeys(standing.published["method"]))
    names = [
        study.labels[standing.remedies[method]] if method in standing.remedies else label
        for method, label in standing.methods.items()
    ] + others
    groups = shown_groups(study)
    left = left_room([*names, OTHER_DATA], 12.0, 0.4 * width_mm)
    columns = min(len(groups), 5 if width_mm >= TWO_COLUMNS_MM else 2)
    lines = -(-len(groups) // columns)
    columns = -(-len(groups) // lines)
    panel = min(46.0, (width_mm - left - 2.5 - 4.0 * (columns - 1)) / columns)
    grid = Grid(columns, lines, panel, 4.0, 3.0, left)
    # Axes in rows: those of others stand lower by the room of their heading.
    shift = _OTHER_MM / _ROW_MM if others else 0.0
    rows = len(names) + shift
    figure, axes = panels(grid, len(groups), width_mm, _ROW_MM * rows, 9.5)
    measured = by_key(standing.measured, "method", "modality")
    published = by_key(standing.published, "method", "modality")
    first = len(standing.methods) - 0.5
    for i, (group, ax) in enumerate(zip(groups, axes, strict=True)):
        row, column = place(grid, i, len(groups))
        for y, method in enumerate(standing.methods):
            remedy = standing.remedies.get(method)
            colour = styles[remedy].colour if remedy else INK
            _median(ax, y, measured.get((method, group)), colour, "o" if remedy else "s", "white")
        for y, method in enumerate(others, start=len(standing.methods)):
            _median(ax, y + shift, published.get((method, group)), GREY, "D", "white")
        _axes(ax, rows, named=row == lines - 1)
        if others:
            ax.axhspan(first, rows - 0.5, color=_BAND, lw=0, zorder=0)
            if column == 0:
                ax.annotate(
                    OTHER_DATA, (0, first + 0.5 * shift), (-4, 0), va="center", ha="right",
                    xycoords=("axes fraction", "data"), textcoords="offset points", color=GREY,
                    style="italic", annotation_clip=False,
                )  # fmt: skip
        places = [*range(len(standing.methods))]
        ticks = [*places, *(len(places) + k + shift for k in range(len(others)))]
        shown = [cut(name, left - 2) for name in names] if column == 0 else [""] * len(names)
        ax.set_yticks(ticks, shown)
        for label in ax.get_yticklabels()[len(places) :]:
            label.set_color(GREY)
        n = next((r["n"] for (_, g), r in measured.items() if g == group), 0)
        title = "All" if group == ALL else group
        letter(ax, i, cut(title, panel - 4), f"{count(int(n), 'image')} here")
    return figure


def _median(ax: Axes, y: float, row: Record | None, colour: str, marker: str, fill: str) -> None:
    if row is None or absent(row["median_f1"]):
        return
    if not absent(row["q1"]):
        ax.plot([row["q1"], row["q3"]], [y, y], color=colour, lw=1.0, zorder=2)
    filled = colour if marker != "D" else fill
    ax.plot(row["median_f1"], y, marker, ms=4.2, mfc=filled, mec=colour, mew=0.8, zorder=3)


def _axes(ax: Axes, rows: float, *, named: bool) -> None:
    ax.set_xlim(-0.02, 1.02)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    ax.set_ylim(rows - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", color="#ececec", lw=0.5)
    ax.set_axisbelow(True)
    if named:
        ax.set_xlabel("Median F1", labelpad=2)
    else:
        ax.set_xticklabels([])
