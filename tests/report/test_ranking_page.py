"""The section on rankings in the page, with more methods than colours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from page_reader import Page, svg_width_mm

from cellharness.report import build_report
from cellharness.report.style import GREY
from simulated_run import Simulation, simulate_run

FIGURES = (
    "accuracy_cost", "ranking_significance", "ranking_stability", "ranking_side_by_side",
    "f1_by_modality",
)  # fmt: skip
TABLES = ("ranking", "ranking_tests", "ranking_frequencies", "ranking_schemes",
          "ranking_stability", "ranking_side_by_side")  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    what = Simulation(methods=9, sizes={"DIC": 8, "Brightfield": 7}, thresholds=(0.5, 0.8))
    return build_report(simulate_run(tmp_path_factory.mktemp("many"), what, masks=False)).parent


@pytest.fixture(scope="module")
def page(report) -> Page:
    return Page(report / "index.html")


def test_section_stands_between_accuracy_and_the_rest(page):
    titles = [heading for heading in page.headings if heading]
    assert titles.index("Ranking") == titles.index("Accuracy") + 1
    assert "#ranking" in page.links


def test_figures_and_tables_are_in_the_page_and_in_files_of_every_form(report, page):
    for name in FIGURES:
        assert f"figure-{name}" in page.ids
        for end in ("", "_1column"):
            assert (report / f"figures/{name}{end}.svg").stat().st_size > 0
            assert f"figures/{name}{end}.svg" in page.links
    for name in TABLES:
        assert f"table-{name}" in page.ids
        for suffix in ("csv", "md", "tex"):
            assert f"tables/{name}.{suffix}" in page.links
        assert r"\toprule" in (report / f"tables/{name}.tex").read_text()


def test_figures_have_their_printed_width_and_real_text(report):
    for name in FIGURES:
        for end, width_mm in (("", 180), ("_1column", 88)):
            svg = (report / f"figures/{name}{end}.svg").read_text()
            assert svg_width_mm(svg) == pytest.approx(width_mm, abs=0.2)
        svg = (report / f"figures/{name}.svg").read_text()
        assert ">alder</text>" in svg
        sizes = {float(s) for s in re.findall(r"font(?:-size)?: (?:[\w.]+ )*?([\d.]+)px", svg)}
        assert min(sizes) >= 6


def test_a_method_has_one_colour_in_every_table_and_the_rest_are_grey(page):
    rows = re.findall(
        r'<th scope="row"><i class="swatch" style="background:(#\w+)"></i>(?:\d+ )?([^<]+)<',
        page.source,
    )
    colours = {}
    for colour, label in rows:
        colours.setdefault(label, set()).add(colour)
    assert len(colours) == 9
    assert all(len(own) == 1 for own in colours.values())
    used = sorted(next(iter(own)) for own in colours.values())
    assert used.count(GREY) == 2
    assert len(set(used)) == 8


def test_long_tables_are_folded_and_ids_stay_unique(page):
    assert len(page.ids) == len(set(page.ids))
    assert page.source.index('id="table-ranking_tests"') > page.source.index("<details>")


def test_key_of_the_sweep_names_the_coloured_ones_only(report):
    svg = (report / "figures/threshold_sweep.svg").read_text()
    assert ">2 other methods</text>" in svg
