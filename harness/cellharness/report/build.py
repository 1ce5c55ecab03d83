"""Build the report of a run directory, be it of a comparison or of a forgetting study."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from markupsafe import Markup

from cellharness.own_files import OwnFiles, draft_of, replace_folder
from cellharness.printing.table import Table, write_table
from cellharness.report.comparison import load_comparison
from cellharness.report.declare import BlockItem, FigureItem, Report, Section, TableItem, WordsItem
from cellharness.report.evidence import write_evidence
from cellharness.report.explorer import explorer_meanwhile
from cellharness.report.page import render, write_words
from cellharness.report.study import load_study_report
from cellharness.report.style import MM, ONE_COLUMN_MM, TWO_COLUMNS_MM, journal_style, save
from cellharness.run_directory import RunDirectory

# Dots of many images are pixels, in the page no more of them than a screen shows.
_SVG_DPI = 200

Made = list[tuple[Section, list[dict[str, Any]]]]


def build_report(run_dir: Path, *, for_print: bool | None = None, overwrite: bool = False) -> Path:
    """Write tables, figures, a self-contained page and an explorer for a finished run or study.

    Only the run directory is read, and the images and labels that its manifest names. An older
    report in the directory is replaced once the new one is whole.

    Parameters
    ----------
    run_dir : Path
        Run directory with ``scores.csv``, ``ledger.csv``, ``manifest.csv``, ``run.json`` and
        ``predictions``; that of a study has ``study.json`` as well.
    for_print : bool, optional
        Also write every figure as png and pdf; by default as the configuration says, which is no.
    overwrite : bool, optional
        Replace an older report that cellharness did not write, or that was changed since.

    Returns
    -------
    Path
        ``<run>/report/index.html``.

    Raises
    ------
    ForeignFilesError
        The older report is not as it was written; nothing was.
    RunDirectoryError
        If the directory is not that of a finished run.
    """
    run = RunDirectory(Path(run_dir))
    load = load_study_report if run.study.is_file() else load_comparison
    report = load(run.path, for_print=for_print)
    OwnFiles(run.report).refuse_foreign(overwrite=overwrite, remedy="Move it away")
    draft = draft_of(run.report)
    try:
        for name in ("tables", "figures"):
            (draft / name).mkdir()
        with _old_objects_kept(), explorer_meanwhile(report, draft):
            sections = _make(report, draft)
        page = render("page.html", report, {"sections": sections})
        (draft / "index.html").write_text(page, encoding="utf-8")
        replace_folder(draft, run.report)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return run.report / "index.html"


@contextmanager
def _old_objects_kept() -> Iterator[None]:
    """Spare the garbage collector what is there before the block, such as all modules.

    Figures are many small objects that refer to each other; for them it would walk through
    everything again and again, which takes a sixth of the time of a report.
    """
    if gc.get_freeze_count():  # somebody else's
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _make(report: Report, folder: Path) -> Made:
    """Make everything that the sections declare; those with nothing in them are left out."""
    tables = {
        item: item.make(report)
        for section in report.sections
        for item in section.items
        if isinstance(item, TableItem)
    }
    there = [table for table in tables.values() if table is not None]
    for table in there:
        write_table(table, folder / "tables")
    write_evidence(report.run, there, folder)
    made: Made = []
    with journal_style():
        for section in report.sections:
            items = []
            for item in section.items:
                shown = (
                    _table(item, tables[item], report)
                    if isinstance(item, TableItem)
                    else (_other(item, report, folder))
                )
                if shown is not None:
                    items.append(shown)
            if items:
                made.append((section, items))
    return made


def _table(item: TableItem, table: Table | None, report: Report) -> dict[str, Any] | None:
    if table is None:
        return None
    folded = item.folded(report) if callable(item.folded) else item.folded
    return {"kind": "table", "table": table, "folded": folded}


def _other(
    item: FigureItem | WordsItem | BlockItem, report: Report, folder: Path
) -> dict[str, Any] | None:
    if isinstance(item, FigureItem):
        return _figure(item, report, folder / "figures") if item.when(report) else None
    if isinstance(item, WordsItem):
        found = item.write(report)
        texts: Sequence[str] = [found] if isinstance(found, str) else found
        texts = [text for text in texts if text]
        return {"kind": "words", "paragraphs": texts, "look": item.look} if texts else None
    context = item.context(report)
    if context is None:
        return None
    return {"kind": "block", "template": item.template, "context": context}


def _figure(item: FigureItem, report: Report, folder: Path) -> dict[str, Any] | None:
    if not item.inline:
        figure = item.draw(report, TWO_COLUMNS_MM)
        save(figure, folder, item.name, for_print=report.run.for_print)
        return None
    drawn = {}
    for form, width, end in (
        ("wide", TWO_COLUMNS_MM, ""), ("narrow", ONE_COLUMN_MM, "_1column"),
    ):  # fmt: skip
        figure = item.draw(report, width)
        # One that is less wide than it may be is so in the page too, its letters as large.
        share = round(100 * figure.get_size_inches()[0] / (width * MM))
        svg = save(
            figure, folder, f"{item.name}{end}", for_print=report.run.for_print, svg_dpi=_SVG_DPI
        )
        drawn[form] = (Markup(svg), share)
    texts = {
        name: write_words(getattr(item, name), report) for name in ("alt", "caption", "heading")
    }
    return {"kind": "figure", "name": item.name, **drawn, **texts}
