"""Distance maps of an image of any size, by overlapping tiles without seams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

#: Takes tiles (N, S, S) and gives their maps (neighbour, cell), each (N, S, S).
Predict = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def predict_tiled(
    image: np.ndarray,
    predict: Predict,
    *,
    tile: int = 512,
    overlap: int = 96,
    divisor: int = 16,
    batch_size: int = 2,
) -> tuple[np.ndarray, np.ndarray]:
    """Predict both maps of an image.

    An image no larger than a tile goes through the network whole. A larger one is cut
    into overlapping tiles; where they overlap, their maps are averaged with weights that
    fall linearly to the tile's edge, so that no seam is left for the watershed.

    Parameters
    ----------
    image : ndarray of float32, (H, W)
        Normalised.
    predict : callable
        The network on a batch of tiles.
    tile : int
        Side of a tile in px, a multiple of ``divisor``.
    overlap : int
        Px that neighbouring tiles share at least, below half a tile.
    divisor : int
        The network's input sides must be multiples of it.
    batch_size : int
        Tiles at once.

    Returns
    -------
    neighbor, cell : ndarray of float32, (H, W)
        Memory beside them: the batch of tiles and one weight map.

    Raises
    ------
    ValueError
        Tile, overlap and divisor do not go together.
    """
    if tile % divisor or tile <= 0 or not 0 <= overlap < tile / 2:
        msg = (
            f"tile {tile} with overlap {overlap}: the tile must be a multiple of {divisor} and "
            "more than twice the overlap"
        )
        raise ValueError(msg)
    height, width = image.shape
    # A dimension that fits is padded to what the network takes, not to a whole tile.
    sides = [min(tile, -(-length // divisor) * divisor) for length in (height, width)]
    padded = _padded(
        image, [max(length, side) for length, side in zip((height, width), sides, strict=True)]
    )
    rows = _starts(padded.shape[0], sides[0], overlap)
    columns = _starts(padded.shape[1], sides[1], overlap)
    if len(rows) == len(columns) == 1:
        neighbor, cell = predict(padded[None])
        return neighbor[0, :height, :width].copy(), cell[0, :height, :width].copy()
    maps = np.zeros((2, *padded.shape), np.float32)
    total = np.zeros(padded.shape, np.float32)
    weight = np.minimum.outer(_ramp(sides[0], overlap), _ramp(sides[1], overlap))
    windows = [np.s_[y : y + sides[0], x : x + sides[1]] for y in rows for x in columns]
    for group in _grouped(windows, batch_size):
        predicted = predict(np.stack([padded[window] for window in group]))
        for part, whole in zip(predicted, maps, strict=True):
            for window, one in zip(group, part, strict=True):
                whole[window] += weight * one
        for window in group:
            total[window] += weight
    maps /= total
    neighbor, cell = maps[:, :height, :width]
    return neighbor, cell


def _padded(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Mirror an image to the right and below; a side of 1 px is repeated."""
    pad = [(0, wanted - length) for length, wanted in zip(image.shape, shape, strict=True)]
    return np.pad(image, pad, mode="symmetric") if any(after for _, after in pad) else image


def _starts(length: int, side: int, overlap: int) -> list[int]:
    """Evenly spread first pixels of tiles that cover a length with at least the overlap."""
    if length == side:
        return [0]
    count = -(-(length - overlap) // (side - overlap))
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def _ramp(side: int, overlap: int) -> np.ndarray:
    """Weights that rise from the edge over the overlap; never 0."""
    distance = np.minimum(np.arange(side) + 0.5, np.arange(side)[::-1] + 0.5)
    return np.minimum(distance / max(overlap, 1), 1).astype(np.float32)


def _grouped(
    items: Sequence[tuple[slice, slice]], size: int
) -> Iterator[Sequence[tuple[slice, slice]]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
