"""What the network sees of an image: three channels, stretched to 8 bit, 0 to 1."""

from __future__ import annotations

import numpy as np
from skimage.exposure import rescale_intensity

from cellharness_adapters.mediar.presets import Normalisation

#: Of the values that are not zero.
_PERCENTILES = (0.0, 99.5)
_CHANNELS = 3


def prepare(image: np.ndarray, normalisation: Normalisation) -> np.ndarray | None:
    """Stretch an image as MEDIAR's authors do.

    Parameters
    ----------
    image : ndarray, (H, W) or (H, W, C)
        Any finite range. A grey image becomes three equal channels; a third channel that is
        missing is dark.
    normalisation : {"image", "channel"}
        Percentiles 0 and 99.5 of all values that are not zero, or of those of each channel.

    Returns
    -------
    ndarray of float32, (3, H, W), or None
        0 to 1; None where the image is flat, and there is nothing to see.

    Examples
    --------
    >>> prepare(np.array([[0, 10], [20, 30]]), "image")[0].round(2).tolist()
    [[0.0, 0.0], [0.5, 1.0]]
    """
    colours = np.stack([image] * _CHANNELS, axis=-1) if image.ndim == 2 else image[..., :_CHANNELS]
    colours = colours.astype(np.float32)
    if normalisation == "image":
        stretched = _stretch(colours)
    else:
        stretched = np.stack(
            [_stretch(colours[..., channel]) for channel in range(colours.shape[-1])], axis=-1
        )
    missing = _CHANNELS - stretched.shape[-1]
    if missing:
        stretched = np.pad(stretched, [(0, 0), (0, 0), (0, missing)])
    low, high = int(stretched.min()), int(stretched.max())
    if low == high:
        return None
    scaled = (stretched.astype(np.float32) - low) / (high - low)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


def _stretch(values: np.ndarray) -> np.ndarray:
    """To uint8; all zero where there is nothing but zeros."""
    seen = values[values != 0]
    if not seen.size:
        return np.zeros(values.shape, np.uint8)
    low, high = np.percentile(seen, _PERCENTILES)
    return rescale_intensity(values, (float(low), float(high)), "uint8").astype(np.uint8)
