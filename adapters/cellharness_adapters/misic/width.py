"""Width of cells in px: of labelled cells, and estimated from an image alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage
from skimage.measure import regionprops

#: Mean width of the cells that the network was trained on, px.
STANDARD_WIDTH = 9.87
#: Larger zooms show the network nothing new and cost much; the plug-in's limit.
LARGEST_SCALE = 2.5

#: Widths that are tried, px: each about a third wider than the one before.
_WIDTHS = 2.5 * 2 ** (np.arange(14) / 2.5)
#: Share of an image's pixels that need not be ridges for a width to be judged by its ridges.
_PERCENTILE = 98


def scale_for(width: float) -> float:
    """Zoom after which cells of this width have the network's."""
    return min(STANDARD_WIDTH / width, LARGEST_SCALE)


def cell_widths(labels: np.ndarray) -> np.ndarray:
    """Width of each labelled cell: the diameter of the largest disc inside it.

    Parameters
    ----------
    labels : ndarray of int, (H, W)

    Returns
    -------
    ndarray of float, (number of cells,)
        In px, at least 1.

    Examples
    --------
    >>> rods = np.zeros((20, 40), int)
    >>> rods[2:9, 5:35] = 1
    >>> float(cell_widths(rods)[0])
    7.0
    """
    return np.array(
        [
            2 * ndimage.distance_transform_edt(np.pad(cell.image, 1)).max() - 1
            for cell in regionprops(labels.astype(np.int64, copy=False))
        ]
    )


def estimate_width(image: np.ndarray) -> float:
    """Estimate the width of bright cells by the scale at which ridges are strongest.

    Lindeberg's scale selection: with derivatives normalised by their scale, a bar of width w
    answers most at scale w / 2. The strength at a scale is the 98th percentile of the image.

    Parameters
    ----------
    image : ndarray of float, (H, W)
        With bright cells.

    Returns
    -------
    float
        Between 2.5 and 92 px; the network's own width for an image without any ridge.
    """
    return strongest(image.shape, lambda sigma: ridges(image, sigma))


def strongest(shape: tuple[int, ...], ridges_at: Callable[[float], np.ndarray]) -> float:
    """Choose the width at which ridges are strongest, as :func:`estimate_width` does.

    Parameters
    ----------
    shape : (int, int)
        Of the image, px.
    ridges_at : callable
        Gives how bright ridges are at a scale, see :func:`ridges`.
    """
    widths = _WIDTHS[max(min(shape), _WIDTHS[0] + 1) > _WIDTHS]
    strengths = np.array([np.percentile(ridges_at(width / 2), _PERCENTILE) for width in widths])
    best = int(strengths.argmax())
    if strengths[best] <= 0:
        return STANDARD_WIDTH
    return float(widths[best])


def step_of(sigma: float) -> int:
    """Px between the places at which ridges of a scale are looked for."""
    return max(1, int(sigma // 2))


def ridges(image: np.ndarray, sigma: float) -> np.ndarray:
    """How bright ridges are at a scale, on a coarser grid where the scale allows it."""
    step = step_of(sigma)
    first = step / 2 if step > 1 else 0.0
    coarse = ndimage.gaussian_filter(image, first)[::step, ::step] if step > 1 else image
    rest = np.sqrt(sigma**2 - first**2) / step
    rows, mixed, columns = (
        ndimage.gaussian_filter(coarse, rest, order=order) for order in ((2, 0), (1, 1), (0, 2))
    )
    middle, radius = (rows + columns) / 2, np.hypot((rows - columns) / 2, mixed)
    # A ridge bends downwards more than anything bends upwards there.
    ridge = np.where(middle < 0, radius - middle, 0)
    return (sigma / step) ** 2 * ridge
