"""Which masks of a folder, and what lies beside them, were written here, by name and SHA256."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import ClassVar

from cellharness.files import has_keys, hash_file
from cellharness.own_files import MASK_LIST, MASK_NOTE, ForeignFilesError, OwnFiles
from cellharness.run_directory import flows_name, overlay_name, prediction_name

# A kill can come between a mask and its line, so what is being written is noted before.
_WRITING = "# writing "

#: Table of cells, one row an image.
COUNTS = "counts.csv"


@dataclass(frozen=True)
class Beside:
    """What is written beside masks on request.

    Attributes
    ----------
    overlays : bool
        ``<stem>_overlay.png``: the image with its cells outlined.
    flows : bool
        ``<stem>_flows.tiff``: what the method's network gave.
    counts : bool
        ``counts.csv``: number and size of the cells, a row an image.
    """

    overlays: bool = False
    flows: bool = False
    counts: bool = False

    def names(self, stems: Sequence[str]) -> list[str]:
        """File names, for masks of these images."""
        names = [*map(overlay_name, stems)] if self.overlays else []
        names += map(flows_name, stems) if self.flows else []
        return [*names, COUNTS] if self.counts else names


_EVERYTHING = Beside(overlays=True, flows=True, counts=True)


class ForeignMasksError(ForeignFilesError):
    """Files stand where masks would go that no call before has written."""


class OwnMasks(OwnFiles):
    """The masks that were written into a folder.

    Parameters
    ----------
    folder : Path
        May be absent.
    beside : Beside
        What is written with them.
    """

    list_name: ClassVar[str] = MASK_LIST
    head: ClassVar[str] = (
        "# Masks written by cellharness predict; one that is not listed here is not replaced."
    )
    foreign: ClassVar[type[ForeignFilesError]] = ForeignMasksError

    def __init__(self, folder: Path, beside: Beside = Beside()) -> None:
        super().__init__(folder)
        self.beside = beside

    def refuse_foreign_masks(self, stems: Sequence[str], *, overwrite: bool) -> None:
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
        UsageError
            The folder, or one above it, is a file.
        """
        lines = self._lines()
        last = takewhile(lambda line: line.startswith(_WRITING), reversed(lines))
        ours = [line.removeprefix(_WRITING) for line in last]
        if lines:
            ours.append(MASK_LIST)
        if has_keys(self.folder / MASK_NOTE, {"status", "method", "parameters", "images"}):
            ours.append(MASK_NOTE)
        names = [*self._names(stems), MASK_LIST, MASK_NOTE]
        self.refuse_foreign(names, overwrite=overwrite, ours=ours)

    def begin(self, stems: Sequence[str]) -> None:
        """Delete the files that are about to be made again, and their lines.

        Of what was written beside masks and is not wanted now, what is as it was written is deleted
        too: it would show the cells of another mask.
        """
        listed = self._written()
        stale = {
            name
            for name in _EVERYTHING.names(stems)
            if (path := self.folder / name).is_file() and listed.get(name) == hash_file(path)
        }
        gone = {*self._names(stems), *stale}
        for name in gone:
            (self.folder / name).unlink(missing_ok=True)
        self._write({name: sha for name, sha in listed.items() if name not in gone})

    def writing(self, *names: str) -> None:
        """Note files before they are written."""
        self._append(*(f"{_WRITING}{name}" for name in names))

    def written(self, *names: str) -> None:
        """Note files that were written, or that none was; all that were noted before at once."""
        self._append(
            *(
                f"{hash_file(path)}  {name}" if path.is_file() else f"# none {name}"
                for name, path in ((name, self.folder / name) for name in names)
            )
        )

    def _names(self, stems: Sequence[str]) -> list[str]:
        """Masks of these images, and what goes with them."""
        return [*map(prediction_name, stems), *self.beside.names(stems)]

    def _append(self, *lines: str) -> None:
        text = "".join(f"{line}\n" for line in lines)
        with (self.folder / self.list_name).open("ab") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
