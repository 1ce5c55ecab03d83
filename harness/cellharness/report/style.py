"""One look for every figure: a journal page's sizes, a colour a method or modality, real text."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.figure import Figure

from cellharness.statistics import ALL, UNKNOWN_MODALITY

#: Widths of one and two columns, in millimetres.
ONE_COLUMN_MM = 88.0
TWO_COLUMNS_MM = 180.0
MM = 1 / 25.4

#: Sizes of the letters of figures, in points.
TEXT_PT, SMALL_PT = 7.0, 6.5

INK = "#1a1a1a"
GREY = "#767676"
HAIRLINE = "#d5d5d5"

# Okabe and Ito's palette, colour-blind safe; without its yellow, which is too faint for thin
# lines on white, and with its black last.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")
_DASHES: tuple[tuple[float, ...], ...] = (
    (), (4, 1.2), (1.2, 1), (5, 1, 1.2, 1), (7, 1.5), (3, 1, 1, 1, 1, 1), (2, 2),
)  # fmt: skip

# Figures are measured and drawn with the font files that matplotlib brings, under a name of their
# own: a font of the system, or another version of this one, would lay them out otherwise.
FONT = "cellharness figures"
_FONT_FILES = {
    ("normal", 400): "DejaVuSans.ttf",
    ("normal", 700): "DejaVuSans-Bold.ttf",
    ("oblique", 400): "DejaVuSans-Oblique.ttf",
}
# Text of an SVG is drawn by the reader's browser: first the same font, then one as wide.
_FAMILY = "'DejaVu Sans', Verdana, sans-serif"


@dataclass(frozen=True)
class LineStyle:
    """How one method or one modality is drawn, in every figure and table of a report.

    Attributes
    ----------
    colour
        Hex colour.
    marker
        Matplotlib marker, so that lines differ without colour as well.
    dashes
        Dash pattern of its lines in points; empty for a solid line.
    width
        Of its lines in points.
    """

    colour: str
    marker: str
    dashes: tuple[float, ...]
    width: float = 1.0

    @property
    def linestyle(self) -> str | tuple[float, tuple[float, ...]]:
        """The dash pattern as matplotlib takes it."""
        return (0, self.dashes) if self.dashes else "solid"


def method_styles(methods: Sequence[str]) -> dict[str, LineStyle]:
    """Give each method its own look, by its place in the configuration.

    Beyond seven, colours return with another marker and dash pattern.

    Returns
    -------
    dict of str to LineStyle
        No two alike for up to 70 methods.
    """
    styles = {}
    for i, method in enumerate(methods):
        turn = i // len(_COLOURS)
        styles[method] = LineStyle(
            _COLOURS[i % len(_COLOURS)],
            _MARKERS[(i + turn) % len(_MARKERS)],
            _DASHES[(i + turn) % len(_DASHES)],
        )
    return styles


def ranked_styles(methods: Sequence[str], best_first: Sequence[str]) -> dict[str, LineStyle]:
    """Give each method its look where there may be more methods than colours.

    Returns
    -------
    dict of str to LineStyle
        That of `method_styles` for up to seven methods. Of more, the best seven have a colour
        each, and all others are grey: colours that return would name the wrong method.
    """
    styles = method_styles(methods)
    if len(styles) <= len(_COLOURS):
        return styles
    coloured = dict(zip(best_first, _COLOURS, strict=False))
    return {
        method: replace(style, colour=coloured.get(method, GREY))
        for method, style in styles.items()
    }


# Paul Tol's "muted" palette, colour-blind safe as well, and darker than that of the methods:
# a modality shall not be taken for a method.
_MODALITY_STYLES = {
    ALL: LineStyle(INK, "o", (), 1.6),
    "Brightfield": LineStyle("#882255", "s", (4, 1.2)),
    "Fluorescent": LineStyle("#117733", "^", (1.2, 1)),
    "Phase-contrast": LineStyle("#332288", "D", (5, 1, 1.2, 1)),
    "DIC": LineStyle("#999933", "v", (7, 1.5)),
    UNKNOWN_MODALITY: LineStyle(GREY, "X", (2, 2)),
}
_OTHER_MODALITIES = (
    LineStyle("#44AA99", "P", (3, 1, 1, 1, 1, 1)),
    LineStyle("#AA4499", "<", (3, 1.5)),
    LineStyle("#DDCC77", ">", (6, 1, 2, 1)),
)


def modality_styles(groups: Iterable[str]) -> dict[str, LineStyle]:
    """Give each modality its own look, the same in every report whichever of them occur.

    Returns
    -------
    dict of str to LineStyle
        In the order given. The four modalities, all images and unknown ones have fixed looks;
        others take three more in turn.
    """
    styles, others = {}, 0
    for group in groups:
        if group not in _MODALITY_STYLES:
            styles[group] = _OTHER_MODALITIES[others % len(_OTHER_MODALITIES)]
            others += 1
        else:
            styles[group] = _MODALITY_STYLES[group]
    return styles


@contextmanager
def journal_style() -> Iterator[None]:
    """Draw with 7 pt sans-serif text, thin axes and no decoration, whatever the user's rc says."""
    register_font()
    settings: dict[str, Any] = {
        "font.family": [FONT],
        "font.size": TEXT_PT,
        "axes.labelsize": TEXT_PT,
        "axes.titlesize": TEXT_PT,
        "xtick.labelsize": TEXT_PT,
        "ytick.labelsize": TEXT_PT,
        "legend.fontsize": TEXT_PT,
        "axes.linewidth": 0.5,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.major.width": 0.5,
        "ytick.major.width": 0.5,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "xtick.major.pad": 2,
        "ytick.major.pad": 2,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": False,
        "lines.linewidth": 1.0,
        "legend.frameon": False,
        "svg.fonttype": "none",
        "pdf.fonttype": 42,
        "svg.hashsalt": "cellharness",
        "savefig.facecolor": "white",
        "figure.facecolor": "white",
        "figure.dpi": 100,
        "savefig.bbox": None,
        "text.parse_math": False,
    }
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)  # type: ignore[arg-type]
        yield


