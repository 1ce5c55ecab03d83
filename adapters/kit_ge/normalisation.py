"""How grey values become the network's input."""

from __future__ import annotations

from typing import Literal

import numpy as np

Normalisation = Literal["min_max", "published"]
Stage = Literal["training", "prediction"]

_UINT16 = 65535.0


def normalise(
    image: np.ndarray, how: Normalisation = "min_max", stage: Stage = "prediction"
) -> np.ndarray:
    """Scale an image to -1 ... 1.

    Parameters
    ----------
    image : ndarray, (H, W)
        Grey.
    how : {"min_max", "published"}
        ``min_max``: the image's own darkest and brightest value become -1 and 1, in
        training and in prediction. ``published``: so in prediction, while in training the
        whole range of uint16 is scaled, whatever the image fills of it (anchors 5.1: a
        mismatch of the published code; 8-bit images then all lie next to -1).
    stage : {"training", "prediction"}
        Matters for ``published`` only.

    Returns
    -------
    ndarray of float32, (H, W)
        All -1 for a constant image.

    Examples
    --------
    >>> normalise(np.array([[0, 5, 10]]))
    array([[-1.,  0.,  1.]], dtype=float32)
    >>> normalise(np.array([[0, 65535]], np.uint16), "published", "training")
    array([[-1.,  1.]], dtype=float32)
    """
    image = image.astype(np.float32)
    if how == "published" and stage == "training":
        return 2 * np.clip(image, 0, _UINT16) / np.float32(_UINT16) - 1
    low, high = image.min(), image.max()
    if high <= low:
        return np.full_like(image, -1)
    return 2 * (image - low) / (high - low) - 1
