"""Fluorescence: emitted light, blurred by the microscope's point spread and counted as photons."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cellharness.data.phantom.anatomy import build_anatomy
from cellharness.data.phantom.texture import digitise, photon_noise, smooth_noise


def nuclei(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Nuclei with a DNA dye, 16-bit grey, camera offset, few photons."""
    cells = build_anatomy(labels, rng)
    size = labels.shape
    chromatin = 1 + 0.16 * smooth_noise(size, 2.2, rng)
    brightness = cells.each(np.exp(rng.normal(-0.5, 0.7, cells.count)))
    spots = np.clip(smooth_noise(size, 1.1, rng) - 2.0, 0, 1) * (cells.depth > 0.2)
    emitted = brightness * (cells.dome**0.6 * chromatin + 0.6 * spots)
    light = point_spread(emitted, focus=rng.uniform(1.2, 2.2), haze=0.2) + 0.02
    photons = rng.uniform(25, 120)
    return digitise(0.012 + photon_noise(light, photons, 1.5, rng), "uint16", 9000)


def two_colours(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cell bodies in green, nuclei in red, 8-bit RGB with an empty blue channel."""
    cells = build_anatomy(labels, rng, nucleus=0.62)
    size = labels.shape
    brightness = cells.each(np.exp(rng.normal(-0.35, 0.4, cells.count)))
    strands = np.clip(1 + 0.35 * smooth_noise(size, 1.6, rng), 0.1, None)
    cortex = np.exp(-((cells.edge / 3.0) ** 2)) * (cells.labels > 0)
    around = np.clip(1 - 0.8 * np.clip(cells.nucleus_depth * 4, 0, 1), 0, 1)
    green = brightness * (0.35 * cells.dome * around * strands + 0.45 * cortex * strands)
    red = cells.each(rng.uniform(0.45, 1.0, cells.count)) * np.sqrt(cells.nucleus_depth)
    red = red * (1 + 0.12 * smooth_noise(size, 2, rng))
    channels = [
        photon_noise(point_spread(part, focus=1.0, haze=0.10) + 0.01, 400, 3, rng)
        for part in (red, green)
    ]
    return digitise(np.dstack([*channels, np.zeros(size)]), "uint8", 255)


def membranes(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tissue with stained cell walls, 8-bit grey; walls fade in and out."""
    cells = build_anatomy(labels, rng, nucleus=0.45)
    size = labels.shape
    wall = np.exp(-(((cells.edge - 0.5) / 1.1) ** 2)) * (cells.labels > 0)
    fading = np.clip(0.6 + 0.45 * smooth_noise(size, 16, rng), 0.08, 1.6)
    patchy = np.clip(1 + 0.4 * smooth_noise(size, 2, rng), 0.1, None)
    inside = 0.07 * cells.each(rng.uniform(0.4, 1.6, cells.count))
    dark = 1 - 0.6 * np.clip(cells.nucleus_depth * 4, 0, 1)
    light = point_spread(0.6 * wall * fading * patchy + inside * dark, focus=1.1, haze=0.10)
    return digitise(photon_noise(light + 0.02, rng.uniform(30, 90), 1.5, rng), "uint8", 255)


def point_spread(emitted: np.ndarray, *, focus: float, haze: float) -> np.ndarray:
    """Blur as a wide-field microscope does: a sharp core and a share of out-of-focus light.

    Parameters
    ----------
    emitted
        Shape (H, W).
    focus
        Standard deviation of the core in px, a Gaussian in place of the Airy disc.
    haze
        Share of the light that comes from out of focus, spread over ten times the core.
    """
    core = ndimage.gaussian_filter(emitted, focus)
    return (1 - haze) * core + haze * ndimage.gaussian_filter(emitted, 10 * focus)
