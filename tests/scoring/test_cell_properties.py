from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from skimage.measure import regionprops_table

from cellharness.scoring.cell_properties import measure_cells
from cellharness.scoring.validation import ScoringError


def discs(centers, radii, shape=(80, 90), ids=None):
    labels = np.zeros(shape, np.int32)
    y, x = np.ogrid[: shape[0], : shape[1]]
    for number, ((row, column), radius) in enumerate(zip(centers, radii, strict=True)):
        inside = (y - row) ** 2 + (x - column) ** 2 <= radius**2
        labels[inside] = ids[number] if ids else number + 1
    return labels


def test_by_hand():
    labels = np.zeros((20, 40), np.uint16)
    labels[5:15, 5:15] = 7
    labels[5:15, 25:35] = 3
    image = np.full((20, 40), 100.0)
    image[labels == 7] = 180
    image[labels == 3] = 60
    # 1st and 99th percentile are the lowest and the highest value: a quarter of the pixels each.
    frame = measure_cells(image, labels).set_index("cell")
    assert frame.index.tolist() == [3, 7]
    assert frame["area"].tolist() == [100, 100]
    assert frame["contrast"].tolist() == pytest.approx([40 / 120, 80 / 120])
    assert frame["brighter"].tolist() == [False, True]
    assert frame[["row", "column"]].to_numpy().tolist() == [[9.5, 29.5], [9.5, 9.5]]
    # The diameter is 11.28, so the window reaches 28.2 to either side: over all rows, and over the
    # columns from the left end to 9.5 + 28.2. One other cell lies in it.
    reach = 2.5 * 2 * math.sqrt(100 / math.pi)
    assert frame["density"].tolist() == pytest.approx([100 / (20 * (9.5 + 0.5 + reach))] * 2)


def test_a_cell_alone_has_no_density_and_distant_cells_do_not_count():
    labels = discs([(20, 20), (20, 75)], [4, 4])
    frame = measure_cells(labels * 10.0, labels)
    assert frame["density"].tolist() == [0, 0]
    crowd = discs([(20, 20), (20, 30)], [4, 4])
    assert (measure_cells(crowd * 10.0, crowd)["density"] > 0).all()


def test_density_is_free_of_scale():
    side = 8
    rows, columns = np.indices((96, 96)) // side
    labels = (rows * (96 // side) + columns + 1).astype(np.int32)
    image = np.random.default_rng(0).random(labels.shape)
    small = measure_cells(image, labels)
    middle = small[(small["row"] - 47.5).abs().lt(8) & (small["column"] - 47.5).abs().lt(8)]
    # 5 x 5 centres lie within 2.5 diameters of 9.03 pixels, one of them the cell's own.
    np.testing.assert_allclose(middle["density"], 24 * 64 / (5 * 16 / math.sqrt(math.pi)) ** 2)
    large = measure_cells(np.kron(image, np.ones((3, 3))), np.kron(labels, np.ones((3, 3), int)))
    np.testing.assert_allclose(large["density"], small["density"], rtol=1e-12)
    # Cells that fill the plane leave no ring.
    assert small["contrast"].isna().all()
    assert not small["brighter"].any()


def ring_mean(image, labels, label, width):
    """Mean over the background within `width` of a cell that is nearest to it, the slow way."""
    own = distance_transform_edt(labels != label)
    others = distance_transform_edt((labels == 0) | (labels == label))
    if (labels[labels != label] > 0).any():
        ring = (labels == 0) & (own <= width) & (own < others)
    else:
        ring = (labels == 0) & (own <= width)
    return image[ring].mean()


@pytest.mark.parametrize("ring", [None, 3.0, 6.5])
def test_equals_scikit_image_and_a_slow_ring(ring):
    rng = np.random.default_rng(4)
    centers = [(12, 14), (15, 60), (50, 20), (55, 70), (40, 45)]
    labels = discs(centers, [6, 8, 7, 9, 5], ids=[4, 2, 90, 11, 30])
    image = rng.normal(50, 5, labels.shape) + 20 * (labels > 0) + labels
    frame = measure_cells(image, labels, ring=ring)
    table = regionprops_table(
        labels, image, properties=("label", "area", "centroid", "intensity_mean")
    )
    assert frame["cell"].tolist() == table["label"].tolist()
    np.testing.assert_array_equal(frame["area"], table["area"])
    np.testing.assert_allclose(frame["row"], table["centroid-0"], rtol=1e-12)
    np.testing.assert_allclose(frame["column"], table["centroid-1"], rtol=1e-12)
    width = ring or max(2, 0.25 * 2 * math.sqrt(np.median(table["area"]) / math.pi))
    scale = np.diff(np.percentile(image, [1, 99]))[0]
    expected = [
        abs(inside - ring_mean(image, labels, label, width)) / scale
        for label, inside in zip(table["label"], table["intensity_mean"], strict=True)
    ]
    np.testing.assert_allclose(frame["contrast"], expected, rtol=1e-10)


def test_numbering_and_kind_of_integer_are_of_no_account():
    labels = discs([(20, 20), (40, 60)], [6, 9])
    image = np.random.default_rng(0).random(labels.shape).astype(np.float32)
    plain = measure_cells(image, labels)
    huge = measure_cells(image, np.where(labels > 0, labels.astype(np.int64) + 10**12, 0))
    assert (huge.pop("cell") - 10**12).tolist() == plain.pop("cell").tolist() == [1, 2]
    assert huge.equals(plain)
    everywhere = np.full((6, 6), 10**12)
    assert measure_cells(np.ones((6, 6)), everywhere)["area"].tolist() == [36]


def test_an_image_of_one_value_has_no_contrast():
    labels = discs([(20, 20)], [6])
    frame = measure_cells(np.full(labels.shape, 7, np.uint8), labels)
    assert frame["contrast"].isna().all()


def test_no_cells_is_an_empty_table():
    frame = measure_cells(np.ones((5, 5)), np.zeros((5, 5), int))
    assert frame.empty
    assert frame.columns.tolist() == [
        "cell", "area", "contrast", "brighter", "density", "row", "column",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("image", "labels", "ring", "message"),
    [
        (np.ones((4, 4, 3)), np.ones((4, 4), int), None, r"shape \(4, 4, 3\) .* to grey first"),
        (np.ones((4, 5)), np.ones((4, 4), int), None, "two equal shapes"),
        (np.ones((4, 4)), np.ones((4, 4)), None, "labels are float64"),
        (np.ones((4, 4)), -np.ones((4, 4), int), None, "from -1 on; valid are integers from 0"),
        (np.full((4, 4), np.nan), np.ones((4, 4), int), None, "not finite"),
        (np.ones((4, 4)), np.ones((4, 4), int), 0.5, "ring is 0.5; valid are numbers from 1"),
    ],
)
def test_input_is_checked(image, labels, ring, message):
    with pytest.raises(ScoringError, match=message):
        measure_cells(image, labels, ring=ring)
