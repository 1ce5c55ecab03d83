"""Which cells a crop shows, and those chosen of them made brighter."""

from __future__ import annotations

import numpy as np

from cellharness.compiled import compiled


def shown(labels: np.ndarray) -> np.ndarray:
    """Find the labels of a crop, as ``numpy.unique`` without sorting its pixels.

    Parameters
    ----------
    labels : ndarray of unsigned int, (H, W)
        0 background, 1 to n.

    Returns
    -------
    ndarray of int64, (N,)
        Ascending, without 0.
    """
    there = np.zeros(int(labels.max()) + 1, np.bool_)
    _note(labels, there)
    there[0] = False
    return np.flatnonzero(there)


def brightened(
    image: np.ndarray, labels: np.ndarray, chosen: np.ndarray, factor: float
) -> np.ndarray:
    """Multiply the image by a factor where cells were chosen.

    Parameters
    ----------
    image : ndarray of float32, (3, H, W)
    labels : ndarray of unsigned int, (H, W)
    chosen : ndarray of int64, (N,)
        Labels of ``labels``.
    factor : float

    Returns
    -------
    ndarray of float32, (3, H, W)
    """
    factors = np.ones(int(labels.max()) + 1, np.float32)
    factors[chosen] = factor
    out = np.empty(image.shape, np.float32)
    _multiply(image, labels, factors, out)
    return out


@compiled
def _note(labels: np.ndarray, there: np.ndarray) -> None:
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            there[labels[y, x]] = True


@compiled
def _multiply(image: np.ndarray, labels: np.ndarray, factors: np.ndarray, out: np.ndarray) -> None:
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            factor = factors[labels[y, x]]
            for k in range(3):
                out[k, y, x] = image[k, y, x] * factor
