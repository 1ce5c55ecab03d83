from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from figure_reader import texts_outside, texts_over_each_other
from matplotlib.colors import to_hex
from page_reader import Page

from cellharness.report import build_report
from cellharness.report.boxes import LEAST_FOR_BOX
from cellharness.report.loading import load_run
from cellharness.report.seen_unseen import both_occur, not_stated, seen_figure, seen_table
from cellharness.report.style import (
    ONE_COLUMN_MM,
    TWO_COLUMNS_MM,
    journal_style,
    method_styles,
)

EIGHT = {
    "a": "Cellpose 2.0, training mean", "b": "Cellpose 2.0, estimated diameter",
    "c": "Cellpose (cyto)", "d": "Omnipose (paper)", "e": "Omnipose", "f": "KIT-GE",
    "g": "Otsu + watershed", "h": "Cellpose 2.0, estimated diameter, net average",
}  # fmt: skip


def figure_of(path, width_mm=TWO_COLUMNS_MM):
    run = load_run(path)
    with journal_style():
        return seen_figure(run, method_styles(run.methods), width_mm)


def change_scores(path, change):
    scores = pd.read_csv(path / "scores.csv")
    change(scores).to_csv(path / "scores.csv", index=False)


def main_rows(path):
    scores = pd.read_csv(path / "scores.csv")
    return scores[(scores["profile"] == "strict") & (scores["threshold"] == 0.5)]


def titles(ax):
    return [text.get_text() for text in ax.texts]


def medians(ax):
    """Height of every median line by its place, of boxes and of groups without a box."""
    found = {}
    for line in ax.lines:
        x, y = (np.asarray(data, float) for data in line.get_data())
        if len(x) == 2 and y[0] == y[1] and line.get_linewidth() == 1.6:
            found[round(float(x.mean()), 3)] = y[0]
    for lines in ax.collections:
        for part in getattr(lines, "get_segments", list)():
            found[round(float(part[:, 0].mean()), 3)] = part[0, 1]
    return found


def test_every_pair_has_the_medians_of_its_images(make_run):
    path = make_run(thresholds=(0.5,), per_modality=10)
    rows = main_rows(path)
    axes = figure_of(path).axes
    assert [titles(ax)[1] for ax in axes] == [
        "All images", "Brightfield", "Fluorescent", "Phase-contrast", "DIC",
    ]  # fmt: skip
    for ax in axes:
        group = titles(ax)[1]
        here = rows if group == "All images" else rows[rows["modality"] == group]
        expected = {}
        for x, method in enumerate(("alpha", "beta")):
            for seen, side in ((True, -0.22), (False, 0.22)):
                values = here[(here["method"] == method) & (here["seen"] == seen)]["f1"]
                assert len(values) >= LEAST_FOR_BOX
                expected[round(x + side, 3)] = float(np.median(values))
        assert medians(ax) == pytest.approx(expected, abs=1e-12)


def test_numbers_over_the_panels_count_images_not_scores(make_run):
    path = make_run(thresholds=(0.5,), per_modality=5)
    shown = [titles(ax)[2] for ax in figure_of(path).axes]
    assert shown == ["12 seen, 8 unseen", *["3 seen, 2 unseen"] * 4]


def test_few_images_have_a_median_and_no_box(make_run):
    path = make_run(thresholds=(0.5,), per_modality=8, modalities=("DIC", "Fluorescent"))
    rows = main_rows(path)
    dic = figure_of(path).axes[2]
    assert titles(dic)[1:] == ["DIC", "4 seen, 4 unseen"]
    # Neither whiskers nor caps nor box lines: nothing but a median each.
    assert len(dic.lines) == 0
    here = rows[rows["modality"] == "DIC"].groupby(["method", "seen"])["f1"]
    places = {("alpha", True): -0.22, ("alpha", False): 0.22, ("beta", True): 0.78,
              ("beta", False): 1.22}  # fmt: skip
    assert medians(dic) == pytest.approx({places[key]: np.median(f1) for key, f1 in here})
    assert any(abs(np.median(f1) - np.mean(f1)) > 1e-3 for _, f1 in here)


def test_seen_is_filled_and_unseen_hollow(make_run):
    path = make_run(thresholds=(0.5,), per_modality=12, modalities=("DIC",))
    (ax,) = figure_of(path).axes
    styles = method_styles(("alpha", "beta"))
    circles = [c for c in ax.collections if len(np.asarray(c.get_offsets())) == 6]
    assert len(circles) == 4
    by_place = sorted(circles, key=lambda c: np.asarray(c.get_offsets())[:, 0].mean())
    for i, circle in enumerate(by_place):
        colour = styles[("alpha", "beta")[i // 2]].colour.lower()
        faces, edges = circle.get_facecolors(), circle.get_edgecolors()
        if i % 2 == 0:
            assert to_hex(faces[0]) == colour
        else:
            assert len(faces) == 0
            assert to_hex(edges[0]) == colour
    fills = [c for c in ax.collections if type(c).__name__ == "FillBetweenPolyCollection"]
    centres = sorted(float(f.get_paths()[0].vertices[:, 0].mean()) for f in fills)
    assert centres == pytest.approx([-0.22, 0.78], abs=0.05)


def test_only_where_both_kinds_occur(make_run):
    path = make_run(thresholds=(0.5,), per_modality=2, modalities=("DIC",))
    assert both_occur(load_run(path))
    change_scores(path, lambda s: s.assign(seen=True))
    assert not both_occur(load_run(path))
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
    assert [titles(ax)[2] for ax in figure_of(path).axes] == ["2 seen, 1 unseen"]
    assert "Images of which it is not stated are left out: 1." in Page(build_report(path)).text


@pytest.mark.slow
def test_nothing_where_it_is_not_recorded(make_run):
    path = make_run(thresholds=(0.5,), per_modality=2, modalities=("DIC",))
    change_scores(path, lambda s: s.assign(seen=np.nan))
    run = load_run(path)
    assert not both_occur(run)
    assert seen_table(run, {}) is None
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
    run = load_run(path)
    run.record.config["training"] = [
        {"name": "x", "label": "Part", "experiments": ["e"]}, {"name": "whole"},
        {"name": "y", "modalities": ["DIC"]},
    ]  # fmt: skip
    (note,) = seen_table(run, dict.fromkeys(run.methods, "#000000")).notes
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
    for ax in figure.axes:
        panel_mm = ax.get_position().width * width_mm
        assert 0.36 * panel_mm / np.ptp(ax.get_xlim()) >= 2
    names = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert len(set(names)) == len(EIGHT)


def test_key_names_failed_cases_only_where_some_are_drawn(make_run):
    path = make_run(
        thresholds=(0.5,), per_modality=2, modalities=("DIC",),
        statuses={("beta", "m0_01"): "error"},
    )  # fmt: skip

    def key():
        return [text.get_text() for text in figure_of(path).legends[0].get_texts()]

    assert key() == ["Seen experiments", "Unseen experiments", "Failed case (F1 = 0)"]
    change_scores(path, lambda s: s[s["profile"] == "challenge"])
    assert key() == ["Seen experiments", "Unseen experiments"]
