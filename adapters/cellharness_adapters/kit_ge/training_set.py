"""From labelled images to the crops that the distance U-Net learns from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from skimage.measure import regionprops_table

from cellharness.training.arrays_on_disk import ArrayOnDisk, content_key, kept
from cellharness.training.samples import LabelledImage, TrainingDataError
from cellharness_adapters.kit_ge.choices import Normalisation
from cellharness_adapters.kit_ge.distances import distance_maps
from cellharness_adapters.kit_ge.normalisation import normalise
from cellharness_adapters.kit_ge.scaling import resize_labels, shrink

#: Crops whose best cell distance is below this show only slivers of cells.
_LEAST_DISTANCE = 0.8


@dataclass(frozen=True)
class Radii:
    """How far the distance maps look, in px, and the smallest cell of the data, in px².

    Attributes
    ----------
    cell, neighbor : int
        Half a window around a cell's centroid: large enough for the longest cell, and for
        the neighbours of a usual one.
    least_area : int
        A crop with less cell area than this is left out.
    """

    cell: int
    neighbor: int
    least_area: int


@dataclass(frozen=True)
class Crop:
    """One crop with its two maps.

    Attributes
    ----------
    image : ndarray of float32, (size, size)
        Normalised to -1 ... 1.
    cell, neighbor : ndarray of float32, (size, size)
        0 to 1.
    modality : str or None
    """

    image: np.ndarray
    cell: np.ndarray
    neighbor: np.ndarray
    modality: str | None


@dataclass(frozen=True)
class CropOnDisk:
    """One of the crops of an image, read when it is needed.

    Attributes
    ----------
    stack : ArrayOnDisk
        float32, (crops, 3, size, size): image, cell and neighbour distances of each.
    index : int
        Which of them.
    modality : str or None
    """

    stack: ArrayOnDisk
    index: int
    modality: str | None

    def maps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Image, cell and neighbour distances, (size, size) each, not to be written to."""
        image, cell, neighbor = self.stack.open()[self.index]
        return image, cell, neighbor


@dataclass(frozen=True)
class CellSizes:
    """Equivalent diameter and major axis in px and area in px² of each cell of an image."""

    diameters: np.ndarray
    axes: np.ndarray
    areas: np.ndarray


def cell_sizes(sample: LabelledImage) -> CellSizes:
    """Measure the cells of an image."""
    properties = ("equivalent_diameter_area", "axis_major_length", "area")
    table = regionprops_table(sample.labels.astype(np.int32), properties=properties)
    return CellSizes(*(table[name] for name in properties))


def radii_of(samples: Sequence[LabelledImage | CellSizes]) -> Radii:
    """Choose the radii from the cells of the training images, by the published rules.

    Parameters
    ----------
    samples : sequence of LabelledImage or CellSizes
        Images, or what :func:`cell_sizes` measured in them.

    Returns
    -------
    Radii
        Cell radius: half the longest major axis. Neighbour radius: mean plus standard
        deviation of the diameters (Scherr et al. 2020).

    Raises
    ------
    TrainingDataError
        There is no cell in any of them.
    """
    measured = [part if isinstance(part, CellSizes) else cell_sizes(part) for part in samples]
    diameters, axes, areas = (
        [getattr(part, name) for part in measured] for name in ("diameters", "axes", "areas")
    )
    if not any(len(part) for part in areas):
        msg = (
            f"none of the {len(samples)} training images has a cell; give a training split whose "
            "labels hold some"
        )
        raise TrainingDataError(msg)
    diameter, longest = np.concatenate(diameters), float(np.concatenate(axes).max())
    return Radii(
        cell=max(1, math.ceil(0.5 * math.ceil(longest))),
        neighbor=max(1, math.ceil(diameter.mean()) + int(diameter.std())),
        least_area=int(0.95 * math.floor(np.concatenate(areas).min())),
    )


