"""What goes into a program's folder of inputs, and what is taken from its folder of outputs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cellharness.errors import first_of
from cellharness.methods.base import CaseError
from cellharness.run_directory import prediction_name

# Lists of methods are made without what reads images.
if TYPE_CHECKING:
    import numpy as np

    from cellharness.data.manifest import Case


def put_file(folder: Path, case: Case) -> None:
    """Copy a case's own image file: ``<case>`` with the suffix of its kind."""
    shutil.copyfile(case.image, folder / f"{case.case}{case.image.suffix.lower()}")


def put_image(folder: Path, case: Case, image: np.ndarray) -> None:
    """Write what a method is given, (H, W) or (H, W, C), as ``<case>.tiff``."""
    import tifffile

    tifffile.imwrite(folder / f"{case.case}.tiff", image)


def take_mask(folder: Path, case: str, shape: tuple[int, ...], how: str) -> np.ndarray:
    """Read a case's mask from a program's outputs.

    Parameters
    ----------
    folder : Path
        Of outputs.
    case : str
        The mask must be called ``<case>_label.tiff``.
    shape : tuple of int
        (H, W) that it must have.
    how : str
        How the program ended, for the message.

    Raises
    ------
    CaseError
        ``missing``: no file of this name; those that are there are named. ``error``: it is no
        label image, or of another shape.
    """
    import tifffile

    from cellharness.data.images import read_label

    path = folder / prediction_name(case)
    if path.is_symlink() or not path.is_file():
        there = sorted(each.name for each in folder.rglob("*") if each.is_file())
        found = f"it wrote {first_of(there)}" if there else "it wrote nothing"
        msg = f"no '{path.name}' among the outputs: {found} ({how})"
        raise CaseError(msg, "missing")
    try:
        # The head first: a file may claim more pixels than memory holds.
        with tifffile.TiffFile(path) as tiff:
            size = tuple(side for side in tiff.series[0].shape if side != 1)
        if size == tuple(side for side in shape if side != 1):
            labels = read_label(path)
            if labels.shape == tuple(shape):
                return labels
            size = labels.shape
    except Exception as error:  # of any kind, on bytes that are no tiff
        reason = str(error).replace(f"{folder}/", "")
        msg = f"its mask is no label image: {reason} ({how})"
        raise CaseError(msg) from error
    msg = f"its mask has shape {size}, the image {tuple(shape)} ({how})"
    raise CaseError(msg)
