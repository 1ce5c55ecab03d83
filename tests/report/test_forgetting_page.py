"""The page of a forgetting study: what it holds, that it holds together, and its files."""

from __future__ import annotations

import re
from html import escape

import pytest
from page_reader import svg_width_mm
from study_built import STUDY_REMEDIES
from study_reader import latex_rows, markdown_rows, page_tables

from cellharness.printing.table import escape_latex

TABLES = {
    "facts", "cases", "change", "change_by_experiment", "forgetting_measures", "thresholds",
    "curves", "stability_plasticity", "remedies", "decomposition",
    "robustness", "protocols", "cell_retention", "cells_by_property", "teams",
    "team_tests", "trainings",
}  # fmt: skip
FIGURES = {
    "heatmap", "slopes", "slopes_best", "curves", "plane", "forest", "decomposition",
    "cells", "teams", "training",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(built_study):
    return built_study.run


@pytest.fixture(scope="module")
def page(built_study):
    return built_study.page


def test_every_section_is_there_and_in_the_contents(page):
    for heading in (
        "Result", "Gained and lost", "Case by case", "Over the epochs",
        "Stability and plasticity", "Remedies", "Causes: the protocol or the weights",
        "Which cells", "Lost and gained in pictures", "Beside the top teams", "Definitions",
        "Provenance", "Plain fine-tuning, epoch 4", "Lost most under Plain fine-tuning",
        "Gained most under Plain fine-tuning",
    ):  # fmt: skip
        assert heading in page.headings
    sections = re.findall(r'<section id="([\w-]+)"', page.source)
    contents = re.findall(r'<li><a href="#([\w-]+)">', page.source)
    assert contents == sections
    assert len(contents) == 13


def test_nothing_that_should_be_there_is_excused(page):
    assert 'class="empty"' not in page.source


def test_files_lie_where_the_page_says(run, page):
    report = run / "report"
    figures = FIGURES | {f"{name}_1column" for name in FIGURES} | {"panels"}
    for folder, names, suffixes in (
        ("tables", TABLES, ("csv", "md", "tex")), ("figures", figures, ("svg",)),
    ):  # fmt: skip
        found = {path.name for path in (report / folder).iterdir()}
        assert found == {f"{name}.{suffix}" for name in names for suffix in suffixes}
        linked = {link.split("/")[1] for link in page.links if link.startswith(f"{folder}/")}
        assert linked == found
    assert {path.name for path in report.iterdir()} == {
        "index.html", "tables", "figures", "explore.html", "explore", "scores.csv", "estimates.csv",
        ".cellharness.sha256",
    }  # fmt: skip
    assert not list(run.glob(".report-*"))


def test_page_needs_no_other_file_and_no_network(page):
    assert page.loads, "pictures and their uses are expected"
    assert all(target.startswith(("#", "data:image/")) for _, target in page.loads)
    style = re.search(r"<style>(.*?)</style>", page.source, re.DOTALL)[1]
    assert "@import" not in style
    assert "url(" not in style
    assert "<script src" not in page.source


def test_ids_are_unique_and_every_reference_has_its_target(page):
    assert len(page.ids) == len(set(page.ids))
    targets = re.findall(r'(?:href="|url\()#([^")]+)', page.source)
    assert set(targets) <= set(page.ids)
    elsewhere = {link for link in page.links if not link.startswith(("#", "tables/", "figures/"))}
    assert elsewhere == {
        "https://example.org/method", "explore.html", "scores.csv", "estimates.csv"
    }  # fmt: skip


def test_page_is_light(page):
    assert len(page.source.encode()) < 3_000_000


def test_no_folder_of_the_machine_is_told(run, page):
    assert str(run.parent) not in page.source
    for path in (run / "report/tables").iterdir():
        assert str(run.parent) not in path.read_text(encoding="utf-8")


def test_all_forms_of_a_table_say_the_same(run, page):
    shown = page_tables(page.source)
    assert set(shown) == TABLES
    for name, rows in shown.items():
        folder, heads = run / "report/tables", 2 if rows[0] != rows[1] and "" in rows[0] else 1
        body = [row for row in rows[heads:] if row]
        in_markdown = markdown_rows(folder / f"{name}.md")
        widest = max(map(len, in_markdown))
        assert in_markdown[-len(body) :] == [[*row, *[""] * (widest - len(row))] for row in body]
        lines = latex_rows(folder / f"{name}.tex")[-len(body) :]
        for row, line in zip(body, lines, strict=True):
            if len(row) == 1:
                assert rf"\textit{{{escape_latex(row[0])}}}" in line
            else:
                assert line == " & ".join(map(escape_latex, row)) + r" \\"


def test_no_number_is_a_computers_word_for_none(run, page):
    for rows in page_tables(page.source).values():
        cells = [cell for row in rows for cell in row]
        assert not [cell for cell in cells if re.search(r"\bnan\b|\bNone\b|\binf\b", cell)]


def test_names_are_escaped_everywhere(run, page):
    label, title = STUDY_REMEDIES["replay"][0], "Cells forgotten & <kept>"
    assert label in page.text
    assert title in page.headings
    assert "bad <loss>" in page.text
    for markup in ("<b>old", "<kept>", "<loss>", "<net>"):
        assert markup not in page.source
    assert r"Replay \<b\>old\</b\> & $x\_1$" in (run / "report/tables/remedies.md").read_text()
    latex = (run / "report/tables/remedies.tex").read_text()
    assert escape_latex(label) in latex
    assert "x_1" not in latex
    # Names with a dollar are no formulas.
    assert "$x_1$ {100 %}" in (run / "report/figures/forest.svg").read_text()


def test_figures_are_of_the_printed_width_and_hold_text(run):
    for name in ("heatmap", "plane", "forest", "slopes"):
        for end, width_mm in (("", 180), ("_1column", 88)):
            svg = (run / f"report/figures/{name}{end}.svg").read_text()
            assert svg_width_mm(svg) == pytest.approx(width_mm, abs=0.2)
            assert "</text>" in svg
            sizes = {float(s) for s in re.findall(r"font(?:-size)?: (?:[\w.]+ )*?([\d.]+)px", svg)}
            assert min(sizes) >= 6


def test_figures_say_in_words_what_they_show(page):
    figures = re.findall(r'<figure class="plot" id="figure-(\w+)">(.*?)</figure>', page.source,
                         re.DOTALL)  # fmt: skip
    assert {name for name, _ in figures} == FIGURES
    for _, figure in figures:
        alt = re.findall(r'aria-label="([^"]+)"', figure)
        assert len(alt) == 2
        assert len(alt[0]) > 40
        caption = re.search(r"<figcaption>(.*?)<span", figure, re.DOTALL)[1]
        assert len(caption) > 60


def test_what_has_no_scores_is_named_with_its_reason(page):
    reason = "Lost training (its training ended with status error (bad <loss>))"
    assert f"Without scores, and in no comparison: {reason}." in page.text
    assert "1 pair of weights and case without a mask, F1 0: 1 oom." in page.text


def test_shown_cases_are_those_that_changed_most(page):
    panes = re.findall(r'aria-label="\w+ image (m\d_\d+) as (.+?) segmented it', page.source)
    assert {label for _, label in panes} == {
        "Before training", "Plain fine-tuning, epoch 4",
        f"{escape(STUDY_REMEDIES['replay'][0])}, epoch 4",
    }  # fmt: skip
    # The case without a mask lost most, but there is nothing to show of it.
    assert "m0_01" not in {case for case, _ in panes}
    assert page.source.count("data:image/jpeg") == 4
