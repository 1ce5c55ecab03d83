"""One label image from the labels of overlapping tiles.

Which cells are kept depends on the tiles and their labels only, not on the order in which they
came: a cell is taken from the tile that owns its centre; where two tiles saw it, from the one that
saw it whole and farther from its sides; a cell larger than the overlap, which every tile cuts, is
joined of its parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cellharness.slides.label_file import LABEL_TILE
from cellharness.slides.layout import Tile

#: Share of the smaller of two cells, of two tiles, that both have where they are one cell.
_SAME = 0.5


@dataclass(frozen=True)
class Stitched:
    """Which cells of the tiles became which of the image.

    Attributes
    ----------
    cells : int
        Cells of the image, numbered from 1, tile by tile.
    joined : int
        Of these, those that were put together of parts.
    cut : int
        Of these, those that end at the side of a tile, as no other tile had the rest.
    """

    cells: int
    joined: int
    cut: int


class Stitcher:
    """Collects the labels of the tiles of an image, then gives the label image by rows.

    Parameters
    ----------
    tiles : sequence of Tile
        Of one image, by number.
    folder : Path
        An empty folder for the labels of the tiles, which may be larger than memory.
    """

    def __init__(self, tiles: Sequence[Tile], folder: Path) -> None:
        self._tiles = tiles
        self._folder = folder
        self._cells: dict[int, _Cells] = {}
        self._ranks: list[np.ndarray] = []
        self._ids = np.zeros(1, np.uint32)
        self._joined = self._cut = np.zeros(0, bool)

    def add(self, tile: Tile, labels: np.ndarray) -> None:
        """Keep the labels of one tile.

        Parameters
        ----------
        tile : Tile
            One that was not added yet; in any order.
        labels : ndarray of unsigned int, (h, w)
            Numbered 1..N.
        """
        narrow = labels.astype(np.min_scalar_type(int(labels.max(initial=0))), copy=False)
        np.save(self._path(tile), narrow)
        self._cells[tile.number] = _measure(tile, narrow)

    def stitch(self) -> Stitched:
        """Settle which cells are kept, once all tiles were added."""
        counts = [len(self._cells[tile.number].areas) for tile in self._tiles]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        cells = [self._cells[tile.number] for tile in self._tiles]
        cut = np.concatenate([each.cut for each in cells])
        owned = np.concatenate([each.owned for each in cells])
        depth = np.concatenate([each.depth for each in cells])
        areas = np.concatenate([each.areas for each in cells])
        overlaps = self._overlaps(offsets, cut)
        # Whole and owned first, then whole, then cut and owned, then cut.
        best = np.lexsort((np.arange(len(cut)), -depth, ~owned, cut))
        group = _choose(best, overlaps, areas, cut, owned)
        kept = group >= 0
        names, first = np.unique(group[kept], return_index=True)
        order = np.flatnonzero(kept)[first].argsort()
        # Of cells that share pixels the better one has them: the lower rank.
        rank_of = np.empty(len(cut), np.int64)
        rank_of[best] = np.arange(len(best))
        ranks = np.zeros(len(cut), np.uint32)
        by_rank = np.argsort([rank_of[name] for name in names])
        place = np.empty(len(names), np.int64)
        place[by_rank] = np.arange(1, len(names) + 1)
        ranks[kept] = place[np.searchsorted(names, group[kept])]
        self._ids = np.zeros(len(names) + 1, np.uint32)
        self._ids[place[order]] = np.arange(1, len(names) + 1)
        self._ranks = [
            np.concatenate([[0], ranks[start:stop]]).astype(np.uint32)
            for start, stop in pairwise(offsets)
        ]
        sizes = np.bincount(np.searchsorted(names, group[kept]), minlength=len(names))
        self._joined = (sizes > 1)[order]
        self._cut = cut[names[order]] & ~self._joined
        return self._counts()

    def areas(self) -> np.ndarray:
        """Px of each cell of the image, int64, (n,); after `stitch`."""
        cells = len(self._cut)
        found = np.zeros(cells + 1, np.int64)
        for band in self.rows(LABEL_TILE):
            found += np.bincount(band.ravel(), minlength=cells + 1)
        return found[1:]

    def keep(self, kept: np.ndarray) -> Stitched:
        """Keep some of the cells, numbered anew in their order.

        Parameters
        ----------
        kept : ndarray of bool, (n,)
        """
        self._ids = np.concatenate([[0], np.cumsum(kept) * kept]).astype(np.uint32)[self._ids]
        self._joined, self._cut = self._joined[kept], self._cut[kept]
        return self._counts()

    def _counts(self) -> Stitched:
        return Stitched(len(self._cut), int(self._joined.sum()), int(self._cut.sum()))

    def rows(self, step: int) -> Iterator[np.ndarray]:
        """Give the label image from top to bottom, after `stitch`.

        Parameters
        ----------
        step : int
            Rows at once; the last may be fewer.

        Yields
        ------
        ndarray of uint32, (step, W)
        """
        height, width = self._tiles[0].shape
        for top in range(0, height, step):
            window = slice(top, min(top + step, height))
            band = np.zeros((window.stop - top, width), np.uint32)
            for tile, ranks in zip(self._tiles, self._ranks, strict=True):
                rows = slice(max(window.start, tile.rows.start), min(window.stop, tile.rows.stop))
                if rows.start >= rows.stop:
                    continue
                labels = self._labels(tile)[tile.within(rows, tile.columns)[0]]
                new = ranks[labels]
                there = band[rows.start - top : rows.stop - top, tile.columns]
                better = (new > 0) & ((there == 0) | (new < there))
                there[better] = new[better]
            yield self._ids[band]

    def _path(self, tile: Tile) -> Path:
        return self._folder / f"{tile.number}.npy"

    def _labels(self, tile: Tile) -> np.ndarray:
        return np.load(self._path(tile), mmap_mode="r")

    def _overlaps(self, offsets: np.ndarray, cut: np.ndarray) -> _Overlaps:
        """Find the cells of two tiles that share pixels."""
        pairs_of = [np.empty((0, 2), np.int64)]
        common_of, same_of = [np.empty(0, np.int64)], [np.empty(0, bool)]
        for tile, other, rows, columns in _neighbours(self._tiles):
            one = np.asarray(self._labels(tile)[tile.within(rows, columns)])
            two = np.asarray(self._labels(other)[other.within(rows, columns)])
            both = (one > 0) & (two > 0)
            if not both.any():
                continue
            base = int(two.max()) + 1
            pairs, common = np.unique(
                one[both].astype(np.int64) * base + two[both], return_counts=True
            )
            first, second = pairs // base, pairs % base
            mine, theirs = self._cells[tile.number], self._cells[other.number]
            smaller = np.minimum(mine.areas[first - 1], theirs.areas[second - 1])
            a, b = offsets[tile.number] + first - 1, offsets[other.number] + second - 1
            # Of a cell that both cut, only what lies in the overlap can be compared.
            here = np.minimum(np.bincount(one.ravel())[first], np.bincount(two.ravel())[second])
            smaller = np.where(cut[a] & cut[b], here, smaller)
            pairs_of.append(np.stack([a, b], axis=1))
            common_of.append(common)
            same_of.append(common > _SAME * smaller)
        return _Overlaps(*map(np.concatenate, (pairs_of, common_of, same_of)))


@dataclass(frozen=True)
class _Overlaps:
    """Cells of two tiles that share pixels: ``pairs`` of their numbers among all cells, (n, 2).

    ``common``: pixels that both have. ``same``: whether they are one cell.
    """

    pairs: np.ndarray
    common: np.ndarray
    same: np.ndarray


@dataclass(frozen=True)
class _Cells:
    """The cells of one tile, in the order of their labels.

    ``cut``: touches a side of the tile that lies inside the image. ``owned``: its centre lies in
    the part that the tile owns. ``depth``: px from its centre to the nearest such side.
    """

    areas: np.ndarray
    cut: np.ndarray
    owned: np.ndarray
    depth: np.ndarray


def _measure(tile: Tile, labels: np.ndarray) -> _Cells:
    count = int(labels.max(initial=0))
    flat = labels.ravel()
    areas = np.bincount(flat, minlength=count + 1)[1:]
    y, x = _centres(labels, count, areas)
    cut = np.zeros(count + 1, bool)
    depth = np.full(count, np.inf)
    ends = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    height, width = labels.shape
    distances = (y, height - 1 - y, x, width - 1 - x)
    for inner, end, distance in zip(tile.inner_sides, ends, distances, strict=True):
        if inner:
            cut[end] = True
            depth = np.minimum(depth, distance)
    rows, columns = tile.within(tile.own_rows, tile.own_columns)
    # The centre of a pixel: one between two tiles belongs to the later.
    owned = (y >= rows.start - 0.5) & (y < rows.stop - 0.5)
    owned &= (x >= columns.start - 0.5) & (x < columns.stop - 0.5)
    return _Cells(areas, cut[1:], owned, depth)


def _centres(labels: np.ndarray, count: int, areas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean row and column of each cell."""
    places, columns = np.nonzero(labels)
    ids = labels[places, columns]
    y = np.bincount(ids, weights=places, minlength=count + 1)[1:]
    x = np.bincount(ids, weights=columns, minlength=count + 1)[1:]
    present = np.maximum(areas, 1)
    return y / present, x / present


