"""The counting pass: any integer dtype, memory layout, id and size."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cellharness.compiled import compiled
from cellharness.scoring import score_pair
from cellharness.scoring.contingency import count_overlaps

DTYPES = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64)


def counted(table):
    return {
        (int(gt), int(pred)): (int(pixels), bool(border))
        for gt, pred, pixels, border in zip(
            table.gt, table.pred, table.pixels, table.at_border, strict=True
        )
    }


def counted_pixel_by_pixel(gt, pred, border):
    pixels, at_border = Counter(), set()
    height, width = gt.shape
    for y, x in itertools.product(range(height), range(width)):
        pair = int(gt[y, x]), int(pred[y, x])
        pixels[pair] += 1
        if min(y, x, height - 1 - y, width - 1 - x) < border:
            at_border.add(pair)
    return {pair: (n, pair in at_border) for pair, n in pixels.items() if pair != (0, 0)}


@settings(max_examples=60, deadline=None)
@given(
    st.data(),
    # Widths on both sides of 64, the pixels that one word of marks holds.
    array_shapes(min_dims=2, max_dims=2, max_side=140).filter(lambda shape: shape[0] <= 12),
    st.integers(0, 3),
)
def test_equals_counting_pixel_by_pixel(data, shape, border):
    ids = st.sampled_from([0, 1, 2, 2**33, 2**64 - 1])
    gt, pred = (data.draw(arrays(np.uint64, shape, elements=ids)) for _ in range(2))
    table = count_overlaps(gt, pred, border=border)
    assert counted(table) == counted_pixel_by_pixel(gt, pred, border)
    assert table.background == int(((gt == 0) & (pred == 0)).sum())


def test_many_pairs_make_the_table_grow():
    rng = np.random.default_rng(0)
    gt, pred = rng.integers(0, 300, (2, 90, 777), np.uint16)
    table = count_overlaps(gt, pred, border=1)
    assert len(table.gt) > 30_000
    assert counted(table) == counted_pixel_by_pixel(gt, pred, 1)


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(5)
    gt = np.kron(rng.integers(0, 40, (12, 15)), np.ones((5, 5), int))
    return gt, np.roll(gt, 2, axis=1)


@pytest.fixture(scope="module")
def expected(pair):
    return score_pair(*pair, "strict", (0.3, 0.5))


@pytest.mark.parametrize("dtypes", list(itertools.product(DTYPES, DTYPES)))
def test_all_integer_dtypes_count_alike(pair, expected, dtypes):
    gt, pred = (side.astype(dtype) for side, dtype in zip(pair, dtypes, strict=True))
    assert score_pair(gt, pred, "strict", (0.3, 0.5)) == expected


def frozen(side):
    side = side.copy()
    side.flags.writeable = False
    return side


@pytest.mark.parametrize(
    "arranged",
    [
        np.asfortranarray,
        lambda side: np.repeat(np.repeat(side, 2, axis=0), 3, axis=1)[::2, ::3],
        lambda side: side[::-1, ::-1].copy()[::-1, ::-1],
        lambda side: np.pad(side, 7)[7:-7, 7:-7],
        lambda side: side.astype(">u4"),
        frozen,
    ],
    ids=["fortran", "strided", "reversed", "window", "big-endian", "read-only"],
)
def test_all_memory_layouts_count_alike(pair, expected, arranged):
    gt, pred = (side.astype(np.uint32) for side in pair)
    assert score_pair(arranged(gt), arranged(pred), "strict", (0.3, 0.5)) == expected
    assert score_pair(arranged(gt), pred, "strict", (0.3, 0.5)) == expected


def test_memory_mapped_files_are_read_in_place(pair, expected, tmp_path):
    sides = []
    for name, side in zip("ab", pair, strict=True):
        np.save(tmp_path / f"{name}.npy", side.astype(np.uint16))
        sides.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    assert score_pair(*sides, "strict", (0.3, 0.5)) == expected


def test_rows_copied_in_several_blocks_count_alike(pair, expected, monkeypatch):
    monkeypatch.setattr("cellharness.scoring.contingency._BLOCK_PIXELS", 200)
    gt, pred = (np.asfortranarray(side) for side in pair)
    assert score_pair(gt, pred, "strict", (0.3, 0.5)) == expected


@pytest.mark.parametrize(
    ("dtype", "offset"),
    [(np.uint32, 4_000_000_000), (np.int64, 2**62), (np.uint64, 2**63 + 2**40)],
)
def test_huge_sparse_ids_cost_no_memory_and_come_back(pair, expected, dtype, offset):
    step = 1_000_003
    gt, pred = (
        np.where(side > 0, side.astype(np.uint64) * step + np.uint64(offset), 0).astype(dtype)
        for side in pair
    )
    score_pair(gt, pred, "strict")
    tracemalloc.start()
    scores = score_pair(gt, pred, "strict", (0.3, 0.5), matches=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
    for score, plain in zip(scores, expected, strict=True):
        assert score.as_dict() == plain.as_dict()
        assert score.matches
        assert all((match.gt_label - offset) % step == 0 for match in score.matches)
    ids = {int(label) for label in np.unique(gt)}
    assert {match.gt_label for match in scores[0].matches} <= ids


def test_a_label_image_of_70_000_cells():
    rows = columns = 265
    gt = np.zeros((rows * 4 + 4, columns * 4 + 4), np.uint32)
    cells = np.arange(1, rows * columns + 1, dtype=np.uint32).reshape(rows, columns)
    gt[2:-2, 2:-2] = np.kron(cells, np.ones((4, 4), np.uint32))
    gt[2:-2, 2:-2][3::4] = 0
    assert len(np.unique(gt)) - 1 == 70_225
    scores = score_pair(gt, gt, "challenge", (0.5, 0.9))
    assert [score.tp for score in scores] == [70_225, 70_225]
    # Every cell cut in halves: 140,450 predicted cells, each cell tied between two of them.
    halves = np.where(gt > 0, 2 * gt, 0)
    halves[:, 2::4] -= (halves[:, 2::4] > 0).astype(np.uint32)
    halves[:, 3::4] -= (halves[:, 3::4] > 0).astype(np.uint32)
    score = score_pair(gt, halves, "challenge", 0.5)
    assert (score.n_true, score.n_pred, score.tp) == (70_225, 140_450, 70_225)


def test_compiles_where_no_cache_can_be_written(monkeypatch):
    def refuse(self):
        msg = "cannot cache function: no locator available"
        raise RuntimeError(msg)

    monkeypatch.setattr("numba.core.dispatcher.Dispatcher.enable_caching", refuse)
    assert compiled(lambda number: number + 1)(2) == 3


def test_scoring_needs_no_torch():
    code = "import sys, cellharness.scoring; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
