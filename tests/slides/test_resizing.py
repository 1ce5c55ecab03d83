"""A part of a resized or zoomed image is that of the whole by scikit-image or SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import zoom
from skimage.transform import resize

from cellharness.slides.resizing import nearest, resized, zoomed

SOURCE = (211, 330)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("target", [(90, 140), (200, 329), (211, 330), (300, 511), (30, 41)])
def test_a_part_is_resized_as_the_whole(target, order):
    whole = np.random.default_rng(5).normal(size=SOURCE)
    expected = resize(whole, target, order=order, clip=False)
    for window in (np.s_[0 : target[0], 0 : target[1]], np.s_[11:27, 9:40], np.s_[29:30, 0:3]):
        found = resized(lambda *part: whole[part], SOURCE, target, *window, order=order)
        np.testing.assert_allclose(found, expected[window], atol=1e-9)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("scale", [0.43, 1.0, 1.7])
def test_a_part_is_zoomed_as_the_whole(scale, order):
    whole = np.random.default_rng(6).normal(size=(*SOURCE, 2))
    expected = np.stack([zoom(whole[..., k], scale, order=order) for k in (0, 1)], axis=-1)
    target = expected.shape[:2]
    for window in (np.s_[0 : target[0], 0 : target[1]], np.s_[11:27, 9:40], np.s_[29:30, 0:3]):
        found = zoomed(lambda *part: whole[part], SOURCE, target, *window, order=order)
        np.testing.assert_allclose(found, expected[window], atol=1e-9)
        plane = zoomed(lambda *part: whole[part][..., 0], SOURCE, target, *window, order=order)
        np.testing.assert_array_equal(plane, found[..., 0])


@pytest.mark.parametrize("target", [(90, 140), (300, 511)])
def test_the_nearest_pixels_are_those_of_scikit_image(target):
    whole = np.arange(SOURCE[0] * SOURCE[1], dtype=float).reshape(SOURCE)
    expected = resize(whole, target, order=0, anti_aliasing=False)
    rows, columns = (
        nearest(slice(0, there), here, there) for here, there in zip(SOURCE, target, strict=True)
    )
    np.testing.assert_array_equal(whole[rows][:, columns], expected)
