from __future__ import annotations

import numpy as np
import pytest

from cellharness.report.explorer.pictures import choose_view, grid_side, sample
from cellharness.report.outlines import Window


def cells(shape, diameter, corners):
    labels = np.zeros(shape, np.uint16)
    for number, (y, x) in enumerate(corners, start=1):
        labels[y : y + diameter, x : x + diameter] = number
    return labels


def test_few_cells_are_shown_in_the_whole_image():
    view = choose_view(cells((300, 400), 40, [(10, 10), (100, 200)]), 640)
    assert view == (Window(0, 300, 0, 400), (300, 400))


def test_a_larger_image_has_a_coarser_grid():
    labels = cells((1000, 2000), 200, [(100, 100)])
    window, grid = choose_view(labels, 500)
    assert grid == (250, 500)
    sampled = sample(labels, window, grid)
    assert sampled.shape == (250, 500)
    assert (sampled == 1).sum() == pytest.approx(50 * 50, rel=0.05)


def test_of_many_small_cells_the_fullest_part_is_shown():
    crowd = [(1500 + 30 * i, 2500 + 30 * j) for i in range(8) for j in range(8)]
    labels = cells((3000, 3000), 10, [(5, 5), *crowd])
    window, _ = choose_view(labels, 400)
    assert window.bottom - window.top == window.right - window.left == 400
    assert window.top <= 1500
    assert window.bottom >= 1500 + 8 * 30 - 20
    assert window.left <= 2500
    assert window.right >= 2500 + 8 * 30 - 20


def test_an_image_without_cells_is_shown_whole():
    assert choose_view(np.zeros((50, 900), np.uint8), 300)[0] == Window(0, 50, 0, 900)


def test_a_line_of_pixels_keeps_one_row():
    assert choose_view(np.ones((1, 5000), np.uint8), 100)[1] == (1, 100)


def test_more_outlines_get_coarser_grids():
    sides = [grid_side(n) for n in (1, 1_000, 1_001, 2_500, 6_000, 6_001, 100_000)]
    assert sides == [1280, 1280, 640, 640, 480, 360, 360]
