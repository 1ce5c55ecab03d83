"""Random fields, and what goes on in front of every camera: uneven light, noise, digitisation."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def smooth_noise(size: tuple[int, ...], scale: float, rng: np.random.Generator) -> np.ndarray:
    """Random field of mean 0 and standard deviation 1, correlated over about `scale` px."""
    # Coarse fields are drawn coarse and enlarged: the same look at a fraction of the time.
    step = max(1, int(scale / 4))
    coarse = tuple(-(-n // step) + 4 for n in size)
    field = ndimage.gaussian_filter(rng.standard_normal(coarse), scale / step, mode="wrap")
    if step > 1:
        field = ndimage.zoom(field, step, order=1)
    field = field[: size[0], : size[1]]
    return (field - field.mean()) / max(float(field.std()), 1e-9)


def fibres(
    size: tuple[int, ...], scale: float, angle: float, rng: np.random.Generator
) -> np.ndarray:
    """Random field like `smooth_noise`, drawn out about fivefold along a direction (radians)."""
    rows, columns = (np.fft.fftfreq(n)[:, None] * 2 * np.pi for n in size)
    columns = columns.T
    along = np.cos(angle) * columns + np.sin(angle) * rows
    across = np.cos(angle) * rows - np.sin(angle) * columns
    window = np.exp(-0.5 * ((5 * scale * along) ** 2 + (scale * across) ** 2))
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal(size)) * window).real
    return (field - field.mean()) / max(float(field.std()), 1e-9)


def uneven_light(size: tuple[int, ...], strength: float, rng: np.random.Generator) -> np.ndarray:
    """Slowly varying illumination around 1; `strength` is its largest relative deviation."""
    rows, columns = (np.linspace(-1, 1, n) for n in size)
    tilt = rng.uniform(0, 2 * np.pi)
    plane = np.sin(tilt) * rows[:, None] + np.cos(tilt) * columns
    bowl = rows[:, None] ** 2 + columns**2 - 2 / 3
    field = 0.7 * plane - 0.5 * bowl
    return 1 + strength * field / np.abs(field).max()


def photon_noise(
    light: np.ndarray, photons: float, read_noise: float, rng: np.random.Generator
) -> np.ndarray:
    """Count photons: Poisson noise for `photons` per unit of light, Gaussian noise of reading.

    `light` and the result have the same unit; `read_noise` is in photons.
    """
    counted = rng.poisson(np.clip(light, 0, None) * photons).astype(float)
    return (counted + read_noise * rng.standard_normal(light.shape)) / photons


def digitise(light: np.ndarray, dtype: str, white: float) -> np.ndarray:
    """Turn light into integers so that 1 becomes `white`; what is brighter saturates."""
    top = np.iinfo(dtype).max
    return np.clip(np.rint(light * white), 0, top).astype(dtype)
