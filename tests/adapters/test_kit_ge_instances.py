"""Cells from distances against the published post-processing."""

from __future__ import annotations

import numpy as np
import pytest

from cellharness_adapters.kit_ge.distances import distance_maps
from cellharness_adapters.kit_ge.instances import instances_from_distances


def renamed(first, second):
    """Whether two label images are the same but for the names of the labels."""
    pairs = np.unique(np.stack([first.ravel(), second.ravel()], axis=1), axis=0)
    return (
        len(pairs) == len(np.unique(first)) == len(np.unique(second))
        and ((pairs[:, 0] == 0) == (pairs[:, 1] == 0)).all()
    )


@pytest.mark.parametrize("number", range(7))
def test_instances_are_those_of_the_published_code(shared, number):
    path = shared / "golden" / "kit_ge" / f"distance_{number}.npz"
    if not path.is_file():
        pytest.skip(f"needs ../shared/golden/kit_ge/{path.name}, which is not here")
    golden = np.load(path)
    labels = instances_from_distances(
        golden["pred_cell"],
        golden["pred_neighbor"],
        float(golden["th_cell"]),
        float(golden["th_seed"]),
    )
    assert renamed(labels, golden["instances"])


def discs(*centres, shape=(80, 100), radius=12):
    labels = np.zeros(shape, np.uint16)
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    for number, (y, x) in enumerate(centres, start=1):
        labels[((yy - y) ** 2 + (xx - x) ** 2 <= radius**2) & (labels == 0)] = number
    return labels


def test_touching_cells_come_apart_where_the_neighbour_map_says_so():
    truth = discs((40, 30), (40, 52))
    cell, neighbor = distance_maps(truth, 20, 30)
    assert instances_from_distances(cell, neighbor).max() == 2
    assert instances_from_distances(cell, np.zeros_like(cell)).max() == 2  # by shape alone


def test_cells_that_only_their_shape_split_are_merged_on_demand():
    truth = discs((40, 30), (40, 52), (20, 80), radius=11)
    cell, neighbor = distance_maps(truth, 20, 30)
    flat = np.zeros_like(cell)
    assert instances_from_distances(cell, flat).max() == 3
    merged = instances_from_distances(cell, flat, merge=True)
    assert sorted(np.unique(merged)) == [0, 1, 2]
    assert merged[40, 30] == merged[40, 52] != merged[20, 80]
    assert instances_from_distances(cell, neighbor, merge=True).max() == 3


def test_faint_cells_are_found_by_a_lower_seed_threshold():
    cell, neighbor = distance_maps(discs((40, 50)), 20, 30)
    assert instances_from_distances(0.3 * cell, neighbor).max() == 1
    assert instances_from_distances(0.01 * cell, neighbor).max() == 0


def test_nothing_and_specks_give_nothing():
    empty = np.zeros((40, 50), np.float32)
    assert instances_from_distances(empty, empty).max() == 0
    speck = empty.copy()
    speck[10, 10] = 0.2
    assert instances_from_distances(speck, empty).max() == 0


def test_maps_that_cannot_be_are_refused():
    flat = np.zeros((4, 5), np.float32)
    with pytest.raises(ValueError, match=r"cell is \(4, 5\), neighbour \(4, 4\)"):
        instances_from_distances(flat, flat[:, :4])
    broken = flat.copy()
    broken[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"1 values of the distance maps are not finite"):
        instances_from_distances(broken, flat)
