"""Differential interference contrast: the slope of the optical path along a shear direction.

Two copies of the light, shifted against each other by less than the resolution, interfere:
``I = sin((delay(x + s/2) - delay(x - s/2) + bias) / 2) ** 2``. One flank of a cell is bright and
the other dark, as if lit from the side; slopes across the shear stay invisible.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cellharness.data.phantom.anatomy import build_anatomy
from cellharness.data.phantom.texture import digitise, photon_noise, smooth_noise, uneven_light


def granular(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Round, thick, grainy cells in suspension, 8-bit."""
    cells = build_anatomy(labels, rng, nucleus=0.5)
    size = labels.shape
    grains = smooth_noise(size, 1.4, rng) * (cells.depth > 0.08)
    delay = 2.4 * cells.dome * cells.each(rng.uniform(0.7, 1.2, cells.count)) + 0.30 * grains
    light = sheared(delay, angle=np.radians(225), shear=1.4, bias=1.35)
    return _expose(light, 0.12, "uint8", 255 * 0.95, rng)


def flat_discs(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flat smooth cells with a raised rim, some debris, 16-bit."""
    cells = build_anatomy(labels, rng, nucleus=0.75)
    size = labels.shape
    plate = 1 - np.exp(-cells.edge / 1.8)
    dip = np.clip(cells.nucleus_depth * 1.4, 0, 1) * cells.each(rng.uniform(0, 0.7, cells.count))
    delay = cells.each(rng.uniform(0.25, 1.3, cells.count)) * (plate - 0.7 * dip)
    debris = 0.7 * np.clip(smooth_noise(size, 1.3, rng) - 3.2, 0, 1)
    light = sheared(delay + debris, angle=np.radians(45), shear=1.5, bias=1.5)
    return _expose(light, 0.18, "uint16", 30_000, rng)


def platelets(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Small cells of low contrast on a drifting background, 8-bit."""
    cells = build_anatomy(labels, rng)
    size = labels.shape
    grains = smooth_noise(size, 1.2, rng) * (cells.labels > 0)
    thickness = cells.each(rng.uniform(0.3, 0.9, cells.count)) * cells.dome
    film = 0.14 * smooth_noise(size, 6, rng)
    light = sheared(thickness + 0.10 * grains + film, angle=np.radians(135), shear=1.2, bias=1.1)
    return _expose(light, 0.25, "uint8", 255 * 0.75, rng)


def sheared(delay: np.ndarray, *, angle: float, shear: float, bias: float) -> np.ndarray:
    """Interference of two copies of the light that passed the object.

    Parameters
    ----------
    delay
        Phase delay in radians, shape (H, W).
    angle
        Direction of the shear in radians, 0 along the columns.
    shear
        Distance of the copies in px.
    bias
        Phase between the copies in radians; it sets the grey of the background.
    """
    # The resolution of the microscope, and no stairs along the pixels of the labels.
    delay = ndimage.gaussian_filter(delay, 1.2)
    half = 0.5 * shear * np.array([np.sin(angle), np.cos(angle)])
    ahead = ndimage.shift(delay, half, order=3, mode="nearest")
    behind = ndimage.shift(delay, -half, order=3, mode="nearest")
    return np.sin((ahead - behind + bias) / 2) ** 2


def _expose(
    light: np.ndarray, unevenness: float, dtype: str, white: float, rng: np.random.Generator
) -> np.ndarray:
    light = light * uneven_light(light.shape, unevenness, rng)
    return digitise(photon_noise(light, 2500, 8, rng), dtype, white)
