"""Which files of a folder cellharness wrote, by name and SHA256, so that no other is replaced."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from cellharness.errors import UsageError, first_of
from cellharness.files import (
    alone,
    hash_file,
    is_litter,
    partial_of,
    refuse_file_for_folder,
    remove_leftovers,
    write_atomic,
)

#: In a folder that something was written into: a line of SHA256 and name for each file, as
#: ``sha256sum -c`` reads it.
LIST = ".cellharness.sha256"

#: Beside the list: held while it is read and written.
LIST_LOCK = ".cellharness.sha256.lock"

#: The like for masks, with what `cellharness predict` notes of them while it writes.
MASK_LIST = "masks.sha256"
#: Beside masks: what they were made by and of.
MASK_NOTE = "provenance.json"
#: Beside masks: held by the call that writes them.
MASK_LOCK = ".cellharness.lock"
#: What cellharness itself keeps in folders that it writes files into.
BOOKS = frozenset({LIST, LIST_LOCK, MASK_LIST, MASK_NOTE, MASK_LOCK})

# A list takes moments to write; whoever holds it for longer hangs.
_PATIENCE_S = 60.0
_NOTED = {"status", "method", "parameters", "images"}


class ForeignFilesError(UsageError):
    """Files stand in the way that cellharness did not write, or that were changed since."""


class OwnFiles:
    """The files that cellharness wrote into a folder.

    Parameters
    ----------
    folder : Path
        May be absent.
    """

    list_name: ClassVar[str] = LIST
    #: The first line, by which a list that somebody else made is told from ours.
    head: ClassVar[str] = (
        "# Written by cellharness; a file that is not listed here as it stands is not replaced."
    )
    foreign: ClassVar[type[ForeignFilesError]] = ForeignFilesError

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def refuse_foreign(
        self,
        names: Iterable[str] | None = None,
        *,
        overwrite: bool,
        remedy: str = "",
        ours: Collection[str] = (),
    ) -> None:
        """Raise where a file would be replaced that is not as it was written here.

        Parameters
        ----------
        names : iterable of str or None
            Paths below the folder that are about to be written; None if all of the folder is about
            to be replaced.
        overwrite : bool
            Whether files may be replaced all the same; a folder never is by a file.
        remedy : str
            What else helps, to begin the last sentence with.
        ours : collection of str
            Files known to be written here without their being listed.

        Raises
        ------
        ForeignFilesError
            Naming what is in the way.
        UsageError
            The folder, or one above it, is a file.
        """
        refuse_file_for_folder(self.folder)
        wanted = self._all() if names is None else list(names)
        written = self._written()
        foreign = [
            name
            for name in wanted
            if (path := self.folder / name).is_dir()
            or (
                path.exists()
                and not overwrite
                and name not in ours
                and written.get(name) != hash_file(path)
            )
        ]
        if foreign:
            msg = (
                f"'{self.folder}' holds {len(foreign)} of the files to be replaced that "
                f"cellharness did not write, or that were changed since: {first_of(foreign)}. "
                f"{remedy or 'Give another --out'}, or --overwrite to replace "
                f"{'it' if len(foreign) == 1 else 'them'}"
            )
            raise self.foreign(msg)

    def add(self, names: Iterable[str] | None = None) -> None:
        """List files that were written.

        Parameters
        ----------
        names : iterable of str or None
            Others may add theirs to the same list at the same time. None lists all of a folder that
            nobody else knows of yet.

        Raises
        ------
        UsageError
            Somebody else does not let go of the list, or there is no writing into the folder.
        """
        if names is None:
            self._write({name: hash_file(self.folder / name) for name in self._all()})
            return
        new = {name: hash_file(self.folder / name) for name in names}
        busy = f"another command is writing '{self.folder / self.list_name}'"
        # Between reading and writing, or what another one adds meanwhile would be lost.
        with alone(self.folder / LIST_LOCK, busy, wait_s=_PATIENCE_S):
            self._write(self._written() | new)

    def _all(self) -> list[str]:
        files = (path for path in self.folder.rglob("*") if not path.is_dir())
        names = (path.relative_to(self.folder).as_posix() for path in files)
        return sorted(
            n for n in names if n not in (LIST, LIST_LOCK) and not is_litter(n.rpartition("/")[2])
        )

    def _written(self) -> dict[str, str]:
        """Name to SHA256; nothing where the list is not there, or not ours."""
        pairs = (line.partition("  ") for line in self._lines() if not line.startswith("#"))
        return {name: digest for digest, _, name in pairs if name}

    def _lines(self) -> list[str]:
        """Lines of the list with its head; none where there is none, or that of others."""
        path = self.folder / self.list_name
        if not path.is_file():
            return []
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        lines = [line.removesuffix("\r") for line in text.split("\n") if line]
        return lines if lines and lines[0] == self.head else []

    def _write(self, listed: Mapping[str, str]) -> None:
        lines = [self.head, *(f"{digest}  {name}" for name, digest in sorted(listed.items()))]
        text = "".join(f"{line}\n" for line in lines)
        write_atomic(self.folder / self.list_name, text.encode("utf-8", "surrogateescape"))


def read_mask_note(path: Path) -> dict[str, Any] | None:
    """Read what `cellharness predict` noted of masks.

    Parameters
    ----------
    path : Path
        ``provenance.json``, or wherever it was moved to.

    Returns
    -------
    dict or None
        With ``status``, ``method``, ``parameters`` and ``images``, a dict; ``masks``, a list of the
        file names that it speaks for, is not in notes of earlier versions. None where there is no
        note, or it is somebody else's.
    """
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or not found.keys() >= _NOTED:
        return None
    shaped = isinstance(found["images"], dict) and isinstance(found.get("masks", []), list)
    return found if shaped else None


def draft_of(target: Path) -> Path:
    """Make an empty folder that is to become another; drafts that a kill left are cleared away."""
    remove_leftovers(target.parent)
    draft = partial_of(target)
    draft.mkdir()
    return draft


def replace_folder(draft: Path, target: Path) -> None:
    """Put a finished folder in the place of an older one, and list its files.

    Parameters
    ----------
    draft : Path
        Beside `target`.
    target : Path
        What it holds must have been looked through by `OwnFiles.refuse_foreign` before.
    """
    OwnFiles(draft).add()
    old = partial_of(target.with_name(f"{target.name}-old"))
    # A rename each: a kill leaves the old folder or the new one, and at no time a part of one.
    with contextlib.suppress(FileNotFoundError):
        target.rename(old)
    draft.rename(target)
    shutil.rmtree(old, ignore_errors=True)
