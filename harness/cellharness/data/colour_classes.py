"""The classes into which the second winner of the challenge (T2, sribdmed) sorts images.

Lou et al. (arXiv 2310.14226) train a network for each of four classes, which they tell apart by a
rule, and a classifier on the outcome. Paper and code differ in that rule; both are here. The third
and fourth class differ in the size of the cells, which is not known before they are segmented, so
that they are one here.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from skimage.color import rgb2hsv

from cellharness.data.images import prepare
from cellharness.errors import unknown_name

#: ``paper``: Methods of Ma et al. 2024. ``code``: classification/unsup_classification.py of the
#: team's repository, github.com/lhaof/CellSeg.
Variant = Literal["paper", "code"]
VARIANTS: tuple[Variant, ...] = ("paper", "code")

_SATURATED = 0.1
_DARK, _BRIGHT = 0.1, 0.6


def colour_class(image: np.ndarray, variant: Variant) -> tuple[int, str]:
    """Sort an image by the rule of the paper or by that of the code.

    The first class is an image of one channel. Of those with colour channels, by mean saturation S
    and mean value V of hue, saturation, value:

    - ``paper``: S above 0.1 and V within 0.1 to 0.6 are the second class, the rest the third.
    - ``code``: S above 0.1 or V outside 0.1 to 0.6 are the third class, the rest the second.

    Parameters
    ----------
    image : ndarray, (H, W) or (H, W, C)
        As `cellharness.data.images.read_image` gives it. A missing third channel is taken for 0.
    variant : {"paper", "code"}

    Returns
    -------
    number : int
        1, 2 or 3; 3 stands for the third and fourth class.
    reason : str
        What decided, with its numbers.

    Raises
    ------
    UnsupportedImageError
        If there are non-finite pixels.
    UsageError
        If there is no such variant.
    """
    if variant not in VARIANTS:
        raise unknown_name(kind="variant of the rule", name=variant, known=VARIANTS)
    image = prepare(image, "native")
    if image.ndim == 2 or image.shape[2] == 1:
        return 1, "one channel"
    hsv = rgb2hsv(_three_channels(image))
    saturation, value = float(hsv[..., 1].mean()), float(hsv[..., 2].mean())
    numbers = f"mean saturation {saturation:.2f}, mean value {value:.2f}"
    saturated, between = saturation > _SATURATED, _DARK <= value <= _BRIGHT
    if variant == "paper":
        return (2 if saturated and between else 3), numbers
    return (2 if not saturated and between else 3), numbers


def _three_channels(image: np.ndarray) -> np.ndarray:
    """Colours as scikit-image reads them: integers by the range of their dtype, floats up to 1."""
    missing = max(0, 3 - image.shape[2])
    rgb = np.pad(image[..., :3], ((0, 0), (0, 0), (0, missing)))
    if rgb.dtype.kind == "f":
        top = max(float(rgb.max()), 1e-9)
        return np.clip(rgb / top, 0, 1) if top > 1 else np.clip(rgb, 0, 1)
    return rgb
