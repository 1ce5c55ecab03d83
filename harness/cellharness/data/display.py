"""Images as a screen shows them: 8 bits, the range that matters stretched over all of them."""

from __future__ import annotations

import numpy as np

#: Percentiles that become black and white.
LOW, HIGH = 0.5, 99.8


def stretch(image: np.ndarray) -> np.ndarray:
    """Stretch an image for display, all channels alike so that colours keep their hue.

    The 0.5th percentile becomes black and the 99.8th white. Two channels become red and green.

    Parameters
    ----------
    image : ndarray, (H, W) or (H, W, C)
        Finite, any real dtype, C 2 or 3.

    Returns
    -------
    ndarray of uint8, (H, W) or (H, W, 3)
    """
    values = image.astype(np.float32)
    if values.ndim == 3 and values.shape[2] == 2:
        values = np.dstack([values, np.zeros_like(values[..., 0])])
    # A channel without signal says nothing about how dark the dark is.
    lit = values if values.ndim == 2 else values[..., values.max((0, 1)) > values.min((0, 1))]
    ends = shown_range(lit) if lit.size else None
    if ends is None:
        return np.full(values.shape, 128, np.uint8)
    low, high = ends
    return (np.clip((values - low) / (high - low), 0, 1) * 255).round().astype(np.uint8)


def shown_range(values: np.ndarray) -> tuple[float, float] | None:
    """Values that become black and white; None where all are equal.

    Parameters
    ----------
    values : ndarray
        Not empty, finite.
    """
    low, high = np.percentile(values, (LOW, HIGH))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    return (float(low), float(high)) if high > low else None
