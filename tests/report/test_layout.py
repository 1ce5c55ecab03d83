from __future__ import annotations

import json

import pytest
from figure_reader import texts_outside, texts_over_each_other
from matplotlib.lines import Line2D

from cellharness.report.boxes import method_axis
from cellharness.report.distributions import distribution_figure, published_figure
from cellharness.report.layout import (
    draw_key,
    fit_labels,
    keys_per_row,
    panels,
    place,
    plan_named,
    text_mm,
)
from cellharness.report.loading import load_run
from cellharness.report.published import published
from cellharness.report.style import (
    ONE_COLUMN_MM,
    TWO_COLUMNS_MM,
    journal_style,
    method_styles,
    new_figure,
)

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


def test_turned_names_get_room_on_the_left():
    short, _ = plan_named(5, ["A", "B"], TWO_COLUMNS_MM, 24.0)
    long, _ = plan_named(5, ["Cellpose 2.0, training mean", "B"], TWO_COLUMNS_MM, 24.0)
    last, _ = plan_named(1, ["B", *"CDEFGHIJK", "Otsu + watershed"], TWO_COLUMNS_MM, 60.0)
    assert short.left_mm == last.left_mm == 10
    assert long.left_mm > 15


@WIDTHS
def test_no_name_of_a_method_is_cut(make_run, width_mm):
    methods = {f"m{i}": f"Cellpose 2.0, training {i}" for i in range(8)}
    run = load_run(make_run(methods=methods, thresholds=(0.5,), per_modality=2))
    with journal_style():
        figures = [
            distribution_figure(run, method_styles(run.methods), width_mm),
            published_figure(published(), width_mm),
        ]
    for figure in figures:
        assert texts_outside(figure) == []
        assert texts_over_each_other(figure) == []


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
        samples = [Line2D([], [], label=name) for name in names]
        draw_key(figure, samples, 8.0, keys_per_row(names, width_mm - 10))
        assert texts_outside(figure) == []


@WIDTHS
@pytest.mark.parametrize("needed_mm", [24.0, 45.0, 60.0])
@pytest.mark.parametrize(
    "names",
    [
        ["OMNIPOSE", "KIT-GE", "CELLPOSE", "MEDIAR", "WATERSHED"],
        ["WMM-NETWORK", "MEDIAR-MAMMOTH", "CELLPOSE-SAM"],
        ["W" * 28, "mmwm net mmwm", "Illinois"],
    ],
)
def test_wide_letters_have_the_room_they_need(width_mm, needed_mm, names):
    with journal_style():
        grid, labels = plan_named(3, names, width_mm, needed_mm)
        figure, axes = panels(grid, 3, width_mm, 36.0, labels.height_mm)
        for i, ax in enumerate(axes):
            lowest = place(grid, i, 3)[0] == grid.rows - 1
            method_axis(ax, labels if lowest else None, len(names))
        assert texts_outside(figure) == []
        assert texts_over_each_other(figure) == []


def test_narrow_letters_stay_upright():
    name = "Illinois tiling"
    assert fit_labels([name], text_mm(name)).texts == (name,)
    assert text_mm(name) < text_mm("WWWWWWWW")


def test_the_box_of_a_method_that_reads_the_truth_is_hatched(make_run):
    path = make_run(
        methods={"plain": "Plain", "oracle": "Oracle"}, modalities=("DIC",), per_modality=8
    )
    record = json.loads((path / "run.json").read_text())
    record["methods"][1]["parameters"] = {"diameter": "truth_median"}
    (path / "run.json").write_text(json.dumps(record))
    run = load_run(path)
    with journal_style():
        figure = distribution_figure(run, method_styles(run.methods), 180.0)
        figure.draw_without_rendering()
    for ax in figure.axes:
        hatched = [shape for shape in ax.collections if shape.get_hatch()]
        assert len(hatched) == 1
        (left, _), (right, _) = hatched[0].get_datalim(ax.transData).get_points()
        assert left < 1 < right
