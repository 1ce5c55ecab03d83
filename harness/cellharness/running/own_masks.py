"""Which masks of a folder were written here: by name and SHA256, so that no other is replaced."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from cellharness.errors import UsageError, first_of
from cellharness.files import hash_file, write_atomic
from cellharness.run_directory import prediction_name

#: Beside the masks: a line of SHA256 and name for each, as ``sha256sum -c`` reads it.
JOURNAL = "masks.sha256"
#: Beside the masks: what they were made by and of.
NOTE = "provenance.json"

# The first line, by which a list that somebody else made is told from ours.
_HEAD = "# Masks written by cellharness predict; one that is not listed here is not replaced."
# A kill can come between a mask and its line, so what is being written is noted before.
_WRITING = "# writing "


class ForeignMasksError(UsageError):
    """Files stand where masks would go that no call before has written."""


class OwnMasks:
    """The masks that were written into a folder.

    Parameters
    ----------
    folder : Path
        May be absent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def refuse_foreign(self, stems: Iterable[str], *, overwrite: bool) -> None:
        """Raise where a file would be replaced that is not as it was written here.

        Parameters
        ----------
        stems : iterable of str
            Of the images that masks are to be made of.
        overwrite : bool
            Whether files may be replaced all the same; folders never are.

        Raises
        ------
        ForeignMasksError
            Naming what is in the way.
        """
        lines = self._lines()
        written = dict(_entry(line) for line in lines if not line.startswith("#"))
        last = lines[-1] if lines else ""
        cut_off = last.removeprefix(_WRITING) if last.startswith(_WRITING) else None
        masks = [mask for mask in map(self.mask, stems) if mask.exists()]
        foreign = [mask.name for mask in masks if mask.is_dir()]
        if not overwrite:
            foreign += [
                mask.name
                for mask in masks
                if mask.is_file()
                and mask.name != cut_off
                and written.get(mask.name) != hash_file(mask)
            ]
        if not overwrite:
            journal, note = self.folder / JOURNAL, self.folder / NOTE
            foreign += [JOURNAL] if journal.exists() and not lines else []
            foreign += [NOTE] if note.exists() and not _is_ours(note) else []
        if foreign:
            msg = (
                f"'{self.folder}' holds {len(foreign)} of the files to be written, and cellharness "
                f"did not write them, or they were changed since: "
                f"{first_of(foreign)}. Give another folder with --out, or "
                "--overwrite to replace them"
            )
            raise ForeignMasksError(msg)

    def begin(self, stems: Iterable[str]) -> None:
        """Delete the masks that are about to be made again, and their lines."""
        gone = {prediction_name(stem) for stem in stems}
        kept = [
            line
            for line in self._lines()
            if not line.startswith("#") and _entry(line)[0] not in gone
        ]
        for stem in stems:
            self.mask(stem).unlink(missing_ok=True)
        text = "".join(f"{line}\n" for line in (_HEAD, *kept))
        write_atomic(self.folder / JOURNAL, text.encode("utf-8", "surrogateescape"))

    def writing(self, stem: str) -> None:
        """Note a mask before it is written."""
        self._add(f"{_WRITING}{self.mask(stem).name}")

    def written(self, stem: str) -> None:
        """Note a mask that was written, or that none was."""
        mask = self.mask(stem)
        self._add(f"{hash_file(mask)}  {mask.name}" if mask.is_file() else f"# none {mask.name}")

    def mask(self, stem: str) -> Path:
        """Where the mask of an image goes."""
        return self.folder / prediction_name(stem)

    def _add(self, line: str) -> None:
        with (self.folder / JOURNAL).open("ab") as file:
            file.write(f"{line}\n".encode("utf-8", "surrogateescape"))

    def _lines(self) -> list[str]:
        """Lines of the journal with its head; none where there is none, or that of others."""
        path = self.folder / JOURNAL
        if not path.is_file():
            return []
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        lines = [line.removesuffix("\r") for line in text.split("\n") if line]
        return lines if lines and lines[0] == _HEAD else []


def _entry(line: str) -> tuple[str, str]:
    """Name and SHA256 of a line."""
    digest, _, name = line.partition("  ")
    return name, digest


def _is_ours(note: Path) -> bool:
    """Whether a note is one that was written beside masks here."""
    try:
        found = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and {"status", "method", "parameters", "images"} <= set(found)
