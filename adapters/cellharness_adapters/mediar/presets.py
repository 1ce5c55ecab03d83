"""The two ways in which MEDIAR's authors predict, and which passes of the networks they take.

Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PresetName = Literal["repo", "napari"]
Normalisation = Literal["image", "channel"]
Flips = Literal["all", "by_size", "none"]
#: Of the original.
#: ``no_foreground``: an image without a pixel of cell has no mask at all.
#: ``tile_ids``: from 25 Mpx on tiles of 2000 px are segmented apart, and each counts from 1.
#: ``large_dropped``: what covers more than 90 % of the image, or of a tile, is no cell.
Fault = Literal["no_foreground", "tile_ids", "large_dropped"]
#: Axis of (channel, row, column) that is reversed; None for the image as it is.
Axis = Literal[1, 2] | None

_ROWS: Axis = 1
_COLUMNS: Axis = 2
_SHARE = 0.6
#: Images of about the size of one Mpx have the smaller overlap in the plug-in.
_ABOUT_ONE_MEGAPIXEL = (900_000, 1_150_000)
_SMALL, _LARGE = 2000**2, 5000**2


@dataclass(frozen=True)
class Preset:
    """What is set together.

    Attributes
    ----------
    normalisation : {"image", "channel"}
        Over which values the percentiles of the image are taken.
    flips : {"all", "by_size", "none"}
    cellprob_threshold, flow_threshold : float
        Probability above which a pixel is cell; largest error of a cell's flows.
    clean : bool
        Fill holes, drop cells that are small, and small for their image.
    """

    normalisation: Normalisation
    flips: Flips
    cellprob_threshold: float
    flow_threshold: float
    clean: bool


PRESETS: dict[PresetName, Preset] = {
    "repo": Preset("image", "all", 0.5, 0.4, clean=False),
    "napari": Preset("channel", "by_size", 0.4, 0.4, clean=True),
}


@dataclass(frozen=True)
class Pass:
    """One run over the image.

    Attributes
    ----------
    network : int
        0 for the first, 1 for the second.
    axis : {1, 2} or None
        What is flipped: rows, columns, nothing.
    """

    network: int
    axis: Axis = None


def overlap_of(preset: PresetName, height: int, width: int) -> float:
    """Share of a window that the next one covers too.

    Examples
    --------
    >>> overlap_of("napari", 1000, 1000), overlap_of("repo", 1000, 1000)
    (0.5, 0.6)
    """
    low, high = _ABOUT_ONE_MEGAPIXEL
    return 0.5 if preset == "napari" and low < height * width < high else _SHARE


def passes_of(flips: Flips, height: int, width: int, networks: int) -> tuple[Pass, ...]:
    """List the passes whose mean is taken.

    Parameters
    ----------
    flips : {"all", "by_size", "none"}
        ``all``: each network on the image and both its flips. ``by_size``, as in the plug-in: two
        passes below 4 Mpx, four below 25 Mpx, one above. ``none``: each network once.
    height, width : int
        Of the image, px.
    networks : int
        One or two. Where the second is not there, the first stands for it.

    Examples
    --------
    >>> passes_of("by_size", 500, 500, 2)
    (Pass(network=0, axis=None), Pass(network=1, axis=2))
    >>> len(passes_of("all", 500, 500, 2))
    6
    """
    if flips == "none":
        return tuple(Pass(network) for network in range(networks))
    if flips == "all":
        axes = (None, _COLUMNS, _ROWS)
        return tuple(Pass(network, axis) for network in range(networks) for axis in axes)
    wanted = [Pass(0)]
    if height * width < _SMALL:
        wanted += [Pass(1, _COLUMNS)]
    elif height * width < _LARGE:
        wanted += [Pass(0, _COLUMNS), Pass(1), Pass(1, _ROWS)]
    there = [Pass(min(each.network, networks - 1), each.axis) for each in wanted]
    return tuple(dict.fromkeys(there))  # with one network two of them may be the same
