"""The page of a forgetting study: sections, what is missing from them, and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cellharness.report.forgetting.captions import captions
from cellharness.report.forgetting.caveats import caveats, study_banners
from cellharness.report.forgetting.cells import CellFindings, shown_methods
from cellharness.report.forgetting.findings import Findings, stage_label
from cellharness.report.forgetting.pictures import CHOICE_RULE, Chosen, Pictures
from cellharness.report.forgetting.study import Study
from cellharness.report.forgetting.words import result_in_words
from cellharness.report.panes import Gallery, Pane, has_picture, method_pane, truth_pane
from cellharness.report.provenance import overlaps
from cellharness.report.rendering import Table
from cellharness.report.style import GREY, LineStyle
from cellharness.report.template import render, shared_context
from cellharness.report.trainings import Training
from cellharness.report.wording import count, signed
from cellharness.vocabulary import PRETRAINED

_PICTURE_PX = 448
_SECTIONS = (
    ("result", "Result"), ("change", "Gained and lost"), ("slopes", "Case by case"),
    ("curves", "Over the epochs"), ("plane", "Stability and plasticity"),
    ("remedies", "Remedies"), ("causes", "Causes"), ("cells", "Which cells"),
    ("panels", "Pictures"), ("teams", "Top teams"), ("training", "Training"),
    ("definitions", "Definitions"), ("provenance", "Provenance"),
)  # fmt: skip


@dataclass
class Made:
    """What was made for the page.

    Attributes
    ----------
    figures
        Name to the SVG in one and in two columns' width.
    tables
        By name.
    notes
        Section to why something is not there.
    """

    figures: dict[str, tuple[str, str]] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _PaneRow:
    """One case as the template shows it."""

    case: str
    panes: list[Pane]
    problem: str
    note: str


def render_page(
    study: Study,
    findings: Findings,
    cells: CellFindings,
    pictures: Pictures,
    trainings: Sequence[Training],
    made: Made,
    styles: Mapping[str, LineStyle],
) -> str:
    """Render the page.

    Parameters
    ----------
    study, findings, cells, pictures, trainings
        The study and what was found.
    made : Made
        Figures, tables and notes.
    styles : mapping of str to LineStyle
        Look of each remedy.

    Returns
    -------
    str
        HTML without any reference to another file or to the network.
    """
    gallery = Gallery()
    remedies = {entry.method: entry.remedy for entry in study.record.methods}
    colours = {
        method: styles[remedies[method]].colour if method in remedies else GREY
        for method in study.run.methods
    }
    rows = [
        (
            f"{kind.capitalize()} most under {study.labels[findings.subject]}",
            [_pane_row(chosen, pictures, gallery, styles) for chosen in pictures.of(kind)],
            f"No case that may be shown {kind} F1.",
        )
        for kind in ("lost", "gained")
    ]
    run = study.run
    shared = shared_context(run, made.figures, made.tables, trainings, gallery, colours)
    title = study.record.title or study.record.name or run.record.title or "Forgetting study"
    slopes = [("slopes", stage_label(study, findings, findings.subject))]
    if findings.best is not None:
        slopes.append(("slopes_best", stage_label(study, findings, findings.best)))
    kept = [s for s in _SECTIONS if s[0] != "training" or "trainings" in made.tables]
    own = {
        "title": title,
        "study_name": study.record.name,
        "n_weights": count(len(findings.trained), "set") + " of trained weights",
        "sections": kept,
        "words": result_in_words(study, findings),
        "caveats": caveats(study, findings),
        "banners": study_banners(study),
        "overlaps": _overlaps(study, findings),
        "captions": captions(study, findings, cells),
        "notes": made.notes,
        "slopes": slopes,
        "cell_problems": sorted(cells.problems.items()),
        "choice_rule": CHOICE_RULE,
        "licence_rule": pictures.licence_rule,
        "panel_rows": rows,
        "panes_shown": any(row.panes for _, group, _ in rows for row in group),
    }
    info = shared["info"].model_copy(update={"title": title})
    return render("page.html", shared | own | {"info": info}, "cellharness.report.forgetting")


def _pane_row(
    chosen: Chosen, pictures: Pictures, gallery: Gallery, styles: Mapping[str, LineStyle]
) -> _PaneRow:
    tiles = chosen.tiles
    about = [tiles.modality, tiles.experiment, "seen" if chosen.seen else "unseen"]
    note = f"{tiles.case}: {', '.join(part for part in about if part)}; F1 {signed(chosen.change)}."
    if tiles.licence:
        note += f" Licence: {tiles.licence}."
    if not has_picture(tiles):
        return _PaneRow(tiles.case, [], tiles.problem, note)
    name = gallery.add(tiles, chosen.kind, _PICTURE_PX)
    panes = [truth_pane(tiles, name)]
    for result in tiles.methods:
        colour = styles[pictures.remedies[result.method]].colour
        panes.append(method_pane(tiles, result, name, pictures.methods[result.method], colour))
    return _PaneRow(tiles.case, panes, "", note)


def _overlaps(study: Study, findings: Findings) -> list[Any]:
    """Look for contamination where it can be: the weights before, and teams."""
    before = shown_methods(study, findings).get(PRETRAINED)
    named = tuple(name for name in (before, *study.teams) if name is not None)
    return overlaps(replace(study.run, methods=named))
