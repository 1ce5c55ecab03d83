"""The score record, and the formulas that both profiles share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from cellharness.scoring.contingency import Contingency
from cellharness.scoring.overlaps import Overlaps
from cellharness.vocabulary import METRICS


class Match(NamedTuple):
    """One correct cell: its label id in the truth, in the prediction, and their IoU."""

    gt_label: int
    pred_label: int
    iou: float


@dataclass(frozen=True)
class Score:
    """How well one prediction finds the cells of one truth, at one IoU threshold.

    Attributes
    ----------
    threshold : float
        IoU from which on a pair of cells counts as correct.
    n_true, n_pred : int
        Cells in truth and prediction after the border rule.
    tp, fp, fn : int
        Correct, wrong and missed cells.
    precision, recall, f1 : float
        ``tp / n_pred``, ``tp / n_true``, and their harmonic mean.
    dice : float
        Overlap of the two foregrounds, before the border rule: ``2 |A & B| / (|A| + |B|)``.
    sq, rq, pq : float
        Segmentation quality (mean IoU of the correct pairs), recognition quality (equal to f1)
        and their product, the panoptic quality. NaN in profile ``challenge``.
    ap : float
        ``tp / (tp + fp + fn)``, which some packages call average precision and others accuracy;
        ``f1 / (2 - f1)``. NaN in profile ``challenge``.
    aji : float
        Aggregated Jaccard index of Kumar et al. 2017; the same at every threshold. NaN in profile
        ``challenge``.
    matches : tuple of Match or None
        The correct pairs, sorted by truth label; None unless asked for.
    excluded_true, excluded_pred : tuple of int or None
        Label ids that the border rule took out, ascending; None unless asked for.
    """

    threshold: float
    n_true: int
    n_pred: int
    tp: int
    fp: int
    fn: int
    precision: float
    recall: float
    f1: float
    dice: float
    sq: float
    rq: float
    pq: float
    ap: float
    aji: float
    matches: tuple[Match, ...] | None = None
    excluded_true: tuple[int, ...] | None = None
    excluded_pred: tuple[int, ...] | None = None

    def as_dict(self) -> dict[str, float | int]:
        """Return threshold, counts and ratios by name, without the label ids."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name == "threshold" or field.name in METRICS
        }


def foreground_sizes(table: Contingency) -> tuple[int, int, int]:
    """Return the foreground pixels of truth, of prediction and of both, border cells included."""
    in_true, in_pred = table.gt != 0, table.pred != 0
    return (
        int(table.pixels[in_true].sum()),
        int(table.pixels[in_pred].sum()),
        int(table.pixels[in_true & in_pred].sum()),
    )


def matches_of(overlaps: Overlaps, chosen: np.ndarray) -> list[Match]:
    """Return chosen pairs with their original label ids."""
    return [
        Match(int(gt_label), int(pred_label), float(iou))
        for gt_label, pred_label, iou in zip(
            overlaps.true.ids[overlaps.true_index[chosen]],
            overlaps.pred.ids[overlaps.pred_index[chosen]],
            overlaps.iou[chosen],
            strict=True,
        )
    ]


def plain_ids(labels: Iterable[int]) -> tuple[int, ...]:
    """Return label ids as plain integers, each once, ascending."""
    return tuple(sorted({int(label) for label in labels}))
