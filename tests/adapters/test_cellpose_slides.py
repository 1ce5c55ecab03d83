"""Cellpose on an image by window: the network's output and the masks are those of one piece."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from cellharness.slides.image import open_slide
from cellharness_adapters.cellpose.library import core, transforms
from cellharness_adapters.cellpose.whole_image import as_seen, grey_range
from cellharness_adapters.cellpose.whole_maps import Scaled, run_network, scaled


class ColourOfPiece:
    """In the place of a network: its output depends on the whole piece that it is given."""

    nout, mkldnn = 3, False

    def __init__(self):
        import torch

        self.device = torch.device("cpu")

    def eval(self):
        return self

    def __call__(self, pieces):
        import torch

        level = pieces.mean(dim=(1, 2, 3), keepdim=True)
        found = torch.cat([pieces[:, :1] - level, pieces[:, :1] * level, pieces[:, :1] ** 2], 1)
        return found, torch.ones(len(pieces), 256)


@pytest.fixture
def picture():
    y, x = np.mgrid[:333, :410]
    waves = np.sin(x / 9) + np.cos(y / 13) + x / 300
    return (20 + 40 * (waves - waves.min())).astype(np.uint8)


@pytest.mark.parametrize("rescale", [1.0, 0.37, 1.63])
def test_the_network_sees_and_gives_what_it_does_in_one_piece(rescale, picture, tmp_path):
    np.save(tmp_path / "a.npy", picture)
    seen = transforms.convert_image(picture, [0, 0], nchan=2)[None]
    seen = transforms.normalize_img(seen, normalize=True)
    expected, _ = core.run_net(
        ColourOfPiece(), seen, tile_overlap=0.1, rsz=None if rescale == 1 else rescale
    )
    with open_slide(tmp_path / "a.npy", "gray_max", (128, 32), tmp_path) as image:
        normalize = grey_range(image, (1, 99), (0, 0))
        seen = Scaled(image, lambda pixels: as_seen(pixels, (0, 0), normalize), rescale, 0.1)
        maps = run_network(ColourOfPiece(), seen, batch_size=3)
        assert maps.blended.shape == expected.shape[1:3]
        found = np.fromfile(maps.blended.path, np.float32).reshape(expected.shape[1:])
        np.testing.assert_allclose(found, expected[0], atol=2e-5 if rescale != 1 else 1e-6)
        back = transforms.resize_image(expected, *picture.shape)[0]
        for tile in image.tiles:
            part = np.moveaxis(back[tile.rows, tile.columns], -1, 0)
            np.testing.assert_allclose(maps.of(tile), part, atol=5e-5)


@pytest.mark.parametrize("target", [(60, 71), (123, 201), (31, 45), (200, 90)])
def test_a_part_is_scaled_as_opencv_scales_the_whole(target):
    whole = np.random.default_rng(2).normal(size=(62, 90, 3)).astype(np.float32)
    expected = cv2.resize(whole, target[::-1], interpolation=cv2.INTER_LINEAR)
    for window in (np.s_[0 : target[0], 0 : target[1]], np.s_[7:29, 13:44]):
        found = scaled(lambda rows, columns: whole[rows, columns], (62, 90), target, *window)
        np.testing.assert_allclose(found, expected[window], atol=2e-5)


@pytest.mark.parametrize("shape", [(120, 150), (3400, 3400)])
def test_the_grey_range_is_the_librarys(shape, tmp_path):
    pixels = np.random.default_rng(3).gamma(2.0, 900, shape).astype(np.uint16)
    np.save(tmp_path / "a.npy", pixels)
    expected = transforms.normalize_img(transforms.convert_image(pixels, [0, 0], nchan=2))
    with open_slide(tmp_path / "a.npy", "gray_max", (512, 64), tmp_path) as image:
        normalize = grey_range(image, (1, 99), (0, 0))
        part = as_seen(image.read(slice(30, 90), slice(5, 70)), (0, 0), normalize)
    np.testing.assert_array_equal(part, expected[30:90, 5:70])


@pytest.mark.parametrize("value", [0, 7])
def test_a_flat_image_is_flat_by_window_too(value, tmp_path):
    pixels = np.full((60, 60), value, np.uint8)
    pixels[3, 3] += 1 if value else 0
    np.save(tmp_path / "a.npy", pixels)
    expected = transforms.normalize_img(transforms.convert_image(pixels, [0, 0], nchan=2))
    with open_slide(tmp_path / "a.npy", "gray_max", (64, 16), tmp_path) as image:
        normalize = grey_range(image, (1, 99), (0, 0))
        found = as_seen(image.read(slice(0, 60), slice(0, 60)), (0, 0), normalize)
    np.testing.assert_array_equal(found, expected)
