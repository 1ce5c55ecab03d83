"""What a network gives for overlapping pieces of an image, blended into one map in a file.

A method says where its pieces lie, what its network sees of them and how much each counts where
several overlap; then a slide has the map that the image in one piece has, and only masks are made
by tiles. A row of pieces is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Pieces:
    """Where the pieces of an image lie.

    Attributes
    ----------
    rows, columns : sequence of int
        First row of each row of pieces and first column of each piece in it, ascending from 0, of
        the image with what is added around it.
    size : (int, int)
        Height and width of a piece in px.
    added : (int, int)
        Rows added above the image, and columns added to the left of it.
    """

    rows: Sequence[int]
    columns: Sequence[int]
    size: tuple[int, int]
    added: tuple[int, int] = (0, 0)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image with what is added around it."""
        return self.rows[-1] + self.size[0], self.columns[-1] + self.size[1]

    def of_band(self, band: np.ndarray, at_once: int) -> Iterator[tuple[range, np.ndarray]]:
        """Cut a band into its pieces.

        Parameters
        ----------
        band : ndarray, (C, h, W)
            Of the height of a piece, as wide as `shape`.
        at_once : int
            Pieces of a batch.

        Yields
        ------
        numbers : range
            Of the pieces within the band.
        batch : ndarray, (N, C, h, w)
        """
        wide = self.size[1]
        for first in range(0, len(self.columns), at_once):
            numbers = range(first, min(first + at_once, len(self.columns)))
            places = [self.columns[number] for number in numbers]
            yield numbers, np.stack([band[:, :, x : x + wide] for x in places])


@dataclass(frozen=True)
class WholeMap:
    """A map of a whole image in a file.

    Attributes
    ----------
    path : Path
        float32, (H, W, outputs), without a header.
    shape : (int, int)
        (H, W).
    outputs : int
    """

    path: Path
    shape: tuple[int, int]
    outputs: int

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Read a window, float32, (h, w, outputs)."""
        # Mapped anew for each window, so that none stays in memory.
        shape = (*self.shape, self.outputs)
        return np.array(np.memmap(self.path, np.float32, "r", shape=shape)[rows, columns])


def blend(
    path: Path,
    shape: tuple[int, int],
    outputs: int,
    pieces: Pieces,
    band_at: Callable[[int], np.ndarray],
    run: Callable[[np.ndarray], np.ndarray],
    weight: Callable[[int, int], np.ndarray],
    *,
    batch_size: int,
) -> WholeMap:
    """Run a network on all pieces of an image and write the weighted mean of what it gives.

    Parameters
    ----------
    path : Path
        Where the map goes.
    shape : (int, int)
        (H, W) of the image.
    outputs : int
        Numbers that the network gives for a pixel.
    pieces : Pieces
    band_at : callable
        Gives, for the first row of a row of pieces, all that they see: (C, h, W) of the height of
        a piece and as wide as ``pieces.shape``.
    run : callable
        The network on a batch of pieces, (N, C, h, w) to (N, outputs, h, w).
    weight : callable
        Gives, for the numbers of a row of pieces and of a piece in it, what each pixel counts:
        (h, w). Every pixel of the image must count in some piece.
    batch_size : int
        Pieces at once.
    """
    (high, wide), (top, left) = pieces.size, pieces.added
    height, width = shape
    sums = np.zeros((outputs, high, pieces.shape[1]), np.float32)
    weights = np.zeros((high, pieces.shape[1]))
    with path.open("wb") as file:
        for number, start in enumerate(pieces.rows):
            for numbers, batch in pieces.of_band(band_at(start), batch_size):
                for place, output in zip(numbers, run(batch), strict=True):
                    here = slice(pieces.columns[place], pieces.columns[place] + wide)
                    counts = weight(number, place)
                    sums[:, :, here] += output * counts
                    weights[:, here] += counts
            is_last = number + 1 == len(pieces.rows)
            done = (pieces.shape[0] if is_last else pieces.rows[number + 1]) - start
            # Without what was added around the image.
            rows = slice(max(0, top - start), max(0, min(done, height + top - start)))
            inner = np.s_[rows, left : left + width]
            ready = (sums[:, *inner] / weights[inner]).astype(np.float32)
            file.write(np.ascontiguousarray(np.moveaxis(ready, 0, -1)).tobytes())
            sums, weights = _moved_up(sums, done), _moved_up(weights, done)
    return WholeMap(path, shape, outputs)


def _moved_up(array: np.ndarray, rows: int) -> np.ndarray:
    moved = np.zeros_like(array)
    moved[..., : array.shape[-2] - rows, :] = array[..., rows:, :]
    return moved
