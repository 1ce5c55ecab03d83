"""What the figures of a forgetting study draw, against the tables beside them."""

from __future__ import annotations

import numpy as np
import pytest
from figure_reader import texts_outside, texts_over_each_other
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Rectangle
from study_built import STUDY_REMEDIES
from study_reader import csv_of, f1_by_case, staged
from study_sketch import sketch_study

from cellharness.report.label_places import Box, place_labels
from cellharness.report.published import published
from cellharness.report.study import load_study_report
from cellharness.report.study.courses import curve_figure
from cellharness.report.study.data import GAIN_COLOUR, LOSS_COLOUR, remedy_styles
from cellharness.report.style import journal_style
from cellharness.statistics import ALL
from cellharness.vocabulary import PRETRAINED

WIDTHS = ("", "_1column")
ROWS = ("plain", "replay", "slow", "lost", "mix-50")
GROUPS = (ALL, "Brightfield", "Fluorescent")
STYLES = remedy_styles(list(ROWS), ["mix-50"])


@pytest.fixture(scope="module")
def run(built_study):
    return built_study.run


@pytest.fixture(scope="module")
def figures(built_study):
    return built_study.figures


def one(frame, **wanted):
    for name, value in wanted.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1, wanted
    return frame.iloc[0]


def points(ax, colour, marker=None):
    """Single marks of a colour in a panel, as (x, y, filled)."""
    found = []
    for line in ax.lines:
        single = len(np.atleast_1d(line.get_xdata())) == 1
        mine = to_hex(line.get_markeredgecolor()) == to_hex(colour) or (
            to_hex(line.get_markerfacecolor()) == to_hex(colour)
        )
        if single and mine and marker in (None, line.get_marker()):
            x, y = (float(np.atleast_1d(data)[0]) for data in line.get_data())
            found.append((x, y, to_hex(line.get_markerfacecolor()) != "#ffffff"))
    return found


def test_no_text_leaves_its_figure_or_covers_another(figures):
    for name, figure in figures.items():
        assert texts_outside(figure) == [], name
        assert texts_over_each_other(figure) == [], name


@pytest.mark.parametrize("end", WIDTHS)
def test_heat_map_agrees_with_the_table(run, figures, end):
    changes = csv_of(run, "change")
    changes = changes[changes["level"] != "experiment"]
    unseen, seen, scale = figures["heatmap" + end].axes
    stars = 0
    for ax, part in ((unseen, "unseen"), (seen, "seen")):
        texts = {(int(t.get_position()[0]), int(t.get_position()[1])): t for t in ax.texts}
        boxes = {
            (int(b.get_x()), int(b.get_y())): b for b in ax.patches if isinstance(b, Rectangle)
        }
        assert texts.pop((1, 3)).get_text() == "no scores"
        assert len(texts) == 4 * len(GROUPS)
        for (column, row), text in texts.items():
            cell = one(changes, remedy=ROWS[row], modality=GROUPS[column], seen=part)
            value, proven = cell["estimate"], cell["verdict"] in ("lower", "higher")
            shown = f"{value:+.2f}".replace("-", "−")
            assert text.get_text() == shown + "*" * proven
            stars += proven
            red, _, blue = to_rgb(boxes[column, row].get_facecolor())
            assert (red > blue) == (value < 0)
    assert 0 < stars < 24
    low, high = scale.get_xlim()
    assert -low == high >= changes["estimate"].abs().max()


def test_colours_of_the_heat_map_grow_with_the_change(run, figures):
    changes = csv_of(run, "change")
    ax = figures["heatmap"].axes[0]
    boxes = {(int(b.get_x()), int(b.get_y())): b for b in ax.patches}
    cells = [
        (
            one(changes, level="overall", remedy=ROWS[row], seen="unseen")["estimate"],
            sum(to_rgb(boxes[0, row].get_facecolor())),
        )
        for row in (0, 1, 2, 4)
    ]
    lightness = [light for _, light in sorted(cells)]
    assert lightness == sorted(lightness)


@pytest.mark.parametrize(("name", "remedy"), [("slopes", "plain"), ("slopes_best", "replay")])
def test_slopes_have_a_line_a_case(run, figures, name, remedy):
    scores = staged(run)
    before = f1_by_case(scores, PRETRAINED, 0, "truth")
    after = f1_by_case(scores, remedy, 4, "truth")
    about = scores.drop_duplicates("case").set_index("case").sort_index()
    for ax, modality in zip(figures[name].axes, GROUPS[1:], strict=True):
        drawn = {}
        for collection in ax.collections:
            if isinstance(collection, LineCollection):
                for line in collection.get_segments():
                    (x, first), (_, last) = line
                    colour = to_hex(collection.get_color()[0])
                    drawn.setdefault((x == 2, colour), []).append((first, last))
        for seen in (False, True):
            mine = (about["modality"] == modality) & (about["seen"] == seen)
            pairs = list(zip(before[mine], after[mine], strict=True))
            for colour, wanted in (
                (LOSS_COLOUR, [p for p in pairs if p[1] < p[0]]),
                (GAIN_COLOUR, [p for p in pairs if p[1] > p[0]]),
            ):
                found = drawn.get((seen, to_hex(colour)), [])
                found, wanted = (np.reshape(sorted(ends), (-1, 2)) for ends in (found, wanted))
                np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("end", WIDTHS)
