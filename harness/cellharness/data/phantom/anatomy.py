"""What is inside the cells: distance from the edge, thickness, and a nucleus for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class Anatomy:
    """Maps of shape (H, W) that the renderers draw from.

    Attributes
    ----------
    labels
        int32, the cells.
    edge
        Distance to the cell's own edge in px, 0 in the background.
    depth
        `edge` relative to the largest in the cell, 0..1.
    nucleus
        Id of the cell whose nucleus a pixel is in, 0 elsewhere.
    nucleus_depth
        0 at the nucleus' edge to 1 in its middle.
    """

    labels: np.ndarray
    edge: np.ndarray
    depth: np.ndarray
    nucleus: np.ndarray
    nucleus_depth: np.ndarray

    @property
    def count(self) -> int:
        """Number of cells."""
        return int(self.labels.max())

    @property
    def dome(self) -> np.ndarray:
        """Thickness of a lens-like cell, 0..1."""
        return np.sqrt(np.clip(1 - (1 - self.depth) ** 2, 0, 1))

    def each(self, values: np.ndarray) -> np.ndarray:
        """Spread one value a cell (N of them) over the cell's pixels; 0 in the background."""
        return np.concatenate([[0.0], values])[self.labels]


def build_anatomy(
    labels: np.ndarray, rng: np.random.Generator, *, nucleus: float = 0.55
) -> Anatomy:
    """Work out the inside of every cell.

    Parameters
    ----------
    labels
        Shape (H, W), ids 1..N without gaps.
    rng
        Source of randomness.
    nucleus
        Radius of the nucleus relative to the largest circle in the cell.
    """
    edge = np.zeros(labels.shape)
    depth = np.zeros(labels.shape)
    nuclei = np.zeros_like(labels)
    nucleus_depth = np.zeros(labels.shape)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        mine = labels[box] == number
        # Padding lets the edge of the window count as the edge of the cell.
        distance = ndimage.distance_transform_edt(np.pad(mine, 1))[1:-1, 1:-1]
        inner = float(distance.max())
        edge[box] += distance
        depth[box] += distance / inner
        inside = _nucleus(distance, inner, nucleus, rng)
        nuclei[box][inside > 0] = number
        nucleus_depth[box] = np.maximum(nucleus_depth[box], inside)
    return Anatomy(labels, edge, depth, nuclei, nucleus_depth)


def _nucleus(
    distance: np.ndarray, inner: float, size: float, rng: np.random.Generator
) -> np.ndarray:
    """Depth within an elliptic nucleus near the middle of the cell, 0 outside it."""
    middle = np.argwhere(distance >= 0.85 * inner).mean(axis=0)
    row, column = middle + 0.08 * inner * rng.standard_normal(2)
    rows, columns = np.indices(distance.shape, dtype=float)
    rows, columns = rows - row, columns - column
    angle, stretch = rng.uniform(0, np.pi), np.sqrt(rng.uniform(1.0, 1.5))
    along = (np.cos(angle) * columns + np.sin(angle) * rows) / stretch
    across = (np.cos(angle) * rows - np.sin(angle) * columns) * stretch
    radius = size * inner * rng.uniform(0.9, 1.1)
    inside = np.clip(1 - np.hypot(along, across) / radius, 0, 1)
    return np.where(distance > 0.15 * inner, inside, 0.0)
