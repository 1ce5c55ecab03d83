"""How much bootstrap rankings agree with the full one: the paper's Fig. 3f."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.stats import gaussian_kde

from cellharness.report import lettering
from cellharness.report.rankings.panel import Panel
from cellharness.report.rankings.ranked import MAIN, PAPER_SCHEMES, Ranked
from cellharness.report.sheet import Sheet
from cellharness.report.style import GREY, INK, TEXT_PT
from cellharness.report.wording import number

_HEAD_MM, _BELOW_MM, _RIGHT_MM, _LEFT_GAP_MM = 4.0, 8.5, 12.0, 1.6
_LEAST_PITCH_MM, _MOST_PITCH_MM = 5.0, 9.5
_HALF = 0.42
# Fewer different values than these are bars: a smooth outline would invent the ones between.
_FEWEST_FOR_OUTLINE = 12
#: Fills that tell the three kinds of rankings apart, also in grey.
_F1, _TIME, _BOTH = "#7d9cc0", "#c9a66b", "#a9a9a9"


def tau_series(ranked: Ranked) -> list[tuple[str, str, NDArray[np.float64]]]:
    """Kendall's tau of every sample to the full ranking, with a name and a colour each.

    Returns
    -------
    list of (str, str, ndarray)
        F1 by every scheme of the paper, running time, and the challenge's own, as far as they are
        there. NaN where a sample or the full ranking has one rank only.
    """
    f1 = ranked.accuracy.taus()
    found = [(f"F1, {scheme}", _F1, _taus(f1, scheme)) for scheme in PAPER_SCHEMES]
    if ranked.time is not None:
        found.append((f"Time, {MAIN}", _TIME, _taus(ranked.time.taus(), MAIN)))
    if ranked.challenge is not None:
        taus = ranked.challenge.taus()["tau"].to_numpy(float)
        found.append(("Challenge: F1 and time", _BOTH, taus))
    return found


def tau_panel(ranked: Ranked, width_mm: float, height_mm: float = 0.0) -> Panel:
    """Draw the distribution of tau as a violin a ranking, with its median and 95 % line.

    Parameters
    ----------
    ranked : Ranked
        Rankings of the run.
    width_mm, height_mm : float
        Of the panel; it is not lower than its violins need.
    """
    series = tau_series(ranked)
    left = max(lettering.width_mm(name, TEXT_PT) for name, _, _ in series) + 0.8 + _LEFT_GAP_MM
    wanted = (height_mm - _HEAD_MM - _BELOW_MM) / len(series)
    pitch = min(max(wanted, _LEAST_PITCH_MM), _MOST_PITCH_MM)
    rows_mm = pitch * len(series)
    count = len(ranked.order)
    # Without ties one pair that changes places moves tau by this.
    step = 4 / (count * (count - 1))
    tail = (1 - ranked.resampling.confidence) / 2

    def draw(sheet: Sheet, x: float, y: float) -> None:
        top = y + _HEAD_MM
        across = width_mm - left - _RIGHT_MM
        ax = sheet.axes(x + left, top, across, rows_mm)
        ax.set_ylim(len(series) - 0.5, -0.5)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        known = np.concatenate([taus[np.isfinite(taus)] for _, _, taus in series])
        low = float(known.min()) if known.size else 0.0
        low = min(low, 0.9)
        ax.set_xlim(low - 0.04 * (1 - low), 1 + 0.04 * (1 - low))
        ax.grid(axis="x", color="#e4e4e4", lw=0.5)
        ax.set_axisbelow(True)
        ax.set_xlabel("Kendall's τ to the full ranking", labelpad=2)
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:.2g}".replace("-", "−"))
        sheet.text(
            x + left + across + 2.0, top - 1.2, "Median", color=GREY, fontsize=6.5, va="baseline"
        )
        for i, (name, colour, taus) in enumerate(series):
            at = top + (i + 0.5) * pitch
            sheet.text(x + left - _LEFT_GAP_MM, at, name, ha="right", va="center_baseline")
            taus = taus[np.isfinite(taus)]
            if not taus.size:
                ax.text(
                    0.5, i, "all ranks equal: no order to compare", color=GREY, fontsize=6.5,
                    transform=ax.get_yaxis_transform(), ha="center", va="center",
                )  # fmt: skip
                continue
            _violin(ax, i, taus, colour, step)
            ends = np.quantile(taus, [tail, 1 - tail])
            ax.hlines(i, *ends, color=INK, lw=0.8, zorder=3)
            middle = float(np.median(taus))
            ax.plot(middle, i, "o", ms=3.2, mfc="white", mec=INK, mew=0.8, zorder=4)
            sheet.text(x + left + across + 2.0, at, number(middle, 3), va="center_baseline")

    return Panel(width_mm, _HEAD_MM + rows_mm + _BELOW_MM, draw)


def _violin(ax: Axes, y: float, taus: NDArray[np.float64], colour: str, step: float) -> None:
    values, counts = np.unique(taus.round(9), return_counts=True)
    if values.size < _FEWEST_FOR_OUTLINE:
        heights = _HALF * counts / counts.max()
        ax.vlines(values, y - heights, y + heights, color=colour, lw=3.0, zorder=2)
        return
    grid = np.linspace(values[0], values[-1], 160)
    # Smooth enough not to show the steps between the values that can occur.
    kernel = gaussian_kde(taus)
    kernel.set_bandwidth(max(float(kernel.factor), 0.6 * step / float(taus.std(ddof=1))))
    density = kernel(grid)
    half = _HALF * density / density.max()
    ax.fill_between(grid, y - half, y + half, color=colour, lw=0, zorder=2)


def _taus(taus: pd.DataFrame, scheme: str) -> NDArray[np.float64]:
    return taus.loc[taus["scheme"] == scheme, "tau"].to_numpy(float)
