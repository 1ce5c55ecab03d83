"""Gaussian blur of small images, with SciPy's values and several pixels at once."""

from __future__ import annotations

import numpy as np

from cellharness.compiled import compiled

#: Standard deviations at which the bell is cut off, as in SciPy.
_TRUNCATE = 4.0


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur by a Gaussian; what lies outside is the image mirrored at its edge.

    The values are those of ``scipy.ndimage.gaussian_filter(image, sigma)``, whose sums are taken
    in the same order. SciPy goes along each row and column pixel by pixel.

    Parameters
    ----------
    image : ndarray of float32, (H, W)
    sigma : float
        Standard deviation in px, above 0.

    Returns
    -------
    ndarray of float32, (H, W)
    """
    reach = int(_TRUNCATE * sigma + 0.5)
    bell = np.exp(-0.5 / (sigma * sigma) * np.arange(-reach, reach + 1) ** 2)
    half = (bell / bell.sum())[: reach + 1]
    rows, columns = (np.pad(np.arange(length), reach, mode="symmetric") for length in image.shape)
    out = np.empty(image.shape, np.float32)
    _blur(np.ascontiguousarray(image), half, rows, columns, out)
    return out


@compiled
def _blur(
    image: np.ndarray, half: np.ndarray, rows: np.ndarray, columns: np.ndarray, out: np.ndarray
) -> None:
    height, width = image.shape
    reach = len(half) - 1
    sums = np.empty(width)
    line = np.empty(len(columns))
    for y in range(height):
        middle = image[y]
        for x in range(width):
            sums[x] = np.float64(middle[x]) * half[reach]
        for k in range(reach):
            above, below = image[rows[y + k]], image[rows[y + 2 * reach - k]]
            for x in range(width):
                sums[x] += (np.float64(above[x]) + np.float64(below[x])) * half[k]
        for x in range(len(columns)):
            # SciPy keeps the result along the first axis in the dtype of the image.
            line[x] = np.float32(sums[columns[x]])
        for x in range(width):
            sums[x] = line[reach + x] * half[reach]
        for k in range(reach):
            left, right = line[k : k + width], line[2 * reach - k : 2 * reach - k + width]
            for x in range(width):
                sums[x] += (left[x] + right[x]) * half[k]
        for x in range(width):
            out[y, x] = sums[x]
