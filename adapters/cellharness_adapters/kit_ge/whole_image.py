"""Distances of a whole image that is read by window, and the cells of its tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellharness.methods.base import check_left
from cellharness.slides.layout import Tile, lay_out
from cellharness.slides.resizing import nearest, resized
from cellharness_adapters.kit_ge.instances import (
    SeedRule,
    instances_from_distances,
    seed_areas,
    seed_rule,
)
from cellharness_adapters.kit_ge.normalisation import normalise
from cellharness_adapters.kit_ge.scaling import SPLINE_ORDER
from cellharness_adapters.kit_ge.tiles import blend_tiled

if TYPE_CHECKING:
    from cellharness.methods.timing import PhaseTimer
    from cellharness.slides.blending import WholeMap
    from cellharness.slides.image import SlideImage
    from cellharness_adapters.kit_ge.prediction import Predictor
    from cellharness_adapters.kit_ge.segmenter import KitGeParameters

#: Side and overlap of the parts in which the seeds of the whole image are looked through, px.
_PART = 2048, 256


@dataclass(frozen=True)
class WholeDistances:
    """Both distances of a whole image, at the scale of the network.

    Attributes
    ----------
    maps : WholeMap
        Neighbour distance, cell distance.
    shape : (int, int)
        (H, W) of the image.
    rule : SeedRule
    """

    maps: WholeMap
    shape: tuple[int, int]
    rule: SeedRule

    def cells_of(self, tile: Tile, parameters: KitGeParameters) -> np.ndarray:
        """Labels of a tile of the image, (h, w)."""
        rows, columns = (
            nearest(part, source, target)
            for part, source, target in zip(
                (tile.rows, tile.columns), self.maps.shape, self.shape, strict=True
            )
        )
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        found = self.maps.read(*window)
        labels = instances_from_distances(
            found[..., 1],
            found[..., 0],
            parameters.th_cell,
            parameters.th_seed,
            merge=parameters.merge,
            rule=self.rule,
        )
        return labels[rows - rows[0]][:, columns - columns[0]]


def distances_of_whole(
    image: SlideImage,
    predict: Predictor,
    parameters: KitGeParameters,
    scale: float,
    timer: PhaseTimer,
) -> WholeDistances:
    """Run the network on a whole image and settle its seeds.

    Parameters
    ----------
    image : SlideImage
        Grey.
    predict : Predictor
        The network.
    parameters : KitGeParameters
    scale : float
        Factor by which the image is shrunk first.
    timer : PhaseTimer
        Told what is network and what post-processing.
    """
    check_left(image.shape, scale, round(min(image.shape) * scale), "set a larger scale")
    limits = image.limits()
    height, width = image.shape
    size = image.shape if scale == 1 else (round(scale * height), round(scale * width))

    def prepared(rows: slice, columns: slice) -> np.ndarray:
        return normalise(image.read(rows, columns), parameters.normalisation, limits=limits)

    def read(rows: slice) -> np.ndarray:
        whole = slice(0, size[1])
        found = resized(prepared, image.shape, size, rows, whole, order=SPLINE_ORDER)
        # A spline may leave the range of the image, which is all of -1 to 1.
        return np.clip(found, -1, 1)

    with timer.phase("network"):
        maps = blend_tiled(
            image.folder / "distances.raw",
            size,
            read,
            predict,
            tile=parameters.tile,
            overlap=parameters.tile_overlap,
            divisor=predict.divisor,
            batch_size=parameters.batch_size,
        )

    def areas_at(threshold: float) -> np.ndarray:
        found = []
        for part in lay_out(size, *_PART):
            near, cell = np.moveaxis(maps.read(part.rows, part.columns), -1, 0)
            own = part.within(part.own_rows, part.own_columns)
            found.append(seed_areas(cell, near, threshold, own))
        return np.concatenate(found)

    with timer.phase("postprocess"):
        rule = seed_rule(areas_at, parameters.th_seed)
    return WholeDistances(maps, image.shape, rule)