def test_forest_fills_what_is_shown(run, figures, end):
    table = csv_of(run, "remedies")
    table = table[table["modality"] == ALL]
    unseen, seen = (
        table[(table["seen"] == part) & (table["cases"] == "all")].set_index("remedy")
        for part in ("unseen", "seen")
    )
    kept, gain = figures["forest" + end].axes[:2]
    for y, remedy in enumerate(("replay", "slow", "mix-50")):
        row, style = unseen.loc[remedy], STYLES[remedy]
        ((x, at, filled),) = [
            p for p in points(kept, style.colour, style.marker) if abs(p[1] - y) < 0.19
        ]
        assert x == pytest.approx(row["estimate"])
        assert filled == (row["verdict"] == "higher")
        # The second mark, without what it met again, lies below the first.
        assert at == (y - 0.16 if remedy == "replay" else y)
        ((x, _, filled),) = points(gain, style.colour, style.marker)
        assert x == pytest.approx(seen.loc[remedy, "estimate"])
        assert filled == (seen.loc[remedy, "comparable"] in (True, "True"))
    own = table[(table["seen"] == "unseen") & (table["cases"] != "all")].set_index("remedy")
    again = own.loc["replay", "estimate"]
    ((x, y, _),) = [p for p in points(kept, STYLES["replay"].colour) if p[1] > 0.1]
    assert (x, y) == pytest.approx((again, 0.2))
    margins = [line for line in gain.lines if list(line.get_xdata()) in ([-0.05] * 2, [0.05] * 2)]
    assert len(margins) == 2


def test_plane_places_every_remedy(run, figures):
    table = csv_of(run, "stability_plasticity").set_index("remedy")
    ax = figures["plane"].axes[0]
    for remedy in ("plain", "replay", "slow", "mix-50"):
        row, style = table.loc[remedy], STYLES[remedy]
        ((x, y, _),) = points(ax, style.colour, style.marker)
        assert (x, y) == pytest.approx((row["gain_seen"], -row["loss_unseen"]))
    names = {text.get_text() for text in ax.texts}
    labels = {label for name, (label, _, _) in STUDY_REMEDIES.items() if name != "lost"}
    assert names == labels | {"Before training", "50 % mixed", "learns and keeps"}
    low, high = ax.get_ylim()
    assert low < high, "up is better"
    # Dotted: from the weights before over the mixed ones to those after.
    paths = [line for line in ax.lines if len(line.get_xdata()) == 3]
    assert len(paths) == 1
    xs = [0, table.loc["mix-50", "gain_seen"], table.loc["plain", "gain_seen"]]
    assert list(paths[0].get_xdata()) == pytest.approx(xs)


def test_curves_are_those_of_the_table(run, figures):
    table = csv_of(run, "curves")
    panels = [(part, group) for part in ("unseen", "seen") for group in GROUPS]
    for ax, (part, group) in zip(figures["curves"].axes, panels, strict=True):
        rows = table[(table["seen"] == part) & (table["modality"] == group)]
        drawn = {
            to_hex(line.get_color()): line.get_data()
            for line in ax.lines
            if line.get_marker() != "None"
        }
        assert len(drawn) == 3
        for remedy in ("plain", "replay", "slow"):
            mine = rows[rows["remedy"] == remedy].sort_values("stage")
            stages, changes = drawn[to_hex(STYLES[remedy].colour)]
            assert list(stages) == [0, 2, 4] == mine["stage"].tolist()
            assert list(changes) == pytest.approx(mine["change"].tolist())


def test_bars_of_the_decomposition_add_up(run, figures):
    table = csv_of(run, "decomposition")
    table = table[(table["seen"] == "unseen") & (table["estimand"] == "images")]
    table = table[table["protocol"].fillna("").isin(["", "truth"])]
    for ax, group in zip(figures["decomposition"].axes, GROUPS, strict=True):
        rows = table[table["modality"] == group].set_index("measure")["estimate"]
        apparent, between, alike = sorted(ax.patches, key=lambda bar: bar.get_x())
        assert apparent.get_height() == pytest.approx(rows["apparent loss"])
        assert between.get_height() == pytest.approx(rows["difference of the protocols"])
        assert alike.get_height() == pytest.approx(rows["loss, both alike"])
        assert between.get_y() == pytest.approx(rows["loss, both alike"])


