"""Labels of overlapping tiles become one label image, without seams and in whatever order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label as components
from skimage.segmentation import relabel_sequential

from cellharness.data.images import read_label
from cellharness.slides.label_file import LABEL_TILE, write_label_rows
from cellharness.slides.layout import lay_out
from cellharness.slides.stitching import Stitcher


def discs(shape, radius, spacing, seed=0, apart=1):
    """Discs that do not touch, one id each."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint32)
    y, x = np.mgrid[: shape[0], : shape[1]]
    for k, (top, left) in enumerate(np.ndindex(shape[0] // spacing, shape[1] // spacing)):
        room = spacing / 2 - radius - apart
        cy, cx = (np.array([top, left]) + 0.5) * spacing + rng.uniform(-room, room, 2)
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = k + 1
    return labels


def in_tiles(labels, tile):
    """What a perfect method gives for a tile: parts of the cells, numbered anew."""
    return components(labels[tile.rows, tile.columns], connectivity=1).astype(np.uint32)


def stitched(labels, size, overlap, folder, order=None, of_tile=in_tiles):
    tiles = lay_out(labels.shape, size, overlap)
    folder.mkdir()
    stitcher = Stitcher(tiles, folder)
    for number in order or range(len(tiles)):
        stitcher.add(tiles[number], of_tile(labels, tiles[number]))
    facts = stitcher.stitch()
    return np.concatenate(list(stitcher.rows(50))), facts


def same_cells(one, other):
    """Whether two label images have the same cells, whatever their ids."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs)


@pytest.mark.parametrize("size", [64, 100, 257])
def test_cells_smaller_than_the_overlap_come_back_whole(size, tmp_path):
    labels = discs((300, 420), 9, 22)
    found, facts = stitched(labels, size, 30, tmp_path / "tiles")
    assert same_cells(found, labels)
    assert facts.cells == found.max() == len(np.unique(labels)) - 1
    assert (facts.joined, facts.cut) == (0, 0)


def test_some_of_the_cells_are_kept(tmp_path):
    labels = discs((200, 220), 9, 22)
    tiles = lay_out(labels.shape, 100, 30)
    stitcher = Stitcher(tiles, tmp_path)
    for tile in tiles:
        stitcher.add(tile, in_tiles(labels, tile))
    stitcher.stitch()
    whole = np.concatenate(list(stitcher.rows(50)))
    areas = stitcher.areas()
    np.testing.assert_array_equal(areas, np.bincount(whole.ravel())[1:])
    kept = areas > np.median(areas)
    facts = stitcher.keep(kept)
    found = np.concatenate(list(stitcher.rows(50)))
    assert facts.cells == found.max() == kept.sum() < len(kept)
    expected = np.where(np.concatenate([[False], kept])[whole], whole, 0)
    assert same_cells(found, expected)


def test_cells_larger_than_the_overlap_are_joined(tmp_path):
    labels = discs((300, 300), 55, 140)
    found, facts = stitched(labels, 100, 20, tmp_path / "tiles")
    assert same_cells(found, labels)
    assert (facts.cells, facts.joined, facts.cut) == (4, 4, 0)


def test_the_order_of_the_tiles_does_not_show(tmp_path):
    # Every tile sees the cells a little differently.
    def jittered(labels, tile):
        rng = np.random.default_rng(tile.number)
        moved = np.roll(labels, rng.integers(-1, 2, 2), (0, 1))
        return in_tiles(moved, tile)

    labels = discs((200, 260), 7, 22, apart=4)
    expected, _ = stitched(labels, 64, 30, tmp_path / "a", of_tile=jittered)
    count = len(lay_out(labels.shape, 64, 30))
    for name, order in (
        ("b", range(count)[::-1]),
        ("c", np.random.default_rng(1).permutation(count)),
    ):
        found, _ = stitched(labels, 64, 30, tmp_path / name, list(order), jittered)
        np.testing.assert_array_equal(found, expected)
    # No cell is there twice, and none is lost.
    assert len(np.unique(expected)) == len(np.unique(labels))


def test_a_cell_whose_centre_every_tile_places_in_the_other_is_kept_once(tmp_path):
    tiles = lay_out((64, 108), 64, 20)
    left, right = np.zeros((64, 64), np.uint32), np.zeros((64, 64), np.uint32)
    seam = tiles[0].own_columns.stop
    left[20:30, seam - 3 : seam + 5] = 1
    right[tiles[1].within(slice(20, 30), slice(seam - 5, seam + 3))] = 1
    stitcher = Stitcher(tiles, tmp_path)
    stitcher.add(tiles[0], left)
    stitcher.add(tiles[1], right)
    assert stitcher.stitch().cells == 1
    assert np.unique(next(stitcher.rows(64))).tolist() == [0, 1]


def test_what_the_owner_does_not_see_is_not_there(tmp_path):
    tiles = lay_out((64, 108), 64, 20)
    left = np.zeros((64, 64), np.uint32)
    seam = tiles[0].own_columns.stop
    left[20:24, seam + 2 : seam + 6] = 1
    left[40:44, 10:14] = 2
    stitcher = Stitcher(tiles, tmp_path)
    stitcher.add(tiles[0], left)
    stitcher.add(tiles[1], np.zeros((64, 64), np.uint32))
    assert stitcher.stitch().cells == 1
    assert next(stitcher.rows(64))[41, 11] == 1


def test_a_cell_that_only_one_tile_has_ends_at_its_side_and_is_counted(tmp_path):
    tiles = lay_out((64, 108), 64, 20)
    left = np.zeros((64, 64), np.uint32)
    left[20:24, 30:64] = 1
    stitcher = Stitcher(tiles, tmp_path)
    stitcher.add(tiles[0], left)
    stitcher.add(tiles[1], np.zeros((64, 64), np.uint32))
    facts = stitcher.stitch()
    assert (facts.cells, facts.cut) == (1, 1)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 400), st.integers(1, 400)), st.integers(64, 130), st.integers(0, 65)
)
def test_every_pixel_is_owned_by_one_tile_and_overlaps_are_as_asked(shape, size, overlap):
    overlap = min(overlap, size // 2)
    tiles = lay_out(shape, size, overlap)
    owners = np.zeros(shape, int)
    for tile in tiles:
        owners[tile.own_rows, tile.own_columns] += 1
        # Whoever owns a pixel has half of the overlap around it, or the image ends.
        for own, whole, length in (
            (tile.own_rows, tile.rows, shape[0]),
            (tile.own_columns, tile.columns, shape[1]),
        ):
            assert whole.stop - whole.start == min(size, length)
            assert whole.start == 0 or own.start - whole.start >= overlap // 2
            assert whole.stop == length or whole.stop - own.stop >= overlap // 2
    assert (owners == 1).all()


@pytest.mark.parametrize("cells", [200, 70_000])
def test_a_label_image_by_rows_is_read_as_any_other(cells, tmp_path):
    labels = np.random.default_rng(0).integers(0, cells + 1, (1100, 700)).astype(np.uint32)
    labels[0, 0] = cells
    rows = (labels[top : top + LABEL_TILE] for top in range(0, 1100, LABEL_TILE))
    write_label_rows(tmp_path / "new" / "a.tiff", rows, labels.shape, cells)
    found = read_label(tmp_path / "new" / "a.tiff")
    assert found.dtype == np.min_scalar_type(cells)
    np.testing.assert_array_equal(found, labels)


def test_ids_run_from_one_without_gaps(tmp_path):
    labels = discs((200, 200), 9, 22)
    found, _ = stitched(labels, 64, 30, tmp_path / "tiles")
    np.testing.assert_array_equal(relabel_sequential(found)[0], found)
