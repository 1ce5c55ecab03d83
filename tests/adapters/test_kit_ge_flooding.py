"""The watershed against scikit-image's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.segmentation import watershed

from cellharness_adapters.kit_ge.flooding import flood
from cellharness_adapters.kit_ge.instances import instances_from_distances


def landscape(seed, shape, sigma, share, seeds):
    """Smooth random heights, all different, a mask of the low ones, and seeds anywhere."""
    rng = np.random.default_rng(seed)
    height = ndimage.gaussian_filter(rng.normal(size=shape), sigma)
    # Ranks, so that no two are equal: ties between seed pixels are settled differently.
    ranks = height.ravel().argsort().argsort().reshape(shape).astype(np.float32)
    height = ranks - ranks.size / 2
    marks = np.zeros(shape, np.int32)
    count = min(seeds, marks.size)
    marks.ravel()[rng.choice(marks.size, count, replace=False)] = rng.permutation(count) + 1
    return height, marks, ranks < share * ranks.size


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.floats(0, 4),
    st.floats(0, 1),
    st.integers(0, 200),
)
def test_labels_are_those_of_scikit_image(seed, shape, sigma, share, seeds):
    height, marks, mask = landscape(seed, shape, sigma, share, seeds)
    expected = watershed(height, markers=marks, mask=mask)
    np.testing.assert_array_equal(flood(height, marks, mask), expected)


def test_many_pixels_wait_at_once():
    # A thousand seeds in one part of the mask: more than the queue holds at first.
    height, marks, mask = landscape(0, (300, 300), 2, 1, 3000)
    np.testing.assert_array_equal(
        flood(height, marks, mask), watershed(height, markers=marks, mask=mask)
    )


def test_equal_heights_are_shared_evenly():
    marks = np.zeros((1, 9), np.int32)
    marks[0, 0], marks[0, 8] = 1, 2
    labels = flood(np.zeros((1, 9), np.float32), marks, np.ones((1, 9), bool))
    assert labels.tolist() == [[1, 1, 1, 1, 1, 2, 2, 2, 2]]
    # Both kinds of zero are one height.
    mixed = np.array([[0, -0.0, 0, -0.0, 0, -0.0, 0, -0.0, 0]], np.float32)
    assert flood(mixed, marks, np.ones((1, 9), bool)).tolist() == labels.tolist()


def test_parts_without_a_seed_stay_background():
    mask = np.ones((5, 5), bool)
    mask[2] = False
    marks = np.zeros((5, 5), np.int32)
    marks[0, 0] = 7
    marks[2, 2] = 8  # out of the mask
    labels = flood(np.zeros((5, 5), np.float32), marks, mask)
    assert (labels[:2] == 7).all()
    assert labels[2:].max() == 0


def test_a_border_where_three_cells_meet_is_left_as_published():
    # Three cells around a point, held apart by the seeds' shape only.
    yy, xx = np.mgrid[:80, :80]
    centres = [(26, 40), (50, 26), (50, 54)]
    cell = np.max([np.exp(-np.hypot(yy - y, xx - x) / 12) for y, x in centres], axis=0)
    flat = np.zeros_like(cell)
    assert instances_from_distances(cell, flat, th_cell=0.2, th_seed=0.6).max() == 3
    assert instances_from_distances(cell, flat, th_cell=0.2, th_seed=0.6, merge=True).max() == 3


def test_merging_goes_along_a_chain_of_more_than_255_cells():
    # Rows of humps that touch end to end; the reference gives up at 255 cells.
    columns, rows = 24, 14
    yy, xx = np.mgrid[: rows * 16, : columns * 16]
    hump = np.clip(1 - np.hypot(yy % 16 - 7.5, xx % 16 - 7.5) / 9, 0, 1)
    cell = np.where((yy % 16 > 1) & (yy % 16 < 14), hump, 0)
    flat = np.zeros_like(cell)
    assert instances_from_distances(cell, flat).max() == rows * columns
    assert instances_from_distances(cell, flat, merge=True).max() == rows
    wall = np.where((xx % 16 < 2) | (xx % 16 > 13), 0.5, 0.0)
    assert instances_from_distances(cell, wall, merge=True).max() == rows * columns


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_thresholds_must_be_numbers(value):
    flat = np.zeros((4, 5), np.float32)
    with pytest.raises(ValueError, match="th_seed must be a finite number"):
        instances_from_distances(flat, flat, th_seed=value)
