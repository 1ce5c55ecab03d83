"""Labelled images for training, read whole and checked before the first step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cellharness.data.images import prepare, read_image, read_label
from cellharness.data.manifest import Case
from cellharness.errors import UsageError
from cellharness.files import hash_file
from cellharness.vocabulary import InputMode


class TrainingDataError(UsageError):
    """Training cases cannot be used; the message names each and says why."""


@dataclass(frozen=True)
class LabelledImage:
    """One training image with its truth.

    Attributes
    ----------
    case : Case
        Where it comes from.
    image : ndarray of float32, (H, W) or (H, W, C)
        In the form that the input mode gives.
    labels : ndarray of unsigned int, (H, W)
        0 background, one positive label a cell.
    """

    case: Case
    image: np.ndarray
    labels: np.ndarray

    @property
    def n_cells(self) -> int:
        """Number of cells in the truth."""
        present = np.unique(self.labels)
        return int((present > 0).sum())


def read_labelled(cases: Sequence[Case], mode: InputMode) -> list[LabelledImage]:
    """Read images and labels of training cases.

    Parameters
    ----------
    cases : sequence of Case
        All must have labels.
    mode : {"gray_max", "gray", "native"}
        Form of the image, as in prediction.

    Returns
    -------
    list of LabelledImage
        In the order of ``cases``.

    Raises
    ------
    TrainingDataError
        Some cases cannot be read, are not the image that the manifest lists, have no label, or
        differ in shape from it. All of them are named: training on what is left would be
        another experiment.
    """
    return _read_all(cases, lambda case: _read(case, mode))


def read_unlabelled(cases: Sequence[Case], mode: InputMode) -> list[LabelledImage]:
    """Read images of training cases; labels, where there are some, are not looked at.

    Parameters
    ----------
    cases : sequence of Case
    mode : {"gray_max", "gray", "native"}
        Form of the image, as in prediction.

    Returns
    -------
    list of LabelledImage
        In the order of ``cases``, without cells.

    Raises
    ------
    TrainingDataError
        Some images cannot be read; all of them are named.
    """

    def read(case: Case) -> LabelledImage:
        _check_content(case)
        image = prepare(read_image(case.image), mode)
        return LabelledImage(case, image.astype(np.float32), np.zeros(image.shape[:2], np.uint16))

    return _read_all(cases, read)


def _read_all(cases: Sequence[Case], read: Callable[[Case], LabelledImage]) -> list[LabelledImage]:
    samples, faults = [], []
    for case in cases:
        try:
            samples.append(read(case))
        except (OSError, ValueError) as error:
            faults.append(f"  {case.case}: {error}")
    if faults:
        msg = (
            f"{len(faults)} of {len(cases)} training cases cannot be used; mend them or leave them "
            "out of the manifest:\n" + "\n".join(faults[:10]) + ("\n  ..." if faults[10:] else "")
        )
        raise TrainingDataError(msg)
    return samples


def _read(case: Case, mode: InputMode) -> LabelledImage:
    if case.label is None:
        msg = "it has no label image"
        raise ValueError(msg)
    _check_content(case)
    image = prepare(read_image(case.image), mode)
    labels = read_label(case.label)
    if labels.shape != image.shape[:2]:
        msg = f"image {image.shape[:2]} and label {labels.shape} differ in shape"
        raise ValueError(msg)
    return LabelledImage(case, image.astype(np.float32), labels)


def _check_content(case: Case) -> None:
    """Refuse an image that is not the one the manifest lists."""
    if case.sha256 and (found := hash_file(case.image)) != case.sha256:
        msg = (
            f"the image '{case.image.name}' has SHA256 {found}, the manifest says {case.sha256}: "
            "it is not the image that was listed; see `cellharness data validate`"
        )
        raise ValueError(msg)
