"""Outlines as text: read back here by another way, edge by edge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label

from cellharness.report.explorer.chains import MOST_CORNERS, write_outlines

# Row and column steps of the headings right, down, left and up.
STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))
LETTERS = "".join(chr(code) for code in range(35, 117) if chr(code) != "\\")


def walk(text: str, width: int) -> list[list[tuple[int, int, int]]]:
    """Read outlines: for each the corners left behind and the heading taken from there."""
    outlines, at = [], 0
    while at < len(text):
        corner = 0
        for letter in text[at : at + 4]:
            corner = corner * 81 + LETTERS.index(letter)
        at += 4
        start = divmod(corner, width + 1)
        (y, x), heading, edges, turns = start, 0, [], []
        while True:
            edges.append((y, x, heading))
            y, x = y + STEPS[heading][0], x + STEPS[heading][1]
            if not turns:
                number = LETTERS.index(text[at])
                at += 1
                turns = [number // 3**k % 3 for k in range(4)]
            heading = (heading + (0, 3, 1)[turns.pop(0)]) % 4
            if (y, x) == start and heading == 0:
                break
        assert not any(turns), "padding is straight on"
        outlines.append(edges)
    return outlines


def edges_of(labels: np.ndarray) -> dict[tuple[int, int, int], int]:
    """Find every edge between a cell and something else, the cell on its right: edge to cell."""
    framed = np.pad(labels.astype(int), 1)
    found = {}
    for y, x in np.argwhere(framed):
        cell = framed[y, x]
        row, column = y - 1, x - 1
        for (dy, dx), edge in {
            (-1, 0): (row, column, 0),
            (0, 1): (row, column + 1, 1),
            (1, 0): (row + 1, column + 1, 2),
            (0, -1): (row + 1, column, 3),
        }.items():
            if framed[y + dy, x + dx] != cell:
                found[edge] = cell
    return {(int(a), int(b), c): int(v) for (a, b, c), v in found.items()}


@settings(max_examples=150, deadline=None)
@given(
    arrays(
        np.uint16,
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.sampled_from([0, 0, 1, 2, 7]),
    )
)
def test_every_edge_is_walked_once(labels):
    walked = [edge for edges in walk(write_outlines(labels)[0], labels.shape[1]) for edge in edges]
    assert len(walked) == len(set(walked))
    assert set(walked) == set(edges_of(labels))


def test_holes_and_loose_parts_are_outlines_of_their_own():
    labels = np.zeros((12, 12), np.uint8)
    labels[1:8, 1:8] = 3
    labels[3:5, 3:5] = 0
    labels[9:11, 9:11] = 3
    outlines = walk(write_outlines(labels)[0], 12)
    assert sorted(map(len, outlines)) == [8, 8, 28]


def test_pixels_that_touch_at_a_corner_are_apart():
    assert sorted(map(len, walk(write_outlines(np.eye(4, dtype=np.uint8))[0], 4))) == [4, 4, 4, 4]


def test_a_large_image_of_many_cells():
    rng = np.random.default_rng(0)
    labels = label(rng.random((500, 700)) > 0.45, connectivity=1)
    text, cells = write_outlines(labels)
    outlines = walk(text, 700)
    edges = edges_of(labels)
    assert [edges[outline[0]] for outline in outlines] == cells.tolist()
    assert sum(map(len, outlines)) == len(edges)
    assert all(len({edges[e] for e in outline}) == 1 for outline in outlines)


def test_nothing_has_no_outline():
    text, cells = write_outlines(np.zeros((5, 5), np.uint8))
    assert (text, cells.size) == ("", 0)


@pytest.mark.parametrize("shape", [(4,), (2, 2, 2), (6600, 6600)])
def test_what_cannot_be_written(shape):
    with pytest.raises(
        ValueError, match=rf"shape .*valid are 2-D ones with at most {MOST_CORNERS}"
    ):
        write_outlines(np.zeros(shape, np.uint8))
