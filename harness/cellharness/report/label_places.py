"""Places for the names of points, so that they cover neither points nor each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle in millimetres, the vertical axis upwards."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: Box) -> float:
        """Area that two rectangles share."""
        across = min(self.right, other.right) - max(self.left, other.left)
        up = min(self.top, other.top) - max(self.bottom, other.bottom)
        return across * up if across > 0 and up > 0 else 0.0

    def outside(self, other: Box) -> float:
        """Area that lies outside another rectangle."""
        return (self.right - self.left) * (self.top - self.bottom) - self.overlap(other)


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
    """Find a place near each point for a name of a given size.

    Every name takes the cheapest of a ring of places: near, inside the frame, not over points,
    other names or lines. Names are then moved once more, given where all others are.

    Parameters
    ----------
    points : sequence of (float, float)
        In millimetres.
    sizes : sequence of (float, float)
        Width and height of the names.
    frame : Box
        Where they have to be.
    lines : sequence of Box
        Thin things that are better not covered, such as error bars.
    radius : float
        Of the points.

    Returns
    -------
    list of Box
        One a name.

    Examples
    --------
    >>> place_labels([(5.0, 5.0)], [(4.0, 2.0)], Box(0, 0, 20, 10))
    [Box(left=7.0, bottom=4.0, right=11.0, top=6.0)]
    """
    dots = [Box(x - radius, y - radius, x + radius, y + radius) for x, y in points]
    chosen: list[Box | None] = [None] * len(points)
    for _, i in itertools.product(range(_SWEEPS), range(len(points))):
        others = [box for j, box in enumerate(chosen) if j != i and box is not None]
        chosen[i] = min(
            _candidates(points[i], sizes[i]),
            key=lambda ranked: ranked[0] + _cost(ranked[1], others, dots, lines, frame),
        )[1]
    return [box for box in chosen if box is not None]


def _candidates(point: tuple[float, float], size: tuple[float, float]) -> list[tuple[float, Box]]:
    """Places around a point, each with what its distance and direction cost."""
    (x, y), (width, height) = point, size
    found = []
    for reach, turn in itertools.product(_REACHES, range(_TURNS)):
        angle = 2 * math.pi * turn / _TURNS
        across, up = math.cos(angle), math.sin(angle)
        # The name touches the ring from outside.
        middle = (
            x + across * (reach + width / 2 * abs(across)),
            y + up * reach + height / 2 * up,
        )
        left, bottom = middle[0] - width / 2, middle[1] - height / 2
        # Names to the right read best; steep ones would start over the point.
        cost = 1.5 * (reach - _REACHES[0]) + 0.8 * (1 - across)
        found.append((cost, Box(left, bottom, left + width, bottom + height)))
    return found


def _cost(
    box: Box, names: Sequence[Box], dots: Sequence[Box], lines: Sequence[Box], frame: Box
) -> float:
    return (
        _OVER_NAME * sum(box.overlap(other) for other in names)
        + _OVER_POINT * sum(box.overlap(other) for other in dots)
        + _OVER_LINE * sum(box.overlap(other) for other in lines)
        + _OUTSIDE * box.outside(frame)
    )
