"""What Omnipose finds of a whole image that is read by window, before masks are made by tiles.

The networks see the same 224 px tiles, at the same places, as of the image in one piece
(``network: tiles``), and their outputs are blended in the same way; a row of tiles is in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.filters import apply_hysteresis_threshold

from cellharness.slides.blending import Pieces, WholeMap, blend
from cellharness.slides.layout import Tile, lay_out
from cellharness.slides.resizing import Read, zoomed
from cellharness_adapters.omnipose.library import library
from cellharness_adapters.omnipose.network import EDGE, OVERLAP, TILE, Fields

if TYPE_CHECKING:
    from cellharness.slides.image import SlideImage
    from cellharness_adapters.omnipose.network import FieldNetworks

#: Shares of the pixels at which the library cuts grey values and divergences
#: (``omnipose.utils.normalize99``), and between which a channel that it leaves as it is differs by
#: no more than `_FLAT` (``cellpose_omni.transforms.normalize_img``).
_CUT = (0.0001, 0.9999)
_NEARLY_ALL = (0.01, 0.99)
_FLAT = 1e-3
#: Parts of the network's output that are looked at one after the other, and their overlap, px.
_PART = (1024, 64)


@dataclass(frozen=True)
class WholeImage:
    """What holds for all tiles of one image.

    Attributes
    ----------
    blended : WholeMap
        What the networks gave, at their scale.
    shape : (int, int)
        (H, W) of the image.
    diameter : float
        Mean of the cells in px, which settles whether pixels are clustered.
    from_distance : float
        The same of all pixels whose distance is above zero, which settles the number of steps.
    limits : (float, float)
        Divergences of the flows that become 0 and 1.
    """

    blended: WholeMap
    shape: tuple[int, int]
    diameter: float
    from_distance: float
    limits: tuple[float, float]

    def of(self, tile: Tile) -> Fields:
        """What the networks say of a tile."""
        return _fields(self.blended, self.shape, tile.rows, tile.columns)

    @contextmanager
    def held(self, core: Any) -> Iterator[None]:
        """Have the library scale the flows of a part as it scales those of the whole image.

        Parameters
        ----------
        core : module
            ``omnipose.core``.
        """
        utils, own = library("omnipose.utils"), core.div_rescale

        def div_rescale(flows: np.ndarray, mask: np.ndarray, p: int = 1) -> np.ndarray:
            flows = utils.normalize_field(flows * mask)
            scaled = utils.normalize99(core.divergence(flows), contrast_limits=self.limits)
            return flows * scaled**p

        core.div_rescale = div_rescale
        try:
            yield
        finally:
            core.div_rescale = own


def look_at_whole(
    image: SlideImage,
    as_gray: Callable[[np.ndarray], np.ndarray],
    networks: FieldNetworks,
    scale: float,
    mask_threshold: float,
) -> WholeImage | None:
    """Run the networks on a whole image and find what its masks depend on.

    Parameters
    ----------
    image : SlideImage
    as_gray : callable
        Makes a part of the image grey, (h, w) float32.
    networks : FieldNetworks
    scale : float
        Zoom of the image beforehand.
    mask_threshold : float
        Distance above which a pixel is cell.

    Returns
    -------
    WholeImage or None
        None where all pixels are alike.
    """

    def read(rows: slice, columns: slice) -> np.ndarray:
        return as_gray(image.read(rows, columns))

    greys = Tails(_NEARLY_ALL, image.shape[0] * image.shape[1])
    for part in lay_out(image.shape, _PART[0], 0):
        greys.add(read(part.rows, part.columns))
    lowest, highest = greys.quantiles((0.0, 1.0))
    if lowest == highest:
        return None
    low, high = _grey_range(greys)

    def seen(rows: slice, columns: slice) -> np.ndarray:
        return _cut(read(rows, columns), low, high)

    size = image.shape
    if scale != 1.0:
        size = round(size[0] * scale), round(size[1] * scale)
    blended = _blended(image, seen, size, networks)
    core, utils = library("omnipose.core"), library("omnipose.utils")
    inside, counted = np.zeros(2), np.zeros(2)
    tails = Tails(_CUT, image.shape[0] * image.shape[1])
    for part in lay_out(image.shape, *_PART):
        fields = _fields(blended, image.shape, part.rows, part.columns)
        own = part.within(part.own_rows, part.own_columns)
        cell = apply_hysteresis_threshold(fields.distance, mask_threshold - 1, mask_threshold)
        for number, where in enumerate((cell[own], fields.distance[own] > 0)):
            distances = np.abs(fields.distance[own][where], dtype=np.float64)
            inside[number] += distances.sum()
            counted[number] += distances.size
        flows = utils.normalize_field(fields.flows * cell)
        tails.add(core.divergence(flows)[own])
    # As in `omnipose.core.dist_to_diam`, in two dimensions.
    diameter, from_distance = 6 * inside / np.maximum(counted, 1)
    return WholeImage(blended, image.shape, diameter, from_distance, tails.quantiles(_CUT))


class Tails:
    """Quantiles near both ends of more values than memory holds.

    Parameters
    ----------
    shares : (float, float)
        Those nearest to the middle that will be asked for.
    count : int
        Of all values.
    """

    def __init__(self, shares: tuple[float, float], count: int) -> None:
        self._count = count
        self._kept = [int(share * count) + 2 for share in (shares[0], 1 - shares[1])]
        self._low = self._high = np.empty(0, np.float32)

    def add(self, values: np.ndarray) -> None:
        """Take some of the values."""
        low, high = self._kept
        values = values.ravel()
        self._low = np.concatenate([self._low, _least(values, low)])
        self._high = np.concatenate([self._high, -_least(-values, high)])
        self._low, self._high = _least(self._low, low), -_least(-self._high, high)

    def quantiles(self, shares: tuple[float, float]) -> tuple[float, float]:
        """Two quantiles, interpolated as NumPy does."""
        low, high = np.sort(self._low), np.sort(self._high)
        return _between(low, 0, shares[0] * (self._count - 1)), _between(
            high, self._count - high.size, shares[1] * (self._count - 1)
        )


def _least(values: np.ndarray, count: int) -> np.ndarray:
    return values if values.size <= count else np.partition(values, count - 1)[:count]


def _between(ordered: np.ndarray, first: int, place: float) -> float:
    """Value at a place between two of a line's, of which the first that is known has a number."""
    before = int(place)
    one, other = (ordered[min(k, first + ordered.size - 1) - first] for k in (before, before + 1))
    return float(one + (other - one) * np.float32(place - before))


