"""The networks' output for a whole image that is read by window. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from monai.data.utils import compute_importance_map, dense_patch_slices

from cellharness.slides.blending import Pieces, WholeMap, blend
from cellharness_adapters.mediar.prediction import SIGMA_SCALE
from cellharness_adapters.mediar.preparing import (
    PERCENTILES,
    Range,
    as_colours,
    range_of,
    scale,
    stretch,
)

if TYPE_CHECKING:
    from cellharness.slides.image import SlideImage
    from cellharness.slides.layout import Tile
    from cellharness_adapters.mediar.prediction import Predictor
    from cellharness_adapters.mediar.presets import Axis, Normalisation, Pass

_OUTPUTS = 3
#: Of larger numbers, and of floats, percentiles are those of a grid of so many pixels at most.
_COUNTED, _SAMPLED = 2, 2**26


@dataclass(frozen=True)
class Stretched:
    """An image as the networks see it, by window.

    Attributes
    ----------
    image : SlideImage
    ranges : sequence of (float, float) or None
        Grey values that become 0 and 255, of all channels or of each.
    ends : (int, int)
        Lowest and highest value after that, which become 0 and 1.
    """

    image: SlideImage
    ranges: Sequence[Range]
    ends: tuple[int, int]

    def read(self, rows: slice, axis: Axis) -> np.ndarray:
        """Rows of the image, or of it flipped along an axis, (3, h, W) float32."""
        if axis == 1:
            height = self.image.shape[0]
            rows = slice(height - rows.stop, height - rows.start)
        pixels = self.image.read(rows, slice(0, self.image.shape[1]))
        seen = scale(stretch(as_colours(pixels), self.ranges), *self.ends)
        return seen if axis is None else np.flip(seen, axis)


@dataclass(frozen=True)
class WholeOutput:
    """What the networks gave for a whole image, a map for each pass."""

    maps: Sequence[tuple[Pass, WholeMap]]

    def of(self, tile: Tile) -> np.ndarray:
        """Mean over the passes, for a tile of the image, (3, h, w)."""
        size = (part.stop - part.start for part in (tile.rows, tile.columns))
        total = np.zeros((_OUTPUTS, *size), np.float32)
        for each, found in self.maps:
            window = [tile.rows, tile.columns]
            if each.axis is not None:
                length, part = found.shape[each.axis - 1], window[each.axis - 1]
                window[each.axis - 1] = slice(length - part.stop, length - part.start)
            output = np.moveaxis(found.read(*window), -1, 0)
            if each.axis is not None:
                output = np.flip(output, each.axis).copy()
                # As in `Predictor`: what is flipped flows the other way.
                output[each.axis - 1] *= -1
            total += output
        return total / len(self.maps)


def stretched_whole(image: SlideImage, normalisation: Normalisation) -> Stretched | None:
    """Find what `cellharness_adapters.mediar.preparing.prepare` does of the image in one piece.

    Returns
    -------
    Stretched or None
        None where the image is flat.
    """
    corner = image.read_tile(image.tiles[0])
    if corner.dtype.kind == "u" and corner.dtype.itemsize <= _COUNTED:
        ranges = _counted(image, np.iinfo(corner.dtype).max + 1, normalisation)
    else:
        height, width = image.shape
        step = 1
        while (height // step) * (width // step) > _SAMPLED:
            step += 1
        seen = as_colours(image.sample((step, step)))
        groups = [seen] if normalisation == "image" else list(np.moveaxis(seen, -1, 0))
        ranges = [range_of(values) for values in groups]
    ends = [
        (found.min(), found.max())
        for found in (stretch(as_colours(band), ranges) for _, band, _ in image.bands())
    ]
    low, high = int(min(low for low, _ in ends)), int(max(high for _, high in ends))
    return None if low == high else Stretched(image, ranges, (low, high))


def run_networks(
    seen: Stretched,
    predict: Predictor,
    passes: Sequence[Pass],
    *,
    window: int,
    overlap: float,
    batch_size: int,
) -> WholeOutput:
    """Run the networks on the windows of a whole image, as `Predictor` does of one piece.

    Parameters
    ----------
    seen : Stretched
    predict : Predictor
    passes : sequence of Pass
        What is averaged.
    window : int
        Side of a window in px.
    overlap : float
        Share of a window that the next one covers too.
    batch_size : int
        Windows at once.
    """
    shape, folder = seen.image.shape, seen.image.folder
    rows, columns = (_starts(length, window, overlap) for length in shape)
    # A smaller image lies in the middle of a window, dark around.
    top, left = (max(0, window - length) // 2 for length in shape)
    pieces = Pieces(rows, columns, (window, window), (top, left))
    counts = compute_importance_map(
        (window, window),
        mode="gaussian",
        sigma_scale=SIGMA_SCALE,
        device="cpu",
        dtype=torch.float32,
    ).numpy()

    def run(each: Pass, number: int) -> WholeMap:
        def band_at(start: int) -> np.ndarray:
            inside = slice(max(0, start - top), min(shape[0], start - top + window))
            band = np.zeros((_OUTPUTS, window, pieces.shape[1]), np.float32)
            part = seen.read(inside, each.axis)
            first = inside.start + top - start
            band[:, first : first + part.shape[1], left : left + shape[1]] = part
            return band

        return blend(
            folder / f"pass-{number}.raw",
            shape,
            _OUTPUTS,
            pieces,
            band_at,
            lambda batch: predict.of_windows(batch, each.network),
            lambda _row, _piece: counts,
            batch_size=batch_size,
        )

    return WholeOutput([(each, run(each, number)) for number, each in enumerate(passes)])


def _starts(length: int, window: int, overlap: float) -> list[int]:
    """Where windows begin along one axis, as ``monai.inferers.sliding_window_inference`` has it."""
    length = max(length, window)
    step = window if length == window else max(1, int(window * (1 - overlap)))
    return [part.start for (part,) in dense_patch_slices((length,), (window,), (step,))]


def _counted(image: SlideImage, values: int, normalisation: Normalisation) -> list[Range]:
    """Ranges of an image of few possible values, from how often each is there."""
    counts: np.ndarray | None = None
    for _, band, _ in image.bands():
        colours = band[..., None] if band.ndim == 2 else band[..., :_OUTPUTS]
        channels = np.moveaxis(colours, -1, 0)
        found = np.stack([np.bincount(each.ravel(), minlength=values) for each in channels])
        if band.ndim == 2:
            # Grey is three equal channels, and so thrice as many values.
            found = np.repeat(found, _OUTPUTS, axis=0)
        counts = found if counts is None else counts + found
    assert counts is not None
    if normalisation == "image":
        counts = counts.sum(axis=0, keepdims=True)
    return [_range(each) for each in counts]


def _range(counts: np.ndarray) -> Range:
    above = np.cumsum(counts[1:])
    size = int(above[-1])
    if not size:
        return None
    ends = []
    for percentile in PERCENTILES:
        place = percentile / 100 * (size - 1)
        before = int(place)
        low, high = np.searchsorted(above, [before, min(before + 1, size - 1)], side="right") + 1
        ends.append(float(low + (high - low) * (place - before)))
    return ends[0], ends[1]
