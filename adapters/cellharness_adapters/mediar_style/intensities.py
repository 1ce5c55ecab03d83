"""MONAI's changes of intensity, from the same draws, without its wrappers.

MONAI keeps a tensor with its metadata for each step, blurs by torch's convolutions, and finds
the part of a line that a pixel lies on by a search. Imports torch.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import erf

from cellharness.compiled import compiled

#: Standard deviations at which the bell is cut off.
_TRUNCATE = 4.0


def with_noise(image: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
    """Add Gaussian noise of a standard deviation up to 0.1.

    Parameters
    ----------
    image : ndarray of float32, (3, H, W)
    draws : RandomState
        Of this change alone, as MONAI seeds it.

    Returns
    -------
    ndarray of float32, (3, H, W)
    """
    draws.rand()  # MONAI's own draw of whether to change anything
    sigma = draws.uniform(0, 0.1)
    return image + draws.normal(0, sigma, image.shape).astype(np.float32)


def with_gamma(image: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
    """Raise to a power of 1 to 2 within the image's range.

    Parameters and returns as for :func:`with_noise`.
    """
    draws.rand()
    gamma = draws.uniform(1, 2)
    low, high = image.min(), image.max()
    # torch's power, since numpy's differs in the last bit.
    changed = torch.from_numpy(image - low)
    changed.div_(float(high - low + np.float32(1e-7))).pow_(gamma)
    changed.mul_(float(high - low)).add_(float(low))
    return changed.numpy()


def smoothed(image: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
    """Blur by 1 to 2 px down and 0.25 to 1.5 px across; dark outside.

    Parameters and returns as for :func:`with_noise`.
    """
    draws.rand()
    down, across = draws.uniform(1, 2), draws.uniform(0.25, 1.5)
    return _blurred(image, down, across)


def with_shifted_histogram(image: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
    """Bend intensities at the middle of their range, up or down.

    Parameters and returns as for :func:`with_noise`. An image of one value stays as it is.
    """
    draws.rand()
    draws.randint(3, 4)  # how many points, where MONAI has a range of it
    middle = draws.uniform(0.0, 1.0)
    low, high = image.min(), image.max()
    if low == high:
        return image
    before = np.array([0, 0.5, 1], np.float32) * (high - low) + low
    after = np.array([0, middle, 1], np.float32) * (high - low) + low
    slopes = np.diff(after) / np.diff(before)
    return _bent(image, before, after, slopes, after[:-1] - slopes * before[:-1])


def sharpened(image: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
    """Blur by 0.5 to 1 px, and add 10 to 30 times what a second blur takes away.

    Parameters and returns as for :func:`with_noise`.
    """
    draws.rand()
    first = [draws.uniform(0.5, 1.0) for _ in range(3)]
    second = [draws.uniform(0.5, sigma) for sigma in first]
    amount = np.float32(draws.uniform(10.0, 30.0))
    # MONAI draws for the depth of volumes too.
    once = _blurred(image, *first[:2])
    difference = once - _blurred(once, *second[:2])
    difference *= amount
    difference += once
    return difference


#: In the winner's order and with its settings.
CHANGES: tuple[Callable[[np.ndarray, np.random.RandomState], np.ndarray], ...] = (
    with_noise,
    with_gamma,
    smoothed,
    with_shifted_histogram,
    sharpened,
)


def _blurred(image: np.ndarray, down: float, across: float) -> np.ndarray:
    out = np.empty(image.shape, np.float32)
    _blur(np.ascontiguousarray(image), _half_bell(down), _half_bell(across), out)
    return out


def _half_bell(sigma: float) -> np.ndarray:
    """Weights of a pixel and of those on one side of it: shares of the bell above each."""
    reach = int(max(_TRUNCATE * sigma, 0.5) + 0.5)
    steepness = np.float32(0.70710678) / np.float32(sigma)
    edges = erf(steepness * (np.arange(reach + 2, dtype=np.float32) - np.float32(0.5)))
    return np.maximum(np.float32(0.5) * np.diff(edges), 0)


@compiled
def _blur(image: np.ndarray, down: np.ndarray, across: np.ndarray, out: np.ndarray) -> None:
    channels, height, width = image.shape
    reach = len(across) - 1
    dark = np.zeros(width, np.float32)
    line = np.zeros(width + 2 * reach, np.float32)
    middle = line[reach : reach + width]
    for channel in range(channels):
        for y in range(height):
            here = image[channel, y]
            for x in range(width):
                middle[x] = here[x] * down[0]
            for k in range(1, len(down)):
                above = image[channel, y - k] if y >= k else dark
                below = image[channel, y + k] if y + k < height else dark
                for x in range(width):
                    middle[x] += (above[x] + below[x]) * down[k]
            found = out[channel, y]
            for x in range(width):
                found[x] = middle[x] * across[0]
            for k in range(1, reach + 1):
                left, right = line[reach - k : reach - k + width], line[reach + k :]
                for x in range(width):
                    found[x] += (left[x] + right[x]) * across[k]


@compiled
def _bent(
    image: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    slopes: np.ndarray,
    starts: np.ndarray,
) -> np.ndarray:
    """Take each value along two lines that meet at the middle of three points."""
    out = np.empty(image.shape, np.float32)
    # Chosen by value and not by branch, so that several pixels are worked on at once.
    start_low, start_high = starts[0], starts[1]
    slope_low, slope_high = slopes[0], slopes[1]
    middle, last, end = before[1], before[2], after[2]
    for channel in range(image.shape[0]):
        for y in range(image.shape[1]):
            for x in range(image.shape[2]):
                value = image[channel, y, x]
                slope = slope_high if value > middle else slope_low
                start = start_high if value > middle else start_low
                bent = slope * value + start
                # Beyond the last by rounding, since it is the largest.
                out[channel, y, x] = end if value > last else bent
    return out
