"""Distance maps of an image of any size, by overlapping tiles that pass into each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cellharness.slides.blending import Pieces, WholeMap, blend

#: Takes tiles (N, h, w) and gives their maps (neighbour, cell), each (N, h, w).
Predict = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class Span(NamedTuple):
    """A tile along one axis: its first pixel, and the weight of each of its pixels."""

    start: int
    weights: np.ndarray


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

    Tiles start at multiples of ``divisor``: there the strided convolutions see the same grid as
    in the whole image, and elsewhere another. What lies within a quarter of the overlap from a
    tile's edge knows least of its surroundings and is not used; in the middle of the overlap the
    weight passes linearly from one tile to the next, so that no seam is left for the watershed.

    Parameters
    ----------
    image : ndarray of float32, (H, W)
        Normalised. It is mirrored on the right and below up to a multiple of ``divisor``.
    predict : callable
        The network on a batch of tiles.
    tile : int
        Side of a tile in px, a multiple of ``divisor``; an image no larger is one tile.
    overlap : int
        Px that neighbouring tiles share at least, below half a tile.
    divisor : int
        The network's input sides must be multiples of it.
    batch_size : int
        Tiles at once.

    Returns
    -------
    neighbor, cell : ndarray of float32, (H, W)
        Memory beside image and maps: one batch of tiles.

    Raises
    ------
    ValueError
        Tile, overlap and divisor do not go together.
    """
    rows, columns = _spans_of(image.shape, tile, overlap, divisor)
    neighbor, cell = np.zeros(image.shape, np.float32), np.zeros(image.shape, np.float32)
    places = [(row, column) for row in rows for column in columns]
    for first in range(0, len(places), batch_size):
        group = places[first : first + batch_size]
        near, inside = predict(np.stack([_cut(image, *place) for place in group]))
        for number, (row, column) in enumerate(group):
            y = slice(row.start, min(row.start + len(row.weights), image.shape[0]))
            x = slice(column.start, min(column.start + len(column.weights), image.shape[1]))
            seen = (slice(0, y.stop - y.start), slice(0, x.stop - x.start))
            weights = np.outer(row.weights, column.weights)[seen]
            neighbor[y, x] += weights * near[number][seen]
            cell[y, x] += weights * inside[number][seen]
    return neighbor, cell


def blend_tiled(
    path: Path,
    shape: tuple[int, int],
    read: Callable[[slice], np.ndarray],
    predict: Predict,
    *,
    tile: int,
    overlap: int,
    divisor: int,
    batch_size: int,
) -> WholeMap:
    """Predict both maps of an image that is read by rows, as :func:`predict_tiled` does.

    Parameters
    ----------
    path : Path
        Where the maps go.
    shape : (int, int)
        (H, W) of the image.
    read : callable
        Gives rows of the image, all columns, as :func:`predict_tiled` takes it.
    predict, tile, overlap, divisor, batch_size
        As there, and so are the errors.

    Returns
    -------
    WholeMap
        Neighbour distance, cell distance.
    """
    rows, columns = _spans_of(shape, tile, overlap, divisor)
    size = len(rows[0].weights), len(columns[0].weights)
    pieces = Pieces([row.start for row in rows], [column.start for column in columns], size)

    def band_at(start: int) -> np.ndarray:
        part = read(slice(start, min(start + size[0], shape[0])))
        beyond = [(0, size[0] - part.shape[0]), (0, pieces.shape[1] - part.shape[1])]
        return np.pad(part, beyond, mode="symmetric")[None]

    return blend(
        path,
        shape,
        2,
        pieces,
        band_at,
        lambda batch: np.stack(predict(batch[:, 0]), axis=1),
        lambda row, column: np.outer(rows[row].weights, columns[column].weights),
        batch_size=batch_size,
    )


def _spans_of(
    shape: tuple[int, ...], tile: int, overlap: int, divisor: int
) -> tuple[list[Span], list[Span]]:
    """Tiles along both axes."""
    if tile % divisor or not 0 <= overlap < tile / 2 or tile - overlap < divisor:
        msg = (
            f"tile {tile} with overlap {overlap}: the tile must be a multiple of {divisor} and "
            f"more than twice the overlap, and at least {divisor} more than it"
        )
        raise ValueError(msg)
    height, width = shape
    return spans(height, tile, overlap, divisor), spans(width, tile, overlap, divisor)


def spans(length: int, tile: int, overlap: int, divisor: int) -> list[Span]:
    """Place tiles evenly along one axis; their weights add up to 1 at every pixel.

    Parameters
    ----------
    length : int
        Pixels of the image along the axis.
    tile, overlap, divisor : int
        As in :func:`predict_tiled`.

    Returns
    -------
    list of Span
        All of equal length; the last reaches less than ``divisor`` px beyond the image.
    """
    units = -(-length // divisor)
    if units * divisor <= tile:
        return [Span(0, np.ones(units * divisor, np.float32))]
    beyond = units - tile // divisor
    steps = -(-beyond // ((tile - overlap) // divisor))
    starts = [divisor * (number * beyond // steps) for number in range(steps + 1)]
    weights = np.ones((len(starts), tile), np.float32)
    for number in range(steps):
        shared = starts[number] + tile - starts[number + 1]
        ramp = _ramp(shared, max(overlap / 2, 1))
        weights[number, tile - shared :] *= 1 - ramp
        weights[number + 1, :shared] *= ramp
    return [Span(start, row) for start, row in zip(starts, weights, strict=True)]


def _ramp(shared: int, length: float) -> np.ndarray:
    """Weight of the later of two tiles where they overlap: 0, in the middle a line, 1."""
    from_middle = (np.arange(shared) + 0.5 - shared / 2) / length
    return np.clip(from_middle + 0.5, 0, 1).astype(np.float32)


def _cut(image: np.ndarray, row: Span, column: Span) -> np.ndarray:
    """Cut a tile out, mirrored where it reaches beyond the image; a side of 1 px is repeated."""
    part = image[
        row.start : row.start + len(row.weights), column.start : column.start + len(column.weights)
    ]
    pad = [(0, len(row.weights) - part.shape[0]), (0, len(column.weights) - part.shape[1])]
    return np.pad(part, pad, mode="symmetric") if any(after for _, after in pad) else part
