"""The picture of an image with its cells outlined, to see in one look what a method found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from cellharness.data.display import stretch
from cellharness.data.images import model_input, open_image, read_label
from cellharness.files import whole_file
from cellharness.running.mask_counts import median_diameter

# Okabe and Ito's yellow, edged with black: one of the two stands out from any background, and
# to every eye, for they differ in lightness.
_LINE, _EDGE = (240 / 255, 228 / 255, 66 / 255), (0.0, 0.0, 0.0)
#: Lines are 3 px and more wide, so that small cells are enlarged to at least this, px.
_LEAST_DIAMETER = 32
_MOST_TIMES, _LONGEST_SIDE = 4, 4096


def write_overlay(path: Path, image: Path, mask: Path, mode: str) -> None:
    """Write a png of an image in the form that the method saw, with its cells outlined.

    The file appears whole or not at all.

    Parameters
    ----------
    path : Path
        An existing file is replaced.
    image, mask : Path
        Image, and label image made of it.
    mode : {"gray_max", "gray", "native"}
        Form in which the image was handed over.
    """
    picture = draw_overlay(model_input(open_image(image).pixels, mode), read_label(mask))
    with whole_file(path) as partial:
        Image.fromarray(picture).save(partial, "PNG")


def draw_overlay(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Outline cells on an image.

    Where the median cell is small, the picture is up to four times as large as the image, that
    the lines do not cover what they surround.

    Parameters
    ----------
    image : ndarray, (H, W) or (H, W, C)
        Finite, C 2 or 3; stretched as `cellharness.data.display.stretch` does.
    labels : ndarray of unsigned int, (H, W)

    Returns
    -------
    ndarray of uint8, (kH, kW, 3)
        k from 1 to 4.
    """
    # Imported where it is used: who asks for no overlay is spared it.
    from skimage.segmentation import mark_boundaries

    shown = stretch(image)
    shown = shown if shown.ndim == 3 else np.dstack([shown] * 3)
    times = _times(median_diameter(labels), max(labels.shape))
    shown, labels = (each.repeat(times, 0).repeat(times, 1) for each in (shown, labels))
    marked = mark_boundaries(
        shown.astype(np.float32) / 255, labels, color=_LINE, outline_color=_EDGE, mode="inner"
    )
    return (marked * 255).round().astype(np.uint8)


def _times(diameter: float | None, longest: int) -> int:
    """How many times as large the picture shall be."""
    if diameter is None:
        return 1
    wanted = -(-_LEAST_DIAMETER // max(int(diameter), 1))
    return max(1, min(wanted, _MOST_TIMES, _LONGEST_SIDE // longest))
