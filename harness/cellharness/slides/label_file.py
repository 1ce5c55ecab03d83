"""Write and read label images that are larger than memory should hold, by rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import tifffile

from cellharness.files import whole_file

#: Side of the tiles of a label file in px; a window is decoded without the rest.
LABEL_TILE = 512


def write_label_rows(
    path: Path, rows: Iterable[np.ndarray], shape: tuple[int, int], cells: int
) -> None:
    """Write a label image that comes from top to bottom, as zlib tiff in tiles.

    It holds what `cellharness.data.images.write_label` would write, appears whole or not at all,
    and is read by the same readers.

    Parameters
    ----------
    path : Path
        Target; an existing file is replaced. Missing folders are made.
    rows : iterable of ndarray of uint32, (`LABEL_TILE`, W)
        The last may have fewer rows.
    shape : (int, int)
        (H, W) of the image.
    cells : int
        Largest id, which chooses the dtype.
    """
    dtype = np.min_scalar_type(cells)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        tifffile.imwrite(
            partial,
            _tiles(rows, dtype),
            shape=shape,
            dtype=dtype,
            tile=(LABEL_TILE, LABEL_TILE),
            compression="zlib",
            photometric="minisblack",
            metadata=None,
            bigtiff=shape[0] * shape[1] * dtype.itemsize >= 2**32 - 2**25,
        )


def _tiles(rows: Iterable[np.ndarray], dtype: np.dtype) -> Iterator[np.ndarray]:
    for band in rows:
        for left in range(0, band.shape[1], LABEL_TILE):
            tile = np.zeros((LABEL_TILE, LABEL_TILE), dtype)
            part = band[:, left : left + LABEL_TILE]
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile
