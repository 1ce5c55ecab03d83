"""Tiles: no seam, any size, bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from cellharness_adapters.kit_ge.normalisation import normalise
from cellharness_adapters.kit_ge.tiles import predict_tiled


def blur(tiles):
    """A network with a field of view of 9 px; records the shapes it is given."""
    assert tiles.dtype == np.float32
    assert tiles.shape[1] % 16 == tiles.shape[2] % 16 == 0
    smooth = np.stack([uniform_filter(tile, 9, mode="reflect") for tile in tiles])
    return smooth, 1 - smooth


@pytest.mark.parametrize("shape", [(300, 420), (128, 500), (700, 64), (129, 129)])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_tiles_leave_no_seam(shape, batch_size):
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    whole = uniform_filter(image, 9, mode="reflect")
    neighbor, cell = predict_tiled(image, blur, tile=128, overlap=32, batch_size=batch_size)
    assert neighbor.shape == cell.shape == shape
    # A tile's rim sees its mirror image; the weights there are small where tiles overlap.
    inner = np.s_[8:-8, 8:-8]
    assert np.abs(neighbor - whole)[inner].max() < 0.12
    assert np.abs(neighbor - whole)[inner].mean() < 0.004
    np.testing.assert_allclose(cell, 1 - neighbor, atol=1e-5)


def test_what_depends_on_its_own_pixel_only_is_exact():
    image = np.random.default_rng(0).normal(size=(333, 451)).astype(np.float32)
    neighbor, cell = predict_tiled(image, lambda t: (t, -t), tile=64, overlap=16)
    np.testing.assert_allclose(neighbor, image, atol=1e-6)
    np.testing.assert_allclose(cell, -image, atol=1e-6)


@pytest.mark.parametrize("shape", [(30, 30), (1, 1), (16, 2), (48, 64)])
def test_small_images_are_padded_and_cut_back(shape):
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    neighbor, _ = predict_tiled(image, lambda t: (t, t))
    assert np.array_equal(neighbor, image)


def test_a_slide_of_9000_px_passes():
    image = np.zeros((9000, 9000), np.float32)
    image[4000:4100, 8900:] = 1
    sizes = []

    def predict(tiles):
        sizes.append(tiles.size)
        return tiles, tiles

    neighbor, _ = predict_tiled(image, predict, tile=1024, overlap=64)
    assert np.array_equal(neighbor, image)
    assert max(sizes) <= 2 * 1024**2


def test_tiles_that_do_not_fit_are_refused():
    image = np.zeros((50, 50), np.float32)
    for tile, overlap in ((100, 10), (64, 32), (64, -1), (0, 0)):
        with pytest.raises(ValueError, match="must be a multiple of 16"):
            predict_tiled(image, blur, tile=tile, overlap=overlap)


def test_a_constant_image_is_normalised_without_a_division_by_zero():
    assert (normalise(np.full((3, 3), 7, np.uint16)) == -1).all()
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert normalise(image).min() == -1
    assert normalise(image).max() == 1
    published = normalise(image, "published", "training")
    np.testing.assert_allclose(published, normalise(image), atol=2 / 65535)
    assert np.array_equal(normalise(image, "published", "prediction"), normalise(image))
