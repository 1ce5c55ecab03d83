"""From an image to what MiSiC's network is shown: polarity, scale, gamma, noise, shape index.

After the description in Panigrahi et al. 2021 and the settings of the authors' plug-in
(misic-napari 0.2.3), whose own functions are the oracle in ``tests/adapters/test_misic.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from skimage.exposure import adjust_gamma
from skimage.feature import shape_index
from skimage.filters import gaussian, laplace
from skimage.transform import resize

if TYPE_CHECKING:
    from cellharness_adapters.misic.segmenter import MisicParameters

#: Scales of the three shape indices, px.
_SIGMAS = (1.0, 1.5, 2.0)
#: Noise goes where the shape index at scale 1 tells a bright spot or ridge from the rest.
_NOISE_ABOVE = -0.4 + 0.025
#: Of the plug-in, so that its noise is the same on every image.
NOISE_SEED = 42
#: Smoothing after the Laplacian, px.
_LAPLACE_SIGMA = 2.2


def normalise(image: np.ndarray) -> np.ndarray:
    """Scale an image's range to 0..1, float64; a constant image becomes 0."""
    lowest = image.min()
    span = float(image.max()) - float(lowest)
    shifted = image.astype(np.float64) - float(lowest)
    return shifted / span if span > 0 else shifted


def prepare(
    image: np.ndarray, scale: float, parameters: MisicParameters, *, light: bool
) -> np.ndarray:
    """Make cells bright, scale them, and take gamma and noise as the plug-in does.

    Parameters
    ----------
    image : ndarray, (H, W)
        Any finite range, which becomes 0..1. (The plug-in does so for light backgrounds only.)
    scale : float
        Zoom after which cells have the width of the network's training.
    parameters : MisicParameters
        Gamma, Laplacian, noise.
    light : bool
        Whether the background is lighter than the cells.

    Returns
    -------
    ndarray of float64, (h, w)
        At least 2 px high and wide.
    """
    gray = normalise(image)
    gray = 1 - gray if light else gray
    if scale != 1:
        shape = scaled_shape(gray.shape, scale)
        gray = resize(gray, shape, order=1, mode="reflect", anti_aliasing=scale < 1)
    return with_noise(sharpened(gray, parameters), parameters.noise)


def scaled_shape(shape: tuple[int, ...], scale: float) -> tuple[int, int]:
    """Rows and columns of an image that was scaled."""
    height, width = (max(2, round(side * scale)) for side in shape)
    return height, width


def sharpened(gray: np.ndarray, parameters: MisicParameters) -> np.ndarray:
    """Take gamma, and the smoothed Laplacian if that is asked for, of an image of 0 to 1."""
    if parameters.gamma != 1:
        gray = adjust_gamma(gray, parameters.gamma)
    if parameters.gaussian_laplace:
        gray = gaussian(laplace(gray), _LAPLACE_SIGMA)
    return gray


def noisy_places(image: np.ndarray) -> np.ndarray:
    """Ridges and spots, which get more of the noise, as 1; float64, (H, W)."""
    return (-shape_index(image, 1) > _NOISE_ABOVE).astype(np.float64)


def with_noise(image: np.ndarray, amount: float) -> np.ndarray:
    """Add weak noise to ridges and spots, which keeps the network from seeing cells in nothing.

    Parameters
    ----------
    image : ndarray of float, (H, W)
    amount : float
        Largest noise is about 1.5 times this, on an image of range 0..1.
    """
    # A stream of its own: the global generator is the run's.
    random = np.random.RandomState(NOISE_SEED)
    spots = noisy_places(image)
    noise = random.rand(*image.shape)
    noise *= spots + 0.5 * random.rand(*image.shape)
    return normalise(image) + amount * noise


def shape_indices(tile: np.ndarray) -> np.ndarray:
    """Shape index at three scales, (3, H, W) float32, from -1 (cap) to 1 (cup).

    Where an image is flat it is not defined and 0 here; the plug-in hands the network NaN.
    """
    if tile.max() == tile.min():
        return np.zeros((len(_SIGMAS), *tile.shape), np.float32)
    gray = normalise(tile)
    indices = [shape_index(gray, sigma, mode="reflect") for sigma in _SIGMAS]
    return np.nan_to_num(np.stack(indices), nan=0.0).astype(np.float32)
