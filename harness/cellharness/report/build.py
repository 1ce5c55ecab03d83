"""Build the whole report of a run directory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from cellharness.report.content import Content
from cellharness.report.distributions import distribution_figure, published_figure
from cellharness.report.evidence import write_evidence
from cellharness.report.examples import examples_figure
from cellharness.report.explorer import explorer_meanwhile
from cellharness.report.headline import headline
from cellharness.report.leaderboard import leaderboard
from cellharness.report.loading import RunData, load_run
from cellharness.report.page import render_page
from cellharness.report.published import published, published_table
from cellharness.report.rankings.figures import ranking_drawings
from cellharness.report.rankings.modality_boxes import modality_panel
from cellharness.report.rankings.panel import alone
from cellharness.report.rankings.ranked import Ranked, rank_run
from cellharness.report.rankings.row_grid import FEWEST_FOR_ROWS
from cellharness.report.rankings.seen_rows import seen_panel
from cellharness.report.rankings.tables import ranking_tables
from cellharness.report.rendering import write_table
from cellharness.report.seen_unseen import both_occur, seen_figure
from cellharness.report.selection import example_case, extremes, first_methods, showable
from cellharness.report.style import (
    ONE_COLUMN_MM,
    TWO_COLUMNS_MM,
    LineStyle,
    journal_style,
    ranked_styles,
    save,
)
from cellharness.report.sweep import sweep_figure
from cellharness.report.tables import measured_tables
from cellharness.report.tiles import CaseTiles, case_tiles
from cellharness.report.training_figure import drawable, training_figure
from cellharness.report.training_table import training_table
from cellharness.report.trainings import load_trainings
from cellharness.statistics import ALL, summarise

#: As many methods as the paper's Fig. 4f has columns; more would be too small to see.
MOST_PANEL_METHODS = 7
_SHOWN_EXTREMES = 2
# Dots of many images are pixels, in the page no more of them than a screen shows.
_SVG_DPI = 200


_Drawings = dict[str, Callable[[float], Figure]]


def build_report(run_dir: Path, *, for_print: bool | None = None) -> Path:
    """Write tables, figures, a self-contained page and an explorer for a finished run.

    Only the run directory is read, and, for the example pictures, the images and labels that its
    manifest names. An older report in the directory is replaced once the new one is whole.

    Parameters
    ----------
    run_dir : Path
        Run directory with ``scores.csv``, ``ledger.csv``, ``manifest.csv``, ``run.json`` and
        ``predictions``.
    for_print : bool, optional
        Also write every figure as png and pdf; by default as the configuration says, which is no.

    Returns
    -------
    Path
        ``<run>/report/index.html``.

    Raises
    ------
    RunDirectoryError
        If the directory is not that of a finished run.
    """
    run = load_run(Path(run_dir), for_print=for_print)
    summary = summarise(run.scores)
    ranked = rank_run(run)
    styles = ranked_styles(run.methods, ranked.order if ranked else run.methods)
    draft = Path(tempfile.mkdtemp(prefix=".report-", dir=run.path))
    try:
        for name in ("tables", "figures"):
            (draft / name).mkdir()
        with explorer_meanwhile(run, styles, draft):
            content = _make(run, summary, ranked, styles, draft)
        page = render_page(run, headline(run, summary, ranked), content, styles)
        (draft / "index.html").write_text(page, encoding="utf-8")
        draft.chmod(0o755)
        target = run.path / "report"
        if target.exists():
            shutil.rmtree(target)
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return target / "index.html"


def _make(
    run: RunData,
    summary: pd.DataFrame,
    ranked: Ranked | None,
    styles: dict[str, LineStyle],
    folder: Path,
) -> Content:
    content = Content(trainings=load_trainings(run), ranked=ranked)
    colours = {method: style.colour for method, style in styles.items()}
    board = leaderboard(run, ranked, colours)
    content.tables = {board.name: board} | measured_tables(run, summary, colours)
    if ranked is not None:
        content.tables |= ranking_tables(ranked, colours)
    reference = published() if (run.config.get("report") or {}).get("published", True) else None
    if reference is not None:
        content.tables["published"] = published_table(reference)
    trainings = training_table(content.trainings, run.config)
    if trainings is not None:
        content.tables[trainings.name] = trainings
    for table in content.tables.values():
        write_table(table, folder / "tables")
    write_evidence(run, content.tables.values(), folder)

    with journal_style():
        for name, draw in _drawings(run, summary, content, reference, styles).items():
            one, two = (
                save(
                    draw(width), folder / "figures", f"{name}{end}", for_print=run.for_print,
                    svg_dpi=_SVG_DPI,
                )
                for width, end in ((ONE_COLUMN_MM, "_1column"), (TWO_COLUMNS_MM, ""))
            )  # fmt: skip
            content.figures[name] = (one, two)
    _make_pictures(run, summary, styles, folder, content)
    return content


def _drawings(
    run: RunData,
    summary: pd.DataFrame,
    content: Content,
    reference: pd.DataFrame | None,
    styles: dict[str, LineStyle],
) -> _Drawings:
    """Name the figures of the page, and how each is drawn at a printed width."""
    ranked = content.ranked
    drawings: _Drawings = {"f1_by_modality": lambda width: _by_modality(run, ranked, styles, width)}
    if ranked is not None:
        drawings |= ranking_drawings(ranked, styles)
    if "threshold_sweep" in content.tables:
        drawings["threshold_sweep"] = lambda width: sweep_figure(run, summary, styles, width)
    if both_occur(run):
        drawings["seen_unseen"] = lambda width: _seen(run, ranked, styles, width)
    trained = drawable(content.trainings)
    if trained:
        drawings["training"] = lambda width: training_figure(trained, width)
    if reference is not None:
        drawings["published"] = lambda width: published_figure(reference, width)
    return drawings


def _by_modality(
    run: RunData, ranked: Ranked | None, styles: dict[str, LineStyle], width_mm: float
) -> Figure:
    """Draw the methods beside each other, or as rows where their names would not fit."""
    if ranked is None or len(run.methods) < FEWEST_FOR_ROWS:
        return distribution_figure(run, styles, width_mm)
    return alone(modality_panel(ranked, styles, width_mm))


def _seen(
    run: RunData, ranked: Ranked | None, styles: dict[str, LineStyle], width_mm: float
) -> Figure:
    """Draw seen beside unseen experiments, many methods as rows."""
    if ranked is None or len(run.methods) < FEWEST_FOR_ROWS:
        return seen_figure(run, styles, width_mm)
    return alone(seen_panel(ranked, styles, width_mm))


def _make_pictures(
    run: RunData,
    summary: pd.DataFrame,
    styles: dict[str, LineStyle],
    folder: Path,
    content: Content,
) -> None:
    """Choose, cut out and outline the example cases."""
    allowed, content.licence_rule = showable(run)
    main = summary[(summary["profile"] == run.profile) & (summary["threshold"] == run.threshold)]
    medians = main[main["modality"] == ALL].set_index("method")["median_f1"]
    methods = first_methods(run.methods, medians, MOST_PANEL_METHODS)
    content.panel_methods = methods
    for group in run.groups[1:]:
        case = example_case(run.main[run.main["modality"] == group], allowed)
        content.examples.append((group, case_tiles(run, case, methods) if case else None))
    for method in methods:
        scores = run.main[(run.main["method"] == method) & run.main["case"].isin(allowed)]
        content.extremes[method] = _shown(run, method, extremes(scores, _SHOWN_EXTREMES))
    with journal_style():
        figure = examples_figure(content.examples, methods, dict(run.labels), styles)
        save(figure, folder / "figures", "examples", for_print=run.for_print)


def _shown(
    run: RunData, method: str, chosen: Sequence[pd.DataFrame]
) -> tuple[list[CaseTiles], list[CaseTiles]]:
    best, worst = ([case_tiles(run, c, [method]) for c in rows["case"]] for rows in chosen)
    return best, worst
