"""Part of a resized image, of one that is read by window."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

#: Where SciPy's Gaussian ends, in sigmas.
_TRUNCATE = 4
#: Px after which a spline does not feel what lies beyond: its filter falls by 0.17 or faster a px.
_SPLINE = 24


def resized(
    read: Callable[[slice, slice], np.ndarray],
    source: tuple[int, int],
    target: tuple[int, int],
    rows: slice,
    columns: slice,
    *,
    order: int,
) -> np.ndarray:
    """Read part of a resized image, as ``skimage.transform.resize`` gives it of the whole.

    It is smoothed first where it shrinks, and mirrored at the border of the image. Values that a
    spline puts beyond the range of the image are not cut off, as the range of the whole is not
    known here.

    Parameters
    ----------
    read : callable
        Gives a window of the image, (h, w) of float.
    source, target : (int, int)
        Height and width of the image, and of it resized.
    rows, columns : slice
        The part, of the resized image.
    order : int
        Of the spline.

    Returns
    -------
    ndarray of the dtype that `read` gives, (h, w)
    """
    if source == target:
        return read(rows, columns)
    factors = [here / there for here, there in zip(source, target, strict=True)]
    sigmas = [max(0.0, (factor - 1) / 2) for factor in factors]
    window, starts = [], []
    for part, factor, sigma, length in zip((rows, columns), factors, sigmas, source, strict=True):
        margin = _SPLINE + int(_TRUNCATE * sigma + 0.5)
        first, last = ((place + 0.5) * factor - 0.5 for place in (part.start, part.stop - 1))
        window.append(slice(max(0, int(first) - margin), min(length, int(last) + 2 + margin)))
        starts.append(first - window[-1].start)
    seen = read(*window)
    if any(sigmas):
        seen = ndimage.gaussian_filter(seen, sigmas, mode="mirror")
    shape = rows.stop - rows.start, columns.stop - columns.start
    return ndimage.affine_transform(
        seen, factors, starts, output_shape=shape, order=order, mode="mirror"
    )


def nearest(part: slice, source: int, target: int) -> np.ndarray:
    """For each place of a part of a resized line the nearest place of the line."""
    places = np.floor((np.arange(part.start, part.stop) + 0.5) * (source / target)).astype(int)
    return np.clip(places, 0, source - 1)
