"""Write files whole or not at all, and clear away what a killed writer left behind."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cellharness.errors import UsageError

_PARTIAL = re.compile(r"\..+\.(?P<process>\d+)-\d+\.tmp")
# What systems leave in folders that somebody has looked into.
_OF_SYSTEMS = re.compile(r"\.DS_Store|\._.*|thumbs\.db|desktop\.ini", re.IGNORECASE)
# File names are limited to 255 bytes; the rest of a partial's name needs its share.
_KEPT_OF_NAME = 50


@contextlib.contextmanager
def whole_file(path: Path, *, synced: bool = True) -> Iterator[Path]:
    """Give a path to write to, and move it to its place if the block ends well.

    Parameters
    ----------
    path : Path
        Where the file belongs; an existing one is replaced, in one step.
    synced : bool
        Wait until it is on disk; off for what is easily made again, such as a cache.

    Yields
    ------
    Path
        A hidden file in the same folder. It is deleted if the block raises; after a kill
        :func:`remove_leftovers` knows it by its name. Where `synced`, what it holds is on disk
        before it is moved, so that a loss of power leaves the old file or the new one.
    """
    partial = partial_of(path)
    try:
        yield partial
        if synced:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        partial.replace(path)
        if synced:
            _fsync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def partial_of(path: Path) -> Path:
    """Name beside a file or folder for what becomes it; :func:`remove_leftovers` knows it."""
    # Process and thread in the name: two writers of one file must not share a partial one.
    writer = f"{os.getpid()}-{threading.get_ident()}"
    return path.with_name(f".{path.name[:_KEPT_OF_NAME]}.{writer}.tmp")


def _fsync_folder(folder: Path) -> None:
    """Put the names of a folder on disk; there are systems that open no folders."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a whole file or none of it."""
    with whole_file(path) as partial:
        partial.write_bytes(data)


def set_aside(path: Path) -> Path:
    """Give a file or folder a name that says when it was replaced; nothing is deleted.

    Returns
    -------
    Path
        Beside `path`: its name, ``.replaced-`` and the time.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    for number in itertools.count(1):
        aside = path.with_name(f"{path.name}.replaced-{stamp}{f'-{number}' * (number > 1)}")
        if not os.path.lexists(aside):
            break
    return path.rename(aside)


def remove_leftovers(folder: Path) -> list[Path]:
    """Delete partial files and folders of writers that are no more.

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
                shutil.rmtree(path) if path.is_dir() else path.unlink()
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


def is_litter(name: str) -> bool:
    """Whether a file of that name is nobody's: a system's, or a partial one that a kill left.

    Examples
    --------
    >>> is_litter(".DS_Store"), is_litter("Thumbs.db"), is_litter(".hidden.png")
    (True, True, False)
    """
    return bool(_OF_SYSTEMS.fullmatch(name) or _PARTIAL.fullmatch(name))


@contextlib.contextmanager
def alone(lock: Path, busy: str, remedy: str = "", *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold a lock file.

    Parameters
    ----------
    lock : Path
        Made where it is not there.
    busy : str
        What is said where somebody else holds it.
    remedy : str
        What helps besides waiting.
    wait_s : float
        Seconds to wait for somebody else to let go of it.

    Raises
    ------
    UsageError
        Somebody else holds it, or it cannot be written.
    """
    # Not above: most who write a file need no lock.
    from filelock import FileLock, Timeout

    held = FileLock(lock)
    try:
        held.acquire(timeout=wait_s)
    except Timeout:
        msg = f"{busy}; wait for it{f', or {remedy}' if remedy else ''}"
        raise UsageError(msg) from None
    except OSError as error:
        msg = f"cannot write '{lock}': {error.strerror}{f'; {remedy}' if remedy else ''}"
        raise UsageError(msg) from error
    try:
        yield
    finally:
        held.release()


def has_keys(path: Path, keys: set[str]) -> bool:
    """Whether a file is a JSON object with these keys; one that cannot be read is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and keys <= set(found)


def refuse_file_for_folder(folder: Path) -> None:
    """Raise where no folder can be made, for it or a folder above it is a file.

    Raises
    ------
    UsageError
        Naming the file.
    """
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            msg = f"'{place}' is a file and no folder; give another --out"
            raise UsageError(msg)
