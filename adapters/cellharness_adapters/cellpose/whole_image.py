"""What Cellpose finds of a whole image before its network runs, of one that is read by window."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellharness.slides.stitching import Stitcher
from cellharness_adapters.cellpose.library import transforms, utils
from cellharness_adapters.cellpose.whole_maps import Scaled, run_network, whole_style

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cellharness.slides.image import SlideImage
    from cellharness_adapters.cellpose.whole_maps import NetworkMaps

#: Above so many pixels the library takes its percentiles of a grid of about 224 x 224 of them
#: (``cellpose.transforms.normalize99``).
_SAMPLED_FROM = 224**3
_GRID = 224
#: Percentiles that differ by no more make an image flat to the library.
_FLAT = 1e-3
#: Defaults of the library's ``eval``, with which its size model makes masks. The smallest are
#: dropped at the image's scale.
_AS_SIZED = {
    "flow_threshold": 0.4,
    "cellprob_threshold": 0.0,
    "min_size": -1,
    "max_size_fraction": 0.4,
}
_SMALLEST = 15
_TILE_OVERLAP = 0.1


@dataclass(frozen=True)
class WholeImage:
    """What holds for all tiles of one image.

    Attributes
    ----------
    normalize : bool or dict
        The library's ``normalize``.
    diameter : float or None
        In px; None leaves it to the weights' training mean.
    maps : NetworkMaps or None
        What the network gave for the whole image; None where it runs on each tile.
    """

    normalize: bool | dict[str, Any]
    diameter: float | None
    maps: NetworkMaps | None = None


def grey_range(
    image: SlideImage, percentile: tuple[float, float], channels: tuple[int, int]
) -> dict[str, Any]:
    """Find the grey values that become 0 and 1, as the library does of the image in one piece.

    Parameters
    ----------
    image : SlideImage
    percentile : (float, float)
        From 0 to 100.
    channels : (int, int)
        As the library counts them.

    Returns
    -------
    dict
        The library's ``normalize``, with the values of each channel in float32, in which the
        library computes with its own.
    """
    height, width = image.shape
    sampled = height * width > _SAMPLED_FROM
    step = (max(1, height // _GRID), max(1, width // _GRID)) if sampled else (1, 1)
    seen = _converted(image.sample(step), channels)
    ranges = []
    for channel in range(seen.shape[-1]):
        low, high = (np.percentile(seen[..., channel], level) for level in percentile)
        if high - low > _FLAT:
            ranges.append((low, high))
        elif _is_constant(image, channels, channel):
            # The library leaves such a channel as it is, and makes another flat one zero.
            ranges.append((0, 1))
        else:
            ranges.append((0, np.inf))
    return {"lowhigh": np.array(ranges, np.float32)}


def as_seen(
    pixels: np.ndarray, channels: tuple[int, int], normalize: Mapping[str, Any]
) -> np.ndarray:
    """What the network sees of a part of an image, (h, w, 2) float32, with the whole's range."""
    return transforms.normalize_img(_converted(pixels, channels), lowhigh=normalize["lowhigh"])


def estimated_diameter(
    size: Any, image: SlideImage, see: Callable[[np.ndarray], np.ndarray], batch_size: int
) -> tuple[float, float]:
    """Estimate the diameter of the cells, as ``cellpose.models.SizeModel.eval`` does.

    The style is that of the pieces that the network sees of the image in one piece; the median is
    that of the cells of the whole image, of masks made by tiles.

    Parameters
    ----------
    size : cellpose.models.SizeModel
    image : SlideImage
    see : callable
        Makes the two channels that the network sees, (h, w, 2) float32, of a part of the image.
    batch_size : int
        Pieces at once.

    Returns
    -------
    (float, float)
        In px, and in px from the style alone.
    """
    model = size.cp
    style_rescale = model.diam_mean / model.diam_labels
    with model.owner._set(style_only=True):
        seen = Scaled(image, see, style_rescale, _TILE_OVERLAP)
        style = whole_style(model.net, seen, batch_size=batch_size)
    from_style = float(size._size_estimation(style))
    if from_style == 0 or np.isnan(from_style):
        from_style = float(size.diam_mean)
    rescale = float(size.diam_mean / from_style) if size.diam_mean > 0 else 1.0
    seen = Scaled(image, see, rescale, _TILE_OVERLAP)
    maps = run_network(model.net, seen, batch_size=batch_size)
    areas = _areas(model, maps, image)
    # As in `cellpose.utils.diameters`.
    diameter = float(np.median(areas**0.5) / (np.pi**0.5 / 2)) if areas.size else 0.0
    return diameter or float(size.diam_mean), from_style


def _areas(model: Any, maps: NetworkMaps, image: SlideImage) -> np.ndarray:
    """Px of each cell of an image, of masks as the size model makes them."""
    folder = image.folder / "sizes"
    folder.mkdir()
    stitcher = Stitcher(image.tiles, folder)
    for tile in image.tiles:
        # Made at the network's scale, and each pixel of the image takes the one before it there.
        rows, columns = (
            np.minimum(np.arange(part.start, part.stop) * (source / target), source - 1).astype(int)
            for part, source, target in zip(
                (tile.rows, tile.columns), maps.blended.shape, image.shape, strict=True
            )
        )
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        found = np.ascontiguousarray(np.moveaxis(maps.blended.read(*window), -1, 0))
        model.flows = found[:2, None]
        masks = model._compute_masks(
            (1, *found.shape[1:], 2), None, found[2:], niter=200, interp=False, **_AS_SIZED
        )
        masks = np.ascontiguousarray(masks[rows - rows[0]][:, columns - columns[0]])
        stitcher.add(tile, utils.fill_holes_and_remove_small_masks(masks, min_size=_SMALLEST))
    stitcher.stitch()
    areas = stitcher.areas()
    shutil.rmtree(folder)
    return areas


def _converted(pixels: np.ndarray, channels: tuple[int, int]) -> np.ndarray:
    """The two channels that the network sees, (h, w, 2), float32."""
    axis = -1 if pixels.ndim == 3 else None
    return transforms.convert_image(pixels, list(channels), channel_axis=axis, nchan=2)


def _is_constant(image: SlideImage, channels: tuple[int, int], channel: int) -> bool:
    lowest, highest = np.inf, -np.inf
    for _, band, _ in image.bands():
        seen = _converted(band, channels)[..., channel]
        lowest, highest = min(lowest, seen.min()), max(highest, seen.max())
    return bool(lowest == highest)
