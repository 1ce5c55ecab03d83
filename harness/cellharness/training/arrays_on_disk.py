"""Arrays that a training reads from disk as it needs them, so that its memory stays flat."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellharness.caching import cache_dir
from cellharness.errors import UsageError
from cellharness.files import whole_file


@dataclass(frozen=True)
class ArrayOnDisk:
    """An array in a ``.npy`` file; small, and the same in every process.

    Attributes
    ----------
    path : Path
    shape : tuple of int
    dtype : str
        As NumPy writes it, such as ``"<f4"``.
    offset : int
        Bytes before the first element.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: str
    offset: int

    def open(self) -> np.ndarray:
        """Map the array into memory, read-only, for as long as the result is kept.

        Only pages that are looked at are read, and they count as memory of the process until the
        result is let go; open it for each use.
        """
        with self.path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        count = int(np.prod(self.shape))
        return np.frombuffer(mapped, self.dtype, count, self.offset).reshape(self.shape)


def kept(room: str, key: str, make: Callable[[], np.ndarray]) -> ArrayOnDisk:
    """Give an array of the cache folder; make and write it where it is not there or not whole.

    Parameters
    ----------
    room : str
        Folder within the cache folder.
    key : str
        Name of the file, from what the array is made of (see :func:`content_key`).
    make : callable
        Gives the array.

    Returns
    -------
    ArrayOnDisk

    Raises
    ------
    UsageError
        The file cannot be written, as when the disk is full.
    """
    path = cache_dir() / room / f"{key}.npy"
    found = _whole(path)
    if found is not None:
        return found
    array = np.ascontiguousarray(make())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, synced=False) as partial, partial.open("wb") as file:
            np.save(file, array, allow_pickle=False)
    except OSError as error:
        msg = (
            f"'{path}' cannot be written ({error.strerror or error}). Training data are prepared "
            "in the cache folder: free space there, or let CELLHARNESS_CACHE name a folder with "
            "more"
        )
        raise UsageError(msg) from error
    written = _whole(path)
    assert written is not None
    return written


def content_key(*parts: np.ndarray | str) -> str:
    """Name what is made of some arrays and words; another content has another name.

    Examples
    --------
    >>> content_key(np.zeros(3)) == content_key(np.zeros((3, 1)))
    False
    """
    content = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            content.update(f"{part.dtype.str}{part.shape}".encode())
            content.update(np.ascontiguousarray(part).data)
        else:
            content.update(f"|{part}|".encode())
    return content.hexdigest()


def _whole(path: Path) -> ArrayOnDisk | None:
    """Describe a ``.npy`` file; None where there is none, or one that a kill has cut off."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                return None
            shape, column_major, dtype = np.lib.format.read_array_header_1_0(file)
            offset = file.tell()
    except (OSError, ValueError):
        return None
    size = offset + int(np.prod(shape)) * dtype.itemsize
    if column_major or path.stat().st_size != size:
        return None
    return ArrayOnDisk(path, shape, dtype.str, offset)