def _grey_range(greys: Tails) -> tuple[float, float]:
    """Grey values that become 0 and 1; infinite ones of an image that is left as it is."""
    low, high = greys.quantiles(_NEARLY_ALL)
    return greys.quantiles(_CUT) if high > low + _FLAT else (-np.inf, np.inf)


def _cut(gray: np.ndarray, low: float, high: float) -> np.ndarray:
    if np.isinf(high):
        return gray.astype(np.float32)
    return np.clip((gray - np.float32(low)) / np.float32(high - low), 0, 1)


def _blended(
    image: SlideImage, seen: Read, size: tuple[int, int], networks: FieldNetworks
) -> WholeMap:
    """Run the networks on all tiles of an image."""
    transforms, utils = library("cellpose_omni.transforms"), library("omnipose.utils")
    places, added = [], []
    for side in size:
        # Which row or column of the image lies where, once its border is repeated and mirrored.
        line = np.pad(np.arange(side), EDGE, "edge")
        padded, ((own,)) = transforms.pad_image_ND(line[None], dim=1)
        places.append(padded[0])
        added.append(int(own[0]) + EDGE)
    shape = len(places[0]), len(places[1])
    _, tiles, _, _ = utils.make_tiles_ND(
        np.empty((1, *shape), bool), bsize=TILE, tile_overlap=OVERLAP, return_tiles=False
    )
    rows, columns = (sorted({tile[axis].start for tile in tiles}) for axis in (0, 1))
    piece = min(TILE, shape[0]), min(TILE, shape[1])
    taper = utils._taper_mask_ND(piece)

    def band_at(start: int) -> np.ndarray:
        wanted = places[0][start : start + piece[0]]
        inside = slice(int(wanted.min()), int(wanted.max()) + 1)
        found = zoomed(seen, image.shape, size, inside, slice(0, size[1]), order=3)
        band = np.zeros((networks.channels, piece[0], shape[1]), np.float32)
        band[0] = found[wanted - inside.start][:, places[1]]
        return band

    return blend(
        image.folder / "network.raw",
        size,
        networks.outputs,
        Pieces(rows, columns, piece, (added[0], added[1])),
        band_at,
        networks.run_tiles,
        lambda _row, _piece: taper,
        batch_size=networks.batch_size,
    )


def _fields(blended: WholeMap, shape: tuple[int, int], rows: slice, columns: slice) -> Fields:
    found = zoomed(blended.read, blended.shape, shape, rows, columns, order=1)
    parts = np.ascontiguousarray(np.moveaxis(found, -1, 0))
    return Fields(parts[:2], parts[2], parts[3] if blended.outputs == 4 else None)
