"""Overlapping tiles of an image, and which of them owns which pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product


@dataclass(frozen=True)
class Tile:
    """One tile of an image.

    Attributes
    ----------
    number : int
        From 0, row by row.
    rows, columns : slice
        All of it.
    own_rows, own_columns : slice
        The part that it owns: up to the middle of the overlap with the next tile. Every pixel of
        the image is owned by one tile.
    shape : tuple of int
        (H, W) of the image.
    """

    number: int
    rows: slice
    columns: slice
    own_rows: slice
    own_columns: slice
    shape: tuple[int, int]

    def shared_with(self, other: Tile) -> tuple[slice, slice] | None:
        """Rows and columns of the image that two tiles have in common; None without any."""
        rows, columns = _common(self.rows, other.rows), _common(self.columns, other.columns)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return None
        return rows, columns

    def within(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """A window of the image in the tile's own coordinates."""
        return (
            slice(rows.start - self.rows.start, rows.stop - self.rows.start),
            slice(columns.start - self.columns.start, columns.stop - self.columns.start),
        )

    @property
    def inner_sides(self) -> tuple[bool, bool, bool, bool]:
        """Whether top, bottom, left and right lie inside the image, so that they may cut cells."""
        return (
            self.rows.start > 0,
            self.rows.stop < self.shape[0],
            self.columns.start > 0,
            self.columns.stop < self.shape[1],
        )


def lay_out(shape: Sequence[int], size: int, overlap: int) -> list[Tile]:
    """Cut an image into overlapping tiles.

    Parameters
    ----------
    shape : sequence of int
        (H, W).
    size : int
        Height and width of a tile in px; smaller only where the image is.
    overlap : int
        Px that neighbours share at least, and at most half of `size`; evenly spread tiles may share
        more.

    Returns
    -------
    list of Tile
        Row by row.

    Examples
    --------
    >>> [tile.columns for tile in lay_out((64, 150), 64, 16)]
    [slice(0, 64, None), slice(43, 107, None), slice(86, 150, None)]
    >>> [tile.own_columns for tile in lay_out((64, 150), 64, 16)]
    [slice(0, 53, None), slice(53, 96, None), slice(96, 150, None)]
    """
    height, width = int(shape[0]), int(shape[1])
    places = product(_spread(height, size, overlap), _spread(width, size, overlap))
    return [
        Tile(number, rows, columns, own_rows, own_columns, (height, width))
        for number, ((rows, own_rows), (columns, own_columns)) in enumerate(places)
    ]


def _spread(length: int, size: int, overlap: int) -> list[tuple[slice, slice]]:
    """Tiles along one axis, each with the part that it owns."""
    if length <= size:
        return [(slice(0, length), slice(0, length))]
    count = -(-(length - overlap) // (size - overlap))
    starts = [k * (length - size) // (count - 1) for k in range(count)]
    seams = [(after + before + size) // 2 for before, after in pairwise(starts)]
    return [
        (slice(start, start + size), slice(first, last))
        for start, first, last in zip(starts, [0, *seams], [*seams, length], strict=True)
    ]


def _common(one: slice, other: slice) -> slice:
    return slice(max(one.start, other.start), min(one.stop, other.stop))
