"""Networks whose output is blended over the whole image find the cells of one piece by tiles."""

from __future__ import annotations

import numpy as np
import pytest

from cellharness.config.run import TilesConfig
from cellharness.methods.base import TILES_ALONE
from cellharness.methods.registry import build
from cellharness.slides.image import open_slide
from tiled_both_ways import both_ways, mosaic, same_both_ways

torch = pytest.importorskip("torch", reason="needs torch")

TILES = TilesConfig(size=384, overlap=160)


class Peaks(torch.nn.Module):
    """In the place of KIT-GE's network: cells are what is brighter than its surroundings."""

    divisor = 8

    def forward(self, x):
        near, far = (
            torch.nn.functional.avg_pool2d(x, side, 1, side // 2, count_include_pad=False)
            for side in (5, 31)
        )
        cell = torch.clamp(3 * (near - far), 0, 1)
        return 0.3 * torch.clamp(far - near, 0, 1), cell


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "merge", "th_seed"), [(1.0, False, 0.45), (0.6, True, 0.2)])
def test_kit_ge_finds_the_same_cells(scale, merge, th_seed, realdata, tmp_path):
    # Not by a trained network: what one finds differs from machine to machine.
    from cellharness_adapters.kit_ge.prediction import Predictor

    given = {"weights": "none", "merge": merge, "th_seed": th_seed, "tile": 256, "tile_overlap": 64}
    segmenter = build("kit-ge", given)
    segmenter._predict, segmenter._scale = Predictor(Peaks().eval(), "cpu", "float32"), scale
    same_both_ways(segmenter, mosaic(realdata, "Fluorescent", 2, 400), TILES, tmp_path, least=50)


def test_a_part_without_cells_gets_no_seeds_of_its_own():
    """Only where the whole image has no seed is the threshold lowered."""
    from cellharness_adapters.kit_ge.instances import (
        SeedRule,
        instances_from_distances,
        seed_areas,
        seed_rule,
    )

    y, x = np.mgrid[:60, :120]
    faint, clear = (np.hypot(y - 30, x - centre) for centre in (30, 90))
    cell = (0.3 * np.clip(1 - faint / 12, 0, 1) + np.clip(1 - clear / 12, 0, 1)).astype(np.float32)
    near = np.zeros_like(cell)
    halves = [np.s_[:, :60], np.s_[:, 60:]]
    own = slice(0, 60), slice(0, 60)

    def areas_at(threshold):
        return np.concatenate([seed_areas(cell[h], near[h], threshold, own) for h in halves])

    rule = seed_rule(areas_at, 0.45)
    assert isinstance(rule, SeedRule)
    whole = instances_from_distances(cell, near)
    assert whole.max() == 1
    parts = [instances_from_distances(cell[h], near[h], rule=rule) for h in halves]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    # Without the rule of the whole the faint one becomes a cell of its half.
    assert instances_from_distances(cell[halves[0]], near[halves[0]]).max() == 1


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


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize(
    ("modality", "parameters"),
    [
        ("Phase-contrast", {"background": "auto"}),
        ("Brightfield", {"background": "auto"}),
        ("Brightfield", {"width": 14.0, "background": "light", "gaussian_laplace": True}),
    ],
)
def test_misic_finds_the_same_cells(modality, parameters, realdata, tmp_path):
    pytest.importorskip("h5py", reason="needs the extra 'misic'")
    segmenter = build("misic", {"precision": "float32", "device": "cpu", **parameters})
    segmenter.load()
    pixels = mosaic(realdata, modality, 2, 300)
    made = same_both_ways(segmenter, pixels, TILES, tmp_path, least=50)
    expected = segmenter.details()
    for name in ("width", "background"):
        assert made.details[name] == expected[name]


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize(
    ("modality", "method", "parameters"),
    [
        ("Fluorescent", "omnipose-paper", {}),
        ("Phase-contrast", "omnipose-paper", {"flow_threshold": 0}),
        ("Fluorescent", "omnipose", {"diameter": 24.0, "flow_threshold": 0, "cluster": True}),
    ],
)
def test_omnipose_finds_the_same_cells(modality, method, parameters, cyto, realdata, tmp_path):
    pytest.importorskip("omnipose", reason="needs the extra 'omnipose'")
    given = {"weights": "cyto", "network": "tiles", "device": "cpu", **parameters}
    segmenter = build(method, given)
    segmenter.load()
    pixels = mosaic(realdata, modality, 2, 300)
    made = same_both_ways(segmenter, pixels, TILES, tmp_path, least=50)
    assert made.details["network"] == "tiles"
    assert segmenter._core.div_rescale.__module__ == "omnipose.core"


@pytest.mark.weights
def test_omnipose_says_that_whole_tiles_are_images_by_themselves(cyto, tmp_path):
    pytest.importorskip("omnipose", reason="needs the extra 'omnipose'")
    segmenter = build("omnipose-paper", {"weights": "cyto", "network": "whole", "device": "cpu"})
    segmenter.load()
    pixels = np.random.default_rng(4).integers(0, 255, (60, 100)).astype(np.uint8)
    _, _, made = both_ways(segmenter, pixels, TilesConfig(size=64, overlap=16), tmp_path)
    assert TILES_ALONE in made.details["remark"]


@pytest.mark.parametrize("count", [40, 30_011])
def test_quantiles_of_parts_are_those_of_all_values(count):
    pytest.importorskip("omnipose", reason="needs the extra 'omnipose'")
    from cellharness_adapters.omnipose.whole_image import Tails

    values = np.random.default_rng(3).gamma(1.5, 30, count).astype(np.float32)
    tails = Tails((0.01, 0.99), count)
    for part in np.array_split(values, 7):
        tails.add(part)
    for shares in ((0.01, 0.99), (0.0001, 0.9999)):
        expected = np.quantile(values, shares)
        np.testing.assert_allclose(tails.quantiles(shares), expected, rtol=1e-6)
