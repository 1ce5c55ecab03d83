"""Build the report of a forgetting study."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from matplotlib.figure import Figure

from cellharness.report.evidence import write_evidence
from cellharness.report.examples import examples_figure
from cellharness.report.explorer import explorer_meanwhile
from cellharness.report.forgetting.cause_figures import protocol_figure, split_figure
from cellharness.report.forgetting.cause_tables import protocol_table, robustness_table, split_table
from cellharness.report.forgetting.cell_figure import cell_figure
from cellharness.report.forgetting.cell_tables import (
    cell_retention_table,
    property_table,
)
from cellharness.report.forgetting.cells import CellFindings, examine_cells, shown_methods
from cellharness.report.forgetting.change_tables import (
    change_table,
    curve_table,
    experiment_change_table,
    measure_table,
    seed_table,
    threshold_table,
)
from cellharness.report.forgetting.comparison_tables import (
    plane_table,
    remedy_table,
    team_table,
    team_test_table,
)
from cellharness.report.forgetting.curve_figures import (
    MOST_TOGETHER,
    curve_figure,
    followed,
    remedy_curves_figure,
)
from cellharness.report.forgetting.facts import case_count_table, fact_table
from cellharness.report.forgetting.findings import Findings, measure
from cellharness.report.forgetting.forest import forest_figure
from cellharness.report.forgetting.heatmap import heatmap_figure
from cellharness.report.forgetting.look import BEFORE_STYLE, remedy_styles
from cellharness.report.forgetting.page import Made, render_page
from cellharness.report.forgetting.pictures import Pictures, choose_pictures
from cellharness.report.forgetting.plane import can_be_drawn, plane_figure
from cellharness.report.forgetting.slopes import slope_figure
from cellharness.report.forgetting.study import Study, load_study
from cellharness.report.forgetting.teams import Standing, stand, team_figure
from cellharness.report.published import published
from cellharness.report.rendering import Table, write_table
from cellharness.report.style import (
    ONE_COLUMN_MM,
    TWO_COLUMNS_MM,
    LineStyle,
    journal_style,
    save,
)
from cellharness.report.training_figure import drawable, training_figure
from cellharness.report.training_table import training_table
from cellharness.report.trainings import Training, load_trainings
from cellharness.report.wording import signed
from cellharness.statistics.staged_scores import SEEN, UNSEEN
from cellharness.vocabulary import PRETRAINED

Drawings = dict[str, Callable[[float], Figure]]


def build_forgetting_report(run_dir: Path, *, for_print: bool | None = None) -> Path:
    """Write tables, figures, a self-contained page and an explorer for a finished study.

    Only the run directory is read, and the images and labels that its manifest names: for the
    pictures, and to find which cells were lost. An older report in the directory is replaced once
    the new one is whole.

    Parameters
    ----------
    run_dir : Path
        Run directory with ``study.json`` beside what ``cellharness run`` writes.
    for_print : bool, optional
        See `cellharness.report.build_report`.

    Returns
    -------
    Path
        ``<run>/report/index.html``.

    Raises
    ------
    RunDirectoryError
        If the directory is not that of a finished study.
    """
    study = load_study(Path(run_dir), for_print=for_print)
    findings = measure(study)
    cells = examine_cells(study, findings)
    pictures = choose_pictures(study, findings)
    wanted = (study.run.config.get("report") or {}).get("published", True)
    standing = stand(study, findings, published() if wanted else None)
    trainings = load_trainings(study.run)
    derived = [name for name, remedy in study.remedies.items() if remedy.is_derived]
    styles = remedy_styles(list(study.remedies), derived)
    made = Made(
        tables=_tables(study, findings, cells, standing, trainings, styles),
        notes=_notes(study, findings, cells, pictures, standing),
    )
    draft = Path(tempfile.mkdtemp(prefix=".report-", dir=study.run.path))
    try:
        for name in ("tables", "figures"):
            (draft / name).mkdir()
        for table in made.tables.values():
            write_table(table, draft / "tables")
        write_evidence(study.run, made.tables.values(), draft)
        drawings = _drawings(study, findings, cells, standing, trainings, styles)
        shown = list(shown_methods(study, findings).values())
        pair = (shown[0], shown[1]) if len(shown) > 1 else None
        beside = explorer_meanwhile(study.run, _method_styles(study, styles), draft, pair)
        with beside, journal_style():
            for name, draw in drawings.items():
                one, two = (
                    save(draw(width), draft / "figures", name + end, for_print=study.run.for_print)
                    for width, end in ((ONE_COLUMN_MM, "_1column"), (TWO_COLUMNS_MM, ""))
                )
                made.figures[name] = (one, two)
            _draw_pictures(study, pictures, styles, draft / "figures")
        page = render_page(study, findings, cells, pictures, trainings, made, styles)
        (draft / "index.html").write_text(page, encoding="utf-8")
        draft.chmod(0o755)
        target = study.run.path / "report"
        if target.exists():
            shutil.rmtree(target)
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return target / "index.html"


def _method_styles(study: Study, styles: Mapping[str, LineStyle]) -> dict[str, LineStyle]:
    """Give every method of the run the look of its weights; masks of teams have none here."""
    remedies = {entry.method: entry.remedy for entry in study.record.methods}
    return {name: styles.get(remedies.get(name, ""), BEFORE_STYLE) for name in study.run.methods}


def _tables(
    study: Study,
    findings: Findings,
    cells: CellFindings,
    standing: Standing,
    trainings: list[Training],
    styles: Mapping[str, LineStyle],
) -> dict[str, Table]:
    colours = {name: style.colour for name, style in styles.items()}
    before = shown_methods(study, findings).get(PRETRAINED)
    tables: list[Table | None] = [
        fact_table(study, findings, before, trainings),
        case_count_table(study),
        change_table(study, findings, colours),
        experiment_change_table(study, findings, colours),
        measure_table(study, findings, colours),
        threshold_table(study, findings, colours),
        seed_table(study, findings, colours),
        curve_table(study, findings, colours),
        plane_table(study, findings, colours),
        remedy_table(study, findings, colours),
        split_table(study, findings),
        robustness_table(study, findings),
        protocol_table(study, findings),
        cell_retention_table(study, cells, colours),
        property_table(study, cells, colours),
        team_table(study, standing, colours),
        team_test_table(study, standing, colours),
        training_table(trainings, study.run.config),
    ]
    return {table.name: table for table in tables if table is not None}


def _drawings(
    study: Study,
    findings: Findings,
    cells: CellFindings,
    standing: Standing,
    trainings: list[Training],
    styles: dict[str, LineStyle],
) -> Drawings:
    """Choose the figures that have something to show."""
    best = findings.best
    drawings: Drawings = {
        "heatmap": lambda width: heatmap_figure(study, findings, width),
        "slopes": lambda width: slope_figure(study, findings, findings.subject, width),
        "protocols": lambda width: protocol_figure(study, findings, width),
        "teams": lambda width: team_figure(study, standing, styles, width),
    }
    if best is not None:
        drawings["slopes_best"] = lambda width: slope_figure(study, findings, best, width)
    names = followed(study, findings)
    if names:
        drawings["curves"] = lambda width: curve_figure(study, findings, styles, width)
    if len(names) > MOST_TOGETHER:
        drawings["curves_remedies"] = lambda width: remedy_curves_figure(
            study, findings, styles, width
        )
    if can_be_drawn(findings):
        drawings["plane"] = lambda width: plane_figure(study, findings, styles, width)
    if findings.comparison is not None:
        drawings["forest"] = lambda width: forest_figure(study, findings, styles, width)
    if findings.causes.can_be_split:
        drawings["decomposition"] = lambda width: split_figure(study, findings, width)
    if not findings.has(UNSEEN):
        del drawings["protocols"]
    if cells.curves:
        drawings["cells"] = lambda width: cell_figure(study, findings, cells, styles, width)
    trained = drawable(trainings)
    if trained:
        drawings["training"] = lambda width: training_figure(trained, width)
    return drawings


def _draw_pictures(
    study: Study, pictures: Pictures, styles: Mapping[str, LineStyle], folder: Path
) -> None:
    rows = [
        (f"{c.kind.capitalize()} {signed(c.change).lstrip('+−')}: {c.tiles.modality}", c.tiles)
        for c in pictures.chosen
    ]
    if not rows:
        return
    looks = {method: styles[remedy] for method, remedy in pictures.remedies.items()}
    figure = examples_figure(rows, list(pictures.methods), pictures.methods, looks)
    save(figure, folder, "panels", for_print=study.run.for_print)


def _notes(
    study: Study,
    findings: Findings,
    cells: CellFindings,
    pictures: Pictures,
    standing: Standing,
) -> dict[str, str]:
    """Say what is not there, and why."""
    notes = dict(findings.notes)
    gone = [part for part in (UNSEEN, SEEN) if not findings.has(part)]
    if gone:
        notes["plane"] = (
            f"No case of {' or '.join(gone)} experiments was scored before and after, and the plot "
            "needs both"
        )
    if not findings.has(UNSEEN):
        notes["unseen"] = (
            "No case of unseen experiments was scored before and after, so nothing is known of "
            "what was forgotten"
        )
        notes.setdefault("causes", notes["unseen"])
    if not findings.causes.can_be_split:
        notes.setdefault("causes", "No case was scored under every protocol")
    if not followed(study, findings):
        notes["curves"] = "No training was followed over epochs"
    if not cells.curves:
        notes["cells"] = "No cell could be measured: images, labels or cells are missing"
    if not pictures.n_allowed:
        notes["panels"] = "No image that was scored may be shown under the configured licences"
    if not study.teams:
        notes["teams"] = (
            "No masks of a team are in the run, so there is no paired test; give a folder of them "
            "as a precomputed method to have one"
        )
        if standing.published.empty:
            notes["teams"] += ". Published medians are switched off in the configuration"
    return notes
