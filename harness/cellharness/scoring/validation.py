"""What may be scored: the one place where label images and options are checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cellharness.data.label_rows import LabelRows
from cellharness.errors import UsageError, unknown_name
from cellharness.tables import distinct_thresholds
from cellharness.vocabulary import PROFILES

BOTH_EMPTY: tuple[str, ...] = ("one", "zero", "nan")


class ScoringError(UsageError, ValueError):
    """A pair, a folder or an option that cannot be scored; the message says what to mend."""


def check_pair(gt: Any, pred: Any) -> None:
    """Refuse anything but two 2-D, integer, non-negative arrays of one shape.

    A `LabelRows` is all that by itself, but for the shape.

    Raises
    ------
    ScoringError
        Naming the side, its shape and its dtype.
    """
    for side, labels in (("gt", gt), ("pred", pred)):
        if isinstance(labels, LabelRows):
            continue
        if not isinstance(labels, np.ndarray):
            msg = (
                f"{side} is a {type(labels).__name__}, not a numpy array; read the file first, "
                "with cellharness.data.images.read_label."
            )
            raise ScoringError(msg)
        described = f"{side} has shape {labels.shape} and dtype {labels.dtype}"
        if labels.dtype.kind == "b":
            msg = f"{described}: a mask has no cells; give each cell its own integer id."
            raise ScoringError(msg)
        if labels.dtype.kind not in "ui":
            msg = f"{described}: labels must be integers, 0 for background and one id per cell."
            raise ScoringError(msg)
        if labels.ndim != 2:
            msg = f"{described}: labels must be 2-D, (rows, columns)."
            raise ScoringError(msg)
        if labels.size == 0:
            msg = f"{described}: there are no pixels to score."
            raise ScoringError(msg)
        if labels.dtype.kind == "i" and (lowest := int(labels.min())) < 0:
            msg = (
                f"{described} and holds negative ids (lowest {lowest}): ids beyond the range of a "
                "signed dtype wrap like this; save labels as unsigned."
            )
            raise ScoringError(msg)
    if gt.shape != pred.shape:
        msg = (
            f"gt has shape {gt.shape} (dtype {gt.dtype}) but pred has shape {pred.shape} "
            f"(dtype {pred.dtype}): both must cover the same pixels."
        )
        raise ScoringError(msg)


def check_profile(profile: str) -> str:
    """Return `profile`, or raise a `ScoringError` that lists the valid ones."""
    if profile not in PROFILES:
        raise unknown_name(
            kind="score profile", name=str(profile), known=PROFILES, error=ScoringError
        )
    return profile


def check_thresholds(thresholds: float | Sequence[float]) -> tuple[float, ...]:
    """Return IoU thresholds as floats, each once; each must lie in (0, 1].

    Zero is refused because every pair, even one without a common pixel, reaches it.
    """
    values = tuple(float(value) for value in np.atleast_1d(np.asarray(thresholds, dtype=float)))
    if not values:
        msg = "No IoU threshold was given; name at least one, such as 0.5."
        raise ScoringError(msg)
    for value in values:
        if not (math.isfinite(value) and 0 < value <= 1):
            msg = f"IoU threshold {value} is not in (0, 1]; usual ones are 0.5, 0.7 and 0.9."
            raise ScoringError(msg)
    return distinct_thresholds(values)


def check_strict_options(border: int, both_empty: str) -> None:
    """Refuse a border that is no whole number of pixels, and an unknown both-empty rule."""
    if isinstance(border, bool) or not isinstance(border, (int, np.integer)) or border < 0:
        msg = f"border must be a whole number of pixels, 0 or more, not {border!r}."
        raise ScoringError(msg)
    if both_empty not in BOTH_EMPTY:
        msg = f"Unknown both_empty rule {both_empty!r}; valid are {', '.join(BOTH_EMPTY)}."
        raise ScoringError(msg)
