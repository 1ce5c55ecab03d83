from __future__ import annotations

import numpy as np
import pytest

from cellharness.data.colour_classes import VARIANTS, colour_class
from cellharness.errors import UsageError


def of_colour(saturation, value, dtype=np.uint8):
    """An image of one colour with this saturation and value."""
    top = np.iinfo(dtype).max * value
    image = np.zeros((4, 5, 3), dtype)
    image[..., 0], image[..., 1:] = round(top), round(top * (1 - saturation))
    return image


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("saturation", "value", "paper", "code"),
    [
        (0.5, 0.3, 2, 3),
        (0.5, 0.05, 3, 3),
        (0.5, 0.8, 3, 3),
        (0.0, 0.3, 3, 2),
        (0.0, 0.05, 3, 3),
        (0.0, 0.8, 3, 3),
    ],
)
def test_paper_and_code_sort_by_opposite_conditions(dtype, saturation, value, paper, code):
    image = of_colour(saturation, value, dtype)
    assert colour_class(image, "paper")[0] == paper
    assert colour_class(image, "code")[0] == code


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_image_of_one_channel_is_the_first_class(variant):
    grey = np.arange(20, dtype=np.uint16).reshape(4, 5)
    assert colour_class(grey, variant) == (1, "one channel")
    assert colour_class(grey[..., None], variant)[0] == 1


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("channels", [2, 3])
def test_floats_of_any_range_and_two_channels_are_sorted(variant, channels):
    image = np.random.default_rng(0).random((4, 5, channels)).astype(np.float32)
    assert colour_class(image * 900, variant)[0] in (2, 3)


def test_another_variant_is_refused():
    with pytest.raises(UsageError, match="Valid: code, paper"):
        colour_class(np.zeros((2, 2)), "hue")
