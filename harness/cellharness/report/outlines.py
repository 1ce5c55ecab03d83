"""Turn a truth and a prediction into outlines: correct, wrong, missed, or not counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.ndimage import find_objects
from scipy.spatial import cKDTree
from shapely import LineString
from skimage.measure import find_contours

from cellharness.scoring import score_pair


class Window(NamedTuple):
    """A part of an image: rows ``top:bottom`` and columns ``left:right``."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True)
class OutlineStyle:
    """How one kind of outline is drawn: told apart by colour and by line.

    Attributes
    ----------
    label
        What the legend says.
    colour
        Hex colour, from Okabe and Ito's palette or white.
    dashes
        Dash pattern in units of a 1 px line; empty for solid.
    width
        Line width in points (figures) or CSS pixels (page).
    """

    label: str
    colour: str
    dashes: tuple[float, ...]
    width: float


#: Drawn in this order, the last on top.
STYLES: Mapping[str, OutlineStyle] = {
    "excluded": OutlineStyle("touches the border, not counted", "#B8B8B8", (1.0, 2.0), 0.8),
    "truth": OutlineStyle("truth", "#FFFFFF", (), 0.8),
    "missed": OutlineStyle("missed (FN)", "#F0E442", (1.1, 1.5), 1.8),
    "correct": OutlineStyle("correct (TP)", "#56B4E9", (), 1.3),
    "wrong": OutlineStyle("wrong (FP)", "#FF6A1F", (4.0, 2.0), 1.5),
}

#: In the order of a legend.
LEGEND = ("truth", "correct", "wrong", "missed", "excluded")

_CELLS_ACROSS = 12
_SMALLEST, _LARGEST = 160, 512
#: What `choose_window` chooses, in words.
WINDOW_WORDS = (
    f"a square of {_CELLS_ACROSS} median cell diameters ({_SMALLEST}–{_LARGEST} px), where most "
    "cells are"
)
_MOST_IDS = 10_000_000


def choose_window(truth: np.ndarray) -> Window:
    """Choose the part of an image that shows its cells.

    As `WINDOW_WORDS` says, and no larger than the image; see `fullest_window`. Without cells it is
    the middle of the image.

    Parameters
    ----------
    truth : ndarray of unsigned int, (H, W)
        Label image.
    """
    spans = cell_spans(truth)
    diameter = float(np.median(np.diff(spans))) if len(spans) else float(_LARGEST)
    edge = int(np.clip(_CELLS_ACROSS * diameter, _SMALLEST, _LARGEST))
    return fullest_window(spans, truth.shape, edge)


def cell_spans(labels: np.ndarray) -> np.ndarray:
    """Return the bounding boxes of cells: (cells, 2, 2), rows then columns, each start and stop."""
    boxes = [[(s.start, s.stop) for s in box] for box in _boxes(labels)]
    return np.array(boxes).reshape(-1, 2, 2)


def fullest_window(spans: np.ndarray, shape: tuple[int, ...], edge: int) -> Window:
    """Choose the square of a given size with the most cell centres.

    Parameters
    ----------
    spans : ndarray of int, (cells, 2, 2)
        From `cell_spans`; centres are the middles of the boxes.
    shape : tuple of int
        Height and width of the image.
    edge : int
        Edge of the square in pixels; the window is no larger than the image.

    Returns
    -------
    Window
        The fullest of the squares around each cell, moved inside the image.
    """
    whole = np.array(shape)
    centres = spans.mean(2)
    size = np.minimum(edge, whole)
    corners = np.floor((centres if len(spans) else whole[None] / 2) - size / 2).astype(int)
    corners = np.clip(corners, 0, whole - size)
    if len(spans):
        # Scaled by its size, each window is a unit square, which the tree counts in one go.
        tree = cKDTree(centres / size)
        held = tree.query_ball_point(corners / size + 0.5, 0.5, p=np.inf, return_length=True)
        # Of equally full places the middle one leaves cells whole.
        best = corners[held == held.max()]
        top, left = best[np.abs(best - best.mean(0)).sum(1).argmin()].tolist()
    else:
        top, left = corners[0].tolist()
    return Window(top, top + int(size[0]), left, left + int(size[1]))


