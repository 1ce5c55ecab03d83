from __future__ import annotations

import numpy as np
import pytest

from cellharness.report.cutouts import path_data, stretch
from cellharness.report.outlines import STYLES, Window, choose_window, compare, trace


def block(shape: tuple[int, int], *boxes: tuple[int, int, int, int, int]) -> np.ndarray:
    labels = np.zeros(shape, np.uint16)
    for label, top, bottom, left, right in boxes:
        labels[top:bottom, left:right] = label
    return labels


FULL = Window(0, 40, 0, 60)


def test_cells_are_sorted_into_kinds():
    truth = block((40, 60), (3, 5, 15, 5, 15), (7, 20, 30, 5, 15), (9, 0, 6, 40, 50))
    prediction = block((40, 60), (1, 5, 15, 6, 15), (2, 20, 30, 30, 40), (5, 30, 40, 50, 60))
    kinds = {k: len(v) for k, v in compare(truth, prediction, 0.5, FULL).items()}
    # 9 touches the upper border in the truth, 5 the lower right one in the prediction.
    assert kinds == {"correct": 1, "truth": 1, "missed": 1, "wrong": 1, "excluded": 2}
    assert set(kinds) == set(STYLES)


def test_threshold_decides_what_is_correct():
    truth = block((40, 60), (1, 5, 15, 5, 15))
    prediction = block((40, 60), (1, 5, 15, 5, 12))
    assert len(compare(truth, prediction, 0.7, FULL)["correct"]) == 1
    assert len(compare(truth, prediction, 0.71, FULL)["wrong"]) == 1


def test_without_a_mask_every_cell_is_missed():
    truth = block((40, 60), (1, 5, 15, 5, 15), (2, 20, 30, 20, 30))
    kinds = compare(truth, None, 0.5, FULL)
    assert len(kinds["missed"]) == 2
    assert not kinds["correct"]
    assert not kinds["wrong"]


def test_outline_runs_along_the_pixels_of_the_cell():
    labels = block((40, 60), (4, 5, 15, 10, 30))
    (outline,) = trace(labels, FULL)
    x, y = outline.T
    # Pixel columns 10..29 span 10..30 in the picture; corners are cut by half a pixel.
    assert (x.min(), x.max(), y.min(), y.max()) == (10, 30, 5, 15)


def test_outline_moves_with_the_window():
    labels = block((40, 60), (4, 10, 20, 30, 40))
    (outline,) = trace(labels, Window(5, 40, 25, 60))
    assert outline.min(0).tolist() == [5, 5]


def test_touching_cells_and_huge_ids_are_traced_one_by_one():
    labels = block((40, 60), (1, 5, 15, 5, 15), (2, 5, 15, 15, 25)).astype(np.uint32)
    labels[labels == 2] = 4_000_000_000
    assert len(trace(labels, FULL)) == 2
    assert len(trace(labels, FULL, keep=[4_000_000_000])) == 1
    assert len(trace(labels, FULL, leave=[1])) == 1
    assert choose_window(labels) == FULL


def test_cell_that_fills_the_window_has_no_outline():
    assert trace(np.ones((40, 60), np.uint16), FULL) == []


def test_window_lies_where_the_cells_are():
    truth = np.zeros((2000, 1500), np.uint16)
    for i in range(20):
        truth[
            1500 + 20 * (i // 5) : 1512 + 20 * (i // 5), 1000 + 20 * (i % 5) : 1012 + 20 * (i % 5)
        ] = i + 1
    truth[5:17, 5:17] = 99
    window = choose_window(truth)
    assert window.bottom - window.top == window.right - window.left == 160
    assert set(np.unique(truth[window.slices])) == set(range(21))


def test_window_grows_with_the_cells_up_to_512():
    truth = np.zeros((1200, 1200), np.uint16)
    truth[100:400, 100:400] = 1
    assert choose_window(truth).bottom - choose_window(truth).top == 512


@pytest.mark.parametrize("shape", [(90, 70), (600, 1)])
def test_window_of_an_image_without_cells_is_its_middle(shape):
    window = choose_window(np.zeros(shape, np.uint16))
    rows, columns = min(shape[0], 512), shape[1]
    assert (window.bottom - window.top, window.right - window.left) == (rows, columns)
    assert window.top == (shape[0] - rows) // 2


def test_stretch_keeps_the_hue_and_survives_flat_images():
    image = np.zeros((20, 20, 3), np.uint16)
    image[5:10, 5:10] = (4000, 2000, 0)
    picture = stretch(image)
    assert picture.dtype == np.uint8
    assert picture[7, 7].tolist() == [255, 128, 0]
    assert np.unique(stretch(np.full((9, 9), 7.5))).tolist() == [128]
    assert stretch(np.zeros((9, 9, 2), np.uint8)).shape == (9, 9, 3)


def test_path_data_is_short_and_exact():
    points = np.array([[10.0, 20.5], [100.0, 0.0]])
    assert path_data([points, points[::-1]]) == "M10 20.5L100 0M100 0L10 20.5"
