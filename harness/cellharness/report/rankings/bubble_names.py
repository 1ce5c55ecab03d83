"""Names or numbers beside the bubbles, so that they cover neither bubbles nor each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from cellharness.report import lettering
from cellharness.report.label_places import Box, place_labels
from cellharness.report.style import GREY, INK, TEXT_PT

_HEIGHT_MM = 2.5
_DOT_MM = 0.6
# How much worse it is to cover a bubble than a line.
_COVERED = 3
# Beyond this a name needs a line to its bubble.
_FAR_MM = 2.0


@dataclass(frozen=True)
class Names:
    """Texts and where they go, in millimetres from the lower left corner of the axes.

    Attributes
    ----------
    texts
        One a bubble.
    middles
        Of the texts.
    leads
        From the edge of a bubble to its text, where that is far; None where it is near.
    """

    texts: tuple[str, ...]
    middles: tuple[tuple[float, float], ...]
    leads: tuple[tuple[tuple[float, float], tuple[float, float]] | None, ...]

    def write(self, ax: Axes, across_mm: float, up_mm: float) -> None:
        """Write them into axes of the given lengths."""
        for text, (x, y), lead in zip(self.texts, self.middles, self.leads, strict=True):
            ax.text(
                x / across_mm, y / up_mm, text, transform=ax.transAxes, ha="center",
                va="center_baseline", zorder=6, color=INK, fontsize=TEXT_PT,
            )  # fmt: skip
            if lead is not None:
                xs = [end[0] / across_mm for end in lead]
                ys = [end[1] / up_mm for end in lead]
                ax.plot(xs, ys, color=GREY, lw=0.4, transform=ax.transAxes, zorder=1)


def place_names(
    texts: Sequence[str],
    places: Sequence[tuple[float, float]],
    radii: Sequence[float],
    frame: tuple[float, float],
) -> Names:
    """Find a place for the text of every bubble.

    Parameters
    ----------
    texts : sequence of str
        One a bubble.
    places : sequence of (float, float)
        Middles of the bubbles in millimetres.
    radii : sequence of float
        Of the bubbles in millimetres; 0 for a cross.
    frame : (float, float)
        Room across and up, from the lower left corner.
    """
    covered = [Box(x - r, y - r, x + r, y + r) for (x, y), r in zip(places, radii, strict=True)]
    boxes = place_labels(
        places,
        [(lettering.width_mm(text, TEXT_PT), _HEIGHT_MM) for text in texts],
        Box(0.3, 0.3, *frame),
        covered * _COVERED,
        radius=_DOT_MM,
    )
    return Names(
        texts=tuple(texts),
        middles=tuple(((b.left + b.right) / 2, (b.bottom + b.top) / 2) for b in boxes),
        leads=tuple(
            _lead(place, max(radius, _DOT_MM), box)
            for place, radius, box in zip(places, radii, boxes, strict=True)
        ),
    )


def _lead(
    point: tuple[float, float], radius: float, box: Box
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    near = (
        min(max(point[0], box.left), box.right),
        min(max(point[1], box.bottom), box.top),
    )
    away = math.dist(near, point)
    if away <= radius + _FAR_MM:
        return None
    share = radius / away
    edge = (point[0] + (near[0] - point[0]) * share, point[1] + (near[1] - point[1]) * share)
    return edge, near
