"""What may make a true cell hard to find: its area, its contrast, and how crowded it lies."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from skimage.segmentation import expand_labels

from cellharness.scoring.validation import ScoringError

Floats = NDArray[np.float64]

#: Columns of a table of properties.
PROPERTIES = ("area", "contrast", "density")

# Of the image's median cell diameter: width of the ring, and half the side of the window.
_RING, _WINDOW = 0.25, 2.5
_NARROWEST_RING = 2.0
# Outliers among the pixels shall not set the scale of contrasts.
_SCALE = (1, 99)


def measure_cells(
    image: np.ndarray, labels: np.ndarray, *, ring: float | None = None
) -> pd.DataFrame:
    """Measure every cell of a true label image.

    ``area``
        Pixels.
    ``contrast``
        |mean inside - mean of the ring| / (99th - 1st percentile of the image): 0 is no contrast,
        1 the whole range. The ring is the background not farther than `ring` from the cell and
        nearer to it than to any other. NaN where other cells leave no ring, and throughout an image
        whose two percentiles are equal. ``brighter`` tells the side.
    ``density``
        Other cells per area in a window around the cell, times the median area of the image's
        cells, so that scale and magnification do not matter: 0 is alone, and around 1 they fill
        the window. The window is a square of five median diameters a side around the centre
        of the cell, cut at the border of the image; a cell is in it if its centre is.

    The median diameter is that of a disc with the median area of the image's cells.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Grey values; finite.
    labels : ndarray of int, shape (H, W)
        0 is background; all pixels of one id are one cell.
    ring : float, optional
        Greatest distance of the ring in pixels, at least 1; by default a quarter of the median
        diameter and at least 2.

    Returns
    -------
    DataFrame
        One row a cell, ascending by id: ``cell, area, contrast, brighter, density, row, column``
        (of the centre, in pixels). Time and memory follow the number of pixels.

    Raises
    ------
    ScoringError
        The arrays are not 2-D, differ in shape, or hold what they may not; `ring` is below 1.
    """
    _check(image, labels, ring)
    ids, compact = _renumber(labels)
    count = len(ids)
    flat = compact.ravel()
    area = np.bincount(flat, minlength=count + 1)[1:]
    if count == 0:
        columns = ["cell", "area", "contrast", "brighter", "density", "row", "column"]
        return pd.DataFrame({name: [] for name in columns})
    typical = float(np.median(area))
    diameter = 2 * math.sqrt(typical / math.pi)
    width = max(_NARROWEST_RING, _RING * diameter) if ring is None else ring
    grey = np.asarray(image, np.float64)
    inside = np.bincount(flat, grey.ravel(), count + 1)[1:] / area
    around = np.where(compact == 0, expand_labels(compact, width), 0).ravel()
    outside = np.bincount(around, grey.ravel(), count + 1)[1:]
    in_ring = np.bincount(around, minlength=count + 1)[1:]
    low, high = np.percentile(grey, _SCALE)
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = (inside - outside / in_ring) / (high - low)
    difference[~np.isfinite(difference)] = np.nan
    rows, columns_ = (
        np.bincount(flat, np.broadcast_to(axis, labels.shape).ravel(), count + 1)[1:] / area
        for axis in np.ogrid[: labels.shape[0], : labels.shape[1]]
    )
    return pd.DataFrame(
        {
            "cell": ids,
            "area": area,
            "contrast": np.abs(difference),
            "brighter": difference > 0,
            "density": _crowding(rows, columns_, labels.shape, _WINDOW * diameter) * typical,
            "row": rows,
            "column": columns_,
        }
    )


def _crowding(rows: Floats, columns: Floats, shape: tuple[int, ...], reach: float) -> Floats:
    """Count other centres a pixel of the window around each centre."""
    centers = np.column_stack([rows, columns])
    # The counting takes the cell itself along.
    others = (
        cKDTree(centers).query_ball_point(centers, reach, p=np.inf, return_length=True).astype(int)
        - 1
    )
    sides = [
        np.minimum(axis + reach, length - 0.5) - np.maximum(axis - reach, -0.5)
        for axis, length in zip((rows, columns), shape, strict=True)
    ]
    crowding: Floats = others / (sides[0] * sides[1])
    return crowding


def _renumber(labels: np.ndarray) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Ids ascending, and the image with 1, 2, ... in their place."""
    highest = int(labels.max(initial=0))
    if highest <= 4 * labels.size:
        present = np.zeros(highest + 1, bool)
        present[labels.ravel()] = True
        present[0] = False
        numbers = np.cumsum(present, dtype=np.int32)
        numbers[~present] = 0
        return np.flatnonzero(present), numbers[labels]
    found, compact = np.unique(labels, return_inverse=True)
    if found[0] == 0:
        return found[1:].astype(np.int64), compact.reshape(labels.shape).astype(np.int32)
    return found.astype(np.int64), (compact.reshape(labels.shape) + 1).astype(np.int32)


def _check(image: np.ndarray, labels: np.ndarray, ring: float | None) -> None:
    if image.ndim != 2 or image.shape != labels.shape or image.size == 0:
        msg = (
            f"image has shape {image.shape} and labels {labels.shape}; valid are two equal shapes "
            "(H, W). Convert a coloured image to grey first"
        )
        raise ScoringError(msg)
    if labels.dtype.kind not in "iu" or labels.min() < 0:
        msg = f"labels are {labels.dtype} from {labels.min()} on; valid are integers from 0 on"
        raise ScoringError(msg)
    if image.dtype.kind not in "biuf" or not np.isfinite(image).all():
        msg = f"the image is {image.dtype} and not finite throughout; valid are finite grey values"
        raise ScoringError(msg)
    if ring is not None and not ring >= 1:
        msg = f"ring is {ring!r}; valid are numbers from 1 on, in pixels"
        raise ScoringError(msg)
