"""How grey values become the network's input."""

from __future__ import annotations

from typing import Literal

import numpy as np

from cellharness_adapters.kit_ge.choices import Normalisation

Stage = Literal["training", "prediction"]

_UINT16 = 65535.0


def normalise(
    image: np.ndarray,
    how: Normalisation = "min_max",
    stage: Stage = "prediction",
    limits: tuple[float, float] | None = None,
) -> np.ndarray:
    """Scale an image to -1 ... 1.

    Parameters
    ----------
    image : ndarray, (H, W)
        Grey.
    how : {"min_max", "published"}
        ``min_max``: the image's own darkest and brightest value become -1 and 1, in
        training and in prediction. ``published``: so in prediction, while in training the
        image is first stretched to whole numbers of uint16, as the published code stores
        its training images. The two then differ by that rounding, 3e-5 at most, and where
        prediction shrinks the image, which it does after normalising.
    stage : {"training", "prediction"}
        Matters for ``published`` only.
    limits : (float, float), optional
        Darkest and brightest value of the whole image, where this is a part of it.

    Returns
    -------
    ndarray of float32, (H, W)
        All -1 for a constant image.

    Examples
    --------
    >>> normalise(np.array([[0, 5, 10]]))
    array([[-1.,  0.,  1.]], dtype=float32)
    >>> normalise(np.array([[0, 1, 3]]), "published", "training").round(3)
    array([[-1.   , -0.333,  1.   ]], dtype=float32)
    """
    image = image.astype(np.float32)
    low, high = (image.min(), image.max()) if limits is None else map(np.float32, limits)
    if high <= low:
        return np.full_like(image, -1)
    unit = (image - low) / (high - low)
    if how == "published" and stage == "training":
        unit = np.floor(_UINT16 * unit) / np.float32(_UINT16)
    return 2 * unit - 1
