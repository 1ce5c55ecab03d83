"""Phase contrast: retarded light made visible by a phase ring, with its halo and shade-off.

The ring shifts and dims the undiffracted light. Being of finite width it also catches light
diffracted by little, that is coarse structure: cells get a bright halo, and the middle of a wide
cell fades to the level of the background. Both come out of the Fourier optics below and are not
painted on.
"""

from __future__ import annotations

import numpy as np

from cellharness.data.phantom.anatomy import build_anatomy
from cellharness.data.phantom.texture import digitise, photon_noise, smooth_noise, uneven_light


def adherent(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Spread cells with nucleus, nucleoli and granules, 16-bit."""
    cells = build_anatomy(labels, rng, nucleus=0.5)
    size = labels.shape
    sheet = 0.24 * (1 - np.exp(-cells.edge / 2.0))
    body = 0.22 * cells.depth**1.5
    nucleus = 0.14 * np.sqrt(np.clip(cells.nucleus_depth * 3, 0, 1))
    granules = np.clip(smooth_noise(size, 1.1, rng) - 1.2, 0, 2) * (cells.depth > 0.25)
    nucleoli = np.clip(smooth_noise(size, 1.6, rng) - 1.6, 0, 1) * (cells.nucleus_depth > 0.25)
    delay = sheet + body + nucleus + 0.22 * granules + 0.35 * nucleoli
    ruffles = 1 + 0.25 * smooth_noise(size, 4, rng)
    delay = delay * ruffles * cells.each(rng.uniform(0.45, 1.2, cells.count))
    delay = delay + 0.02 * smooth_noise(size, 1.5, rng)
    light = through_phase_ring(delay, ring=0.011, dimming=0.45)
    light *= uneven_light(size, 0.10, rng)
    return digitise(photon_noise(0.35 * light, 1800, 8, rng), "uint16", 24_000)


def bacteria(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dark rods with bright halos between them, 8-bit."""
    cells = build_anatomy(labels, rng)
    size = labels.shape
    delay = 0.42 * cells.dome * cells.each(rng.uniform(0.8, 1.2, cells.count))
    delay = delay + 0.02 * smooth_noise(size, 1.5, rng)
    light = through_phase_ring(delay, ring=0.016, dimming=0.5)
    light *= uneven_light(size, 0.08, rng)
    return digitise(photon_noise(0.03 + 0.28 * light, 1200, 5, rng), "uint8", 255)


def budding(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Round cells thick enough to turn bright inside, with a strong halo, 8-bit."""
    cells = build_anatomy(labels, rng, nucleus=0.45)
    size = labels.shape
    vacuole = 0.5 * np.clip(cells.nucleus_depth * 3, 0, 1)
    delay = 2.3 * cells.dome * cells.each(rng.uniform(0.8, 1.15, cells.count)) - vacuole
    delay = delay + 0.18 * smooth_noise(size, 1.5, rng) * (cells.labels > 0)
    light = through_phase_ring(delay, ring=0.012, dimming=0.5)
    light *= uneven_light(size, 0.12, rng)
    return digitise(photon_noise(0.16 * light, 900, 6, rng), "uint8", 255)


def through_phase_ring(delay: np.ndarray, *, ring: float, dimming: float) -> np.ndarray:
    """Picture of a transparent object in positive phase contrast, background near 1.

    Parameters
    ----------
    delay
        Phase delay in radians, shape (H, W).
    ring
        Width of the ring's passband in cycles per px: light diffracted by less goes through the
        ring. Smaller means a wider and fainter halo.
    dimming
        Amplitude that the ring lets pass, 0..1.
    """
    # Mirrored on all sides, so that the picture does not wrap around.
    pad = 48
    field = np.exp(-1j * np.pad(delay, pad, mode="reflect"))
    rows, columns = (np.fft.fftfreq(n) for n in field.shape)
    frequency = np.hypot(rows[:, None], columns)
    caught = np.exp(-0.5 * (frequency / ring) ** 2)
    # What passes the ring is advanced by a quarter wave: delay turns dark (positive contrast). The
    # aperture fades out at 0.22 cycles per px.
    through = 1 - caught + caught * dimming * np.exp(0.5j * np.pi)
    filtering = through * np.exp(-((frequency / 0.22) ** 4))
    seen = np.fft.ifft2(np.fft.fft2(field) * filtering)[pad:-pad, pad:-pad]
    return np.abs(seen) ** 2 / dimming**2
