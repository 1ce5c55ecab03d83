"""What the network sees of an image: three channels, stretched to 8 bit, 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from skimage.exposure import rescale_intensity

from cellharness_adapters.mediar.presets import Normalisation

#: Of the values that are not zero.
PERCENTILES = (0.0, 99.5)
_CHANNELS = 3

#: Grey values that become 0 and 255.
Range = tuple[float, float] | None


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
    colours = as_colours(image)
    groups = [colours] if normalisation == "image" else list(np.moveaxis(colours, -1, 0))
    stretched = stretch(colours, [range_of(values) for values in groups])
    low, high = int(stretched.min()), int(stretched.max())
    return None if low == high else scale(stretched, low, high)


def as_colours(image: np.ndarray) -> np.ndarray:
    """Colours of an image, float32, (H, W, C) with at most three."""
    colours = np.stack([image] * _CHANNELS, axis=-1) if image.ndim == 2 else image[..., :_CHANNELS]
    return colours.astype(np.float32)


def range_of(values: np.ndarray) -> Range:
    """What becomes darkest and brightest; None where there is nothing but zeros."""
    seen = values[values != 0]
    if not seen.size:
        return None
    low, high = np.percentile(seen, PERCENTILES)
    return float(low), float(high)


def stretch(colours: np.ndarray, ranges: Sequence[Range]) -> np.ndarray:
    """Stretch colours to uint8, (H, W, 3), by one range for all or one for each channel."""
    wanted = [*ranges] * (colours.shape[-1] // len(ranges))
    stretched = np.zeros((*colours.shape[:2], _CHANNELS), np.uint8)
    for channel, ends in enumerate(wanted):
        if ends is not None:
            stretched[..., channel] = rescale_intensity(colours[..., channel], ends, "uint8")
    return stretched


def scale(stretched: np.ndarray, low: int, high: int) -> np.ndarray:
    """Give what the network sees, (3, H, W) float32, of stretched colours and their ends."""
    scaled = (stretched.astype(np.float32) - low) / (high - low)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))
