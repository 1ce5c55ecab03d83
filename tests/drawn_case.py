"""A small picture of cells, and its labels."""

from __future__ import annotations

import numpy as np


def draw_case(rng, shape=(96, 112), cells=9, radius=8):
    """Bright discs on a dark noisy ground, and their labels."""
    labels = np.zeros(shape, np.uint16)
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    columns = int(np.ceil(np.sqrt(cells)))
    for number in range(cells):
        y = (number // columns + 0.5) * shape[0] / columns
        x = (number % columns + 0.5) * shape[1] / columns
        labels[(yy - y) ** 2 + (xx - x) ** 2 <= radius**2] = number + 1
    image = rng.normal(20, 3, shape) + 150 * (labels > 0)
    return image.clip(0, 255).astype(np.uint8), labels
