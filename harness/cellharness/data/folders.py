"""What lies in a folder of images or of label images, and what of it is passed over and why."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cellharness.errors import UsageError, first_of
from cellharness.files import is_litter
from cellharness.names import (
    LABEL_TAILS,
    SAVED_BY_CELLPOSE,
    case_of,
    is_saved_by_cellpose,
    same_name,
)
from cellharness.own_files import BOOKS
from cellharness.run_directory import flows_name, overlay_name, prediction_name
from cellharness.vocabulary import IMAGE_SUFFIXES

#: Suffixes of label images: all that hold ids without loss.
LABEL_SUFFIXES: tuple[str, ...] = (".tif", ".tiff", ".png", ".bmp", ".npy", ".npz")

# A file of a later group is read only where there is none of an earlier one.
_PREFERRED = ((".tif", ".tiff", ".png"), (".bmp", ".npy", ".npz"))
_OF_CELLPOSE = re.compile(
    r"(?P<image>.+)_(seg|flows|dP|outlines|rois|cp_(masks|outlines|output|flows|cellprob|rois))"
)
_UNKNOWN = "of a kind that is not read"
_HIDDEN = "hidden"
_FOLDER = "a folder, which is not looked into"
_CELLPOSE = "saved by Cellpose beside the image"
_DRAWN = "the overlay or the flows of a mask beside it"


class PassedOver(NamedTuple):
    """A file of a folder that is not read.

    Attributes
    ----------
    path : Path
        Its place.
    reason : str
        Why, as in "5 files passed over, of a kind that is not read".
    """

    path: Path
    reason: str


@dataclass(frozen=True)
class Contents:
    """What lies in a folder.

    Attributes
    ----------
    files
        What is read, by name without suffix (and without ``_label`` and the like), sorted by file
        name. Names are in Unicode's composed form, in which "ö" is one character.
    passed_over
        What is not.
    """

    files: dict[str, Path]
    passed_over: tuple[PassedOver, ...]


def tell(passed_over: Iterable[PassedOver]) -> list[str]:
    """Say what was passed over, a line a reason.

    Examples
    --------
    >>> tell([PassedOver(Path("b.gif"), "of a kind that is not read")])
    ['1 file passed over, of a kind that is not read: b.gif']
    """
    groups: dict[str, list[str]] = {}
    for path, reason in passed_over:
        groups.setdefault(reason, []).append(path.name)
    return [
        f"{len(names)} file{'s' * (len(names) > 1)} passed over, {reason}: {first_of(names, 20)}"
        for reason, names in groups.items()
    ]


def images_of(folder: Path) -> Contents:
    """Find the images of a folder.

    ``<stem>_label.*``, ``<stem>_mask.*`` and the like beside an image ``<stem>.*`` are its label
    image and no image, and so is what Cellpose, or ``predict`` with overlays and flows, saved
    beside it; all are passed over.

    Raises
    ------
    UsageError
        No such folder, no image in it, two images of one name, or a name with a line break.
    """
    files, passed_over = _sorted_out(folder, "images", IMAGE_SUFFIXES)
    names = {same_name(path.stem) for path in files}
    found: dict[str, Path] = {}
    for path in files:
        stem = same_name(path.stem)
        if _is_drawn(path, names):
            passed_over.append(PassedOver(path, _DRAWN))
            continue
        of_cellpose = _OF_CELLPOSE.fullmatch(stem)
        by_cellpose = of_cellpose is not None and of_cellpose["image"] in names
        # Cellpose saves a _seg.npy and no other _seg.
        if stem.endswith(SAVED_BY_CELLPOSE):
            by_cellpose = path.suffix.lower() == ".npy"
        if by_cellpose:
            passed_over.append(PassedOver(path, _CELLPOSE))
            continue
        case = case_of(path.name)
        if case != stem and case in names:
            passed_over.append(PassedOver(path, "the label image of an image beside it"))
            continue
        if set(path.name) & {"\n", "\r"}:
            msg = f"{path.name!r} has a line break in its name; rename it"
            raise UsageError(msg)
        if stem in found:
            msg = (
                f"'{found[stem].name}' and '{path.name}' would both become "
                f"'{prediction_name(stem)}'; rename one"
            )
            raise UsageError(msg)
        found[stem] = path
    if not found:
        msg = f"no image in '{folder}'; read are {', '.join(sorted(IMAGE_SUFFIXES))}"
        lines = tell(passed_over)
        raise UsageError(". ".join([msg, *lines]))
    return Contents(found, tuple(passed_over))


def labels_of(folder: Path) -> Contents:
    """Find the label images of a folder.

    The name is that of `case_of`. Where one name has several files, tiff and png go before bmp, npy
    and npz, and these before the ``_seg.npy`` of Cellpose.

    Raises
    ------
    UsageError
        No such folder, or two files for one name.
    """
    files, passed_over = _sorted_out(folder, "label images", LABEL_SUFFIXES)
    by_case: dict[str, list[Path]] = {}
    names = {case_of(path.name) for path in files}
    for path in files:
        if _is_drawn(path, names):
            passed_over.append(PassedOver(path, _DRAWN))
            continue
        by_case.setdefault(case_of(path.name), []).append(path)
    found: dict[str, Path] = {}
    for case, paths in by_case.items():
        of_cellpose = _OF_CELLPOSE.fullmatch(case)
        if of_cellpose and of_cellpose["image"] in by_case:
            passed_over += [PassedOver(path, _CELLPOSE) for path in paths]
            continue
        found[case], *others = _preferred_first(case, paths)
        passed_over += [
            PassedOver(path, "for there is another file of that name that is read")
            for path in others
        ]
    return Contents(found, tuple(passed_over))


def label_files(folder: Path, but: Collection[Path] = ()) -> dict[str, list[Path]]:
    """List what may be the label images of a folder, for `label_of`.

    Parameters
    ----------
    folder : Path
        Looked at without its subfolders.
    but : collection of Path
        Files that are none, such as the images of the same folder.

    Returns
    -------
    dict of str to list of Path
        By name without suffix, in Unicode's composed form.

    Raises
    ------
    UsageError
        No such folder.
    """
    listed: dict[str, list[Path]] = {}
    for path in _sorted_out(folder, "label images", LABEL_SUFFIXES)[0]:
        if path not in but:
            listed.setdefault(same_name(path.stem), []).append(path)
    return listed


def label_of(case: str, there: Mapping[str, Sequence[Path]]) -> Path | None:
    """Find the label image of a case, by the rules of `labels_of`.

    Parameters
    ----------
    case : str
        Also one that looks like the name of a label image itself, as ``a_mask`` does.
    there : mapping of str to sequence of Path
        As `label_files` gives it.

    Returns
    -------
    Path or None
        None where there is none.

    Raises
    ------
    UsageError
        There are several, and none of them goes first.

    Examples
    --------
    >>> there = {"a_masks": [Path("a_masks.TIF")], "a": [Path("a.npy")]}
    >>> str(label_of("a", there)), label_of("b", there)
    ('a_masks.TIF', None)
    """
    name = same_name(case)
    found = [path for tail in LABEL_TAILS for path in there.get(name + tail, ())]
    found += [
        path for path in there.get(name + SAVED_BY_CELLPOSE, ()) if is_saved_by_cellpose(path)
    ]
    return _preferred_first(case, found)[0] if found else None


def _preferred_first(case: str, files: Iterable[Path]) -> list[Path]:
    """Sort the label images of one case by rank; two that share the first are refused."""

    def rank(path: Path) -> int:
        if is_saved_by_cellpose(path):
            return len(_PREFERRED)
        return next(k for k, group in enumerate(_PREFERRED) if path.suffix.lower() in group)

    first, *others = sorted(files, key=lambda path: (rank(path), path.name))
    if others and rank(others[0]) == rank(first):
        msg = (
            f"{first.parent}: {first.name} and {others[0].name} are two files for the case "
            f"{case!r}; keep one."
        )
        raise UsageError(msg)
    return [first, *others]


def _is_drawn(path: Path, names: Collection[str]) -> bool:
    """Whether a file is what `cellharness predict` wrote beside the mask of one of these names."""
    name = same_name(path.name)
    return any(
        name.endswith(file("")) and name.removesuffix(file("")) in names
        for file in (overlay_name, flows_name)
    )


def _sorted_out(
    folder: Path, what: str, suffixes: tuple[str, ...]
) -> tuple[list[Path], list[PassedOver]]:
    """Part what could be read, going by the suffix, from what can not."""
    if not folder.is_dir():
        msg = f"{folder}: no such folder of {what}."
        raise UsageError(msg)
    files, passed_over = [], []
    for path in sorted(folder.iterdir()):
        if is_litter(path.name) or path.name in BOOKS:
            continue
        if path.name.startswith("."):
            passed_over.append(PassedOver(path, _HIDDEN))
        elif path.is_dir():
            passed_over.append(PassedOver(path, _FOLDER))
        elif path.suffix.lower() not in suffixes:
            passed_over.append(PassedOver(path, _UNKNOWN))
        else:
            files.append(path)
    return files, passed_over
