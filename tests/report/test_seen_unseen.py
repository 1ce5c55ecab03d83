from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from figure_reader import texts_outside, texts_over_each_other
from page_reader import Page

from cellharness.analysis.run_data import load_run
from cellharness.report import build_report
from cellharness.report.comparison import load_comparison
from cellharness.report.comparison.robustness import not_stated, seen_figure, seen_table
from cellharness.report.style import ONE_COLUMN_MM, TWO_COLUMNS_MM, journal_style

EIGHT = {
    "a": "Cellpose 2.0, training mean", "b": "Cellpose 2.0, estimated diameter",
    "c": "Cellpose (cyto)", "d": "Omnipose (paper)", "e": "Omnipose", "f": "KIT-GE",
    "g": "Otsu + watershed", "h": "Cellpose 2.0, estimated diameter, net average",
}  # fmt: skip


def figure_of(path, width_mm=TWO_COLUMNS_MM):
    with journal_style():
        return seen_figure(load_comparison(path), width_mm)


def change_scores(path, change):
    scores = pd.read_csv(path / "scores.csv")
    change(scores).to_csv(path / "scores.csv", index=False)


def main_rows(path):
    scores = pd.read_csv(path / "scores.csv")
    return scores[(scores["profile"] == "strict") & (scores["threshold"] == 0.5)]


def titles(figure):
    return [text.get_text() for text in figure.texts]


def marks(ax):
    """Place along the score, row, and whether it is filled, of every mark."""
    return {
        (round(float(line.get_ydata()[0])), line.get_markerfacecolor() != "white"): float(
            line.get_xdata()[0]
        )
        for line in ax.lines
        if line.get_marker() == "o"
    }


def test_every_pair_has_the_medians_of_its_images(make_run):
    path = make_run(thresholds=(0.5,), per_modality=10)
    rows, report = main_rows(path), load_comparison(path)
    order = report.ranked.order
    groups = ["All images", "Brightfield", "Fluorescent", "Phase-contrast", "DIC"]
    figure = figure_of(path)
    assert [text for text in titles(figure) if text in groups] == groups
    for group, ax in zip(groups, figure.axes, strict=True):
        here = rows if group == "All images" else rows[rows["modality"] == group]
        expected = {
            (i, seen): float(np.median(here[(here["method"] == m) & (here["seen"] == seen)]["f1"]))
            for i, m in enumerate(order)
            for seen in (True, False)
        }
        assert marks(ax) == pytest.approx(expected, abs=1e-12)
        # A line joins the two medians of a method.
        joined = [line for line in ax.lines if line.get_alpha()]
        assert len(joined) == len(order)
        for i, line in enumerate(joined):
            assert list(line.get_xdata()) == pytest.approx([expected[i, True], expected[i, False]])


def test_numbers_over_the_panels_count_images_not_scores(make_run):
    path = make_run(thresholds=(0.5,), per_modality=5)
    shown = [text for text in titles(figure_of(path)) if text.endswith(" ○")]
    assert shown == ["12 ●  8 ○", *["3 ●  2 ○"] * 4]


def test_only_where_both_kinds_occur(make_run):
    path = make_run(thresholds=(0.5,), per_modality=2, modalities=("DIC",))
    change_scores(path, lambda s: s.assign(seen=True))
    page = Page(build_report(path))
    assert "figure-seen_unseen" not in page.ids
    assert "table-seen_unseen" in page.ids
    assert not (path / "report/figures/seen_unseen.svg").exists()


@pytest.mark.slow
def test_images_of_which_it_is_not_stated_are_left_out_and_told(make_run):
    path = make_run(thresholds=(0.5,), per_modality=4, modalities=("DIC",))
    change_scores(
        path, lambda s: s.assign(seen=s["seen"].astype(object).mask(s["case"] == "m0_01"))
    )
    assert not_stated(load_run(path)) == 1
    assert "2 ●  1 ○" in titles(figure_of(path))
    assert "Images of which it is not stated are left out: 1." in Page(build_report(path)).text


@pytest.mark.slow
def test_nothing_where_it_is_not_recorded(make_run):
    path = make_run(thresholds=(0.5,), per_modality=2, modalities=("DIC",))
    change_scores(path, lambda s: s.assign(seen=np.nan))
    assert seen_table(load_comparison(path)) is None
    assert "Seen and unseen experiments" not in Page(build_report(path)).headings


def test_page_says_what_seen_means_beside_the_table(make_run):
    page = Page(build_report(make_run(thresholds=(0.5,), per_modality=2)))
    section = page.source[page.source.index('id="seen"') :]
    section = section[: section.index("</section>")]
    assert section.index("figure-seen_unseen") < section.index("table-seen_unseen")
    words = re.sub(r"\s+", " ", section)
    assert "the experiment of the image has images in the training split" in words


def test_note_names_trainings_on_a_part_of_the_split(make_run):
    path = make_run(thresholds=(0.5,), per_modality=2, modalities=("DIC",))
    report = load_comparison(path)
    report.run.record.config["training"] = [
        {"name": "x", "label": "Part", "experiments": ["e"]}, {"name": "whole"},
        {"name": "y", "modalities": ["DIC"]},
    ]  # fmt: skip
    (note,) = seen_table(report).notes
    assert note.endswith(
        "Trained in this run on a part of that split only, see Training: Part and y."
    )


@pytest.mark.parametrize("width_mm", [ONE_COLUMN_MM, TWO_COLUMNS_MM])
def test_eight_methods_of_long_names_stay_legible(make_run, width_mm):
    path = make_run(methods=EIGHT, thresholds=(0.5,), statuses={("c", "m1_01"): "error"})
    figure = figure_of(path, width_mm)
    assert texts_outside(figure) == []
    assert texts_over_each_other(figure) == []
    # A printed page has 247 mm, and a box of a pair at least two.
    assert figure.get_size_inches()[1] * 25.4 <= 247
    assert set(EIGHT.values()) <= set(titles(figure)) or width_mm == ONE_COLUMN_MM
