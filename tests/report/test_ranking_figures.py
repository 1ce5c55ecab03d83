"""The figures of the section on rankings: what they show, and that a reader can read them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from figure_reader import texts_outside, texts_over_each_other
from matplotlib.collections import EllipseCollection, LineCollection, PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.text import Text

from cellharness.report.loading import load_run
from cellharness.report.rankings import significance_map
from cellharness.report.rankings.blobs import blob_panel
from cellharness.report.rankings.bubble import bubble_panel, points_of
from cellharness.report.rankings.bubble_scale import MIB_PER_GIB, key_sizes
from cellharness.report.rankings.dot_box import dot_box_panel
from cellharness.report.rankings.figures import ranking_drawings
from cellharness.report.rankings.metric_ranks import columns_of, metric_rank_panel, ranks_in
from cellharness.report.rankings.modality_boxes import modality_panel
from cellharness.report.rankings.panel import Panel, alone, compose
from cellharness.report.rankings.rank_lines import rank_line_panel, scheme_ranks
from cellharness.report.rankings.ranked import MAIN, rank_run
from cellharness.report.rankings.seen_rows import seen_panel
from cellharness.report.rankings.tau_violins import tau_panel, tau_series
from cellharness.report.style import GREY, journal_style, method_styles, ranked_styles
from simulated_run import Simulation, simulate_run

SIZES = {"Brightfield": 9, "Phase-contrast": 8, "DIC": 7}
LONG = {1: "A method with a name of more than forty letters", 2: "W" * 60}
PAGE_MM = 247.0
#: Line widths of a box's median and of everything else that is ink, in points.
MEDIAN_PT = 1.5


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    what = Simulation(methods=4, sizes=SIZES, failures=0.2, gpu=(0, 1))
    run = load_run(simulate_run(tmp_path_factory.mktemp("few"), what, masks=False))
    return rank_run(run)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    what = Simulation(methods=28, sizes=SIZES, labels=LONG)
    run = load_run(simulate_run(tmp_path_factory.mktemp("many"), what, masks=False))
    return rank_run(run)


@pytest.fixture(autouse=True)
def _style():
    with journal_style():
        yield


def styles_of(ranked):
    return ranked_styles(ranked.run.methods, ranked.order)


def drawn(ranked, make, width=88.0) -> Figure:
    return alone(make(ranked, styles_of(ranked), width))


def axes_of(figure: Figure):
    """The axes that show data: the widest and highest."""
    return max(figure.axes, key=lambda ax: np.prod(ax.get_position().size))


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


@pytest.mark.parametrize("width", [88.0, 180.0])
@pytest.mark.parametrize("which", ["few", pytest.param("many", marks=pytest.mark.slow)])
def test_every_figure_fits_its_width_and_a_page(request, which, width):
    ranked = request.getfixturevalue(which)
    drawings = ranking_drawings(ranked, styles_of(ranked))
    drawings["f1_by_modality"] = lambda mm: drawn(ranked, modality_panel, mm)
    drawings["seen_unseen"] = lambda mm: drawn(ranked, seen_panel, mm)
    assert len(drawings) == 6
    for name, draw in drawings.items():
        figure = draw(width)
        across, up = figure.get_size_inches() * 25.4
        assert across == pytest.approx(width), name
        assert up <= PAGE_MM, name
        assert texts_outside(figure) == [], name
        assert texts_over_each_other(figure) == [], name
        sizes = {text.get_fontsize() for text in figure.findobj(Text) if text.get_text()}
        assert min(sizes) >= 6, name


def test_medians_and_boxes_are_where_the_scores_are(few):
    ax = axes_of(drawn(few, dot_box_panel))
    lines = [c for c in ax.collections if isinstance(c, LineCollection)]
    medians = next(c for c in lines if c.get_linewidths()[0] == MEDIAN_PT)
    whiskers = next(c for c in lines if c.get_linewidths()[0] != MEDIAN_PT).get_segments()
    main = few.run.main
    for i, (method, segment) in enumerate(zip(few.order, medians.get_segments(), strict=True)):
        f1 = main.loc[main["method"] == method, "f1"]
        assert segment[:, 0] == pytest.approx([f1.median()] * 2)
        assert segment[:, 1].mean() == pytest.approx(i)
        low, high = f1.quantile([0.25, 0.75])
        inside = f1[(f1 >= low - 1.5 * (high - low)) & (f1 <= high + 1.5 * (high - low))]
        own = np.array([s for s in whiskers if abs(s[:, 1].mean() - i) < 0.4])
        assert own[..., 0].min() == pytest.approx(inside.min())
        assert own[..., 0].max() == pytest.approx(inside.max())
    dots = [c for c in ax.collections if isinstance(c, PathCollection)]
    assert [len(c.get_offsets()) for c in dots] == [
        int(main["status"].eq("ok").sum()),
        int(main["status"].ne("ok").sum()),
    ]
    assert set(dots[1].get_offsets()[:, 0]) == {0.0}


def test_median_and_letters_stand_beside_the_rows(few):
    shown = texts(drawn(few, dot_box_panel))
    table = few.groups["All"].table
    for column in ("median_f1", "letters"):
        wanted = [f"{v:.3f}" if column == "median_f1" else v for v in table[column]]
        assert set(wanted) <= set(shown)
    assert [text for text in shown if text in few.names] == few.names


def test_blobs_have_the_area_of_their_share(few):
    ax = axes_of(drawn(few, blob_panel))
    (blobs,) = (c for c in ax.collections if isinstance(c, EllipseCollection))
    shares = few.accuracy.frequencies()
    shares = shares[shares["scheme"] == MAIN].reset_index(drop=True)
    at = blobs.get_offsets()
    assert at[:, 0].tolist() == shares["rank"].tolist()
    assert [few.order[int(y)] for y in at[:, 1]] == shares["method"].tolist()
    areas = blobs.get_widths() ** 2
    assert areas / areas.sum() == pytest.approx(shares["share"] / shares["share"].sum())
    crosses = next(line for line in ax.lines if line.get_marker() == "x")
    intervals = few.accuracy.intervals()
    intervals = intervals[intervals["scheme"] == MAIN].set_index("method").loc[list(few.order)]
    assert crosses.get_xdata().tolist() == intervals["median"].tolist()
    (lines,) = (c for c in ax.collections if isinstance(c, LineCollection))
    ends = np.array([segment[:, 0] for segment in lines.get_segments()])
    assert ends.tolist() == intervals[["low", "high"]].to_numpy().tolist()


def test_cells_of_the_map_are_the_states_of_the_pairs(many):
    ax = axes_of(drawn(many, significance_map.significance_panel))
    states = significance_map.pair_states(many)
    for state in (significance_map.LEVEL, significance_map.RAW, significance_map.BETTER):
        colour = significance_map._COLOURS[state]
        (patch,) = (p for p in ax.patches if to_hex(p.get_facecolor()) == colour)
        assert isinstance(patch, PathPatch)
        corners = patch.get_path().vertices.reshape(-1, 5, 2)[:, :4]
        middles = {tuple(np.round(cell.mean(axis=0)).astype(int)) for cell in corners}
        assert middles == {(j, i) for i, j in zip(*np.nonzero(states == state), strict=True)}


def test_lines_go_through_the_ranks(many):
    ax = axes_of(drawn(many, rank_line_panel))
    lines = [line.get_ydata().tolist() for line in ax.lines if len(line.get_xdata()) == 5]
    assert sorted(lines) == sorted(scheme_ranks(many).tolist())
    low, high = ax.get_ylim()
    assert low > high, "the first rank is at the top"


def test_marks_of_one_rank_do_not_cover_each_other(many):
    ax = axes_of(drawn(many, rank_line_panel))
    lines = [line for line in ax.lines if len(line.get_xdata()) == 5]
    for scheme in range(5):
        marks = [(line.get_xdata()[scheme], line.get_ydata()[scheme]) for line in lines]
        assert len({(round(x, 3), y) for x, y in marks}) == len(marks)


def test_violins_show_medians_and_names(few):
    figure = alone(tau_panel(few, 88.0))
    series = tau_series(few)
    ax = axes_of(figure)
    medians = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    assert medians == pytest.approx([np.median(taus) for _, _, taus in series])
    assert {name for name, _, _ in series} <= set(texts(figure))


def test_bubbles_are_where_time_and_score_are_and_as_large_as_memory(few):
    ax = axes_of(drawn(few, bubble_panel))
    points = points_of(few)
    bubbles = [c for c in ax.collections if isinstance(c, EllipseCollection)]
    found = {
        tuple(np.round(c.get_offsets()[0], 9)): (c.get_widths()[0] ** 2, c.get_facecolor()[0, 3])
        for c in bubbles
    }
    areas = []
    for _, point in points.iterrows():
        area, filled = found[round(point["seconds"], 9), round(point["median_f1"], 9)]
        assert bool(filled) == (point["memory_of"] == "GPU")
        areas.append(area / point["memory_mb"])
    assert areas == pytest.approx([areas[0]] * len(points))
    assert ax.get_xscale() == "log"


def test_few_methods_are_named_and_many_are_numbered(few, many):
    assert set(few.names) <= set(texts(drawn(few, bubble_panel)))
    shown = texts(drawn(many, partial(bubble_panel, height_mm=90.0)))
    assert not set(many.names) & set(shown)
    assert {str(i) for i in range(1, 29)} <= set(shown)


def test_key_of_the_bubbles_is_not_above_the_biggest():
    for biggest in (5.0, 20.0, 100.0, 300.0, 1024.0, 50_000.0):
        sizes = key_sizes(biggest)
        assert len(sizes) <= 3
        assert sizes or biggest < 10.24
        assert sizes == sorted(sizes)
        assert all(size * MIB_PER_GIB <= biggest for size in sizes)


def test_cells_of_ranks_hold_the_ranks(few):
    figure = drawn(few, metric_rank_panel)
    columns = columns_of(few)
    wanted = [[str(r) for r in ranks_in(few, column).fillna(-1)] for column in columns]
    shown = [
        [text.get_text().replace("–", "-1") for text in ax.texts]
        for ax in sorted(figure.axes, key=lambda ax: ax.get_position().x0)
    ]
    assert [cell for block in shown for cell in block] == [c for col in wanted for c in col]


def test_modalities_have_a_panel_each_with_their_images(many):
    figure = drawn(many, modality_panel, 180.0)
    assert len(figure.axes) == 1 + len(SIZES)
    for group, n in {"All images": 24, **SIZES}.items():
        assert {group, f"{n} images"} <= set(texts(figure))


def test_seen_and_unseen_medians_stand_in_the_row_of_the_method(many):
    ax = drawn(many, seen_panel, 180.0).axes[0]
    main = many.run.main
    for i, method in enumerate(many.order):
        for seen, (low, high) in ((True, (-0.5, 0)), (False, (0, 0.5))):
            f1 = main.loc[(main["method"] == method) & (main["seen"] == seen), "f1"]
            (mark,) = (
                line
                for line in ax.lines
                if line.get_marker() == "o" and low < line.get_ydata()[0] - i < high
            )
            assert mark.get_xdata()[0] == pytest.approx(f1.median())
            assert (mark.get_markerfacecolor() == "white") != seen


def test_colours_of_few_are_by_configuration_and_of_many_for_the_best(few, many):
    assert styles_of(few) == method_styles(few.run.methods)
    styles = styles_of(many)
    best = [styles[method].colour for method in many.order[:7]]
    assert len(set(best)) == 7
    assert GREY not in best
    assert {styles[method].colour for method in many.order[7:]} == {GREY}


def test_composed_panels_are_lettered_in_reading_order():
    drawn_at = []

    def note(sheet, x, y):
        drawn_at.append((x, y))

    panel = Panel(40.0, 20.0, note)
    figure = compose([[panel, panel], [panel]], 5.0, 2.0)
    assert [text.get_text() for text in figure.texts] == ["a", "b", "c"]
    assert (figure.get_size_inches() * 25.4).tolist() == pytest.approx([85.0, 44.0])
    assert drawn_at == [(0.0, 1.0), (45.0, 1.0), (0.0, 23.0)]
