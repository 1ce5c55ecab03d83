"""Where the cells lie: exact label images of round, rod-like, irregular and tissue cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from cellharness.data.phantom.texture import smooth_noise

# A cell may lose this share of its area where it is pressed against an earlier one.
_PRESSED = 0.15
_TRIES_PER_CELL = 40


@dataclass(frozen=True)
class Layout:
    """How the cells of an experiment are shaped and spread.

    Attributes
    ----------
    shape
        ``"round"``, ``"rod"``, ``"irregular"`` or ``"tissue"`` (a closed sheet of cells).
    diameter
        Mean diameter of a cell in px; for rods the width.
    cover
        Share of the picture covered by cells, 0..1, as far as they can be placed.
    spread
        Standard deviation of the diameter relative to its mean.
    elongation
        Length over width.
    clustering
        Chance that a cell is put beside an earlier one instead of anywhere.
    """

    shape: str
    diameter: float
    cover: float
    spread: float = 0.15
    elongation: float = 1.15
    clustering: float = 0.4


def place_cells(layout: Layout, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Make a label image.

    Parameters
    ----------
    layout
        What to place.
    size
        (H, W) in px.
    rng
        Source of all randomness.

    Returns
    -------
    ndarray
        Shape (H, W), int32: 0 background, 1..N one connected region each. Cells may touch and never
        overlap.

    Raises
    ------
    ValueError
        If the layout's shape is unknown.
    """
    if layout.shape == "tissue":
        return _tissue(layout, size, rng)
    if layout.shape not in _SHAPES:
        msg = f"Unknown cell shape {layout.shape!r}; valid are {', '.join([*_SHAPES, 'tissue'])}."
        raise ValueError(msg)
    outline = _SHAPES[layout.shape]
    labels = np.zeros(size, np.int32)
    centres: list[tuple[float, float, float]] = []
    wanted = layout.cover * labels.size
    covered = 0
    failures = 0
    while covered < wanted and failures < _TRIES_PER_CELL * 8:
        diameter = layout.diameter * max(0.5, 1 + layout.spread * rng.standard_normal())
        row, column, angle = _position(layout, diameter, size, centres, rng)
        mask, corner = outline(diameter, layout.elongation, angle, rng)
        area = _put(labels, mask, corner, (row, column), len(centres) + 1)
        if area:
            centres.append((row, column, angle))
            covered += area
            failures = 0
        else:
            failures += 1
    return labels


