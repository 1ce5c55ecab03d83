"""Probabilities of an image of any size, by tiles of which the margins are thrown away."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cellharness_adapters.misic.preparing import shape_indices

#: Side of a tile, and what is thrown away on each side of it, px.
TILE, MARGIN = 256, 16
#: Takes tiles (N, 3, size, size) and gives probabilities (N, size, size).
Predict = Callable[[np.ndarray], np.ndarray]


def predict_tiled(
    image: np.ndarray,
    predict: Predict,
    *,
    size: int = TILE,
    margin: int = MARGIN,
    batch_size: int = 4,
) -> np.ndarray:
    """Predict the probability of cell for a prepared image.

    Each tile's shape indices are made of the tile alone, mirrored at its border, as the authors
    do; what lies in the margin is not used.

    Parameters
    ----------
    image : ndarray, (H, W)
        As :func:`cellharness_adapters.misic.preparing.prepare` gives it.
    predict : callable
        The network on a batch of tiles.
    size, margin : int
        Side of a tile, and what is thrown away on each side of it, px.
    batch_size : int
        Tiles at once.

    Returns
    -------
    ndarray of float32, (H, W)
    """
    height, width = image.shape
    inner = size - 2 * margin
    # First up to whole tiles, then the margin: mirroring once is not the same where H < margin.
    whole = np.pad(image, [(0, -side % inner) for side in image.shape], mode="reflect")
    padded = np.pad(whole, margin, mode="reflect")
    result = np.empty(whole.shape, np.float32)
    places = [(y, x) for y in range(0, height, inner) for x in range(0, width, inner)]
    for first in range(0, len(places), batch_size):
        group = places[first : first + batch_size]
        tiles = np.stack([shape_indices(padded[y : y + size, x : x + size]) for y, x in group])
        for (y, x), found in zip(group, predict(tiles), strict=True):
            result[y : y + inner, x : x + inner] = found[margin:-margin, margin:-margin]
    return result[:height, :width]
