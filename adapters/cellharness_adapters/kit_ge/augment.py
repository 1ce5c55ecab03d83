"""The published augmentations, with the values of scikit-image and SciPy.

The library used at the time (imgaug) is no longer kept. Everything random comes from one
generator, unlike there. Zooms, turns, blur and local equalisation go through loops of our own,
since scikit-image and SciPy took most of a crop's time for them.
"""

from __future__ import annotations

import math

import numpy as np
from skimage.exposure import rescale_intensity
from skimage.transform import AffineTransform

from cellharness_adapters.kit_ge.blurring import blurred
from cellharness_adapters.kit_ge.equalising import equalised
from cellharness_adapters.kit_ge.warping import resampled

Sample = tuple[np.ndarray, np.ndarray, np.ndarray]


def augment(
    image: np.ndarray, cell: np.ndarray, neighbor: np.ndarray, rng: np.random.Generator
) -> Sample:
    """Change a crop at random: flips and turns always, the rest now and then.

    Contrast (p = 0.5), zoom by 0.8 to 1.2 along each axis (p = 0.25), turn by up to 45
    degrees (p = 0.25), blur with sigma 1 to 2.75 px (p = 0.3), Gaussian noise of 1 to 6 %
    of the range (p = 0.3), as in the published training.

    Parameters
    ----------
    image : ndarray of float32, (S, S)
        Normalised to -1 ... 1.
    cell, neighbor : ndarray of float32, (S, S)
        Distance maps.
    rng : Generator
        All of the randomness.

    Returns
    -------
    image, cell, neighbor : ndarray of float32, (S, S)
    """
    maps = [image, cell, neighbor]
    maps = [_turned(part, turns, flip) for turns, flip in [_symmetry(rng)] for part in maps]
    if rng.random() < 0.5:
        maps[0] = 2 * _contrast((maps[0] + 1) / 2, rng) - 1
    if rng.random() < 0.25:
        scale = rng.uniform(0.8, 1.2, size=2)
        maps = _warped(maps, AffineTransform(scale=1 / scale))
    if rng.random() < 0.25:
        maps = _warped(maps, AffineTransform(rotation=math.radians(rng.uniform(-45, 45))))
    if rng.random() < 0.3:
        maps[0] = blurred(maps[0], rng.uniform(1.0, 2.75))
    if rng.random() < 0.3:
        # The range is 2; noise is measured from its lower end as in unsigned images.
        sigma = rng.integers(1, 7) / 100 * float(maps[0].max() + 1)
        maps[0] = np.clip(maps[0] + rng.normal(0, sigma, maps[0].shape), -1, 1)
    first, second, third = (np.ascontiguousarray(part, dtype=np.float32) for part in maps)
    return first, second, third


def turn(
    image: np.ndarray, cell: np.ndarray, neighbor: np.ndarray, rng: np.random.Generator
) -> Sample:
    """Change a crop by one of the eight symmetries of the square, and by nothing else.

    Parameters and returns as for :func:`augment`.
    """
    turns, flip = _symmetry(rng)
    first, second, third = (
        np.ascontiguousarray(_turned(part, turns, flip)) for part in (image, cell, neighbor)
    )
    return first, second, third


def _symmetry(rng: np.random.Generator) -> tuple[int, bool]:
    """One of the eight symmetries of the square."""
    return int(rng.integers(4)), bool(rng.integers(2))


def _turned(part: np.ndarray, turns: int, flip: bool) -> np.ndarray:
    return np.rot90(part[:, ::-1] if flip else part, turns)


def _contrast(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Local equalisation, stretching, or contrast and gamma; (S, S) in 0 ... 1."""
    kind = rng.integers(3)
    if kind == 0:
        return equalised(np.clip(image, 0, 1))
    if kind == 1:
        low, high = np.percentile(image, (0.2, 99.8))
        return rescale_intensity(image, (low, high), (0, 1)) if high > low else image
    mean = image.mean()
    image = (image - mean) * rng.uniform(0.65, 1.35) + mean
    low, span = image.min(), np.ptp(image)
    image = ((image - low) / (span + 1e-7)) ** rng.uniform(0.5, 1.5) * span + low
    if rng.random() < 0.5:
        image = 0.9 * image
    return np.clip(image, 0, 1)


def _warped(maps: list[np.ndarray], about_origin: AffineTransform) -> list[np.ndarray]:
    """Apply a transform about the centre; what comes in from outside is dark background."""
    centre = (np.array(maps[0].shape[::-1]) - 1) / 2
    move = AffineTransform(translation=-centre)
    back = AffineTransform(translation=centre)
    whole = move + about_origin + back
    return resampled(maps, whole.params, outside=(-1.0, 0.0, 0.0))