def register_font() -> None:
    """Make matplotlib know the font of the figures."""
    known = font_manager.fontManager.ttflist
    if any(entry.name == FONT for entry in known):
        return
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    for (style, weight), name in _FONT_FILES.items():
        known.append(
            font_manager.FontEntry(
                fname=str(folder / name), name=FONT, style=style, variant="normal",
                weight=weight, stretch="normal", size="scalable",
            )
        )  # fmt: skip


def new_figure(width_mm: float, height_mm: float) -> Figure:
    """Make a figure of an exact printed size, in millimetres."""
    return Figure(figsize=(width_mm * MM, height_mm * MM))


def save(
    figure: Figure,
    folder: Path,
    name: str,
    dpi: int = 300,
    *,
    for_print: bool = False,
    svg_dpi: int | None = None,
) -> str:
    """Write a figure as ``name.svg`` and return the SVG text; call inside :func:`journal_style`.

    For print ``name.png`` and ``name.pdf`` are written as well, this with its fonts embedded: they
    take most of the time of a report. `svg_dpi` is the resolution of rasterised parts of the SVG
    where it shall be lighter.

    Returns
    -------
    str
        The SVG, without XML prologue and metadata and with ids of its own, so that several
        can stand in one page.
    """
    # No date and no version in the files: the same run gives the same bytes.
    if for_print:
        figure.savefig(folder / f"{name}.png", dpi=dpi, metadata={"Software": None})
        nothing = dict.fromkeys(("Creator", "Producer", "CreationDate"))
        with _glyphs_alone():
            figure.savefig(folder / f"{name}.pdf", dpi=dpi, metadata=nothing)
    buffer = io.StringIO()
    figure.savefig(
        buffer, format="svg", dpi=svg_dpi or dpi, metadata={"Date": None, "Creator": None}
    )
    svg = _portable_fonts(buffer.getvalue())
    (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    return inline_svg(svg, name)


@contextmanager
def _glyphs_alone() -> Iterator[None]:
    """Embed fonts without their rules for setting text, which matplotlib has done by then.

    Reading them takes most of the time of writing a PDF. fontTools has no public way to say so
    from here; where it is written otherwise one day, PDFs only take longer again.
    """
    # Here, since most reports are not for print and its import takes a while.
    from fontTools import subset

    kept = getattr(subset.Options, "_drop_tables_default", None)
    if kept is not None:
        subset.Options._drop_tables_default = [*kept, "GSUB", "GPOS", "GDEF"]
    try:
        yield
    finally:
        if kept is not None:
            subset.Options._drop_tables_default = kept


def inline_svg(svg: str, prefix: str) -> str:
    """Strip what a page does not need from an SVG and make its ids unique by a prefix."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    # Groups are named for editing the file; in a page only what is referred to needs a name.
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', svg))

    def _rename(match: re.Match[str]) -> str:
        return f' id="{prefix}-{match[1]}"' if match[1] in used else ""

    svg = re.sub(r'\sid="([^"]+)"', _rename, svg)
    return re.sub(r'(url\(|href=")#', rf"\1#{prefix}-", svg)


def _portable_fonts(svg: str) -> str:
    """Name a chain of fonts, since the reader's machine may not have the one used here."""
    svg = re.sub(r"(font: (?:[\w.]+ )*?[\d.]+px) [^;\"]+", rf"\1 {_FAMILY}", svg)
    return re.sub(r"font-family: [^;\"]+", f"font-family: {_FAMILY}", svg)
