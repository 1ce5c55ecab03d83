"""How wide words are printed, measured with the font that draws them."""

from __future__ import annotations

from functools import lru_cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from cellharness.report.style import FONT, register_font

_MM_PER_POINT = 25.4 / 72
# Screens put letters on whole pixels, which takes up to a twentieth more.
_ON_SCREEN = 1.05


def width_mm(text: str, size_pt: float) -> float:
    """Measure a text in the font of the figures, a little generously.

    Parameters
    ----------
    text : str
        One line.
    size_pt : float
        Size of the letters.
    """
    return _measure(text, size_pt)


def shorten(text: str, size_pt: float, room_mm: float) -> str:
    """Cut a text at its end so that it fits, an ellipsis included; one letter stays at least."""
    if width_mm(text, size_pt) <= room_mm:
        return text
    for length in range(len(text) - 1, 1, -1):
        short = text[:length].rstrip() + "…"
        if width_mm(short, size_pt) <= room_mm:
            return short
    return text[:1]


@lru_cache(maxsize=4096)
def _measure(text: str, size_pt: float) -> float:
    register_font()
    font = FontProperties(family=[FONT], size=size_pt)
    across, _, _ = TextToPath().get_text_width_height_descent(text, font, ismath=False)
    return float(across) * _MM_PER_POINT * _ON_SCREEN
