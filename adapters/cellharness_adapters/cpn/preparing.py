"""What the network sees of an image: three channels of 8 bit."""

from __future__ import annotations

import numpy as np
from skimage.exposure import rescale_intensity
from skimage.util import img_as_ubyte

from cellharness_adapters.cpn.presets import Normalisation

#: Gamma lifts images darker than this mean; from no gamma there to the strongest at 0.
_SPREAD, _STRONGEST = 17.0, 0.6


def prepare(image: np.ndarray, normalisation: Normalisation) -> np.ndarray | None:
    """Bring an image to 8 bit and three channels as CPN's authors do.

    Parameters
    ----------
    image : ndarray, (H, W) or (H, W, C)
        Any finite range. A grey image becomes three equal channels; a third channel that is
        missing is dark.
    normalisation : {"percentile", "cstm-mix"}
        ``percentile``: 8 bit as it is, all else from percentile 0.1 to 99.9. ``cstm-mix``: the
        challenge's, which lifts dark images and stretches some.

    Returns
    -------
    ndarray of uint8, (H, W, 3), or None
        None where the image is flat.
    """
    if image.min() == image.max():
        return None
    if normalisation == "cstm-mix":
        seen = _mixed(image)
    else:
        seen = image if image.dtype == np.uint8 else _between(image, 99.9)
    if seen.ndim == 2:
        return np.repeat(seen[..., None], 3, axis=-1)
    missing = max(0, 3 - seen.shape[-1])
    return np.pad(seen[..., :3], [(0, 0), (0, 0), (0, missing)])


def _between(image: np.ndarray, percentile: float) -> np.ndarray:
    low, high = np.percentile(image, (100 - percentile, percentile))
    if low == high:
        low, high = image.min(), image.max()
    return img_as_ubyte((np.clip(image, low, high) - low) / (high - low))


def _mixed(image: np.ndarray) -> np.ndarray:
    """Stretched and lifted, by a rule that tells pale colour images and dark grey ones."""
    stretched, lifted = _stretched(image), _lifted(image)
    share = 0.0
    if image.ndim == 3 and image.shape[-1] > 2:
        blue = image[..., 2]
        share = 1.0 if blue.mean() > 200 and blue.std() < 20 else 0.0
    elif image.ndim == 2 and lifted.mean() < 45 and lifted.std() < 33:
        share = 0.5
    return np.clip(share * stretched + (1 - share) * lifted, 0, 255).astype(np.uint8)


def _stretched(image: np.ndarray) -> np.ndarray:
    low, high = np.percentile(image[image != 0], (1, 99))
    if high - low <= 0.001:
        return image.astype(np.uint8)
    return rescale_intensity(image, (float(low), float(high)), "uint8").astype(np.uint8)


def _lifted(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        seen = image
    elif image.dtype.kind == "f":
        eight_bit = image.min() >= 0 and image.max() < 256
        seen = img_as_ubyte(np.minimum(image / 255, 1)) if eight_bit else _between(image, 99.95)
    else:
        seen = _between(image, 99.88)
    mean = float(seen.mean())
    if mean >= np.pi * _SPREAD:
        return seen
    gamma = (1 - (np.cos(mean / _SPREAD) + 1) / 2) * (1 - _STRONGEST) + _STRONGEST
    return img_as_ubyte((seen / 255) ** gamma)
