"""The output of Cellpose's network for an image that is read by window, kept in a file.

The network sees the same 224 px pieces, at the same places, as of the image in one piece, and their
outputs are blended in the same way (``cellpose.core.run_net``); only rows of pieces are in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cellharness.methods.base import check_finite
from cellharness_adapters.cellpose.library import core, transforms

if TYPE_CHECKING:
    from cellharness.slides.image import SlideImage
    from cellharness.slides.layout import Tile

_PIECE = 224
_OUTPUTS = 3

#: Gives rows and columns of an array, (h, w, C), that is not in memory.
Read = Callable[[slice, slice], np.ndarray]


@dataclass(frozen=True)
class NetworkMaps:
    """What the network gave for a whole image.

    Attributes
    ----------
    path : Path
        float32, (rows, columns, 3): flow in y, flow in x, logit of being cell, at the scale at
        which the network saw the image.
    size : (int, int)
        Rows and columns of them.
    shape : (int, int)
        (H, W) of the image.
    rescale : float
        By which the image was scaled.
    saw_nothing : bool
        Whether what the network saw was all zero.
    """

    path: Path
    size: tuple[int, int]
    shape: tuple[int, int]
    rescale: float
    saw_nothing: bool

    def of(self, tile: Tile) -> np.ndarray:
        """Scale the part of a tile to the image, (3, h, w)."""
        found = scaled(self._read, self.size, self.shape, tile.rows, tile.columns)
        return np.ascontiguousarray(np.moveaxis(found, -1, 0))

    def _read(self, rows: slice, columns: slice) -> np.ndarray:
        # Mapped anew for each part, so that none stays in memory.
        shape = (*self.size, _OUTPUTS)
        return np.array(np.memmap(self.path, np.float32, "r", shape=shape)[rows, columns])


def run_network(
    net: Any,
    image: SlideImage,
    see: Callable[[np.ndarray], np.ndarray],
    rescale: float,
    *,
    tile_overlap: float,
    batch_size: int,
) -> NetworkMaps:
    """Run the network on a whole image, a row of pieces after the other.

    Parameters
    ----------
    net : network
        As the library's model has it.
    image : SlideImage
    see : callable
        Makes the two channels that the network sees, (h, w, 2) float32, of a part of the image.
    rescale : float
        By which the image is scaled.
    tile_overlap : float
        Of the pieces, as in the library.
    batch_size : int
        Pieces at once.

    Raises
    ------
    NotFiniteError
        The network gave NaN or infinity.
    """
    size = int(image.shape[0] * rescale), int(image.shape[1] * rescale)
    top, bottom, left, right = transforms.get_pad_yx(*size)
    padded = size[0] + top + bottom, size[1] + left + right
    rows, columns = (_places(length, tile_overlap) for length in padded)
    high, wide = min(_PIECE, padded[0]), min(_PIECE, padded[1])
    taper = transforms._taper_mask(ly=high, lx=wide)
    sums = np.zeros((_OUTPUTS, high, padded[1]), np.float32)
    weights = np.zeros((high, padded[1]))
    saw_nothing, path = True, image.folder / "network.raw"
    with path.open("wb") as file:
        for number, start in enumerate(rows):
            band = np.zeros((2, high, padded[1]), np.float32)
            inside = slice(max(0, start - top), min(size[0], start - top + high))
            seen = scaled(
                lambda some, all_columns: see(image.read(some, all_columns)),
                image.shape,
                size,
                inside,
                slice(0, size[1]),
            )
            saw_nothing &= not seen[..., 0].any()
            first = inside.start + top - start
            band[:, first : first + len(seen), left : left + size[1]] = np.moveaxis(seen, -1, 0)
            pieces = np.stack([band[:, :, x : x + wide] for x in columns])
            for begin in range(0, len(pieces), batch_size):
                found, styles = core._forward(net, pieces[begin : begin + batch_size])
                check_finite("Cellpose's network", found, styles)
                for x, output in zip(columns[begin:], found, strict=False):
                    sums[:, :, x : x + wide] += output * taper
                    weights[:, x : x + wide] += taper
            following = rows[number + 1] if number + 1 < len(rows) else padded[0]
            done = following - start
            inner = np.s_[:done, left : left + size[1]]
            ready = (sums[:, *inner] / weights[inner]).astype(np.float32)
            # Without the rows that were added above and below.
            keep = slice(max(0, top - start), max(0, min(done, size[0] + top - start)))
            file.write(np.ascontiguousarray(np.moveaxis(ready[:, keep], 0, -1)).tobytes())
            sums, weights = _moved_up(sums, done), _moved_up(weights, done)
    return NetworkMaps(path, size, image.shape, rescale, saw_nothing)


def scaled(
    read: Read, source: tuple[int, int], target: tuple[int, int], rows: slice, columns: slice
) -> np.ndarray:
    """Part of a scaled image, as ``cv2.resize`` gives it of the whole by linear interpolation.

    Parameters
    ----------
    read : callable
        Gives parts of the image.
    source, target : (int, int)
        Rows and columns of the image, and of it scaled.
    rows, columns : slice
        The part, of the scaled image.

    Returns
    -------
    ndarray of float32, (h, w, C)
    """
    if source == target:
        return read(rows, columns)
    upper, down = _between(source[0], target[0], rows)
    nearer, across = _between(source[1], target[1], columns)
    last = np.array(source) - 1
    window = (
        slice(int(upper[0]), int(min(upper[-1] + 1, last[0])) + 1),
        slice(int(nearer[0]), int(min(nearer[-1] + 1, last[1])) + 1),
    )
    part = read(*window)
    upper, nearer = upper - window[0].start, nearer - window[1].start
    further = np.minimum(nearer + 1, part.shape[1] - 1)
    lower = np.minimum(upper + 1, part.shape[0] - 1)
    wide = part[:, nearer] * (1 - across)[:, None] + part[:, further] * across[:, None]
    return wide[upper] * (1 - down)[:, None, None] + wide[lower] * down[:, None, None]


def _between(source: int, target: int, part: slice) -> tuple[np.ndarray, np.ndarray]:
    """For each place of a scaled line the one before it of the line, and how far it is beyond."""
    places = (np.arange(part.start, part.stop) + 0.5) * (source / target) - 0.5
    places = places.astype(np.float32)
    before = np.floor(places).astype(np.int64)
    beyond = places - before.astype(np.float32)
    beyond[(before < 0) | (before >= source - 1)] = 0
    return np.clip(before, 0, source - 1), beyond


def _places(length: int, overlap: float) -> list[int]:
    """Where the pieces begin, as ``cellpose.transforms.make_tiles`` has it."""
    overlap = min(0.5, max(0.05, overlap))
    piece = min(_PIECE, length)
    count = 1 if length <= _PIECE else int(np.ceil((1.0 + 2 * overlap) * length / _PIECE))
    return np.linspace(0, length - piece, count).astype(int).tolist()


def _moved_up(array: np.ndarray, rows: int) -> np.ndarray:
    moved = np.zeros_like(array)
    moved[..., : array.shape[-2] - rows, :] = array[..., rows:, :]
    return moved
