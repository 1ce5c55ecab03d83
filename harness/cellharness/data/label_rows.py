"""A large label image that is read by rows, in the place of an array."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cellharness.data.regions import Regions, open_regions
from cellharness.data.tiff import open_planes

#: Pixels from which on a label image is read by rows.
LARGE = 100_000_000
#: Pixels that a byte of a tiff holds at most, by deflate; what is shorter needs no look inside.
_MOST_PIXELS_A_BYTE = 1040
_ROWS = 512


class LabelRows:
    """A label image in a file, of which slices are read; 2-D and unsigned like one read whole.

    Parameters
    ----------
    regions : Regions
        Of a file of shape (H, W) and unsigned dtype.
    """

    ndim = 2

    def __init__(self, regions: Regions) -> None:
        self._regions = regions
        self.shape: tuple[int, int] = (regions.shape[0], regions.shape[1])
        self.dtype: np.dtype[Any] = regions.dtype
        self.size = self.shape[0] * self.shape[1]

    def __getitem__(self, window: slice | tuple[slice, slice]) -> np.ndarray:
        rows, columns = window if isinstance(window, tuple) else (window, slice(None))
        high, wide = (
            slice(*part.indices(length)[:2])
            for part, length in zip((rows, columns), self.shape, strict=True)
        )
        return self._regions.read(high, wide)

    def any(self) -> bool:
        """Whether there is a cell."""
        return any(self[top : top + _ROWS].any() for top in range(0, self.shape[0], _ROWS))


@contextmanager
def open_label_rows(path: str | os.PathLike[str]) -> Iterator[LabelRows | None]:
    """Open a label image to read it by rows, if it is large and its file allows that.

    Parameters
    ----------
    path
        As for `cellharness.data.images.read_label`.

    Yields
    ------
    LabelRows or None
        None for what `read_label` should read: a small image, one that is not a tiff in strips or
        tiles, one whose pixels are signed, float or colours.

    Raises
    ------
    ImageError, UnsupportedImageError
        As `read_label`.
    """
    path = Path(path)
    if not _may_be_large(path):
        yield None
        return
    with open_planes(path, labels=True) as planes:
        if planes is None or len(planes.shape) != 2 or planes.keyframe.dtype.kind != "u":
            yield None
            return
        large = planes.shape[0] * planes.shape[1] >= LARGE
    if not large:
        yield None
        return
    with open_regions(path, labels=True) as regions:
        yield LabelRows(regions)


def _may_be_large(path: Path) -> bool:
    if path.suffix.lower() not in (".tif", ".tiff") or not path.is_file():
        return False
    return path.stat().st_size * _MOST_PIXELS_A_BYTE >= LARGE
