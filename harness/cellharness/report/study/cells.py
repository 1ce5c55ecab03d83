"""What became of the true cells: found before and after, by size, contrast and density."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from cellharness.data.images import ImageError, prepare, read_label
from cellharness.data.manifest import ManifestError
from cellharness.printing import wording
from cellharness.printing.table import Row, Table, blocks, group_title
from cellharness.printing.wording import number
from cellharness.records import Record, by_key, records
from cellharness.report import layout
from cellharness.report.cutouts import read_pair, short_reason
from cellharness.report.declare import Section
from cellharness.report.study.data import StudyReport
from cellharness.report.style import LineStyle
from cellharness.scoring import score_pair
from cellharness.scoring.cell_properties import PROPERTIES, measure_cells
from cellharness.statistics import ALL
from cellharness.statistics.cells import FATES, cell_retention, mark_found, recall_by_property
from cellharness.statistics.contrasts import fewest_units
from cellharness.statistics.estimates import interval_head
from cellharness.statistics.staged_scores import SEEN, UNSEEN
from cellharness.vocabulary import PRETRAINED, PRETRAINED_LABEL, SEGMENTED

cells = Section("cells", "Which cells")

#: Property to the title of its panel and the name of its axis.
_PROPERTIES = {
    "area": ("Size", "Area (px)"),
    "contrast": ("Contrast", "Contrast"),
    "density": ("Density", "Density"),
}
_LEFT_MM, _RIGHT_MM, _GAP_MM, _BETWEEN_MM = 10.0, 2.5, 5.0, 9.0
_ASIDE_PT = 1.6


@dataclass(frozen=True)
class CellFindings:
    """Cells of all cases whose files could be read.

    `curves` is by remedy and part, from `recall_by_property`; `retention` by remedy, from
    `cell_retention`; `problems` says of a case why its cells could not be measured.
    """

    curves: Mapping[tuple[str, str], pd.DataFrame]
    retention: Mapping[str, pd.DataFrame]
    problems: Mapping[str, str]

    @property
    def counted(self) -> str:
        """How many cells were measured, in words."""
        rows = by_key(next(iter(self.retention.values())), "modality", "seen")
        counts = {part: rows[ALL, part]["n_true"] for part in (UNSEEN, SEEN)}
        return wording.listing([wording.count(n, f"{part} cell") for part, n in counts.items()])


def examine_cells(d: StudyReport) -> CellFindings:
    """Match the masks before and after with the truth, cell by cell.

    Weights are those of `StudyReport.shown_methods`. A case is left out where its image or truth
    cannot be read; a case without a mask found nothing, as in profile ``strict``.
    """
    table, run = d.findings.table, d.run
    problems: dict[str, str] = {}
    by_case: dict[str, Mapping[str, pd.DataFrame]] = {}
    statuses = by_key(run.main[["method", "case", "status"]], "method", "case")
    for row in records(run.manifest[run.manifest["case"].isin(table.cases)]):
        try:
            by_case[row["case"]] = _examine(d, row, statuses)
        except (ImageError, ManifestError, OSError, ValueError) as error:
            problems[row["case"]] = short_reason(error)
    names = ("case", "modality", "experiment", "seen")
    about = pd.DataFrame({name: getattr(table, name) for name in names[1:]}, table.cases)
    about = about.rename_axis("case").reset_index()
    about = about[about["case"].isin(list(by_case))]
    curves, retention = {}, {}
    for remedy in next(iter(by_case.values()), {}):
        tables = [case[remedy] for case in by_case.values()]
        # A case without cells has no types to agree with.
        found = pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)
        retention[remedy] = cell_retention(found, about, unit=table.unit)
        for part in (UNSEEN, SEEN):
            rows = about[about["seen"] == (part == SEEN)]
            here = found[found["case"].isin(rows["case"])]
            if len(here):
                curves[remedy, part] = recall_by_property(here, rows, PROPERTIES, unit=table.unit)
    return CellFindings(curves, retention, problems)


def _examine(
    d: StudyReport, row: Record, statuses: Mapping[tuple[Any, ...], Record]
) -> Mapping[str, pd.DataFrame]:
    """Cells of a case, found before and after each training."""
    truth, image = read_pair(d.run, row)
    measured = measure_cells(prepare(image, "gray"), truth)
    found, excluded = {}, []
    for name, method in d.shown_methods.items():
        has_mask = statuses[method, row["case"]]["status"] in SEGMENTED
        path = d.run.prediction(method, row["case"])
        mask = read_label(path) if has_mask else np.zeros_like(truth)
        score = score_pair(truth, mask, "strict", thresholds=d.run.threshold, matches=True)
        found[name] = [match.gt_label for match in score.matches or ()]
        excluded = list(score.excluded_true or ())
    before = found.pop(PRETRAINED)
    return {
        name: mark_found(row["case"], measured, before, after, excluded)
        for name, after in found.items()
    }


@cells.figure(
    "cells",
    alt="Line plots of the recall of true cells before and after training against their area, "
    "contrast and density; the numbers stand in the table below",
    caption="""Share of the true cells found at IoU ≥ {{ "%g" | format(run.threshold) }},
{{ d.under }}: before, after {{ d.study.labels[d.findings.subject] }}
{%- if d.findings.best %} and {{ d.study.labels[d.findings.best] }}{% endif %}. Bins with about as
many cells, each at its median; {{ d.cells.counted }}. Bars, {{ d.interval }} with all their cells;
no test. Contrast, inside less ring around it in the image's range; density, other cells nearby, 1
where they fill the surroundings.""",
    when=lambda d: bool(d.cells.curves),
)
def cell_figure(d: StudyReport, width_mm: float) -> Figure:
    """Draw recall in bins of a property: before, after the subject, after the remedy beside it."""
    curves, subject, looks = d.cells.curves, d.findings.subject, d.looks
    labels = {PRETRAINED: PRETRAINED_LABEL}
    labels |= {name: d.study.labels[name] for name, _ in curves}
    parts = [part for part in (UNSEEN, SEEN) if (subject, part) in curves]
    key = layout.Key(
        [layout.line_sample(text, looks[name]) for name, text in labels.items()], width_mm - 12
    )
    panel = min(54.0, (width_mm - _LEFT_MM - _RIGHT_MM - 2 * _GAP_MM) / len(_PROPERTIES))
    grid = layout.Grid(len(_PROPERTIES), len(parts), panel, _GAP_MM, _BETWEEN_MM, _LEFT_MM)
    shown = [(part, name) for part in parts for name in _PROPERTIES]
    figure, axes = layout.panels(grid, len(shown), width_mm, 28.0, 9.5, key.height_mm)
    for i, ((part, prop), ax) in enumerate(zip(shown, axes, strict=True)):
        title, axis = _PROPERTIES[prop]
        frames = {name: curves[name, part] for name in labels if name != PRETRAINED}
        bins = {name: frame[frame["property"] == prop] for name, frame in frames.items()}
        rows = bins[subject]
        _recall(ax, rows, "before", looks[PRETRAINED], -_ASIDE_PT)
        for name, aside_pt in reversed(list(zip(bins, (0.0, _ASIDE_PT), strict=False))):
            _recall(ax, bins[name], "after", looks[name], aside_pt)
        _scale(ax, prop, rows)
        layout.f1_axis(ax, grid.place(i, len(shown))[1] == 0, "Recall")
        ax.set_xlabel(axis, labelpad=1)
        layout.letter(ax, i, f"{title}, {part}", wording.count(int(rows["n"].sum()), "cell"))
        if rows.empty:
            layout.say_nothing(ax, "not known")
    key.draw(figure, 8.0)
    return figure


def _recall(ax: Axes, rows: pd.DataFrame, stem: str, style: LineStyle, aside_pt: float) -> None:
    """Draw a line and its intervals, a little aside so that others can be seen beside them."""
    figure = ax.get_figure()
    assert figure is not None
    aside = ax.transData + ScaledTranslation(aside_pt / 72, 0, figure.dpi_scale_trans)
    look: dict[str, Any] = {"color": style.colour, "transform": aside, "clip_on": False}
    x = rows["middle"]
    ax.vlines(x, rows[f"{stem}_low"], rows[f"{stem}_high"], lw=0.6, zorder=2, **look)
    ax.plot(
        x, rows[f"recall_{stem}"], ls=style.linestyle, lw=style.width, marker=style.marker, ms=3,
        mew=0, zorder=3, **look,
    )  # fmt: skip


def _scale(ax: Axes, prop: str, rows: pd.DataFrame) -> None:
    """Scale the horizontal axis; areas span orders of magnitude."""
    if rows.empty:
        ax.set_xticks([])
        return
    low, high = float(rows["middle"].min()), float(rows["middle"].max())
    if prop == "area" and low > 0:
        ax.set_xscale("log")
        room = max(high / low, 1.2) ** 0.07
        ax.set_xlim(low / room, high * room)
        # The ends tell the range; between them there may be no power of ten.
        middle = [(low * high) ** 0.5] if high / low > 4 else []
        ax.set_xticks(sorted({low, *middle, high}))
        # Two digits are what an axis needs.
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{int(float(f'{x:.2g}')):,}"))
        ax.xaxis.set_minor_locator(NullLocator())
        return
    margin = 0.07 * max(high - low, 0.02)
    ax.set_xlim(low - margin, high + margin)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=3, min_n_ticks=2))


@cells.words(look="empty")
def _no_cells(d: StudyReport) -> str:
    nothing = "No cell could be measured: images, labels or cells are missing."
    return nothing * (not d.cells.curves)


@cells.table()
def cell_retention_table(d: StudyReport) -> Table | None:
    """Count true cells kept, lost and won; None where none was measured."""
    retention = d.cells.retention
    if not retention:
        return None
    found = {name: by_key(frame, "modality", "seen") for name, frame in retention.items()}

    def row(name: str, group: str, part: str) -> Row:
        mine = found[name][group, part]
        counts = (f"{mine[key]:,}" for key in ("n", "n_units", "n_true", *FATES))
        recall = (number(mine[f"recall_{when}"]) for when in ("before", "after"))
        share = wording.share_with_ends(mine, "retention", "low", "high")
        return d.row(name, part, *counts, share, *recall)

    frame = pd.concat([f.assign(remedy=n) for n, f in retention.items()], ignore_index=True)
    unit, fewest = frame["unit"].iloc[0], fewest_units(1 - frame["confidence"].iloc[0])
    return Table(
        "cell_retention", "What became of the true cells",
        ("Weights", "Experiments", "Images", "Units", "Cells", "Kept", "Lost", "Won", "Never found",
         f"Retention ({interval_head(frame)})", "Recall before", "Recall after"),
        blocks(
            (group_title(group), [
                row(name, group, part)
                for part in (UNSEEN, SEEN)
                for name in found
                if found[name][group, part]["n"]
            ])
            for group in d.study.groups
        ),
        d.labelled(frame[["remedy", *frame.columns.drop("remedy")]]), text=frozenset({0, 1}),
        notes=(
            "Pooled over images. Kept, found before and after; lost, before only; won, after only. "
            f"Retention, kept / (kept + lost), with its interval by {unit}, with all its cells; "
            f"units, {unit}s with a cell found before; no interval with fewer than {fewest}.",
        ),
    )  # fmt: skip


@cells.table(folded=True)
def property_table(d: StudyReport) -> Table | None:
    """Give recall in bins of size, contrast and density; None where no cell was measured."""
    curves = d.cells.curves
    if not curves:
        return None

    frames = [curve.assign(remedy=name, seen=part) for (name, part), curve in curves.items()]
    frame = pd.concat(frames, ignore_index=True)
    frame = frame[["remedy", "seen", *frame.columns.drop(["remedy", "seen"])]]

    def row(mine: Record) -> Row:
        limits = " to ".join(wording.significant(mine[end]) for end in ("lower", "upper"))
        recall = (number(mine[f"recall_{when}"]) for when in ("before", "after"))
        change = wording.change_with_ends(mine, "change", "change")
        return d.row(
            mine["remedy"], limits, f"{mine['n']:,}", f"{mine['n_cases']:,}", *recall, change
        )

    return Table(
        "cells_by_property", "Recall of true cells by size, contrast and density",
        ("Weights", "From – to", "Cells", "Cases", "Recall before", "Recall after",
         f"Change ({interval_head(frame)})"),
        blocks(
            (f"{prop.capitalize()}, {part} experiments", map(row, records(
                frame[(frame["seen"] == part) & (frame["property"] == prop)]
            )))
            for part in (UNSEEN, SEEN)
            for prop in PROPERTIES
        ),
        d.labelled(frame),
    )  # fmt: skip


@cells.block("folded_list.html")
def _problems(d: StudyReport) -> Mapping[str, Any] | None:
    found = [f"{case}: {why}." for case, why in sorted(d.cells.problems.items())]
    return {"summary": f"{len(found)} not measured", "lines": found} if found else None
