"""What the figures of a forgetting study share: colours of remedies, losses and gains, axes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from cellharness.report.layout import text_mm
from cellharness.report.style import GREY, HAIRLINE, INK, LineStyle, method_styles
from cellharness.statistics import ALL
from cellharness.vocabulary import PRETRAINED

#: The ends of ColorBrewer's red-blue scale, which colour-blind readers tell apart: the same in
#: every figure, and used for nothing else.
LOSS_COLOUR, GAIN_COLOUR = "#B2182B", "#2166AC"

BEFORE_STYLE = LineStyle(GREY, "o", (2, 1.2))
_PLAIN_STYLE = LineStyle(INK, "o", (), 1.4)
_DERIVED_COLOUR, _IN_PLACE_OF_BLACK = "#7A4B00", "#882255"


def remedy_styles(remedies: Sequence[str], derived: Collection[str] = ()) -> dict[str, LineStyle]:
    """Give each remedy its look: the first, plain fine-tuning, black, the others in colour.

    Parameters
    ----------
    remedies : sequence of str
        In the order of the study.
    derived : collection of str
        Those made from the weights of others; they share a colour.

    Returns
    -------
    dict of str to LineStyle
        With that of the weights before training under `PRETRAINED`.
    """
    plain, *others = remedies
    trained = method_styles([name for name in others if name not in derived])
    # Black is plain fine-tuning's alone.
    trained |= {
        name: LineStyle(_IN_PLACE_OF_BLACK, style.marker, style.dashes)
        for name, style in trained.items()
        if style.colour == "#000000"
    }
    made = {
        name: LineStyle(_DERIVED_COLOUR, style.marker, style.dashes)
        for name, style in method_styles([name for name in others if name in derived]).items()
    }
    return {PRETRAINED: BEFORE_STYLE, plain: _PLAIN_STYLE, **trained, **made}


def worth_showing(modalities: Sequence[str]) -> list[str]:
    """Groups that deserve a panel: of a study of one modality only that of all cases."""
    return [ALL] if len(modalities) == 1 else [ALL, *modalities]


def left_room(names: Iterable[str], least_mm: float, most_mm: float) -> float:
    """Room for names to the left of an axis."""
    widest = max((text_mm(name) for name in names), default=0.0)
    return float(np.clip(widest + 3.0, least_mm, most_mm))


def style_sample(label: str, style: LineStyle) -> Line2D:
    """Sample of a key for a line with marks."""
    return Line2D(
        [], [], color=style.colour, ls=style.linestyle, lw=style.width, marker=style.marker,
        ms=3, mew=0, label=label,
    )  # fmt: skip


def span(rows: pd.DataFrame, columns: Sequence[str], margin: float = 0.06) -> tuple[float, float]:
    """Limits that hold all values of some columns, and 0."""
    values = rows[list(columns)].to_numpy(float)
    values = values[np.isfinite(values)]
    low, high = min(0.0, values.min(initial=0.0)), max(0.0, values.max(initial=0.0))
    room = max(high - low, 0.02) * margin
    return low - room, high + room


def say_nothing(axes: Axes, text: str, x: float = 0.5) -> None:
    """Write into an empty panel, or a part of it, why it is empty."""
    axes.text(x, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)


#: Writes the numbers of an axis with a real minus sign.
SIGNED = FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−"))


def zero_line(axes: Axes, *, vertical: bool = False) -> None:
    """Mark no change."""
    draw = axes.axvline if vertical else axes.axhline
    draw(0, color=HAIRLINE, lw=0.8, zorder=0)
