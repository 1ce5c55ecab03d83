"""Networks whose output is blended over the whole image find the cells of one piece by tiles."""

from __future__ import annotations

import numpy as np
import pytest

from cellharness.config.run import TilesConfig
from cellharness.slides.image import open_slide
from tiled_both_ways import mosaic, same_both_ways

torch = pytest.importorskip("torch", reason="needs torch")

TILES = TilesConfig(size=384, overlap=160)


class Brightness(torch.nn.Module):
    """In the place of MEDIAR's network: flows up a smoothed image, cell where it is bright."""

    def forward(self, x):
        smooth = torch.nn.functional.avg_pool2d(x[:, :1], 9, 1, 4, count_include_pad=False)
        smooth = torch.nn.functional.avg_pool2d(smooth, 5, 1, 2, count_include_pad=False)
        up, across = torch.gradient(smooth, dim=(2, 3))
        length = torch.sqrt(up**2 + across**2) + 1e-3
        return torch.cat([5 * up / length, 5 * across / length, 20 * (smooth - 0.2)], 1)


@pytest.fixture
def windowed():
    """MEDIAR's way from an image to cells, with networks that need no weights."""
    pytest.importorskip("monai", reason="needs the extra 'mediar'")
    from cellharness_adapters.mediar.presets import PRESETS
    from cellharness_adapters.mediar_style.segmenter import MediarStyle, MediarStyleParameters

    def make(preset, window=96):
        parameters = MediarStyleParameters(weights="none", precision="float32", device="cpu")
        made = MediarStyle(parameters)
        made.get_ready([Brightness().eval()], window, PRESETS[preset])
        return made

    return make


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["repo", "napari"])
def test_mediar_finds_the_same_cells(preset, windowed, realdata, tmp_path):
    pixels = mosaic(realdata, "Fluorescent", 2, 300)
    made = same_both_ways(windowed(preset), pixels, TILES, tmp_path)
    assert made.details["passes"] == {"repo": 3, "napari": 2}[preset]


@pytest.mark.parametrize("normalisation", ["image", "channel"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("colours", [None, 2, 3])
def test_mediar_sees_what_it_sees_of_one_piece(normalisation, dtype, colours, tmp_path):
    pytest.importorskip("monai", reason="needs the extra 'mediar'")
    from cellharness_adapters.mediar.preparing import prepare
    from cellharness_adapters.mediar.whole_image import stretched_whole

    shape = (140, 90) if colours is None else (140, 90, colours)
    pixels = np.random.default_rng(1).gamma(1.5, 30, shape).clip(0, 250).astype(dtype)
    np.save(tmp_path / "a.npy", pixels)
    with open_slide(tmp_path / "a.npy", "native", (64, 16), tmp_path) as image:
        seen = stretched_whole(image, normalisation)
        expected = prepare(pixels, normalisation)
        for axis in (None, 1, 2):
            whole = expected if axis is None else np.flip(expected, axis)
            # A value at the edge of two of the 256 levels may fall on either side.
            part = seen.read(slice(20, 60), axis)
            assert np.abs(part - whole[:, 20:60]).max() <= 1.01 / 255
            assert np.mean(part != whole[:, 20:60]) < 0.01


@pytest.mark.parametrize("shape", [(150, 131), (60, 140), (50, 40)])
def test_the_output_of_windows_is_that_of_one_piece(shape, windowed, tmp_path):
    from cellharness_adapters.mediar.preparing import prepare
    from cellharness_adapters.mediar.presets import passes_of
    from cellharness_adapters.mediar.whole_image import run_networks, stretched_whole

    segmenter = windowed("repo", window=64)
    pixels = np.random.default_rng(2).integers(1, 255, shape).astype(np.uint8)
    np.save(tmp_path / "a.npy", pixels)
    passes = passes_of("all", *shape, 1)
    expected = segmenter._predict(prepare(pixels, "image"), passes, 0.6)
    with open_slide(tmp_path / "a.npy", "native", (64, 16), tmp_path) as image:
        seen = stretched_whole(image, "image")
        found = run_networks(seen, segmenter._predict, passes, window=64, overlap=0.6, batch_size=3)
        for tile in image.tiles:
            np.testing.assert_allclose(
                found.of(tile), expected[:, tile.rows, tile.columns], atol=2e-4
            )
