"""Part of a resized or zoomed image, of one that is read by window."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

#: Where SciPy's Gaussian ends, in sigmas.
_TRUNCATE = 4
#: Px after which a spline does not feel what lies beyond: its filter falls by 0.17 or faster a px.
_SPLINE = 24


#: Gives a window of an image.
Read = Callable[[slice, slice], np.ndarray]


def resized(
    read: Read,
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
    return _spline(read, source, (rows, columns), factors, 0.5, sigmas, order)


def zoomed(
    read: Read,
    source: tuple[int, int],
    target: tuple[int, int],
    rows: slice,
    columns: slice,
    *,
    order: int,
) -> np.ndarray:
    """Read part of a zoomed image, as ``scipy.ndimage.zoom`` gives it of the whole.

    The first and last pixel stay where they are, and nothing is smoothed.

    Parameters
    ----------
    read : callable
        Gives a window of the image, (h, w) or (h, w, C) of float.
    source, target : (int, int)
        Height and width of the image, and of it zoomed.
    rows, columns : slice
        The part, of the zoomed image.
    order : int
        Of the spline.

    Returns
    -------
    ndarray of the dtype that `read` gives, (h, w) or (h, w, C)
    """
    if source == target:
        return read(rows, columns)
    factors = [
        (old - 1) / (new - 1) if new > 1 else 1.0 for old, new in zip(source, target, strict=True)
    ]
    return _spline(read, source, (rows, columns), factors, 0.0, [0.0, 0.0], order)


def _spline(
    read: Read,
    source: tuple[int, int],
    parts: tuple[slice, slice],
    factors: list[float],
    centre: float,
    sigmas: list[float],
    order: int,
) -> np.ndarray:
    """Interpolate a part; what stays in its place lies at ``centre`` in the first pixel."""
    window, starts = [], []
    for part, factor, sigma, length in zip(parts, factors, sigmas, source, strict=True):
        margin = _SPLINE + int(_TRUNCATE * sigma + 0.5)
        first, last = ((place + centre) * factor - centre for place in (part.start, part.stop - 1))
        window.append(slice(max(0, int(first) - margin), min(length, int(last) + 2 + margin)))
        starts.append(first - window[-1].start)
    seen = read(*window)
    if any(sigmas):
        seen = ndimage.gaussian_filter(seen, sigmas, mode="mirror")
    shape = parts[0].stop - parts[0].start, parts[1].stop - parts[1].start

    def interpolated(plane: np.ndarray) -> np.ndarray:
        return ndimage.affine_transform(
            plane, factors, starts, output_shape=shape, order=order, mode="mirror"
        )

    if seen.ndim == 2:
        return interpolated(seen)
    return np.stack([interpolated(seen[..., k]) for k in range(seen.shape[2])], axis=-1)


def nearest(part: slice, source: int, target: int) -> np.ndarray:
    """For each place of a part of a resized line the nearest place of the line."""
    places = np.floor((np.arange(part.start, part.stop) + 0.5) * (source / target)).astype(int)
    return np.clip(places, 0, source - 1)
