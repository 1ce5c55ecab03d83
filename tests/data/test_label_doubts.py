"""Label images whose ids are not one a cell: found by kind, in one place, at little cost."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import label as components

from cellharness.data.label_doubts import doubts, find_pieces, serious_doubts


def grid(rows, columns, side=7, pitch=10, dtype=np.uint32):
    labels = np.zeros((rows * pitch, columns * pitch), dtype)
    for number in range(rows * columns):
        y, x = (number // columns) * pitch + 1, (number % columns) * pitch + 1
        labels[y : y + side, x : x + side] = number + 1
    return labels


MANY = grid(19, 19)
HUGE = grid(260, 260, side=2, pitch=4)


@pytest.mark.parametrize(
    ("labels", "code", "words"),
    [
        ((MANY > 0).astype(np.uint8) * 255, "binary-mask", "one id, 255, in 361 pieces: a binary"),
        ((MANY > 0).astype(np.uint8), "binary-mask", "one id, 1, in 361 pieces"),
        (MANY % 3 + (MANY > 0), "binary-mask", "3 ids .* in .* pieces: a mask of classes"),
        (MANY.astype(np.uint8), "wrapped-ids", "255 and 105 ids .* wrapped at 8 bits"),
        (MANY.astype(np.uint8).astype(np.uint16), "wrapped-ids", "8 bits"),
        (HUGE.astype(np.uint16), "wrapped-ids", "65535 and 2064 ids .* 16 bits"),
        (np.where(MANY == 361, 1, MANY), "duplicate-id", r"as if given twice: 1 \(ids 1\)"),
        (MANY % 200, "duplicate-id", "given twice: 161"),
    ],
)
def test_each_kind_is_named_with_its_numbers(labels, code, words):
    (doubt,) = doubts(labels)
    assert doubt.code == code
    assert re.search(words, doubt.message)
    assert serious_doubts(labels) == [doubt.message]


def test_a_binary_mask_of_cells_that_touch_is_one_too():
    mask = (MANY > 0).astype(np.uint8)
    mask[:, :100] = 1
    assert [doubt.code for doubt in doubts(mask)] == ["binary-mask"]


def test_sound_labels_are_not_doubted():
    assert doubts(MANY) == ()
    assert doubts(MANY * 1_000_003) == ()
    assert doubts(np.zeros((9, 9), np.uint8)) == ()
    # As many cells as 8 bits have ids for, each whole.
    assert doubts(grid(15, 17, dtype=np.uint8)) == ()
    assert doubts(np.ones((5, 5), np.uint8) * 255) == ()


def test_a_cell_cut_in_parts_is_not_serious():
    cut = MANY.copy()
    cut[:, 4] = 0
    (doubt,) = doubts(cut)
    assert doubt.code == "disconnected-id"
    assert serious_doubts(cut) == []


@settings(max_examples=60, deadline=None, database=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 6),
    st.sampled_from(["u1", "u2", "u4", "u8"]),
    st.integers(0, 2**32 - 1),
)
def test_pieces_are_those_of_scikit_image(height, width, top, dtype, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, top + 1, (height, width)).astype(dtype)
    pieces = find_pieces(labels)
    number = components(labels.astype(np.int64), connectivity=2, background=0)
    expected = []
    for k, (rows, columns) in enumerate(ndimage.find_objects(number), start=1):
        inside = number == k
        box = (rows.start, rows.stop, columns.start, columns.stop)
        expected.append((int(labels[inside][0]), int(inside.sum()), *box))
    found = zip(pieces.ids, pieces.pixels, pieces.boxes, strict=True)
    assert sorted((int(i), int(n), *map(int, box)) for i, n, box in found) == sorted(expected)


def test_ids_of_64_bits_and_views_are_taken():
    labels = np.zeros((6, 12), np.uint64)
    labels[1:3, 1:3] = 2**63 + 5
    assert find_pieces(labels[:, ::2]).ids.tolist() == [2**63 + 5]