def test_recall_by_property_is_that_of_the_table(run, figures):
    table = csv_of(run, "cells_by_property")
    panels = [(part, p) for part in ("unseen", "seen") for p in ("area", "contrast", "density")]
    for ax, (part, prop) in zip(figures["cells"].axes, panels, strict=True):
        rows = table[(table["seen"] == part) & (table["property"] == prop)]
        drawn = {to_hex(line.get_color()): line.get_data() for line in ax.lines}
        for remedy in ("plain", "replay"):
            mine = rows[rows["remedy"] == remedy]
            middles, recall = drawn[to_hex(STYLES[remedy].colour)]
            assert list(middles) == pytest.approx(mine["middle"].tolist())
            assert list(recall) == pytest.approx(mine["recall_after"].tolist())
        assert list(drawn[to_hex(STYLES[PRETRAINED].colour)][1]) == pytest.approx(
            rows.loc[rows["remedy"] == "plain", "recall_before"].tolist()
        )


def test_published_medians_stand_apart_and_hollow(run, figures):
    known = published()
    known = known[(known["modality"] == ALL) & known["median_f1"].notna()]
    (ax,) = figures["teams"].axes
    hollow = [line for line in ax.lines if line.get_marker() == "D"]
    assert sorted(line.get_xdata()[0] for line in hollow) == pytest.approx(
        sorted(known["median_f1"])
    )
    measured = [line for line in ax.lines if line.get_marker() in ("o", "s")]
    assert len(measured) == 4
    assert max(line.get_ydata()[0] for line in measured) < min(
        line.get_ydata()[0] for line in hollow
    )
    assert all(to_hex(line.get_markerfacecolor()) == "#ffffff" for line in hollow)


@pytest.mark.parametrize("end", WIDTHS)
def test_no_figure_is_too_large(figures, end):
    for name in {name.removesuffix("_1column") for name in figures} - {"panels", "training"}:
        width, height = (25.4 * inches for inches in figures[name + end].get_size_inches())
        assert height <= 205, name
        assert width <= (180.1 if not end else 88.1), name
    assert 25.4 * figures["teams" + end].get_figwidth() <= 90


def test_many_trainings_have_no_bands_but_for_the_subject(tmp_path):
    changes = {"plain": (-0.2, 0.2), **{f"r{i}": (-0.02 * i, 0.1) for i in range(5)}}
    d = load_study_report(sketch_study(tmp_path, changes, stages=(1, 2, 4)))
    with journal_style():
        figure = curve_figure(d, 180.0)
    assert len(figure.axes) == 2, "one group, unseen and seen"
    for ax in figure.axes:
        (band,) = ax.collections
        assert to_hex(band.get_facecolor()[0]) == to_hex(d.looks["plain"].colour)
        assert len([line for line in ax.lines if line.get_marker() != "None"]) == 6
    (key,) = figure.legends
    assert {text.get_text() for text in key.get_texts()} == {
        d.study.labels[name] for name in changes
    }


def test_looks_are_told_apart():
    names = ["plain", *(f"r{i}" for i in range(9)), "m1", "m2", "m3"]
    styles = remedy_styles(names, ["m1", "m2", "m3"])
    looks = {(s.colour, s.marker, s.dashes) for s in styles.values()}
    assert len(looks) == len(styles) == len(names) + 1
    assert {styles[name].colour for name in ("m1", "m2", "m3")} == {styles["m1"].colour}
    # Black is plain fine-tuning's alone, and red and blue are losses' and gains'.
    others = [style.colour for name, style in styles.items() if name != "plain"]
    assert not {"#000000", styles["plain"].colour, LOSS_COLOUR, GAIN_COLOUR} & set(others)


def test_names_of_points_keep_apart_where_there_is_room():
    frame = Box(0, 0, 100, 60)
    near = [(50.0, 30.0), (51.0, 30.5), (50.5, 29.0), (52.0, 31.0)]
    boxes = place_labels(near, [(18.0, 2.6)] * 4, frame)

    def apart(one, two):
        return (
            one.right <= two.left
            or two.right <= one.left
            or one.top <= two.bottom
            or two.top <= one.bottom
        )

    for i, box in enumerate(boxes):
        assert frame.left <= box.left < box.right <= frame.right
        assert frame.bottom <= box.bottom < box.top <= frame.top
        assert all(apart(box, other) for other in boxes[i + 1 :])
        assert all(apart(box, Box(x - 1, y - 1, x + 1, y + 1)) for x, y in near)
