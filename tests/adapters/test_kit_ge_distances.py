"""Distance maps against the published code's; its plain form is in the speed benchmark."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from cellharness_adapters.kit_ge.distances import distance_maps


def square_pair(dtype=np.uint16, first=1, second=2):
    """Two squares of 8 px that touch, and room around them."""
    labels = np.zeros((30, 40), dtype)
    labels[10:18, 10:18] = first
    labels[10:18, 18:26] = second
    return labels


@pytest.mark.parametrize("number", range(7))
def test_maps_are_those_of_the_published_code(shared, number):
    path = shared / "golden" / "kit_ge" / f"distance_{number}.npz"
    if not path.is_file():
        pytest.skip(f"needs ../shared/golden/kit_ge/{path.name}, which is not here")
    golden = np.load(path)
    cell, neighbor = distance_maps(
        golden["label"], int(golden["cell_radius"]), int(golden["neighbor_radius"])
    )
    assert cell.dtype == neighbor.dtype == np.float32
    np.testing.assert_allclose(cell, golden["cell_distance"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(neighbor, golden["neighbor_distance"], atol=1e-5, rtol=0)


def test_a_square_by_hand():
    cell, neighbor = distance_maps(square_pair(), 10, 20)
    # Rows 10 to 17: the distance to the outside is 1 at the edge and 4 in the middle.
    np.testing.assert_allclose(cell[13, 10:18], np.array([1, 2, 3, 4, 4, 3, 2, 1]) / 4)
    assert cell[9].max() == cell[:, 9].max() == 0
    assert neighbor[13, 17] == neighbor[13, 18] == 1  # where they touch
    assert neighbor[13, 17] > neighbor[13, 16] > neighbor[13, 15] > neighbor[13, 10] == 0


def test_one_cell_has_no_neighbour():
    labels = square_pair(second=0)
    cell, neighbor = distance_maps(labels, 10, 20)
    assert cell.max() == 1
    assert neighbor.max() == 0


def test_no_cell_gives_nothing():
    cell, neighbor = distance_maps(np.zeros((7, 9), np.uint8), 5, 5)
    assert cell.shape == neighbor.shape == (7, 9)
    assert cell.max() == neighbor.max() == 0


def test_a_cell_of_one_pixel_and_an_image_of_one_pixel():
    labels = np.zeros((9, 9), np.uint8)
    labels[4, 4] = 1
    cell, neighbor = distance_maps(labels, 5, 5)
    assert cell[4, 4] == cell.sum() == 1
    assert neighbor.max() == 0
    assert distance_maps(np.ones((1, 1), np.uint8), 5, 5)[0] == 1


def test_a_cell_out_of_its_own_window_is_passed_over():
    # A ring: around its centre there is none of it.
    yy, xx = np.mgrid[:61, :61]
    radius = np.hypot(yy - 30, xx - 30)
    ring = ((radius > 20) & (radius < 26)).astype(np.uint8)
    assert distance_maps(ring, 10, 10)[0].max() == 0
    assert distance_maps(ring, 40, 40)[0].max() == 1


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.uint16, np.uint32, np.uint64, np.int16, np.int32, np.int64]
)
def test_names_and_types_of_labels_make_no_difference(dtype):
    plain = distance_maps(square_pair(), 10, 20)
    top = np.iinfo(dtype).max
    for first, second in ((7, 3), (top, 5), (top, top - 1)):
        named = distance_maps(square_pair(dtype, first, second), 10, 20)
        for one, other in zip(plain, named, strict=True):
            np.testing.assert_array_equal(one, other)
    with_byte_order = square_pair(dtype).astype(np.dtype(dtype).newbyteorder(">"))
    np.testing.assert_array_equal(distance_maps(with_byte_order.T, 10, 20)[0].T, plain[0])


def test_labels_that_cannot_be_are_refused():
    for labels, match in (
        (np.zeros((4, 5), np.float32), "holds integers, this one float32"),
        (np.zeros((4, 5), bool), "holds integers, this one bool"),
        (np.zeros((2, 4, 5), np.uint8), r"shape \(H, W\).*\(2, 4, 5\)"),
        (np.zeros((0, 5), np.uint8), r"at least one pixel.*\(0, 5\)"),
        (np.full((4, 5), -3), r"20 pixels of the label image are negative \(lowest -3\)"),
    ):
        with pytest.raises(ValueError, match=match):
            distance_maps(labels, 5, 5)


@pytest.mark.parametrize("radius", [0, -4, 2.5, np.nan, None, True])
def test_radii_that_cannot_be_are_refused(radius):
    labels = np.ones((4, 5), np.uint8)
    with pytest.raises(ValueError, match="cell_radius is a number of px, an integer >= 1"):
        distance_maps(labels, radius, 5)
    with pytest.raises(ValueError, match="neighbor_radius is a number of px, an integer >= 1"):
        distance_maps(labels, 5, radius)


def test_radii_beyond_the_image_are_as_good_as_its_size():
    labels = square_pair()
    for one, other in zip(
        distance_maps(labels, 40, 40), distance_maps(labels, 2**70, 2**70), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_maps_and_instances_do_not_import_torch():
    script = (
        "import sys; from cellharness_adapters.kit_ge.distances import distance_maps; "
        "from cellharness_adapters.kit_ge.instances import instances_from_distances; "
        "assert 'torch' not in sys.modules"
    )
    pytest.importorskip("torch", reason="needs torch")
    subprocess.run([sys.executable, "-c", script], check=True)
