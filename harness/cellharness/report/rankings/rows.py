"""Methods as rows in the order of the ranking: the frame that most ranking figures share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from cellharness.report import lettering
from cellharness.report.sheet import Sheet
from cellharness.report.style import GREY, INK, TEXT_PT, LineStyle

# All rows together are as high as this if they can: a row has limits.
_TOGETHER_MM, _LOWEST_MM, _HIGHEST_MM = 40.0, 2.75, 8.0
# Lower rows than these have smaller letters.
_LOW_MM, _SMALL_PT = 3.2, 6.5
#: Letters of the heads of columns.
HEAD_PT = 6.5
_NUMBER_MM, _GAP_MM = 4.2, 1.6
# Between the longest name and the edge.
_EDGE_MM = 0.8
_FAINT_INK = "#4d4d4d"
_LEAST_NAMES_MM, _MOST_NAMES = 8.0, 0.44


@dataclass(frozen=True)
class Rows:
    """Where the rows stand.

    Attributes
    ----------
    methods
        Best first.
    names
        As they are written, cut where they are too long.
    colours
        Of the methods.
    pitch_mm
        Height of a row.
    text_pt
        Size of the letters.
    left_mm
        Room that names and numbers take, up to the axis.
    """

    methods: tuple[str, ...]
    names: tuple[str, ...]
    colours: tuple[str, ...]
    pitch_mm: float
    text_pt: float
    left_mm: float

    @property
    def height_mm(self) -> float:
        """Height of all rows."""
        return self.pitch_mm * len(self.methods)

    def write_names(self, sheet: Sheet, right_mm: float, top_mm: float) -> None:
        """Write names and numbers to the left of an axis that begins at `right_mm`."""
        for i, (name, colour) in enumerate(zip(self.names, self.colours, strict=True)):
            y = top_mm + (i + 0.5) * self.pitch_mm
            common = {"ha": "right", "va": "center_baseline", "fontsize": self.text_pt}
            shade = _FAINT_INK if colour == GREY else INK
            sheet.text(right_mm - _GAP_MM - _NUMBER_MM, y, name, color=shade, **common)
            sheet.text(right_mm - _GAP_MM, y, str(i + 1), color=GREY, **common)

    def scale(self, ax: Axes) -> None:
        """Scale the vertical axis so that row `i` is at `i`, the first at the top."""
        ax.set_ylim(len(self.methods) - 0.5, -0.5)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)

    def write_column(
        self, sheet: Sheet, left_mm: float, top_mm: float, head: str, texts: Sequence[str]
    ) -> None:
        """Write a column of texts, flush left, with a grey head."""
        sheet.text(left_mm, top_mm - 1.2, head, va="baseline", color=GREY, fontsize=HEAD_PT)
        for i, text in enumerate(texts):
            y = top_mm + (i + 0.5) * self.pitch_mm
            sheet.text(left_mm, y, text, va="center_baseline", fontsize=self.text_pt)


def plan_rows(
    methods: Sequence[str],
    labels: Mapping[str, str],
    styles: Mapping[str, LineStyle],
    width_mm: float,
) -> Rows:
    """Choose the height of the rows and the room for names.

    Parameters
    ----------
    methods : sequence of str
        Best first.
    labels, styles : mapping
        Names and colours.
    width_mm : float
        Of the whole panel, of which names take less than half.
    """
    pitch = min(max(_TOGETHER_MM / len(methods), _LOWEST_MM), _HIGHEST_MM)
    size = TEXT_PT if pitch >= _LOW_MM else _SMALL_PT
    widest = max(lettering.width_mm(labels[method], size) for method in methods)
    names_mm = min(max(widest + _EDGE_MM, _LEAST_NAMES_MM), _MOST_NAMES * width_mm)
    room = names_mm - _EDGE_MM
    return Rows(
        methods=tuple(methods),
        names=tuple(lettering.shorten(labels[m], size, room) for m in methods),
        colours=tuple(styles[method].colour for method in methods),
        pitch_mm=pitch,
        text_pt=size,
        left_mm=names_mm + _NUMBER_MM + _GAP_MM,
    )
