"""Scales of the bubble plot: limits, round ticks, and round sizes for the key."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

# From the outermost points to the ends of the axes, so that no bubble is cut.
_ROOM_MM = 4.5
# Least span of the axes, in powers of ten and in F1: noise shall not look like a difference.
_LEAST_POWERS, _LEAST_SCORE = 0.3, 0.1
# Leading digits of the times at the axis, from coarse to fine.
_DIGITS = ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), tuple(i / 10 for i in range(10, 100)))
_KEY_SIZES = (0.01, 0.03, 0.06, 0.12, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256)

#: MiB to the GiB.
MIB_PER_GIB = 1024


@dataclass(frozen=True)
class BubbleScale:
    """Axes of the plot: time by its logarithm, F1 as it is.

    Attributes
    ----------
    across_mm, up_mm
        Lengths of the axes.
    powers
        Ends of the axis of time, as powers of ten.
    scores
        Ends of the axis of F1.
    """

    across_mm: float
    up_mm: float
    powers: tuple[float, float]
    scores: tuple[float, float]

    def place(self, seconds: float, score: float) -> tuple[float, float]:
        """Where a point lies, in millimetres from the lower left corner."""
        (left, right), (low, high) = self.powers, self.scores
        x = (math.log10(seconds) - left) / (right - left) * self.across_mm
        return x, (score - low) / (high - low) * self.up_mm

    def apply(self, ax: Axes) -> None:
        """Scale and label axes."""
        ax.set_xscale("log")
        ax.set_xlim(*(10**end for end in self.powers))
        ax.set_ylim(*self.scores)
        ax.xaxis.set_major_locator(FixedLocator(time_ticks(*ax.get_xlim())))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.yaxis.set_major_locator(FixedLocator(score_ticks(*self.scores)))
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.grid(color="#ececec", lw=0.5)
        ax.set_axisbelow(True)
        ax.set_xlabel("Seconds an image (median, logarithmic)", labelpad=2)
        ax.set_ylabel("Median F1", labelpad=3)


def plan_scale(points: pd.DataFrame, across_mm: float, up_mm: float) -> BubbleScale:
    """Choose limits that hold all points with room around them.

    Parameters
    ----------
    points : DataFrame
        Columns ``seconds``, all positive, and ``median_f1``; at least one row.
    across_mm, up_mm : float
        Lengths of the axes.
    """
    powers = np.log10(points["seconds"].to_numpy(float))
    scores = points["median_f1"].to_numpy(float)
    return BubbleScale(
        across_mm,
        up_mm,
        _limits(powers, across_mm, _LEAST_POWERS),
        _limits(scores, up_mm, _LEAST_SCORE),
    )


def _limits(values: np.ndarray, length_mm: float, least: float) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    spare = max(0.0, least - (high - low)) / 2
    low, high = low - spare, high + spare
    margin = (high - low) * _ROOM_MM / (length_mm - 2 * _ROOM_MM)
    return low - margin, high + margin


def time_ticks(low: float, high: float) -> list[float]:
    """Choose round times, at least three where the range is not tiny.

    Examples
    --------
    >>> time_ticks(0.3, 12), time_ticks(1.3, 3.3)
    ([0.5, 1.0, 2.0, 5.0, 10.0], [1.5, 2.0, 3.0])
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for digits in _DIGITS:
        ticks = (float(f"{digit}e{power}") for power in powers for digit in digits)
        found = [tick for tick in ticks if low <= tick <= high]
        if len(found) >= 3:
            break
    return found


def score_ticks(low: float, high: float) -> list[float]:
    """Choose round scores, never beyond 1.

    Examples
    --------
    >>> score_ticks(0.31, 0.95)
    [0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    """
    step = next((s for s in (0.02, 0.05, 0.1, 0.2) if (high - low) / s <= 7), 0.2)
    first = math.ceil(max(low, 0.0) / step - 1e-9)
    last = math.floor(min(high, 1.0) / step + 1e-9)
    return [round(i * step, 2) for i in range(first, last + 1)]


def key_sizes(biggest_mb: float) -> list[float]:
    """Choose up to three round sizes for the key, in GiB, none above the biggest bubble.

    Examples
    --------
    >>> key_sizes(9000.0), key_sizes(300.0)
    ([0.5, 2, 8], [0.06, 0.25])
    """
    fitting = [size for size in _KEY_SIZES if size * MIB_PER_GIB <= biggest_mb]
    # The smallest would be points.
    return [size for size in fitting[::-2][:3][::-1] if size >= fitting[-1] / 20]
