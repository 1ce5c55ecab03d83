"""The figures of the section on rankings: what they show, and that a reader can read them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from figure_reader import texts_outside, texts_over_each_other
from matplotlib.collections import EllipseCollection, LineCollection, PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.text import Text

from cellharness.analysis.ranked import BETTER, LEVEL, MAIN, PAPER_SCHEMES, RAW
from cellharness.analysis.run_data import load_run
from cellharness.report.comparison.accuracy import f1_by_modality
from cellharness.report.comparison.bubbles import (
    MIB_PER_GIB,
    bubble_figure,
    has_bubbles,
    key_sizes,
    points_of,
    time_ticks,
)
from cellharness.report.comparison.data import Comparison
from cellharness.report.comparison.rank_panels import (
    STATES,
    frequency_panel,
    metric_rank_panel,
    rank_line_panel,
    rank_ticks,
    side_by_side,
    significance_panel,
    tau_panel,
)
from cellharness.report.comparison.ranking import ranking
from cellharness.report.declare import FigureItem
from cellharness.report.layout import Panel, alone, compose
from cellharness.report.style import GREY, journal_style, method_styles
from simulated_run import Simulation, simulate_run

SIZES = {"Brightfield": 9, "Phase-contrast": 8, "DIC": 7}
LONG = {1: "A method with a name of more than forty letters", 2: "W" * 60}
PAGE_MM = 200.0
#: Line width of a box's median.
MEDIAN_PT = 1.5


def simulated(folder, **options) -> Comparison:
    what = Simulation(sizes=SIZES, **options)
    return Comparison(load_run(simulate_run(folder, what, masks=False)))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("two"), methods=2)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("few"), methods=4, failures=0.2, gpu=(0, 1))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("many"), methods=28, labels=LONG)


@pytest.fixture(autouse=True)
def _style():
    with journal_style():
        yield


def drawn(d: Comparison, make, width=88.0) -> Figure:
    return alone(make(d.ranked, d.styles, width))


def axes_of(figure: Figure):
    """The axes that show data: the widest and highest."""
    return max(figure.axes, key=lambda ax: np.prod(ax.get_position().size))


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


@pytest.mark.parametrize("width", [88.0, 180.0])
@pytest.mark.parametrize("which", ["two", "few", pytest.param("many", marks=pytest.mark.slow)])
def test_no_text_of_a_figure_is_cut_or_over_another(request, which, width):
    d = request.getfixturevalue(which)
    items = [item for item in ranking.items if isinstance(item, FigureItem) and item.when(d)]
    drawings = {item.name: item.draw for item in items} | {"accuracy_cost": bubble_figure}
    assert len(drawings) >= 3
    for name, draw in drawings.items():
        figure = draw(d, width)
        across, up = figure.get_size_inches() * 25.4
        assert across == pytest.approx(width), name
        assert up <= PAGE_MM, name
        assert texts_outside(figure) == [], name
        assert texts_over_each_other(figure) == [], name
        sizes = {text.get_fontsize() for text in figure.findobj(Text) if text.get_text()}
        assert min(sizes) >= 6, name


def test_panels_have_a_letter_and_a_name(few):
    figures = {item.name: item for item in ranking.items if isinstance(item, FigureItem)}
    shown = texts(figures["ranking_significance"].draw(few, 180.0))
    assert {"a", "b"} <= set(shown)
    assert {"Row significantly better than column", f"Ranks in bootstrap samples, {MAIN}"} <= set(
        shown
    )


def test_medians_and_boxes_are_where_the_scores_are(few):
    ax = f1_by_modality(few, 180.0).axes[0]
    lines = [c for c in ax.collections if isinstance(c, LineCollection)]
    medians = next(c for c in lines if c.get_linewidths()[0] == MEDIAN_PT)
    whiskers = next(c for c in lines if c.get_linewidths()[0] != MEDIAN_PT).get_segments()
    main = few.run.main
    for i, (method, segment) in enumerate(
        zip(few.ranked.order, medians.get_segments(), strict=True)
    ):
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


def test_modalities_have_a_panel_each_with_their_images(many):
    figure = f1_by_modality(many, 180.0)
    assert len(figure.axes) == 1 + len(SIZES)
    for group, n in {"All images": 24, **SIZES}.items():
        assert {group, f"{n} images"} <= set(texts(figure))


def test_circles_have_the_area_of_their_share(few):
    d, few = few, few.ranked
    ax = axes_of(drawn(d, frequency_panel))
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
    ax = axes_of(drawn(many, significance_panel))
    states = many.ranked.pair_states
    assert (states == RAW).any()
    for state in (LEVEL, RAW, BETTER):
        (patch,) = (p for p in ax.patches if to_hex(p.get_facecolor()) == STATES[state][0])
        assert isinstance(patch, PathPatch)
        corners = patch.get_path().vertices.reshape(-1, 5, 2)[:, :4]
        middles = {tuple(np.round(cell.mean(axis=0)).astype(int)) for cell in corners}
        assert middles == {(j, i) for i, j in zip(*np.nonzero(states == state), strict=True)}


def test_key_of_the_map_has_the_states_that_occur(two, many):
    for d in (two, many):
        (legend,) = drawn(d, significance_panel).legends
        said = {text.get_text() for text in legend.get_texts()}
        assert said == {words for state, (_, words) in STATES.items() if d.ranked.has_state(state)}


def test_lines_go_through_the_ranks(many):
    ax = axes_of(drawn(many, rank_line_panel))
    lines = [line.get_ydata().tolist() for line in ax.lines if len(line.get_xdata()) == 5]
    assert sorted(lines) == sorted(many.ranked.scheme_ranks.tolist())
    low, high = ax.get_ylim()
    assert low > high, "the first rank is at the top"


def test_marks_of_one_rank_do_not_cover_each_other(many):
    ax = axes_of(drawn(many, rank_line_panel))
    lines = [line for line in ax.lines if len(line.get_xdata()) == 5]
    for scheme in range(5):
        marks = [(line.get_xdata()[scheme], line.get_ydata()[scheme]) for line in lines]
        assert len({(round(x, 3), y) for x, y in marks}) == len(marks)


def test_violins_show_medians_and_names(few):
    figure = alone(tau_panel(few.ranked, 88.0))
    series = few.ranked.taus
    ax = axes_of(figure)
    medians = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    assert medians == pytest.approx([np.median(taus) for _, _, taus in series])
    assert {name for name, _, _ in series} <= set(texts(figure))


def test_bubbles_are_where_time_and_score_are_and_as_large_as_memory(few):
    assert has_bubbles(few)
    ax = axes_of(bubble_figure(few, 88.0))
    points = points_of(few.ranked)
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


def test_rings_of_the_key_have_room_to_the_edge_of_the_figure(few, many):
    """The largest ring of the key may be as large as the largest bubble."""
    for d in (few, many):
        peak = d.ranked.costs["memory_mb"].max()
        size = key_sizes(peak)[-1] * MIB_PER_GIB
        costs = d.ranked.costs.assign(memory_mb=d.ranked.costs["memory_mb"] * size / peak)
        copy = Comparison(d.run)
        vars(copy)["ranked"] = replace(d.ranked, costs=costs)
        for width in (88.0, 180.0):
            figure = bubble_figure(copy, width)
            height = figure.get_size_inches()[1] * 72
            for ring in figure.findobj(EllipseCollection):
                (at,) = ring.get_offset_transform().transform(ring.get_offsets())
                top = at[1] * 72 / figure.dpi + ring.get_heights()[0] / 2
                # Half a millimetre, with the half of the line that lies outside.
                assert top + 1.5 <= height, width


def names_of(d: Comparison) -> list[str]:
    return [d.run.labels[method] for method in d.ranked.order]


def test_few_methods_are_named_and_many_are_numbered_and_listed(few, many):
    assert set(names_of(few)) <= set(texts(bubble_figure(few, 88.0)))
    for width in (88.0, 180.0):
        shown = texts(bubble_figure(many, width))
        assert all(shown.count(str(i)) == 2 for i in range(11, 29))
        assert set(names_of(many)) - set(LONG.values()) - set(shown) <= {"dog rose transformer"}


def test_ticks_of_time_are_round_and_few():
    assert time_ticks(0.3, 12) == [0.5, 1, 2, 5, 10]
    assert time_ticks(1.3, 3.3) == [1.5, 2, 3]
    assert time_ticks(3.2, 6.9) == [4, 5, 6]
    for low in np.geomspace(0.01, 50, 40):
        for width in (1.5, 2, 4, 30, 5000):
            ticks = time_ticks(low, low * width)
            assert 2 <= len(ticks) <= 14
            assert all(low <= tick <= low * width for tick in ticks)


def test_key_of_the_bubbles_is_not_above_the_biggest():
    for biggest in (5.0, 20.0, 100.0, 300.0, 1024.0, 50_000.0):
        sizes = key_sizes(biggest)
        assert len(sizes) <= 3
        assert sizes or biggest < 10.24
        assert sizes == sorted(sizes)
        assert all(size * MIB_PER_GIB <= biggest for size in sizes)


def test_cells_of_ranks_hold_the_ranks(few):
    figure = drawn(few, metric_rank_panel)
    columns = few.ranked.columns
    wanted = [[str(r) for r in few.ranked.ranks_in(column).fillna(-1)] for column in columns]
    shown = [
        [text.get_text().replace("–", "-1") for text in ax.texts]
        for ax in sorted(figure.axes, key=lambda ax: ax.get_position().x0)
    ]
    assert [cell for block in shown for cell in block] == [c for col in wanted for c in col]


def test_heads_of_blocks_are_whole_and_cover_what_they_say(many):
    for width in (88.0, 180.0):
        shown = texts(drawn(many, metric_rank_panel, width))
        assert {"F1, IoU ≥", "Modality", "Cost", "Time", "GPU memory", "Host memory"} <= set(shown)


def agreeing(d: Comparison, lowest: float) -> Comparison:
    """The same report, as if every scheme agreed and no sample had a tau below `lowest`."""
    ranked = d.ranked
    same = np.repeat(ranked.scheme_ranks[:, :1], len(PAPER_SCHEMES), axis=1)
    taus = [s._replace(taus=np.maximum(np.nan_to_num(s.taus), lowest)) for s in ranked.taus]
    copy = replace(ranked)
    vars(copy).update(scheme_ranks=same, taus=taus)
    other = Comparison(d.run)
    vars(other)["ranked"] = copy
    return other


def test_schemes_that_agree_are_not_drawn(few):
    (item,) = (i for i in ranking.items if getattr(i, "name", "") == "ranking_stability")
    assert not few.ranked.schemes_agree
    assert "rank-\nthen-\nmean" in texts(item.draw(few, 88.0))
    d = agreeing(few, 0.0)
    assert item.when(d)
    shown = texts(item.draw(d, 88.0))
    assert "rank-\nthen-\nmean" not in shown
    assert "Kendall's τ to the full ranking" in shown
    assert not item.when(agreeing(few, 1.0))


def test_colours_of_few_are_by_configuration_and_of_many_for_the_best(few, many):
    assert few.styles == method_styles(few.run.methods)
    styles, order = many.styles, many.ranked.order
    best = [styles[method].colour for method in order[:7]]
    assert len(set(best)) == 7
    assert GREY not in best
    assert {styles[method].colour for method in order[7:]} == {GREY}


def test_composed_panels_are_lettered_in_reading_order():
    drawn_at = []

    def note(sheet, x, y):
        drawn_at.append((x, y))

    panel = Panel(40.0, 20.0, note, "Name")
    figure = compose([[panel, panel], [panel]], 5.0, 2.0)
    assert [t for t in texts(figure) if t != "Name"] == ["a", "b", "c"]
    assert texts(figure).count("Name") == 3
    assert (figure.get_size_inches() * 25.4).tolist() == pytest.approx([85.0, 53.2])
    assert np.array(drawn_at) == pytest.approx(np.array([(0, 5.6), (45, 5.6), (0, 32.2)]))


def test_few_ranks_are_all_written_and_of_many_every_fifth():
    assert rank_ticks(3) == [1, 2, 3]
    assert rank_ticks(12) == [1, 5, 10, 12]


def test_equal_ranks_move_apart():
    assert side_by_side([1, 2, 2]) == pytest.approx([0, -0.08, 0.08])
