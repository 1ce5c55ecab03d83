"""A part of a resized image is that of the whole resized by scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.transform import resize

from cellharness.slides.resizing import nearest, resized

SOURCE = (211, 330)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("target", [(90, 140), (200, 329), (211, 330), (300, 511), (30, 41)])
def test_a_part_is_resized_as_the_whole(target, order):
    whole = np.random.default_rng(5).normal(size=SOURCE)
    expected = resize(whole, target, order=order, clip=False)
    for window in (np.s_[0 : target[0], 0 : target[1]], np.s_[11:27, 9:40], np.s_[29:30, 0:3]):
        found = resized(lambda *part: whole[part], SOURCE, target, *window, order=order)
        np.testing.assert_allclose(found, expected[window], atol=1e-9)


@pytest.mark.parametrize("target", [(90, 140), (300, 511)])
def test_the_nearest_pixels_are_those_of_scikit_image(target):
    whole = np.arange(SOURCE[0] * SOURCE[1], dtype=float).reshape(SOURCE)
    expected = resize(whole, target, order=0, anti_aliasing=False)
    rows, columns = (
        nearest(slice(0, there), here, there) for here, there in zip(SOURCE, target, strict=True)
    )
    np.testing.assert_array_equal(whole[rows][:, columns], expected)
