"""What a method may return for an image or a tile of one."""

from __future__ import annotations

import numpy as np


def check_labels(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Refuse a result that is not a label image of the case's size, and number it 1..N.

    Parameters
    ----------
    labels : ndarray of int, (H, W)
        What a method returned.
    shape : tuple of int
        (H, W) of the image.

    Returns
    -------
    ndarray of unsigned int, (H, W)
        0 background, contiguous labels.

    Raises
    ------
    ValueError
        Wrong shape, or labels that are float, negative or not an array.
    """
    if not isinstance(labels, np.ndarray) or labels.shape != tuple(shape):
        found = getattr(labels, "shape", type(labels).__name__)
        msg = f"the method returned {found} for an image of {tuple(shape)}; expected labels (H, W)"
        raise ValueError(msg)
    if not np.issubdtype(labels.dtype, np.integer):
        msg = f"the method returned {labels.dtype}; labels must be integers"
        raise ValueError(msg)
    if labels.size and labels.min() < 0:
        msg = f"the method returned negative labels (smallest {labels.min()})"
        raise ValueError(msg)
    present = np.unique(labels)
    if present.size and int(present[-1]) == np.count_nonzero(present):
        return labels.astype(np.uint32, copy=False)
    numbers = np.cumsum(present > 0, dtype=np.uint32)
    return numbers[np.searchsorted(present, labels)]
