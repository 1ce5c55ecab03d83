"""Stained brightfield: light absorbed by dyes after Beer and Lambert.

``I = I0 * 10 ** -(c1 v1 + c2 v2)`` for each colour channel, with the amount of each dye and its
absorption vector. Vectors of haematoxylin and eosin are those of Ruifrok and Johnston (2001);
those of the blood dyes are set by eye.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cellharness.data.phantom.anatomy import build_anatomy
from cellharness.data.phantom.texture import (
    digitise,
    fibres,
    photon_noise,
    smooth_noise,
    uneven_light,
)

HAEMATOXYLIN = np.array([0.650, 0.704, 0.286])
EOSIN = np.array([0.072, 0.990, 0.105])
AZURE = np.array([0.80, 0.58, 0.14])
PURPLE = np.array([0.55, 0.80, 0.24])
HAEMOGLOBIN = np.array([0.16, 0.62, 0.60])


def giemsa_smear(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """White cells of a blood smear: purple nucleus, blue cytoplasm, on a clear background."""
    cells = build_anatomy(labels, rng, nucleus=0.74)
    size = labels.shape
    inside = np.clip(cells.edge / 1.5, 0, 1)
    chromatin = 1 + 0.28 * smooth_noise(size, 1.8, rng) + 0.12 * smooth_noise(size, 0.8, rng)
    nucleus = np.clip(cells.nucleus_depth * 7, 0, 1)
    depth_of_stain = cells.each(rng.uniform(0.75, 1.25, cells.count))
    cytoplasm = inside * (1 - 0.5 * nucleus) * (1 + 0.15 * smooth_noise(size, 3, rng))
    azure = 0.42 * depth_of_stain * cytoplasm
    purple = 0.85 * depth_of_stain * nucleus * chromatin
    plasma = 0.03 + 0.012 * smooth_noise(size, 30, rng)
    dirt = np.clip(smooth_noise(size, 1.2, rng) - 3.4, 0, 1)
    return _expose(
        [(AZURE, azure + plasma), (PURPLE, purple + 0.5 * dirt)], rng, tint=(0.93, 0.91, 0.86)
    )


def haematoxylin_eosin(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tissue section: dark nuclei (the labels) in pink, fibrous surroundings."""
    nuclei = build_anatomy(labels, rng)
    size = labels.shape
    direction = rng.uniform(0, np.pi)
    inside = np.clip(nuclei.edge / 2, 0, 1)
    chromatin = 1 + 0.25 * smooth_noise(size, 1.5, rng)
    rim = np.exp(-(((nuclei.edge - 1.5) / 1.2) ** 2)) * (nuclei.labels > 0)
    stained = nuclei.each(rng.uniform(0.4, 1.15, nuclei.count))
    blue = stained * inside * (0.62 * chromatin + 0.25 * rim)
    matrix = 0.24 + 0.05 * fibres(size, 1.6, direction, rng) + 0.05 * smooth_noise(size, 12, rng)
    matrix += 0.03 * smooth_noise(size, 1.5, rng)
    gaps = np.clip(smooth_noise(size, 9, rng) - 1.3, 0, 0.7) / 0.7
    pink = np.clip(matrix, 0.02, None) * (1 - gaps * (1 - inside)) * (1 - 0.35 * inside)
    haze = 0.08 + 0.04 * smooth_noise(size, 7, rng)
    return _expose(
        [(HAEMATOXYLIN, blue + np.clip(haze, 0, None)), (EOSIN, pink)],
        rng,
        tint=(0.97, 0.95, 0.97),
        blur=rng.uniform(0.8, 1.3),
    )


def red_cells(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Red blood cells: discs with a pale middle, coloured by their own pigment."""
    cells = build_anatomy(labels, rng, nucleus=0.6)
    size = labels.shape
    inside = np.clip(cells.edge / 1.5, 0, 1)
    pale = cells.each(rng.uniform(0.35, 0.85, cells.count))
    amount = cells.each(rng.uniform(0.8, 1.2, cells.count))
    thickness = inside * (1 - pale * np.clip(cells.nucleus_depth * 2.2, 0, 1))
    # The rim of a cell bends light away and looks drawn with a pencil.
    rim = np.exp(-(((cells.edge - 0.8) / 0.9) ** 2)) * (cells.labels > 0)
    pigment = 0.34 * amount * thickness * (1 + 0.05 * smooth_noise(size, 3, rng)) + 0.10 * rim
    return _expose([(HAEMOGLOBIN, pigment)], rng, tint=(0.93, 0.92, 0.90))


def _expose(
    dyes: list[tuple[np.ndarray, np.ndarray]],
    rng: np.random.Generator,
    *,
    tint: tuple[float, float, float],
    blur: float = 0.8,
) -> np.ndarray:
    """Send white light through the dyes and take an 8-bit colour picture of it."""
    density = sum(amount[..., None] * vector for vector, amount in dyes)
    light = np.asarray(tint) * 10.0 ** -np.clip(density, 0, None)
    light *= uneven_light(light.shape[:2], 0.05, rng)[..., None]
    light = ndimage.gaussian_filter(light, (blur, blur, 0))
    return digitise(photon_noise(light, 3500, 6, rng), "uint8", 255)
