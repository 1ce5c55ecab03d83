"""Shrinking of images with large cells, and the way back."""

from __future__ import annotations

import numpy as np
from skimage.transform import rescale, resize

#: Of the spline that images are shrunk with.
SPLINE_ORDER = 2


def shrink(image: np.ndarray, scale: float) -> np.ndarray:
    """Shrink a normalised image.

    Parameters
    ----------
    image : ndarray of float32, (H, W)
    scale : float
        Above 0, at most 1; 1 gives the image itself.

    Returns
    -------
    ndarray of float32, (round(scale H), round(scale W))
    """
    if scale == 1:
        return image
    return rescale(image, scale, order=SPLINE_ORDER, preserve_range=True).astype(np.float32)


def resize_labels(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Give a label image another size; each pixel takes the label nearest to it.

    Parameters
    ----------
    labels : ndarray of int, (H, W)
    shape : (int, int)

    Returns
    -------
    ndarray of the same dtype, of that shape
    """
    if labels.shape == shape:
        return labels
    # In float64, which holds every label exactly.
    values = labels.astype(np.float64)
    return resize(values, shape, order=0, preserve_range=True, anti_aliasing=False).astype(
        labels.dtype
    )


def resize_map(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Give a distance map another size, linearly between its pixels.

    Parameters
    ----------
    values : ndarray of float32, (H, W)
    shape : (int, int)

    Returns
    -------
    ndarray of float32, of that shape
    """
    return values if values.shape == shape else resize(values, shape, order=1, preserve_range=True)
