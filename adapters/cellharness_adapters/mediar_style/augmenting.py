"""Crops to learn from: cut, zoomed, turned, and changed in intensity. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cellharness_adapters.mediar_style.brightening import brightened, shown
from cellharness_adapters.mediar_style.examples import Example
from cellharness_adapters.mediar_style.intensities import CHANGES
from cellharness_adapters.mediar_style.zooming import averaged, nearest

_CHANCE = 0.5
#: Largest share by which chosen cells are made brighter.
_BRIGHTER = 0.7


@dataclass
class Crop:
    """Part of an image with its truth.

    Attributes
    ----------
    image : ndarray of float32, (3, S, S)
        0 to 1; 0 where the image has ended.
    labels : ndarray of unsigned int, (S, S)
        0 background; of the whole image.
    flows : ndarray of float32, (2, S, S)
        Flow in y and in x, of length 1 where `cell` is.
    cell : ndarray of bool, (S, S)
    """

    image: np.ndarray
    labels: np.ndarray
    flows: np.ndarray
    cell: np.ndarray

    @property
    def target(self) -> np.ndarray:
        """Flows and cell, float32, (3, S, S), as the network gives them."""
        return np.concatenate([self.flows, self.cell[None]]).astype(np.float32)


def cut(
    example: Example,
    side: int,
    rng: np.random.Generator,
    zoom: float = 1.0,
    *,
    exclude_boundaries: bool = False,
) -> Crop:
    """Cut a crop from a random place.

    Parameters
    ----------
    example : Example
    side : int
        Of the crop in px. A smaller image lies in its middle.
    rng : Generator
    zoom : float
        Above 1 things become larger. Flows keep their length and direction.
    exclude_boundaries : bool
        Whether the boundaries of cells count as background.

    Returns
    -------
    Crop
    """
    height, width = example.labels.shape
    seen = max(1, round(side / zoom))
    top, left = (int(rng.integers(max(0, whole - seen) + 1)) for whole in (height, width))
    part = np.s_[top : top + seen, left : left + seen]
    labels = example.labels[part]
    size = tuple(min(side, max(1, round(length * zoom))) for length in labels.shape)
    crop = Crop(
        np.zeros((3, side, side), np.float32),
        np.zeros((side, side), labels.dtype),
        np.zeros((2, side, side), np.float32),
        np.zeros((side, side), np.bool_),
    )
    inside = tuple(slice((side - n) // 2, (side - n) // 2 + n) for n in size)
    averaged(example.image[:, *part], crop.image[:, *inside])
    nearest(
        labels, example.flows[:, *part], example.boundary[part],
        crop.labels[inside], crop.flows[:, *inside], crop.cell[inside],
        exclude_boundaries=exclude_boundaries,
    )  # fmt: skip
    return crop


def flipped(crop: Crop, axis: int) -> Crop:
    """Reverse rows (axis 0) or columns (1); what flowed along them flows the other way."""
    flows = np.flip(crop.flows, axis + 1).copy()
    flows[axis] *= -1
    image = np.flip(crop.image, axis + 1)
    return Crop(image, np.flip(crop.labels, axis), flows, np.flip(crop.cell, axis))


def turned(crop: Crop, quarters: int) -> Crop:
    """Turn by quarters against the clock, image, labels and flows alike.

    The published code turns the labels of replayed crops once more than their images.
    """
    flows = np.rot90(crop.flows, quarters, (1, 2))
    for _ in range(quarters):
        # What lay to the right lies above: a step along columns becomes one up, against rows.
        flows = np.stack([-flows[1], flows[0]])
    image = np.rot90(crop.image, quarters, (1, 2))
    return Crop(image, np.rot90(crop.labels, quarters), flows, np.rot90(crop.cell, quarters))


def with_brighter_cells(crop: Crop, share: float, rng: np.random.Generator) -> Crop:
    """Make some of the cells brighter, all by the same factor between 1 and 1.7.

    Parameters
    ----------
    crop : Crop
    share : float
        Of its cells, rounded down. Each can be chosen: the published code never draws the last
        one, and may draw the background in its place, which changes nothing.
    rng : Generator

    Returns
    -------
    Crop
    """
    there = shown(crop.labels)
    chosen = rng.choice(there, int(len(there) * share), replace=False)
    factor = 1 + rng.uniform(0, _BRIGHTER)
    image = brightened(crop.image, crop.labels, chosen, factor)
    return Crop(image, crop.labels, crop.flows, crop.cell)


class Augmentation:
    """Random changes of crops, the same for the same generator.

    Parameters
    ----------
    side : int
        Of a crop in px.
    zoom : tuple of float
        Range of the factor by which half of the crops are zoomed.
    cell_intensity : float
        Share of cells that are made brighter.
    intensity_chance : float
        Of each of the five changes of intensity.
    """

    def __init__(
        self, side: int, zoom: tuple[float, float], cell_intensity: float, intensity_chance: float
    ) -> None:
        self._side, self._zoom = side, zoom
        self._share, self._chance = cell_intensity, intensity_chance

    def _with_other_intensities(self, crop: Crop, rng: np.random.Generator) -> Crop:
        """Change the intensities of a crop in up to five ways."""
        image = np.ascontiguousarray(crop.image)
        for change in CHANGES:
            # Drawn here, since seeding a change costs as much as making it.
            if rng.random() < self._chance:
                image = change(image, np.random.RandomState(int(rng.integers(2**31))))
        return Crop(image, crop.labels, crop.flows, crop.cell)

    def __call__(
        self, example: Example, rng: np.random.Generator, *, exclude_boundaries: bool
    ) -> Crop:
        """Cut one crop and change it."""
        zoom = float(rng.uniform(*self._zoom)) if rng.random() < _CHANCE else 1.0
        crop = self.placed(example, rng, zoom, exclude_boundaries=exclude_boundaries)
        if self._share:
            crop = with_brighter_cells(crop, self._share, rng)
        return self._with_other_intensities(crop, rng)

    def placed(
        self,
        example: Example,
        rng: np.random.Generator,
        zoom: float = 1.0,
        *,
        exclude_boundaries: bool,
    ) -> Crop:
        """Cut one crop, flip and turn it, each every other time."""
        crop = cut(example, self._side, rng, zoom, exclude_boundaries=exclude_boundaries)
        if rng.random() < _CHANCE:
            crop = flipped(crop, int(rng.integers(2)))
        if rng.random() < _CHANCE:
            crop = turned(crop, int(rng.integers(1, 4)))
        return crop