def _neighbours(tiles: Sequence[Tile]) -> Iterator[tuple[Tile, Tile, slice, slice]]:
    """Pairs of tiles that share pixels, each once, with what they share."""
    across = sum(tile.rows == tiles[0].rows for tile in tiles)
    for tile in tiles:
        # Evenly spread tiles may reach over the next one, and no farther.
        for down in range(3):
            for right in range(-2, 3):
                column = tile.number % across + right
                number = tile.number + down * across + right
                if not 0 <= column < across or not tile.number < number < len(tiles):
                    continue
                shared = tile.shared_with(tiles[number])
                if shared is not None:
                    yield tile, tiles[number], *shared


def _choose(
    best: np.ndarray, overlaps: _Overlaps, areas: np.ndarray, cut: np.ndarray, owned: np.ndarray
) -> np.ndarray:
    """For each cell the best of those that it is joined with, itself for one alone, -1 if dropped.

    Parameters
    ----------
    best : ndarray of int, (n,)
        All cells, the best first.
    overlaps : _Overlaps
        Of cells of two tiles.
    areas : ndarray of int, (n,)
    cut, owned : ndarray of bool, (n,)
    """
    count = len(best)
    both = np.concatenate([overlaps.pairs, overlaps.pairs[:, ::-1]])
    common, same = np.tile(overlaps.common, 2), np.tile(overlaps.same, 2)
    order = np.argsort(both[:, 0], kind="stable")
    others, common, same = both[order, 1], common[order], same[order]
    starts = np.searchsorted(both[order, 0], np.arange(count + 1))
    group = np.full(count, -1, np.int64)
    gone = np.zeros(count, bool)
    covered = np.zeros(count, np.int64)
    for cell in best[~cut[best]]:
        here = slice(starts[cell], starts[cell + 1])
        # One that its owner does not have at all, and nobody else saw, is not there.
        if gone[cell] or not (owned[cell] or same[here].any()):
            continue
        group[cell] = cell
        covered[others[here]] += common[here]
        # Several that another tile has in the place of one leave nothing of it either.
        gone[others[here]] |= same[here] | (covered[others[here]] > _SAME * areas[others[here]])
    left = cut & ~gone
    linked = overlaps.pairs[overlaps.same]
    linked = linked[left[linked].all(axis=1)]
    graph = coo_array((np.ones(len(linked)), (linked[:, 0], linked[:, 1])), shape=(count, count))
    _, parts = connected_components(graph, directed=False)
    # Two tiles may end at one line and cut a cell alike, which is no reason to keep that part.
    has_owner = np.zeros(count, bool)
    has_owner[parts[left & owned]] = True
    chosen: dict[int, int] = {}
    for cell in best[left[best]]:
        part = int(parts[cell])
        if has_owner[part]:
            group[cell] = chosen.setdefault(part, int(cell))
    return group
