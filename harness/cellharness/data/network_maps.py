"""What a network gave for every pixel, as a file that ImageJ and napari open with its names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tifffile

from cellharness.files import whole_file


def write_maps(path: Path, maps: Mapping[str, np.ndarray]) -> None:
    """Write maps as one tiff of float32, a named plane each.

    The file appears whole or not at all.

    Parameters
    ----------
    path : Path
        An existing file is replaced.
    maps : mapping of str to ndarray of float, (H, W)
        Name to map, all of one size; at least one.
    """
    planes = np.stack([np.asarray(plane, np.float32) for plane in maps.values()])
    named = {"axes": "CYX", "Labels": list(maps), "mode": "grayscale"}
    with whole_file(path) as partial:
        # Not compressed: of float32 from a network little is saved, and ImageJ reads it at once.
        tifffile.imwrite(partial, planes, imagej=True, metadata=named)


def read_maps(path: Path) -> dict[str, np.ndarray]:
    """Read what :func:`write_maps` wrote: name to float32 (H, W)."""
    with tifffile.TiffFile(path) as file:
        planes = file.asarray()
        names = (file.imagej_metadata or {})["Labels"]
    names = [names] if isinstance(names, str) else names
    return dict(zip(names, planes.reshape(-1, *planes.shape[-2:]), strict=True))
