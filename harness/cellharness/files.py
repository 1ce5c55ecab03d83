"""Write files whole or not at all, and clear away what a killed writer left behind."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

_PARTIAL = re.compile(r"\..+\.(?P<process>\d+)-\d+\.tmp")
# File names are limited to 255 bytes; the rest of a partial's name needs its share.
_KEPT_OF_NAME = 50


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to, and move it to its place if the block ends well.

    Parameters
    ----------
    path : Path
        Where the file belongs; an existing one is replaced, in one step.

    Yields
    ------
    Path
        A hidden file in the same folder. It is deleted if the block raises; after a kill
        :func:`remove_leftovers` knows it by its name.
    """
    # Process and thread in the name: two writers of one file must not share a partial one.
    writer = f"{os.getpid()}-{threading.get_ident()}"
    partial = path.with_name(f".{path.name[:_KEPT_OF_NAME]}.{writer}.tmp")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a whole file or none of it."""
    with whole_file(path) as partial:
        partial.write_bytes(data)


def remove_leftovers(folder: Path) -> list[Path]:
    """Delete partial files of writers that are no more.

    Parameters
    ----------
    folder : Path
        Looked at without its subfolders; may be absent.

    Returns
    -------
    list of Path
        What was deleted.
    """
    removed = []
    for path in sorted(folder.glob(".*.tmp")):
        match = _PARTIAL.fullmatch(path.name)
        with contextlib.suppress(OSError):
            if match and not _is_being_written(path, int(match["process"])):
                path.unlink()
                removed.append(path)
    return removed


def _is_being_written(path: Path, process: int) -> bool:
    """Whether a process of that number lives that is older than the file."""
    import psutil

    try:
        # A younger one has only inherited the number.
        return psutil.Process(process).create_time() <= path.stat().st_mtime
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def hash_file(path: str | os.PathLike[str]) -> str:
    """SHA256 of a file's bytes, 64 lower-case hex digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
