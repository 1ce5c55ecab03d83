"""The figures of the section: two panels side by side, or above each other in one column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from matplotlib.figure import Figure

from cellharness.report.rankings.blobs import blob_panel
from cellharness.report.rankings.bubble import LEAST_HEIGHT_MM, bubble_panel
from cellharness.report.rankings.dot_box import dot_box_panel
from cellharness.report.rankings.metric_ranks import metric_rank_panel
from cellharness.report.rankings.panel import Panel, alone, compose
from cellharness.report.rankings.rank_lines import rank_line_panel
from cellharness.report.rankings.ranked import Ranked
from cellharness.report.rankings.significance_map import significance_panel
from cellharness.report.rankings.tau_violins import tau_panel
from cellharness.report.style import ONE_COLUMN_MM, TWO_COLUMNS_MM, LineStyle

_GAP_MM = TWO_COLUMNS_MM - 2 * ONE_COLUMN_MM
_BETWEEN_MM = 3.0

#: Names of the figures, in the order of the page.
ACCURACY, SIGNIFICANCE, STABILITY, SIDE_BY_SIDE = (
    "ranking_accuracy", "ranking_significance", "ranking_stability", "ranking_side_by_side",
)  # fmt: skip

Drawings = dict[str, Callable[[float], Figure]]


def ranking_drawings(ranked: Ranked, styles: Mapping[str, LineStyle]) -> Drawings:
    """Name the figures of the section and how each is drawn at a printed width.

    Parameters
    ----------
    ranked : Ranked
        Rankings of the run.
    styles : mapping of str to LineStyle
        Colours of the methods.
    """
    # The same panels in both widths.
    accuracy, stability = _accuracy(ranked, styles), _stability(ranked, styles)
    significance = [
        significance_panel(ranked, styles, ONE_COLUMN_MM),
        blob_panel(ranked, styles, ONE_COLUMN_MM),
    ]
    return {
        ACCURACY: lambda width: _arrange(accuracy, width),
        SIGNIFICANCE: lambda width: _arrange(significance, width),
        STABILITY: lambda width: _arrange(stability, width),
        SIDE_BY_SIDE: lambda width: alone(metric_rank_panel(ranked, styles, width)),
    }


def _accuracy(ranked: Ranked, styles: Mapping[str, LineStyle]) -> list[Panel]:
    boxes = dot_box_panel(ranked, styles, ONE_COLUMN_MM)
    height = max(LEAST_HEIGHT_MM, boxes.height_mm)
    bubbles = bubble_panel(ranked, styles, ONE_COLUMN_MM, height)
    return [boxes] if bubbles is None else [boxes, bubbles]


def _stability(ranked: Ranked, styles: Mapping[str, LineStyle]) -> list[Panel]:
    lines = rank_line_panel(ranked, styles, ONE_COLUMN_MM)
    return [lines, tau_panel(ranked, ONE_COLUMN_MM, lines.height_mm)]


def _arrange(panels: Sequence[Panel], width_mm: float) -> Figure:
    """Put panels beside each other where there is room for two columns."""
    if len(panels) == 1:
        return alone(panels[0])
    rows = [panels] if width_mm >= TWO_COLUMNS_MM else [[panel] for panel in panels]
    return compose(rows, _GAP_MM, _BETWEEN_MM)
