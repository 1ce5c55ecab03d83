"""Percentile bootstrap over cases or experiments: the same draws for many series of scores at once.

Efron 1979 (Annals of Statistics 7:1), the percentile interval of Efron & Tibshirani 1993 (*An
Introduction to the Bootstrap*, chapter 13). A sample draws as many cases as there are, with
replacement. Series that share the weights of a draw are resampled jointly, so that intervals of
their differences, shares and maxima respect that they come from the same cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from cellharness.statistics.staged_scores import Floats, ForgettingError

Counts = NDArray[Any]
Statistic = Literal["mean", "median"]
STATISTICS: tuple[str, ...] = get_args(Statistic)

#: Fewer cases than these have no interval: one case says nothing about how others vary.
FEWEST = 2


@dataclass(frozen=True)
class Resampling:
    """How intervals are made.

    Attributes
    ----------
    samples : int
        How many times the cases are drawn.
    seed : int
        Of `numpy.random.default_rng`, together with the names of what is drawn.
    confidence : float
        Share of the samples that an interval holds.
    """

    samples: int = 1000
    seed: int = 0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        for name, least in (("samples", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                msg = f"{name} is {value!r}; valid are whole numbers from {least} on"
                raise ForgettingError(msg)
        if not 0 < self.confidence < 1:
            msg = f"confidence is {self.confidence!r}; valid are numbers between 0 and 1"
            raise ForgettingError(msg)

    def settings(self) -> dict[str, float]:
        """Return the columns that say how the intervals of a table were made."""
        return {"confidence": self.confidence, "samples": self.samples, "seed": self.seed}

    def draw(self, cases: int, *group: str, units: NDArray[np.int64] | None = None) -> Floats:
        """Draw cases, or units of them, with replacement.

        Parameters
        ----------
        cases : int
            How many there are, and how many are drawn.
        *group : str
            What they are, such as the name of a modality. Each group has random numbers of its
            own, so that its draws depend neither on the other groups nor on their order.
        units : ndarray of int, shape (cases,), optional
            To which unit each case belongs. As many units are drawn as there are, each with all its
            cases; by default every case is one.

        Returns
        -------
        ndarray of float64, shape (cases, samples)
            How often each case was drawn.
        """
        if cases == 0:
            return np.zeros((0, self.samples))
        generator = np.random.default_rng([self.seed, *(crc32(name.encode()) for name in group)])
        return draw_weights(generator, self.samples, np.arange(cases) if units is None else units)

    def interval(self, resampled: Floats) -> tuple[Floats, Floats]:
        """Quantiles of resampled values along the last axis.

        Parameters
        ----------
        resampled : ndarray of float64, shape (..., samples)
            NaN in samples that have no value; they are passed over.

        Returns
        -------
        tuple of ndarray of float64, shape (...)
            Lower and upper end, interpolated linearly; NaN where no sample has a value.
        """
        tail = (1 - self.confidence) / 2
        ends = np.full((2, *resampled.shape[:-1]), np.nan)
        holes = np.isnan(resampled)
        whole = ~holes.any(axis=-1)
        if whole.any():
            ends[:, whole] = np.quantile(resampled[whole], [tail, 1 - tail], axis=-1)
        partly = ~whole & ~holes.all(axis=-1)
        if partly.any():
            ends[:, partly] = np.nanquantile(resampled[partly], [tail, 1 - tail], axis=-1)
        return ends[0], ends[1]


#: Seed 0, 95 %.
RESAMPLING = Resampling()


def draw_weights(generator: np.random.Generator, samples: int, units: NDArray[np.int64]) -> Floats:
    """Draw as many units as there are, with replacement, each with all its cases.

    Parameters
    ----------
    generator : numpy.random.Generator
        Where the random numbers come from.
    samples : int
        How many times.
    units : ndarray of int, shape (cases,)
        To which unit each case belongs; at least one case.

    Returns
    -------
    ndarray of float64, shape (cases, samples)
        How often each case was drawn.
    """
    _, codes = np.unique(units, return_inverse=True)
    count = int(codes.max()) + 1
    draws = generator.integers(0, count, (samples, count))
    cells = draws + np.arange(samples)[:, None] * count
    times = np.bincount(cells.ravel(), minlength=samples * count).reshape(samples, count)
    return np.ascontiguousarray(times.T, dtype=np.float64)[codes]


def check_statistic(statistic: str) -> None:
    """Raise a `ForgettingError` unless `statistic` is one of `STATISTICS`."""
    if statistic not in STATISTICS:
        msg = f"unknown statistic {statistic!r}; valid: {', '.join(STATISTICS)}"
        raise ForgettingError(msg)


def resample(values: Floats, weights: Floats, statistic: str) -> Floats:
    """Mean or median of every series in every sample of the cases.

    Parameters
    ----------
    values : ndarray of float64, shape (series, cases)
        NaN where there is no value; such a case drops out of the samples of its series.
    weights : ndarray of float64, shape (cases, samples)
        From `Resampling.draw`.
    statistic : str
        One of `STATISTICS`.

    Returns
    -------
    ndarray of float64, shape (series, samples)
        NaN in samples that drew no case with a value, and throughout a series with fewer than
        `FEWEST` values.
    """
    scored = ~np.isnan(values)
    found = _means(values, scored, weights) if statistic == "mean" else medians(values, weights)
    found[scored.sum(axis=1) < FEWEST] = np.nan
    return found


def _means(values: Floats, scored: NDArray[np.bool_], weights: Floats) -> Floats:
    drawn = scored.astype(np.float64) @ weights
    with np.errstate(invalid="ignore"):
        return np.where(scored, values, 0.0) @ weights / drawn


def medians(values: Floats, weights: Floats) -> Floats:
    """Median of every series in every sample, as `resample` has it, from one value on.

    Parameters
    ----------
    values : ndarray of float64, shape (series, cases)
        NaN where there is no value.
    weights : ndarray of float64, shape (cases, samples)
        From `draw_weights`.

    Returns
    -------
    ndarray of float64, shape (series, samples)
    """
    found = np.full((len(values), weights.shape[1]), np.nan)
    # Counts are small, and half the bytes take half the time.
    most = max(weights.sum(axis=0).max(initial=0), len(weights))
    times: Counts = weights.astype(np.int16 if most < 2**14 else np.int64)
    scored = ~np.isnan(values)
    for series, (row, kept) in enumerate(zip(values, scored, strict=True)):
        places = np.flatnonzero(kept)
        if places.size == 0:
            continue
        order = places[np.argsort(row[places], kind="stable")]
        ordered = row[order]
        up_to: Counts = np.cumsum(times[order], axis=0, dtype=times.dtype)
        total = up_to[-1]
        lower = _count_below(up_to, (total + 1) // 2)
        upper = _count_below(up_to, total // 2 + 1)
        drawn = total > 0
        found[series, drawn] = (ordered[lower[drawn]] + ordered[upper[drawn]]) / 2
    return found


def _count_below(up_to: Counts, position: Counts) -> Counts:
    """Index of the first row of each column that reaches `position`."""
    below: Counts = np.add.reduce((up_to < position).view(np.int8), axis=0, dtype=up_to.dtype)
    return below
