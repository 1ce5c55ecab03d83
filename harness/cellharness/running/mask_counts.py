"""How many cells a mask has, how large they are, how much they cover: a row an image."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cellharness.data.images import read_label
from cellharness.files import whole_file
from cellharness.running.ledger import Outcome
from cellharness.vocabulary import SEGMENTED


class CountRow(NamedTuple):
    """A row of ``counts.csv``; empty numbers are of an image without a mask, or without a cell.

    Attributes
    ----------
    image : str
        File name.
    cells : int or None
    median_diameter_px : float or None
        Of discs with the cells' areas.
    covered_share : float or None
        Of the image's pixels, those that are cell, 0 to 1.
    status : str
        One of :data:`cellharness.vocabulary.STATUSES`.
    remark : str
        Why there is no mask, or what is odd about it or the image.
    """

    image: str
    cells: int | None
    median_diameter_px: float | None
    covered_share: float | None
    status: str
    remark: str


def count_cells(image: str, mask: Path, outcome: Outcome) -> CountRow:
    """Count the cells of a mask that was written, or say why there is none.

    Parameters
    ----------
    image : str
        File name of the image.
    mask : Path
        Read where the outcome says that there is one.
    outcome : Outcome
        What came of the image.
    """
    remarks = [outcome.message, outcome.details.get("remark", "")]
    remarks += outcome.details.get("image", ())
    about = (outcome.status, "; ".join(filter(None, remarks)))
    if outcome.status not in SEGMENTED:
        return CountRow(image, None, None, None, *about)
    labels = read_label(mask)
    areas = _areas(labels)
    covered = float(areas.sum() / labels.size)
    return CountRow(image, len(areas), _median_diameter(areas), covered, *about)


def median_diameter(labels: np.ndarray) -> float | None:
    """Median diameter in px of discs with the cells' areas; None where there are no cells.

    Parameters
    ----------
    labels : ndarray of unsigned int, (H, W)
        Numbered 1..N.
    """
    return _median_diameter(_areas(labels))


def write_counts(path: Path, rows: Iterable[CountRow]) -> None:
    """Write rows as csv, whole or not at all; an existing file is replaced."""
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CountRow._fields)
        for row in rows:
            # A name that the file system does not spell in UTF-8 must not cost the table.
            name = row.image.encode("utf-8", "backslashreplace").decode()
            digits = (
                None if value is None else f"{value:.6g}"
                for value in (row.median_diameter_px, row.covered_share)
            )
            writer.writerow((name, row.cells, *digits, row.status, row.remark))


def _median_diameter(areas: np.ndarray) -> float | None:
    return float(np.median(2 * np.sqrt(areas / math.pi))) if areas.size else None


def _areas(labels: np.ndarray) -> np.ndarray:
    """Pixels of each cell."""
    counts = np.bincount(labels.ravel())[1:]
    return counts[counts > 0]
