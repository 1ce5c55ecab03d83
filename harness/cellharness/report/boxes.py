"""Dots and a box: the values of one method over images, and the axis that names the methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cellharness.report.layout import TickLabels
from cellharness.report.style import INK
from cellharness.vocabulary import SEGMENTED

# Below this many values a box would pretend to know the quartiles.
LEAST_FOR_BOX = 5
#: From so many dots in a figure on they are drawn as pixels, since an SVG would be too heavy.
RASTERISE_ABOVE = 3000


@dataclass(frozen=True)
class BoxLook:
    """How a box and its dots are drawn.

    Attributes
    ----------
    width
        Of the box in units of the axis.
    filled
        Whether box and dots are filled or outlines only.
    fill_alpha, dot_alpha
        Opacity of the colour inside the box, and of the dots.
    dot_scale
        Area of the dots against that for a box of full width.
    line_pt
        Thickness of the box and of its whiskers in points.
    few_median_pt
        Thickness of the median line where there is no box.
    hatched
        Whether the box is hatched, as that of a method which reads the truth.
    """

    width: float = 0.62
    filled: bool = True
    fill_alpha: float = 0.18
    dot_alpha: float = 0.65
    dot_scale: float = 1.0
    line_pt: float = 0.7
    few_median_pt: float = 1.0
    hatched: bool = False


PLAIN = BoxLook()
#: Of a method that reads the truth: an upper bound, not a competitor.
ORACLE = BoxLook(hatched=True)


def dots_and_box(
    ax: Axes,
    x: float,
    rows: pd.DataFrame,
    colour: str,
    look: BoxLook = PLAIN,
    *,
    rasterise: bool = False,
) -> None:
    """Draw one dot an image, quartiles as a box, the median as a thick line.

    Whiskers reach the last value within 1.5 interquartile ranges. Images without a mask are
    crosses at their value; with fewer than five values there is a median line and no box.

    Parameters
    ----------
    ax : Axes
        Where.
    x : float
        Centre.
    rows : DataFrame
        Columns ``f1`` and ``status``; rows without a number are not drawn.
    colour : str
        Of the method.
    look : BoxLook
        Width, filling, weight.
    rasterise : bool
        Draw the dots as pixels.
    """
    rows = rows[rows["f1"].notna()]
    values = rows["f1"].to_numpy(float)
    if not values.size:
        return
    half = look.width / 2
    # Seeded, so that the same scores give the same picture.
    spread = 0.27 * look.width / PLAIN.width
    jitter = np.random.default_rng(0).uniform(-spread, spread, values.size) * (values.size > 1)
    masked = rows["status"].isin(SEGMENTED).to_numpy()
    size = float(np.clip(140 / values.size, 1.2, 7.0)) * look.dot_scale
    dots: dict[str, Any] = {"facecolors": colour, "lw": 0}
    if not look.filled:
        dots = {"facecolors": "none", "edgecolors": colour, "lw": 0.5}
    ax.scatter(
        x + jitter[masked], values[masked], s=size, alpha=look.dot_alpha, **dots,
        rasterized=rasterise, clip_on=False, zorder=2,
    )  # fmt: skip
    ax.scatter(
        x + jitter[~masked], values[~masked], s=max(size, 5.0), c=colour, marker="x", lw=0.6,
        rasterized=rasterise, clip_on=False, zorder=2,
    )  # fmt: skip
    if values.size >= LEAST_FOR_BOX:
        line = {"color": INK, "lw": look.line_pt}
        if look.filled:
            q1, q3 = np.percentile(values, (25, 75))
            ax.fill_between(
                [x - half, x + half], q1, q3, color=colour, alpha=look.fill_alpha, lw=0, zorder=1
            )
        if look.hatched:
            ax.fill_between(
                [x - half, x + half], *np.percentile(values, (25, 75)), facecolor="none",
                edgecolor=colour, hatch="//////", lw=0, zorder=1,
            )  # fmt: skip
        ax.boxplot(
            [values], positions=[x], widths=look.width, whis=1.5, showfliers=False,
            manage_ticks=False, boxprops=line, whiskerprops=line, capprops=line,
            medianprops={"color": INK, "lw": 1.6, "solid_capstyle": "butt"}, zorder=3,
        )  # fmt: skip
    else:
        width = look.few_median_pt
        ax.hlines(np.median(values), x - half, x + half, color=INK, lw=width, zorder=1)


def method_axis(ax: Axes, labels: TickLabels | None, n: int) -> None:
    """Scale the horizontal axis for methods at 0, 1, ...; None leaves their names out."""
    ax.set_xlim(-0.6, n - 0.4)
    ax.tick_params(axis="x", length=0)
    if labels is None:
        ax.set_xticks([])
        return
    turned: dict[str, Any] = {}
    if labels.angle:
        turned = {"rotation": labels.angle, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(range(n), labels.texts, linespacing=1.1, **turned)
