"""Read parts of an image file without the rest: of a tiff, a pyramid, a slide, an array on disk.

What a file may hold is decided where whole files are read (`cellharness.data.images`), and the
pixels are the same.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cellharness.data.decoding import Decoded, decode
from cellharness.data.images import ImageError
from cellharness.data.pixel_rules import PixelFinding
from cellharness.data.tiff import Planes, channels_last, open_planes

# Codecs that need tables which stand apart from the pixels.
_JPEGS = (6, 7, 34892, 33007)
#: Decoded pixels that are kept, in bytes: strips reach over many windows of one row of windows.
_KEPT = 384 << 20
#: Largest piece that is decoded for a window of it; a file in larger ones is read whole, once.
_LARGEST_PIECE = 64 << 20


class Regions(ABC):
    """The pixels of one file, by window.

    Attributes
    ----------
    shape : tuple of int
        (H, W) or (H, W, C).
    dtype : dtype
        Native byte order.
    alpha : bool
        Whether the last channel is declared alpha.
    findings : tuple of PixelFinding
        What a reader of its scores should know.
    whole : bool
        Whether all of it is in memory, as the file could not be read by window.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    alpha: bool = False
    findings: tuple[PixelFinding, ...] = ()
    whole: bool = False

    @abstractmethod
    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Read a window.

        Parameters
        ----------
        rows, columns : slice
            With start and stop within the image, and no step.

        Returns
        -------
        ndarray, (h, w) or (h, w, C)
            An array of its own.
        """


@contextmanager
def open_regions(path: str | os.PathLike[str], *, labels: bool = False) -> Iterator[Regions]:
    """Open an image file to read windows of it.

    A tiff in strips or tiles (OME-TIFF, the full size of a pyramid, an Aperio slide) and a ``.npy``
    are read by window. Every other file (png, jpeg, bmp, npz, a tiff in one compressed piece or
    with a colour table) is decoded whole, once, and windows are cut from that.

    Parameters
    ----------
    path
        A file whose suffix is one of `IMAGE_SUFFIXES`.
    labels
        Whether it is a label image.

    Yields
    ------
    Regions

    Raises
    ------
    ImageError, UnsupportedImageError
        As `cellharness.data.images.read_image`.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if path.is_file() and path.stat().st_size:
        if suffix == ".npy" and (array := _mapped_array(path)) is not None:
            yield _Array(Decoded(array), whole=False)
            return
        if suffix in (".tif", ".tiff", ".svs"):
            planes = open_planes(path, labels=labels)
            with planes as found:
                if found is not None and (regions := _of_planes(found, path)) is not None:
                    yield regions
                    return
    yield _Array(decode(path, labels=labels), whole=True)


def _mapped_array(path: Path) -> np.ndarray | None:
    """The array of a npy file, mapped; None where reading it whole says better what is wrong."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        pixels = channels_last(array, path)
    except (ValueError, ImageError, OSError, EOFError):
        return None
    moved = pixels.ndim == 3 and pixels.shape != array.squeeze().shape
    usual = pixels.dtype.kind in "buif" and pixels.size > 0
    return pixels if usual and not moved else None


class _Array(Regions):
    def __init__(self, decoded: Decoded, *, whole: bool) -> None:
        self._pixels = decoded.pixels
        self.shape = decoded.pixels.shape
        self.dtype = decoded.pixels.dtype.newbyteorder("=")
        self.alpha, self.findings, self.whole = decoded.alpha, decoded.findings, whole

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        return self._pixels[rows, columns].astype(self.dtype)


def _of_planes(planes: Planes, path: Path) -> Regions | None:
    page = planes.keyframe
    if page.is_memmappable:
        return _Mapped(planes, path)
    regions = _Pieces(planes)
    return regions if regions.piece_bytes <= _LARGEST_PIECE else None


class _Mapped(Regions):
    """Pixels that lie in the file as in memory; mapped anew for each window, so that none stay."""

    def __init__(self, planes: Planes, path: Path) -> None:
        page = planes.keyframe
        self._path = path
        self._stored = page.dtype.newbyteorder(page.parent.byteorder)
        self._shaped = page.shaped
        self._offsets = [each.dataoffsets[0] for each in planes.pages]
        self.shape, self.dtype = planes.shape, page.dtype.newbyteorder("=")
        self.alpha, self.findings = planes.alpha, planes.findings

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        found = []
        for offset in self._offsets:
            mapped = np.memmap(self._path, self._stored, "r", offset, self._shaped)
            found += [plane[0, rows, columns] for plane in mapped]
        pixels = np.concatenate(found, axis=-1).astype(self.dtype, copy=False)
        return pixels if len(self.shape) == 3 else pixels[..., 0]


class _Pieces(Regions):
    """Pixels in strips or tiles that are decoded one by one, and kept for a while."""

    def __init__(self, planes: Planes) -> None:
        page = planes.keyframe
        self._planes = planes
        self._separate, _, self._height, self._width, self._samples = page.shaped
        if page.is_tiled:
            self._step = page.tilelength, page.tilewidth
        else:
            self._step = min(page.rowsperstrip, self._height), self._width
        self._across = -(-self._width // self._step[1])
        self._down = -(-self._height // self._step[0])
        self._kept: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self.shape, self.dtype = planes.shape, page.dtype.newbyteorder("=")
        self.alpha, self.findings = planes.alpha, planes.findings
        self.piece_bytes = math.prod(self._step) * self._samples * self.dtype.itemsize

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        size = rows.stop - rows.start, columns.stop - columns.start
        pixels = np.empty((*size, math.prod(self.shape[2:])), self.dtype)
        channel = 0
        for number in range(len(self._planes.pages)):
            for plane in range(self._separate):
                part = pixels[..., channel : channel + self._samples]
                self._fill(part, number, plane, rows, columns)
                channel += self._samples
        return pixels if len(self.shape) == 3 else pixels[..., 0]

    def _fill(self, out: np.ndarray, number: int, plane: int, rows: slice, columns: slice) -> None:
        high, wide = self._step
        for down in range(rows.start // high, -(-rows.stop // high)):
            for across in range(columns.start // wide, -(-columns.stop // wide)):
                index = (plane * self._down + down) * self._across + across
                piece = self._decoded(number, index)
                top, left = down * high, across * wide
                bottom = min(rows.stop, top + piece.shape[0], self._height)
                right = min(columns.stop, left + piece.shape[1], self._width)
                first, start = max(rows.start, top), max(columns.start, left)
                out[
                    first - rows.start : bottom - rows.start,
                    start - columns.start : right - columns.start,
                ] = piece[first - top : bottom - top, start - left : right - left]

    def _decoded(self, number: int, index: int) -> np.ndarray:
        """One strip or tile, (h, w, samples)."""
        key = number, index
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        page, keyframe = self._planes.pages[number], self._planes.keyframe
        file = page.parent.filehandle
        file.seek(page.dataoffsets[index])
        stored = file.read(page.databytecounts[index])
        tables: dict[str, Any] = {}
        if keyframe.compression in _JPEGS:
            tables = {"jpegtables": page.jpegtables, "jpegheader": keyframe.jpegheader}
        data, _, _ = keyframe.decode(stored, index, **tables)
        self._kept[key] = piece = data[0]
        while len(self._kept) > max(1, _KEPT // self.piece_bytes):
            self._kept.popitem(last=False)
        return piece
