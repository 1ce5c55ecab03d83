"""What Cellpose finds of a whole image before its network runs, of one that is read by window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellharness_adapters.cellpose.library import transforms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellharness.slides.image import SlideImage
    from cellharness.slides.layout import Tile
    from cellharness_adapters.cellpose.whole_maps import NetworkMaps

#: Above so many pixels the library takes its percentiles of a grid of about 224 x 224 of them
#: (``cellpose.transforms.normalize99``).
_SAMPLED_FROM = 224**3
_GRID = 224
#: Percentiles that differ by no more make an image flat to the library.
_FLAT = 1e-3


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
    size: Any, image: SlideImage, common: Mapping[str, Any]
) -> tuple[float, float]:
    """Estimate the diameter of the cells, as ``cellpose.models.SizeModel.eval`` does.

    The style is the mean of the tiles' styles, by the pixels that each owns; the median is that of
    all cells of the image.

    Parameters
    ----------
    size : cellpose.models.SizeModel
    image : SlideImage
    common : mapping
        What the library's ``eval`` takes besides the image.

    Returns
    -------
    (float, float)
        In px, and in px from the style alone.
    """
    style = np.zeros(256)
    for tile in image.tiles:
        found = size.cp.eval(image.read_tile(tile), resample=False, compute_masks=False, **common)
        style += _owned_pixels(tile) * np.asarray(found[-1], float)
    style /= (style**2).sum() ** 0.5
    from_style = float(size._size_estimation(style))
    if from_style == 0 or np.isnan(from_style):
        from_style = float(size.diam_mean)
    rescale = size.diam_mean / from_style if size.diam_mean > 0 else 1
    areas = [np.empty(0, np.int64)]
    for tile in image.tiles:
        masks = size.cp.eval(
            image.read_tile(tile),
            resample=False,
            rescale=rescale,
            diameter=None,
            interp=False,
            **common,
        )[0]
        areas.append(_owned_areas(tile, np.atleast_2d(masks)))
    counts = np.concatenate(areas)
    # As in `cellpose.utils.diameters`.
    diameter = float(np.median(counts**0.5) / (np.pi**0.5 / 2)) if counts.size else 0.0
    return diameter or float(size.diam_mean), from_style


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


def _owned_pixels(tile: Tile) -> int:
    rows, columns = tile.own_rows, tile.own_columns
    return (rows.stop - rows.start) * (columns.stop - columns.start)


def _owned_areas(tile: Tile, masks: np.ndarray) -> np.ndarray:
    """Pixels of each cell whose middle row and column lie in what the tile owns."""
    rows, columns = np.nonzero(masks)
    ids = masks[rows, columns]
    areas = np.bincount(ids)
    present = areas > 0
    own_rows, own_columns = tile.within(tile.own_rows, tile.own_columns)
    y = np.bincount(ids, weights=rows)[present] / areas[present]
    x = np.bincount(ids, weights=columns)[present] / areas[present]
    owned = (y >= own_rows.start - 0.5) & (y < own_rows.stop - 0.5)
    owned &= (x >= own_columns.start - 0.5) & (x < own_columns.stop - 0.5)
    return areas[present][owned]