def compare(
    truth: np.ndarray, prediction: np.ndarray | None, threshold: float, window: Window
) -> dict[str, list[np.ndarray]]:
    """Sort the cells of a prediction into kinds and trace their outlines.

    Cells are matched by the ``strict`` rules at the threshold. A matched pair gives an outline
    ``correct`` (the predicted cell) and one ``truth`` (the true cell); an unmatched predicted
    cell is ``wrong``, an unmatched true one ``missed``. Cells that the border rule leaves out of
    the counts are ``excluded``.

    Parameters
    ----------
    truth : ndarray of unsigned int, (H, W)
        Label image.
    prediction : ndarray of unsigned int, (H, W), or None
        Label image, or None where there is no mask: then every true cell is missed.
    threshold : float
        IoU from which on a pair matches.
    window : Window
        Part of the image to trace.

    Returns
    -------
    dict of str to list of ndarray
        For each kind of `STYLES` its outlines, each (N, 2) float, x and y in pixels of the
        window, measured from its top left corner.
    """
    found = np.zeros_like(truth) if prediction is None else prediction
    score = score_pair(truth, found, profile="strict", thresholds=threshold, matches=True)
    matched_true = [match.gt_label for match in score.matches or ()]
    matched_pred = [match.pred_label for match in score.matches or ()]
    out_true, out_pred = score.excluded_true or (), score.excluded_pred or ()
    return {
        "excluded": [
            *trace(truth, window, keep=out_true),
            *trace(found, window, keep=out_pred),
        ],
        "truth": trace(truth, window, keep=matched_true),
        "missed": trace(truth, window, leave=[*matched_true, *out_true]),
        "correct": trace(found, window, keep=matched_pred),
        "wrong": trace(found, window, leave=[*matched_pred, *out_pred]),
    }


def trace(
    labels: np.ndarray,
    window: Window,
    keep: Iterable[int] | None = None,
    leave: Iterable[int] = (),
) -> list[np.ndarray]:
    """Trace the outlines of cells along their pixel edges, within a window.

    Parameters
    ----------
    labels : ndarray of unsigned int, (H, W)
        Label image.
    window : Window
        Cells that reach beyond it get an open outline.
    keep : iterable of int, optional
        Ids to trace; all by default.
    leave : iterable of int
        Ids to leave out.

    Returns
    -------
    list of ndarray
        Outlines (N, 2), x and y, simplified to within 0.4 px.
    """
    part = labels[window.slices]
    ids, compact = np.unique(part, return_inverse=True)
    compact = compact.reshape(part.shape)
    wanted = set(ids.tolist()) if keep is None else set(keep)
    wanted -= {0, *leave}
    if ids.size and ids[0] == 0:
        boxes = find_objects(compact)
        named = ids[1:]
        offset = 1
    else:
        boxes = find_objects(compact + 1)
        named = ids
        offset = 0
    outlines = []
    for i, (label, box) in enumerate(zip(named.tolist(), boxes, strict=True)):
        if label not in wanted or box is None:
            continue
        rows, columns = (
            slice(max(s.start - 1, 0), min(s.stop + 1, n))
            for s, n in zip(box, part.shape, strict=True)
        )
        cell = compact[rows, columns] == i + offset
        if min(cell.shape) < 2:
            continue
        for contour in find_contours(cell.astype(np.float32), 0.5):
            # As `skimage.measure.approximate_polygon`, 250 times as fast.
            line = LineString(contour).simplify(0.4, preserve_topology=False)
            points = np.asarray(line.coords)
            # Contours run through pixel centres at whole numbers; a picture's pixel 0 spans 0..1.
            outlines.append(points[:, ::-1] + (columns.start + 0.5, rows.start + 0.5))
    return outlines


def _boxes(labels: np.ndarray) -> list[tuple[slice, slice]]:
    """Return the bounding box of every cell."""
    # The search keeps a list as long as the largest id, which may be billions.
    if labels.size and labels.max() > _MOST_IDS:
        labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    return [box for box in find_objects(labels) if box is not None]
