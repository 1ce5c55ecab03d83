"""Distance maps and instances of KIT-GE: against the plain way, and as the image grows.

Run with ``pytest tests/benchmarks/test_kit_ge_speed.py -o addopts= -rP``. The yardstick,
`plain_distance_maps`, follows the published description step by step: every cell and every gap is
picked out of the full image by a comparison, and closed, dilated and measured by SciPy. It is also
the oracle of the tests below that random label images give equal maps. Times are processor time of
this process; numba's compilation is not timed.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.measure import label as components
from skimage.measure import regionprops
from skimage.morphology import disk

from cellharness_adapters.kit_ge.distances import distance_maps
from recording import compared, grows

REQUIRED_RATIO = 100
SQUARE = np.ones((3, 3), bool)
CROSS = ndimage.generate_binary_structure(2, 1)


def ids_of(image):
    ids = np.unique(image)
    return ids[ids > 0]


def window_around(centroid, radius, shape):
    middle = np.round(centroid).astype(int)
    low = np.maximum(middle - radius, 0)
    high = np.minimum(middle + radius, shape)
    return slice(low[0], high[0]), slice(low[1], high[1])


def plain_touching(labels):
    """Pixels beside a cell, without those beside all cells taken together."""
    rims = np.zeros(labels.shape, bool)
    for number in ids_of(labels):
        cell = labels == number
        rims |= ndimage.binary_dilation(cell, SQUARE) ^ cell
    together = labels > 0
    return rims ^ (ndimage.binary_dilation(together, SQUARE) ^ together)


def plain_gaps(labels, neighbor):
    closed = np.zeros(labels.shape, bool)
    for number in ids_of(labels):
        closed |= ndimage.binary_closing(labels == number, disk(3))
    gaps = components((ndimage.binary_closing(closed, disk(3)) ^ closed) & ~closed)
    values = (gaps > 0).astype(np.float32)
    for gap in regionprops(gaps):
        here = gaps == gap.label
        if gap.axis_minor_length >= 3:
            values[here ^ ndimage.binary_erosion(here, CROSS)] = 0.8
        limits = ((20, 5), (30, 8), (50, 10), (np.inf, 20))
        least = next(value for area, value in limits if gap.area <= area)
        rim = ndimage.binary_dilation(here, SQUARE) ^ here
        if (rim * neighbor).sum() < least:
            values[here] = 0
    return values


def plain_distance_maps(labels, cell_radius, neighbor_radius):
    cell, neighbor = np.zeros(labels.shape), np.zeros(labels.shape)
    for region in regionprops(labels):
        own = labels == region.label
        window = window_around(region.centroid, cell_radius, labels.shape)
        inside = ndimage.distance_transform_edt(own[window])
        inradius = inside.max()
        if inradius == 0:
            continue
        cell[window] += inside / inradius
        window = window_around(region.centroid, neighbor_radius, labels.shape)
        if len(ids_of(labels[window])) < 2:
            continue
        free = own[window] | (labels[window] == 0)
        away = ndimage.distance_transform_edt(free) * own[window]
        if away.max() > 0:
            nearness = 1 - np.clip(away / min(inradius + 3, away.max()), 0, 1)
            neighbor[window] += nearness * own[window]
    neighbor = np.maximum(neighbor, plain_gaps(labels, neighbor))
    neighbor = np.maximum(neighbor, plain_touching(labels))
    neighbor = 1 / np.sqrt(0.65 + 0.5 * np.exp(-11 * (neighbor - 0.75))) - 0.19
    neighbor = ndimage.grey_closing(np.clip(neighbor, 0, 1), size=(3, 3))
    return cell.astype(np.float32), neighbor.astype(np.float32)


def draw_cells(side, cells_a_side, seed):
    """Ellipses on a jittered grid, some touching, some cut by the border."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.uint16)
    pitch = side / cells_a_side
    for number in range(cells_a_side**2):
        middle = (np.array(divmod(number, cells_a_side)) + 0.5) * pitch
        row, column = middle + rng.normal(0, 0.1 * pitch, 2)
        long, short = pitch * rng.uniform(0.4, 0.6), pitch * rng.uniform(0.3, 0.45)
        angle = rng.uniform(0, np.pi)
        rows = slice(max(0, int(row - long)), int(row + long) + 2)
        columns = slice(max(0, int(column - long)), int(column + long) + 2)
        part = labels[rows, columns]
        y, x = np.ogrid[: part.shape[0], : part.shape[1]]
        y, x = y + rows.start - row, x + columns.start - column
        along = y * np.cos(angle) + x * np.sin(angle)
        across = x * np.cos(angle) - y * np.sin(angle)
        part[(along / long) ** 2 + (across / short) ** 2 <= 1] = number + 1
    return labels


