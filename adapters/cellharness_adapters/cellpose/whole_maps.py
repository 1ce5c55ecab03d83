"""The output of Cellpose's network for an image that is read by window, kept in a file.

The network sees the same 224 px pieces, at the same places, as of the image in one piece, and their
outputs are blended in the same way (``cellpose.core.run_net``); only rows of pieces are in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellharness.methods.base import check_finite
from cellharness.slides.blending import Pieces, WholeMap, blend
from cellharness_adapters.cellpose.library import core, transforms

if TYPE_CHECKING:
    from cellharness.slides.image import SlideImage
    from cellharness.slides.layout import Tile

_PIECE = 224
_OUTPUTS = 3
_STYLE = 256

#: Gives rows and columns of an array, (h, w, C), that is not in memory.
Read = Callable[[slice, slice], np.ndarray]


@dataclass(frozen=True)
class NetworkMaps:
    """What the network gave for a whole image.

    Attributes
    ----------
    blended : WholeMap
        Flow in y, flow in x, logit of being cell, at the scale at which the network saw the image.
    shape : (int, int)
        (H, W) of the image.
    rescale : float
        By which the image was scaled.
    saw_nothing : bool
        Whether what the network saw was all zero.
    """

    blended: WholeMap
    shape: tuple[int, int]
    rescale: float
    saw_nothing: bool

    def of(self, tile: Tile) -> np.ndarray:
        """Scale the part of a tile to the image, (3, h, w)."""
        source = self.blended.shape
        found = scaled(self.blended.read, source, self.shape, tile.rows, tile.columns)
        return np.ascontiguousarray(np.moveaxis(found, -1, 0))


class Scaled:
    """An image as the network sees it: scaled, with zeros around it, cut into the library's pieces.

    Parameters
    ----------
    image : SlideImage
    see : callable
        Makes the two channels that the network sees, (h, w, 2) float32, of a part of the image.
    rescale : float
        By which the image is scaled.
    tile_overlap : float
        Of the pieces, as in the library.

    Attributes
    ----------
    image, rescale
        As given.
    size : (int, int)
        Rows and columns of the scaled image.
    pieces : Pieces
    saw_nothing : bool
        Whether all bands so far were zero in the first channel.
    """

    def __init__(
        self,
        image: SlideImage,
        see: Callable[[np.ndarray], np.ndarray],
        rescale: float,
        tile_overlap: float,
    ) -> None:
        self.image, self.rescale, self._see = image, rescale, see
        self.size = int(image.shape[0] * rescale), int(image.shape[1] * rescale)
        top, bottom, left, right = transforms.get_pad_yx(*self.size)
        padded = self.size[0] + top + bottom, self.size[1] + left + right
        rows, columns = (_places(length, tile_overlap) for length in padded)
        piece = min(_PIECE, padded[0]), min(_PIECE, padded[1])
        self.pieces = Pieces(rows, columns, piece, (top, left))
        self.saw_nothing = True

    def band_at(self, start: int) -> np.ndarray:
        """All that a row of pieces sees, (2, h, W)."""
        (top, left), high = self.pieces.added, self.pieces.size[0]
        inside = slice(max(0, start - top), min(self.size[0], start - top + high))
        seen = scaled(
            lambda rows, columns: self._see(self.image.read(rows, columns)),
            self.image.shape,
            self.size,
            inside,
            slice(0, self.size[1]),
        )
        self.saw_nothing &= not seen[..., 0].any()
        band = np.zeros((2, high, self.pieces.shape[1]), np.float32)
        first = inside.start + top - start
        band[:, first : first + len(seen), left : left + self.size[1]] = np.moveaxis(seen, -1, 0)
        return band


def run_network(net: Any, seen: Scaled, *, batch_size: int) -> NetworkMaps:
    """Run the network on a whole image, a row of pieces after the other.

    Parameters
    ----------
    net : network
        As the library's model has it.
    seen : Scaled
    batch_size : int
        Pieces at once.

    Raises
    ------
    NotFiniteError
        The network gave NaN or infinity.
    """
    high, wide = seen.pieces.size
    taper = transforms._taper_mask(ly=high, lx=wide)
    blended = blend(
        seen.image.folder / "network.raw",
        seen.size,
        _OUTPUTS,
        seen.pieces,
        seen.band_at,
        lambda batch: _outputs(net, batch)[0],
        lambda _row, _piece: taper,
        batch_size=batch_size,
    )
    return NetworkMaps(blended, seen.image.shape, seen.rescale, seen.saw_nothing)


def whole_style(net: Any, seen: Scaled, *, batch_size: int) -> np.ndarray:
    """Find the style of a whole image, the mean of its pieces' styles made one long, (256,).

    Parameters and errors are those of :func:`run_network`.
    """
    total = np.zeros(_STYLE)
    for start in seen.pieces.rows:
        for _, batch in seen.pieces.of_band(seen.band_at(start), batch_size):
            total += _outputs(net, batch)[1].sum(axis=0)
    return total / (total**2).sum() ** 0.5


def _outputs(net: Any, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the network gives for pieces, and their styles."""
    found, styles = core._forward(net, batch)
    check_finite("Cellpose's network", found, styles)
    return found, styles


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