def _position(
    layout: Layout,
    diameter: float,
    size: tuple[int, int],
    centres: list[tuple[float, float, float]],
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """Centre and direction of the next cell; neighbours of rods lie nearly parallel."""
    angle = rng.uniform(0, np.pi)
    if not centres or rng.random() > layout.clustering:
        return rng.uniform(0, size[0]), rng.uniform(0, size[1]), angle
    row, column, beside = centres[rng.integers(len(centres))]
    if layout.shape != "rod":
        direction = rng.uniform(0, 2 * np.pi)
        step = diameter * rng.uniform(0.9, 1.15) * np.sqrt(layout.elongation)
        return row + step * np.sin(direction), column + step * np.cos(direction), angle
    angle = beside + 0.15 * rng.standard_normal()
    along = layout.elongation * diameter * rng.uniform(-0.6, 0.6)
    across = diameter * rng.choice([-1.0, 1.0]) * rng.uniform(0.95, 1.15)
    if rng.random() < 0.3:
        along, across = layout.elongation * diameter * rng.choice([-1.05, 1.05]), 0.2 * across
    return (
        row + along * np.sin(beside) + across * np.cos(beside),
        column + along * np.cos(beside) - across * np.sin(beside),
        angle,
    )


def _put(
    labels: np.ndarray,
    mask: np.ndarray,
    corner: tuple[int, int],
    centre: tuple[float, float],
    number: int,
) -> int:
    """Write a cell where nothing lies yet; return its area, 0 if it does not fit."""
    top, left = (round(c) + k for c, k in zip(centre, corner, strict=True))
    rows = slice(max(top, 0), min(top + mask.shape[0], labels.shape[0]))
    columns = slice(max(left, 0), min(left + mask.shape[1], labels.shape[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return 0
    mask = mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    window = labels[rows, columns]
    free = mask & (window == 0)
    if free.sum() < (1 - _PRESSED) * mask.sum():
        return 0
    # Being pressed may cut off a corner of the new cell; the cell is its largest piece.
    pieces, count = ndimage.label(free)
    if count == 0:
        return 0
    sizes = np.bincount(pieces.ravel())[1:]
    free = pieces == 1 + sizes.argmax()
    window[free] = number
    return int(free.sum())


def _grid(reach: float) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    half = int(np.ceil(reach)) + 1
    rows, columns = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
    return rows, columns, (-half, -half)


def _round(
    diameter: float, elongation: float, angle: float, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[int, int]]:
    """Draw an ellipse with a slightly uneven outline."""
    stretch = np.sqrt(max(1.0, elongation * (1 + 0.1 * rng.standard_normal())))
    rows, columns, corner = _grid(0.65 * diameter * stretch)
    along = (np.cos(angle) * columns + np.sin(angle) * rows) / stretch
    across = (np.cos(angle) * rows - np.sin(angle) * columns) * stretch
    polar = np.arctan2(across, along)
    radius = np.full_like(polar, diameter / 2)
    for order, size in ((2, 0.03), (3, 0.03), (4, 0.02)):
        amplitude = size * rng.standard_normal()
        radius *= 1 + amplitude * np.cos(order * polar + rng.uniform(0, 2 * np.pi))
    return np.hypot(along, across) <= radius, corner


def _irregular(
    diameter: float, elongation: float, angle: float, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[int, int]]:
    """Draw a spread cell: an uneven body with two to four tapering processes."""
    rows, columns, corner = _grid(diameter * 1.6 * np.sqrt(elongation))
    stretch = np.sqrt(elongation)
    along = (np.cos(angle) * columns + np.sin(angle) * rows) / stretch
    across = (np.cos(angle) * rows - np.sin(angle) * columns) * stretch
    polar = np.arctan2(across, along)
    radius = np.full_like(polar, 0.42 * diameter)
    for order in (2, 3, 4, 5):
        amplitude = 0.22 / order * rng.standard_normal()
        radius *= 1 + amplitude * np.cos(order * polar + rng.uniform(0, 2 * np.pi))
    count = rng.integers(2, 5)
    turn = rng.uniform(0, 2 * np.pi)
    for arm in range(count):
        towards = turn + 2 * np.pi * arm / count + 0.3 * rng.standard_normal()
        sharpness = rng.uniform(6, 18)
        length = diameter * rng.uniform(0.15, 0.5)
        radius += length * np.exp(sharpness * (np.cos(polar - towards) - 1))
    return np.hypot(along, across) <= np.clip(radius, 0.15 * diameter, None), corner


def _rod(
    diameter: float, elongation: float, angle: float, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[int, int]]:
    """Draw a bacterium: a slightly bent line of given length, thickened, with round ends."""
    length = diameter * max(1.6, elongation * (1 + 0.22 * rng.standard_normal()))
    bend = 0.12 * rng.standard_normal() * length
    position = np.linspace(-0.5, 0.5, 25)
    x = position * (length - diameter)
    y = bend * (position**2 - 0.08)
    centre_line = np.column_stack(
        [np.sin(angle) * x + np.cos(angle) * y, np.cos(angle) * x - np.sin(angle) * y]
    )
    rows, columns, corner = _grid(length / 2 + diameter)
    points = np.column_stack([rows.ravel(), columns.ravel()])
    distance, _ = cKDTree(centre_line).query(points)
    return distance.reshape(rows.shape) <= diameter / 2, corner


def _tissue(layout: Layout, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Fill the picture with polygonal cells whose walls are wavy; leave some openings."""
    spacing = layout.diameter
    lattice = [
        (row * spacing * 0.87, (column + 0.5 * (row % 2)) * spacing)
        for row in range(-1, int(size[0] / (0.87 * spacing)) + 2)
        for column in range(-1, int(size[1] / spacing) + 2)
    ]
    points = np.array(lattice) + rng.normal(0, layout.spread * spacing, (len(lattice), 2))
    rows, columns = np.mgrid[: size[0], : size[1]].astype(float)
    for axis in (rows, columns):
        axis += 0.07 * spacing * smooth_noise(size, spacing / 4, rng)
    _, nearest = cKDTree(points).query(np.column_stack([rows.ravel(), columns.ravel()]))
    labels = nearest.reshape(size) + 1
    opening = smooth_noise(size, 1.5 * spacing, rng)
    # Whole cells are left out, those whose middle lies in an opening.
    pixels = np.maximum(np.bincount(labels.ravel(), minlength=len(points) + 1), 1)
    middle = np.bincount(labels.ravel(), opening.ravel(), minlength=len(points) + 1) / pixels
    empty = middle > np.quantile(opening, layout.cover)
    labels[empty[labels]] = 0
    return labels.astype(np.int32)


_SHAPES = {"round": _round, "rod": _rod, "irregular": _irregular}