def smooth_labels(seed, shape, sigma, cells, share):
    """Cells of irregular shape: the nearest of random points, where smooth noise is high."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 1, (cells, 2)) * shape
    y, x = np.indices(shape)
    squared = (y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2
    noise = ndimage.gaussian_filter(rng.normal(size=shape), sigma)
    inside = noise > np.quantile(noise, 1 - share)
    return ((squared.argmin(axis=-1) + 1) * inside).astype(np.uint16)


def assert_as_plain(labels, cell_radius, neighbor_radius):
    cell, neighbor = distance_maps(labels, cell_radius, neighbor_radius)
    plain_cell, plain_neighbor = plain_distance_maps(labels, cell_radius, neighbor_radius)
    np.testing.assert_allclose(cell, plain_cell, atol=1e-6, rtol=0)
    np.testing.assert_allclose(neighbor, plain_neighbor, atol=1e-6, rtol=0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.floats(0.5, 4),
    st.integers(1, 30),
    st.floats(0.2, 1),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_irregular_cells_give_the_maps_of_the_plain_way(
    seed, shape, sigma, cells, share, cell_radius, neighbor_radius
):
    labels = smooth_labels(seed, shape, sigma, cells, share)
    assert_as_plain(labels, cell_radius, neighbor_radius)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24), elements=st.integers(0, 4)
    ),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_scattered_pixels_give_the_maps_of_the_plain_way(labels, cell_radius, neighbor_radius):
    assert_as_plain(labels, cell_radius, neighbor_radius)


@pytest.mark.parametrize("seed", range(3))
def test_ellipses_give_the_maps_of_the_plain_way(seed):
    assert_as_plain(draw_cells(220, 6, seed), 22, 34)


def seconds(call, rounds):
    """Least processor time of a call."""
    best = np.inf
    for _ in range(rounds):
        begun = time.process_time()
        call()
        best = min(best, time.process_time() - begun)
    return best


def test_label_generation_against_the_plain_way(benchmark):
    labels = draw_cells(1024, 20, seed=0)
    assert len(ids_of(labels)) == 400
    distance_maps(labels, 30, 50)
    ours = seconds(lambda: distance_maps(labels, 30, 50), rounds=20)
    plain = seconds(lambda: plain_distance_maps(labels, 30, 50), rounds=1)
    assert_as_plain(draw_cells(256, 5, seed=1), 30, 50)
    compared(
        benchmark, "kit-ge labels", "distances of 1024 x 1024 px with 400 cells",
        reference="every cell on the whole image", reference_s=plain, ours_s=ours,
        least=REQUIRED_RATIO,
    )  # fmt: skip
    benchmark.pedantic(distance_maps, (labels, 30, 50), rounds=5, warmup_rounds=1)
    assert plain / ours >= REQUIRED_RATIO


def test_cost_per_pixel_does_not_grow_with_the_image(benchmark):
    per_pixel, times = {}, {}
    for side in (1024, 2048, 4096):
        labels = draw_cells(side, side * 20 // 1024, seed=0)
        distance_maps(labels, 30, 50)
        spent = seconds(lambda labels=labels: distance_maps(labels, 30, 50), rounds=5)
        per_pixel[side], times[side**2] = 1e9 * spent / side**2, spent
    grows(benchmark, "growth", "KIT-GE's distance maps, as many cells a pixel", "pixels", times)
    benchmark.pedantic(distance_maps, (labels, 30, 50), rounds=1)
    assert per_pixel[4096] < 1.5 * per_pixel[1024]


def test_a_slide_of_9000_px_is_segmented(benchmark, tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch")
    from cellharness.methods.registry import build
    from cellharness.training.checkpoints import save
    from cellharness_adapters.kit_ge.network import DUNet

    torch.manual_seed(0)
    # Two levels, so that tiles and watershed are timed and not the network.
    save(tmp_path / "tiny.pt", {"model": DUNet((2, 4)).state_dict(), "meta": {}})
    method = build("kit-ge", {"weights": str(tmp_path / "tiny.pt")})
    method.load()
    slide = np.random.default_rng(0).integers(0, 255, (9000, 9000)).astype(np.uint8)
    labels = benchmark.pedantic(method.segment, (slide,), rounds=1)
    assert labels.shape == slide.shape
