"""Training images as the crops are cut from them: normalised, with flows, kept on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cellharness.methods.base import UnsupportedCaseError
from cellharness.training.arrays_on_disk import ArrayOnDisk, content_key, kept
from cellharness.training.samples import LabelledImage, Preparing, TrainingDataError, each
from cellharness_adapters.cellpose.channels import check_channels
from cellharness_adapters.cellpose.cpu.flows import flows_on_disk
from cellharness_adapters.cellpose.library import models, transforms, utils

_SMALLEST_DIAMETER = 5.0


@dataclass(frozen=True)
class Plane:
    """One channel of a picture on disk, and how its values are made of those on disk.

    Attributes
    ----------
    channel : int
        Of the network's input.
    low, width : float
        The normalised value is ``(value - low) / width``, each step rounded to float32.
    """

    channel: int
    low: float
    width: float


@dataclass(frozen=True)
class Example:
    """A training image; of its pixels only where they are.

    Attributes
    ----------
    case : str
    modality : str or None
    n_cells : int
    diameter : float
        Median of its cells in px, at least 5; 0 where it has none.
    shape : tuple of int
        Height and width in px.
    planes : tuple of Plane
        Channels that are not 0 everywhere.
    picture : ArrayOnDisk
        (number of planes, H, W); uint8 or uint16 where that holds the image, else float32.
    cells : ArrayOnDisk
        uint8, (H, W): 1 inside cells.
    flows : ArrayOnDisk
        float32, (2, H, W): flow in y, flow in x.
    """

    case: str
    modality: str | None
    n_cells: int
    diameter: float
    shape: tuple[int, int]
    planes: tuple[Plane, ...]
    picture: ArrayOnDisk
    cells: ArrayOnDisk
    flows: ArrayOnDisk


def prepared(
    samples: Sequence[LabelledImage],
    channels: tuple[int, int],
    told: Preparing | None = None,
) -> list[Example]:
    """Normalise images and make their flows, on all cores; what is in the cache is not made again.

    Parameters
    ----------
    samples : sequence of LabelledImage
    channels : tuple of int
        Of cell and nucleus, in Cellpose's counting.
    told : callable or None
        Of how many images of how many are done.

    Returns
    -------
    list of Example
        In the order of ``samples``.

    Raises
    ------
    TrainingDataError
        An image cannot be read, or lacks a channel.
    UsageError
        The cache cannot be written.
    """
    return each(samples, lambda sample: _example(sample, channels), told)


def with_diameter(example: Example, mean: float) -> Example:
    """Give an example without cells the mean diameter of the others."""
    return example if example.diameter else replace(example, diameter=mean)


def _example(sample: LabelledImage, channels: tuple[int, int]) -> Example:
    _check_channels(sample, channels)
    axis = -1 if sample.image.ndim == 3 else None
    image = transforms.convert_image(
        sample.image, channels=list(channels), channel_axis=axis
    ).transpose(2, 0, 1)
    planes, picture = _compact(image)
    n_cells = sample.n_cells
    median = float(utils.diameters(sample.labels)[0]) if n_cells else 0.0
    cells, flows = flows_on_disk(sample.labels)
    return Example(
        case=sample.case.case,
        modality=sample.case.modality,
        n_cells=n_cells,
        diameter=max(median, _SMALLEST_DIAMETER) if n_cells else 0.0,
        shape=(image.shape[1], image.shape[2]),
        planes=planes,
        picture=kept("pictures", content_key(picture), lambda: picture),
        cells=cells,
        flows=flows,
    )


def _compact(image: np.ndarray) -> tuple[tuple[Plane, ...], np.ndarray]:
    """Find a small picture, and how the library's normalised image is made of it bit by bit.

    Parameters
    ----------
    image : ndarray of float32, (C, H, W)

    Returns
    -------
    planes : tuple of Plane
    picture : ndarray of uint8, uint16 or float32, (number of planes, H, W)
    """
    normalise = {**models.normalize_default, "normalize": True}
    # The library writes into the array that it is given.
    normal = transforms.normalize_img(image.copy(), normalize=normalise, axis=0)
    used = [channel for channel in range(len(normal)) if normal[channel].any()]
    raw = image[used]
    small = _smallest(raw)
    if small is not None:
        planes = tuple(_plane(channel, image[channel]) for channel in used)
        steps = [(raw[n] - np.float64(plane.low)) for n, plane in enumerate(planes)]
        again = [
            (step.astype(np.float32) / np.float64(plane.width)).astype(np.float32)
            for step, plane in zip(steps, planes, strict=True)
        ]
        if all(np.array_equal(a, normal[c]) for a, c in zip(again, used, strict=True)):
            return planes, small
    return tuple(Plane(channel, 0.0, 1.0) for channel in used), normal[used]


def _plane(channel: int, values: np.ndarray) -> Plane:
    """Percentiles as the library takes them, of images that it does not thin out first."""
    if np.ptp(values) == 0:
        return Plane(channel, 0.0, 1.0)
    low, high = np.percentile(values, 1.0), np.percentile(values, 99.0)
    return Plane(channel, float(low), float(high - low))


def _smallest(values: np.ndarray) -> np.ndarray | None:
    """Give the values as uint8 or uint16; None where neither holds them."""
    if not values.size or values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
        return None
    kind = np.uint8 if values.max() <= np.iinfo(np.uint8).max else np.uint16
    small = values.astype(kind)
    return small if np.array_equal(small, values) else None


def _check_channels(sample: LabelledImage, channels: tuple[int, int]) -> None:
    """Raise where an image lacks a channel that is asked for."""
    try:
        check_channels(sample.image, channels)
    except UnsupportedCaseError as error:
        msg = f"training image '{sample.case.case}': {error}"
        raise TrainingDataError(msg) from error
