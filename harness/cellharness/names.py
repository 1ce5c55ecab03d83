"""Names of files and cases as they are compared: two that look the same are the same."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from cellharness.vocabulary import IMAGE_SUFFIXES

#: What programs put behind the name of an image to name its label image, the longest first.
LABEL_TAILS = ("_cp_masks", "_labels", "_masks", "_label", "_mask", "_gt", "")
#: Behind that name where Cellpose saves what it knows of an image, masks among it.
SAVED_BY_CELLPOSE = "_seg"


def same_name(name: str) -> str:
    r"""Bring a name to the form in which it is compared: "ö" may be one character or two.

    Examples
    --------
    >>> same_name("o\u0308") == "\u00f6"
    True
    """
    return unicodedata.normalize("NFC", name)


def case_name(stem: str) -> str:
    """Make of a file's name without suffix one that a case may have.

    Examples
    --------
    >>> case_name("cell 1 (left)"), case_name(".cell")
    ('cell_1__left_', 'cell')
    """
    return re.sub(r"[^A-Za-z0-9._-]", "_", stem).lstrip(".") or "_"


def case_of(name: str) -> str:
    """Name of the case that a label image is of, by the name of its file.

    What stands before the suffix, without ``_label`` or what else programs put behind it, in
    Unicode's composed form. A name without the suffix of an image is that of a case.

    Examples
    --------
    >>> case_of("a_label.tiff"), case_of("a_cp_masks.TIF"), case_of("a.png"), case_of("a_label")
    ('a', 'a', 'a', 'a_label')
    """
    name = same_name(name)
    suffix = Path(name).suffix
    if suffix.lower() not in IMAGE_SUFFIXES:
        return name
    stem = name.removesuffix(suffix)
    if is_saved_by_cellpose(Path(name)):
        return stem.removesuffix(SAVED_BY_CELLPOSE)
    tail = next(tail for tail in LABEL_TAILS if stem.endswith(tail))
    return stem.removesuffix(tail) or stem


def is_saved_by_cellpose(path: Path) -> bool:
    """Whether a file is what Cellpose saves beside an image, masks among it."""
    return (
        path.suffix.lower() == ".npy"
        and path.stem.endswith(SAVED_BY_CELLPOSE)
        and path.stem != SAVED_BY_CELLPOSE
    )
