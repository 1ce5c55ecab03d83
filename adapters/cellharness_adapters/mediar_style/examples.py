"""A training image as crops are cut from it: 8-bit colours, flows, and boundaries of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from skimage.segmentation import find_boundaries, relabel_sequential

from cellharness.training.samples import LabelledImage, Preparing, each
from cellharness_adapters.cellpose.cpu.flows import make_flows
from cellharness_adapters.mediar.preparing import prepare
from cellharness_adapters.mediar.presets import Normalisation

#: Cells below so many px keep their boundary, as does what is so near to the image's border.
_SMALL, _BORDER = 196, 2


@dataclass(frozen=True)
class Example:
    """One training image.

    Attributes
    ----------
    image : ndarray of uint8, (3, H, W)
        Stretched as in prediction.
    labels : ndarray of unsigned int, (H, W)
        0 background, 1 to n.
    flows : ndarray of float16, (2, H, W)
        Flow in y and in x, of length 1 in cells.
    boundary : ndarray of bool, (H, W)
        Pixels that count as background where boundaries are excluded.
    modality : str or None
    """

    image: np.ndarray
    labels: np.ndarray
    flows: np.ndarray
    boundary: np.ndarray
    modality: str | None


def examples_of(
    samples: Sequence[LabelledImage], normalisation: Normalisation, told: Preparing | None = None
) -> list[Example]:
    """Prepare training images, on all cores.

    Parameters
    ----------
    samples : sequence of LabelledImage
    normalisation : {"image", "channel"}
        As in prediction.
    told : callable or None
        Of how many images of how many are done.

    Returns
    -------
    list of Example
        In the order of ``samples``.
    """
    return each(samples, lambda sample: _example(sample, normalisation), told)


def _example(sample: LabelledImage, normalisation: Normalisation) -> Example:
    shown = prepare(sample.image, normalisation)
    if shown is None:  # flat, and so in prediction
        shown = np.zeros((3, *sample.labels.shape), np.float32)
    labels = relabel_sequential(sample.labels)[0]
    return Example(
        np.rint(shown * 255).astype(np.uint8),
        labels.astype(np.uint16 if labels.max() < 2**16 else np.uint32),
        make_flows(labels).astype(np.float16),
        boundaries_to_exclude(labels),
        sample.case.modality,
    )


def boundaries_to_exclude(labels: np.ndarray) -> np.ndarray:
    """Find the pixels of cells that touch another cell or the background.

    Parameters
    ----------
    labels : ndarray of unsigned int, (H, W)
        0 background, 1 to n.

    Returns
    -------
    ndarray of bool, (H, W)
        Without those of cells below 196 px, and those within 2 px of the image's border. The
        published code means to do so, but adds the labels to what it has just taken away.

    Examples
    --------
    >>> labels = np.zeros((30, 30), np.uint16)
    >>> labels[5:25, 5:25] = 1
    >>> int(boundaries_to_exclude(labels).sum())  # the outermost ring of 20 x 20 px
    76
    """
    found = find_boundaries(labels, connectivity=1, mode="inner") & (labels > 0)
    found &= np.bincount(labels.ravel())[labels] >= _SMALL
    inner = np.zeros_like(found)
    inner[_BORDER:-_BORDER, _BORDER:-_BORDER] = True
    return found & inner
