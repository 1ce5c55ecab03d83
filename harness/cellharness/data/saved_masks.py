"""Read the masks of a Cellpose ``_seg.npy``, which is a pickle, without running what it names."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cellharness.data.pixel_rules import UnsupportedImageError

# What arrays, their dtypes and single numbers are pickled as; nothing here acts on the world.
_HARMLESS = {
    (f"numpy.{core}.multiarray", name)
    for core in ("core", "_core")
    for name in ("_reconstruct", "scalar")
} | {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
}


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that knows arrays, numbers, texts and containers, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _HARMLESS:
            msg = f"it asks for {module}.{name}"
            raise pickle.UnpicklingError(msg)
        return super().find_class(module, name)


def read_saved_masks(file: BinaryIO, path: Path) -> np.ndarray:
    """Read the array ``masks`` of the pickled dictionary that a ``_seg.npy`` holds.

    Parameters
    ----------
    file
        At the pickle, behind the header.
    path
        For messages.

    Returns
    -------
    ndarray
        As it was saved.

    Raises
    ------
    UnsupportedImageError
        If there is no such array, or the pickle asks for anything but arrays; the message says how
        to export it.
    """
    try:
        saved = _ArraysOnly(file).load()
        masks = saved.item()["masks"]
    # A pickle of others raises what it likes.
    except Exception as error:
        msg = (
            f"{path}: a pickle, of which only the array 'masks' is taken, as Cellpose saves it, "
            f"and that failed ({type(error).__name__}: {error}). Export it: in the program that "
            "made it save the masks as tiff or png, or in Python, if you trust the file, "
            "tifffile.imwrite('labels.tif', np.load(path, allow_pickle=True).item()['masks'])."
        )
        raise UnsupportedImageError(msg) from error
    if not isinstance(masks, np.ndarray):
        msg = f"{path}: 'masks' in it is no array but a {type(masks).__name__}; save it anew."
        raise UnsupportedImageError(msg)
    return masks
