"""Places for the names of points, so that they cover neither points nor each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Box(NamedTuple):
    """A rectangle in millimetres, the vertical axis upwards."""

    left: float
    bottom: float
    right: float
    top: float


_TURNS = 16
_REACHES = (2.0, 3.5, 5.5, 8.0, 11.0, 15.0)
# A name that covers another is no name; one that covers a line can be read.
_OVER_NAME, _OVER_POINT, _OVER_LINE, _OUTSIDE = 40.0, 25.0, 4.0, 60.0
_SWEEPS = 3


def place_labels(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: Box,
    lines: Sequence[Box] = (),
    radius: float = 1.3,
) -> list[Box]:
    """Find a place near each point for a name of a given size, all in millimetres.

    Every name takes the cheapest of a ring of places: near, inside the frame, not over points,
    other names or `lines`, thin things such as error bars. Names are then moved once more, given
    where all others are.

    Returns
    -------
    list of Box
        One a name.

    Examples
    --------
    >>> place_labels([(5.0, 5.0)], [(4.0, 2.0)], Box(0, 0, 20, 10))
    [Box(left=7.0, bottom=4.0, right=11.0, top=6.0)]
    """
    dots = np.array([(x - radius, y - radius, x + radius, y + radius) for x, y in points])
    places = [_candidates(*each) for each in zip(points, sizes, strict=True)]
    # What others do not change: points, lines and the frame.
    costs = [
        cost
        + _OVER_POINT * _overlap(boxes, dots)
        + _OVER_LINE * _overlap(boxes, np.reshape(lines, (-1, 4)))
        + _OUTSIDE * (math.prod(size) - _overlap(boxes, np.array([frame])))
        for (cost, boxes), size in zip(places, sizes, strict=True)
    ]
    # A name that has no place yet covers nothing.
    chosen = np.full((len(points), 4), np.nan)
    for _, i in itertools.product(range(_SWEEPS), range(len(points))):
        boxes, others = places[i][1], np.delete(chosen, i, axis=0)
        chosen[i] = boxes[np.argmin(costs[i] + _OVER_NAME * _overlap(boxes, others))]
    return [Box(*box) for box in chosen.tolist()]


def _candidates(
    point: tuple[float, float], size: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Places around a point: what the distance and direction of each cost, and (n, 4) boxes."""
    (x, y), (width, height) = point, size
    reach = np.repeat(_REACHES, _TURNS)
    angle = np.tile(2 * np.pi * np.arange(_TURNS) / _TURNS, len(_REACHES))
    across, up = np.cos(angle), np.sin(angle)
    # The name touches the ring from outside.
    left = x + across * (reach + width / 2 * abs(across)) - width / 2
    bottom = y + up * reach + height / 2 * up - height / 2
    # Names to the right read best; steep ones would start over the point.
    cost = 1.5 * (reach - _REACHES[0]) + 0.8 * (1 - across)
    return cost, np.column_stack([left, bottom, left + width, bottom + height])


def _overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Area that each of (n, 4) rectangles shares with (m, 4) others, summed over these."""
    one, two = boxes[:, None], others[None]
    across = np.minimum(one[..., 2], two[..., 2]) - np.maximum(one[..., 0], two[..., 0])
    up = np.minimum(one[..., 3], two[..., 3]) - np.maximum(one[..., 1], two[..., 1])
    return np.where((across > 0) & (up > 0), across * up, 0.0).sum(axis=1)