def normalised(sample: LabelledImage, how: Normalisation, scale: float = 1.0) -> LabelledImage:
    """Normalise an image and then shrink it with its labels, in the order of prediction.

    For ``published`` it is shrunk first, as the published code stores its training images.

    Parameters
    ----------
    sample : LabelledImage
        Grey.
    how : {"min_max", "published"}
    scale : float
        1 leaves the size as it is.

    Returns
    -------
    LabelledImage
    """
    if how == "published":
        image = normalise(shrink(sample.image.astype(np.float32), scale), how, "training")
    else:
        image = shrink(normalise(sample.image, how, "training"), scale)
    return replace(sample, image=image, labels=resize_labels(sample.labels, image.shape))


def crops_of(sample: LabelledImage, radii: Radii, size: int) -> Iterator[Crop]:
    """Cut an image into a grid of crops and give those that show cells.

    Parameters
    ----------
    sample : LabelledImage
        As :func:`normalised` gives it.
    radii : Radii
        Of the whole training set.
    size : int
        Side of a crop in px. What the grid leaves over on the right and below is made
        whole with dark background; below 7.5 % of the image it is cut off instead.

    Yields
    ------
    Crop
        Without crops that hold next to no cell; where no crop of an image holds enough,
        the one with the most, so that no image is left out (the published code leaves it out,
        and also crops of which two thirds are black).
    """
    cell, neighbor = distance_maps(sample.labels, radii.cell, radii.neighbor)
    parts = [
        _fit(part, size, outside)
        for part, outside in ((sample.image, -1), (cell, 0), (neighbor, 0), (sample.labels, 0))
    ]
    places = [
        np.s_[top : top + size, left : left + size]
        for top in range(0, parts[0].shape[0], size)
        for left in range(0, parts[0].shape[1], size)
    ]
    labels = parts[3]
    chosen = [place for place in places if _shows_cells(labels[place], parts[1][place], radii)]
    if not chosen and labels.any():
        chosen = [max(places, key=lambda place: np.count_nonzero(labels[place]))]
    for place in chosen:
        picture, cells, neighbors = (part[place].copy() for part in parts[:3])
        if len(np.unique(labels[place][labels[place] > 0])) == 1:
            # Its neighbours were cut off with the rest of the image.
            neighbors[:] = 0
        yield Crop(picture, cells, neighbors, sample.case.modality)


def crops_on_disk(sample: LabelledImage, radii: Radii, size: int) -> list[CropOnDisk]:
    """Give the crops of :func:`crops_of` from the cache, made first where they are not there.

    Parameters, and what is left out, as there.

    Raises
    ------
    UsageError
        The cache cannot be written.
    """

    def make() -> np.ndarray:
        found = [(crop.image, crop.cell, crop.neighbor) for crop in crops_of(sample, radii, size)]
        return np.array(found, np.float32).reshape(-1, 3, size, size)

    key = content_key(sample.image, sample.labels, f"{radii} {size} 1")
    stack = kept("distance_crops", key, make)
    return [CropOnDisk(stack, index, sample.case.modality) for index in range(stack.shape[0])]


def _shows_cells(labels: np.ndarray, cell: np.ndarray, radii: Radii) -> bool:
    """Whether a crop holds more than slivers of cells, by the published rule."""
    inner = np.count_nonzero(labels[10:-10, 10:-10])
    return inner >= radii.least_area and float(cell.max()) >= _LEAST_DISTANCE


def _fit(image: np.ndarray, size: int, outside: float) -> np.ndarray:
    """Cut or pad an image to whole crops."""
    for axis in (0, 1):
        length = image.shape[axis]
        over = length % size
        if over == 0:
            continue
        if length > size and over < 0.075 * length:
            image = np.take(image, np.arange(over // 2, over // 2 + length - over), axis)
        else:
            pad = [(0, 0), (0, 0)]
            pad[axis] = (0, size - over)
            image = np.pad(image, pad, constant_values=outside)
    return image
