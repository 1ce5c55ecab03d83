"""Which masks of a folder, and what lies beside them, were written here, by name and SHA256."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import ClassVar

from cellharness.errors import first_of
from cellharness.files import hash_file, set_aside
from cellharness.own_files import (
    MASK_LIST,
    MASK_NOTE,
    ForeignFilesError,
    OwnFiles,
    read_mask_note,
)
from cellharness.run_directory import flows_name, overlay_name, prediction_name

# A kill can come between a mask and its line, so what is being written is noted before.
_WRITING = "# writing "

# How the names of masks end.
_TAIL = prediction_name("")

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

    def names(self, stems: Iterable[str]) -> list[str]:
        """File names, for masks of these images."""
        stems = [*stems]
        names = [*map(overlay_name, stems)] if self.overlays else []
        names += map(flows_name, stems) if self.flows else []
        return [*names, COUNTS] if self.counts else names


@dataclass(frozen=True)
class Earlier:
    """What was there when masks were begun, besides those that are made again; names of masks.

    Attributes
    ----------
    kept : tuple of str
        Made by the same method.
    aside : tuple of str
        Made here too, by another method or none knows which, and set aside.
    others : tuple of str
        Made elsewhere, or changed since they were made; as they were.
    """

    kept: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def tell(self) -> list[str]:
        """Say what is not of the method."""
        lines = []
        if self.aside:
            lines.append(
                f"{len(self.aside)} mask(s) made with another method, or other parameters, "
                f"weights or versions, set aside as <name>.replaced-<time>: {first_of(self.aside)}"
            )
        if self.others:
            lines.append(
                f"{len(self.others)} mask(s) in the folder were not made here, or were changed "
                f"since; {MASK_NOTE} does not speak for them, and method precomputed does not "
                f"take them with it: {first_of(self.others)}"
            )
        return lines


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
        if read_mask_note(self.folder / MASK_NOTE) is not None:
            ours.append(MASK_NOTE)
        names = [*self._names(stems), MASK_LIST, MASK_NOTE]
        self.refuse_foreign(names, overwrite=overwrite, ours=ours)

    def begin(self, stems: Sequence[str], same: Collection[str] = ()) -> Earlier:
        """Clear the folder for masks, so that none of another method lies among them.

        What is about to be made again is deleted. Of what was written beside masks and is not
        wanted now, what is as it was written is deleted too: it would show the cells of another
        mask. Masks of other images are set aside with what lies beside them, unless they are of the
        same method; but not those that were changed since, which somebody may have mended.

        Parameters
        ----------
        stems : sequence of str
            Of the images that masks are to be made of.
        same : collection of str
            Names of masks that are known to be made by the same method.
        """
        listed, again = self._written(), {*self._names(stems)}
        whole = {
            name
            for name in listed.keys() - again
            if (path := self.folder / name).is_file() and listed[name] == hash_file(path)
        }
        gone = again | (whole & {*_EVERYTHING.names(stems)})
        masks = {name for name in whole - gone if name.endswith(_TAIL)}
        kept, aside = masks & {*same}, masks - {*same}
        beside = _EVERYTHING.names(name.removesuffix(_TAIL) for name in aside)
        moved = aside | (whole - gone) & {*beside}
        for name in gone:
            (self.folder / name).unlink(missing_ok=True)
        for name in moved:
            set_aside(self.folder / name)
        left = {name: sha for name, sha in listed.items() if name not in gone | moved}
        self._write(left)
        there = {path.name for path in self.folder.glob(f"*{_TAIL}")}
        return Earlier(*(tuple(sorted(each)) for each in (kept, aside, there - kept)))

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
