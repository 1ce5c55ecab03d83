"""Labelled images for training, all of them checked before the first step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar, overload

import numpy as np

from cellharness.data.images import prepare, read_image, read_label
from cellharness.data.manifest import Case
from cellharness.errors import UsageError
from cellharness.files import hash_file
from cellharness.processes import cores
from cellharness.vocabulary import InputMode

T = TypeVar("T")

#: Told how many of how many images are prepared.
Preparing = Callable[[int, int], None]


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


class LabelledCases(Sequence[LabelledImage]):
    """Labelled images that are read when they are asked for, each time anew.

    Holds no pixel, so that memory does not grow with the number of images.

    Parameters
    ----------
    cases : sequence of Case
        All must have labels.
    mode : {"gray_max", "gray", "native"}
        Form of the image, as in prediction.

    Raises
    ------
    OSError, ValueError
        When an image is asked for that cannot be read, is not the one that the manifest lists,
        has no label or differs in shape from it. :func:`each` names all of them.
    """

    def __init__(self, cases: Sequence[Case], mode: InputMode) -> None:
        self.cases = tuple(cases)
        self.mode: InputMode = mode

    def __len__(self) -> int:
        """Number of images."""
        return len(self.cases)

    @overload
    def __getitem__(self, index: int) -> LabelledImage: ...

    @overload
    def __getitem__(self, index: slice) -> LabelledCases: ...

    def __getitem__(self, index: int | slice) -> LabelledImage | LabelledCases:
        """Read an image; of a slice none is read."""
        if isinstance(index, slice):
            return LabelledCases(self.cases[index], self.mode)
        return _read(self.cases[index], self.mode)


def each(
    samples: Sequence[LabelledImage],
    do: Callable[[LabelledImage], T],
    told: Preparing | None = None,
) -> list[T]:
    """Do something with each image, on all cores, a few images in memory at a time.

    Parameters
    ----------
    samples : sequence of LabelledImage
        A list, or :class:`LabelledCases`.
    do : callable
        Runs in threads.
    told : callable or None
        Of how many images of how many are done.

    Returns
    -------
    list
        What ``do`` gave, in the order of ``samples``.

    Raises
    ------
    TrainingDataError
        Images cannot be read; all of them are named.
    """

    def one(index: int) -> T | _Fault:
        try:
            sample = samples[index]
        except (OSError, ValueError) as error:
            assert isinstance(samples, LabelledCases)
            return _Fault(samples.cases[index].case, error)
        return do(sample)

    done: list[T] = []
    faults: list[_Fault] = []
    with ThreadPoolExecutor(cores()) as threads:
        # In order and not much ahead: results are small, what is being worked on is not.
        for result in threads.map(one, range(len(samples))):
            if isinstance(result, _Fault):
                faults.append(result)
            else:
                done.append(result)
            if told is not None:
                told(len(done) + len(faults), len(samples))
    _refuse(faults, len(samples))
    return done


@dataclass(frozen=True)
class _Fault:
    """A case that cannot be used, and why."""

    case: str
    why: Exception


def _refuse(faults: Sequence[_Fault], n_cases: int) -> None:
    """Raise where there is a fault, and name them."""
    if not faults:
        return
    lines = [f"  {fault.case}: {fault.why}" for fault in faults[:10]]
    msg = (
        f"{len(faults)} of {n_cases} training cases cannot be used; mend them or leave them "
        "out of the manifest:\n" + "\n".join(lines) + ("\n  ..." if faults[10:] else "")
    )
    raise TrainingDataError(msg)


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
            faults.append(_Fault(case.case, error))
    _refuse(faults, len(cases))
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
