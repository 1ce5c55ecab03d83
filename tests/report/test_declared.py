"""A figure and a table from outside: each is declared once, and the builder finds it."""

from __future__ import annotations

import pandas as pd
import pytest
from page_reader import Page

from cellharness.printing.table import Row, Table
from cellharness.report import build_report
from cellharness.report.comparison.accuracy import accuracy
from cellharness.report.declare import Section
from cellharness.report.style import new_figure


@pytest.fixture
def section(monkeypatch) -> Section:
    """A section of the report; what a test declares in it is gone afterwards."""
    monkeypatch.setattr(accuracy, "items", list(accuracy.items))
    return accuracy


def test_a_figure_and_a_table_are_added_by_declaring_them(make_run, section):
    widths = []

    @section.figure(
        "cells_by_method",
        heading="Cells of {{ run.methods | length }} methods",
        alt="A frame for {{ d.n_images }}",
        caption="Profile {{ run.profile }}, {{ count(run.methods | length, 'method') }} <all>.",
    )
    def cells(_, width_mm):
        widths.append(width_mm)
        figure = new_figure(width_mm, 20.0)
        figure.text(0.1, 0.5, "from outside")
        return figure

    @section.table(folded=True)
    def mine(d):
        frame = pd.DataFrame({"method": list(d.run.methods), "letters": [5, 4]})
        rows = tuple(Row((name, str(n))) for name, n in frame.itertuples(index=False))
        return Table("letters", "Letters of names", ("Method", "Letters"), rows, frame)

    @section.words("note")
    def said(d):
        return ["", f"Said of {d.subject}."]

    @section.figure("never", when=lambda d: len(d.run.methods) > 2)
    def never(*_):
        raise AssertionError

    @section.table()
    def nothing(_):
        return None

    run = make_run(modalities=("DIC",), per_modality=1, thresholds=(0.5,))
    page = Page(build_report(run))
    assert widths == [180.0, 88.0]
    assert page.source.count("from outside") == 2
    assert "Cells of 2 methods" in page.headings
    assert "Profile strict, 2 methods <all>." in page.text
    assert 'aria-label="A frame for 1 image"' in page.source
    assert "Said of 2 methods." in page.text
    assert {"figure-cells_by_method", "table-letters"} <= set(page.ids)
    assert "figure-never" not in page.ids
    csv = pd.read_csv(run / "report/tables/letters.csv")
    assert csv["letters"].tolist() == [5, 4]
    for file in ("tables/letters.md", "tables/letters.tex", "figures/cells_by_method.svg",
                 "figures/cells_by_method_1column.svg"):  # fmt: skip
        assert (run / "report" / file).is_file()


def test_a_section_with_nothing_in_it_is_left_out(make_run, monkeypatch):
    from cellharness.report import comparison

    empty, full = Section("empty", "Nothing here"), Section("full", "Something here")
    empty.words()(lambda _: "")
    full.words()(lambda _: "Words.")
    monkeypatch.setattr(comparison, "SECTIONS", (*comparison.SECTIONS, empty, full))
    run = make_run(modalities=("DIC",), per_modality=1, thresholds=(0.5,))
    page = Page(build_report(run))
    assert "Something here" in page.headings
    assert "Nothing here" not in page.headings
    assert "#full" in page.links
    assert "#empty" not in page.links
