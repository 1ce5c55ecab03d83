from __future__ import annotations

import json

import pytest
from figure_reader import texts_outside, texts_over_each_other
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from cellharness.report.comparison import load_comparison
from cellharness.report.comparison.accuracy import f1_by_modality
from cellharness.report.layout import Key, fit_labels, text_mm
from cellharness.report.style import ONE_COLUMN_MM, TWO_COLUMNS_MM, journal_style, new_figure

WIDTHS = pytest.mark.parametrize("width_mm", [ONE_COLUMN_MM, TWO_COLUMNS_MM])


def test_names_that_are_cut_stay_apart():
    names = [
        "Cellpose 2.0 fine-tuned, diameter estimated",
        "Cellpose 2.0 fine-tuned, diameter mean",
    ]
    labels = fit_labels(names, 5.0)
    assert labels.angle == 45
    assert labels.texts == ("Cellpose 2.0…eter estimated", "Cellpose 2.0…diameter mean")
    assert fit_labels(names[:1], 5.0).texts == ("Cellpose 2.0 fine-tuned, di…",)


@WIDTHS
@pytest.mark.parametrize("n", [2, 8, 28])
def test_names_of_methods_stand_beside_their_boxes(make_run, width_mm, n):
    methods = {f"m{i}": f"Cellpose 2.0, training {i}" for i in range(n)}
    report = load_comparison(make_run(methods=methods, thresholds=(0.5,), per_modality=2))
    with journal_style():
        figure = f1_by_modality(report, width_mm)
    assert texts_outside(figure) == []
    assert texts_over_each_other(figure) == []
    assert figure.get_size_inches()[1] * 25.4 <= 247
    shown = [text.get_text() for text in figure.texts]
    assert set(methods.values()) <= set(shown)
    assert {"All images", "Brightfield", "8 images", "2 images"} <= set(shown)


@WIDTHS
@pytest.mark.parametrize(
    "names",
    [
        ["A"] * 9,
        [f"Method of a longish name {i}" for i in range(7)],
        ["All images", "Brightfield", "Phase-contrast", "DIC"],
        ["WATERSHED", "MWMW MMMM", "CELLPOSE"],
    ],
)
def test_keys_fit_the_width_they_are_given(width_mm, names):
    with journal_style():
        figure = new_figure(width_mm, 60)
        Key([Line2D([], [], label=name) for name in names], width_mm - 10).draw(figure, 8.0)
        assert texts_outside(figure) == []


def test_narrow_letters_stay_upright():
    name = "Illinois tiling"
    assert fit_labels([name], text_mm(name)).texts == (name,)
    assert text_mm(name) < text_mm("WWWWWWWW")


def test_the_box_of_a_method_that_reads_the_truth_is_hatched_and_has_no_number(make_run):
    path = make_run(
        methods={"oracle": "Oracle", "plain": "Plain"}, modalities=("DIC",), per_modality=8
    )
    record = json.loads((path / "run.json").read_text())
    record["methods"][0]["parameters"] = {"diameter": "truth_median"}
    (path / "run.json").write_text(json.dumps(record))
    with journal_style():
        figure = f1_by_modality(load_comparison(path), 180.0)
    (ax,) = figure.axes
    (hatched,) = (p for p in ax.patches if isinstance(p, Rectangle) and p.get_hatch())
    assert hatched.get_y() < 1 < hatched.get_y() + hatched.get_height()
    shown = [text.get_text() for text in figure.texts]
    assert shown[shown.index("Plain") + 1] == "1"
    assert shown[shown.index("Oracle") + 1] == "–"
