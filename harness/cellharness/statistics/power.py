"""Which difference of mean F1 a data set can show, and how large it would have to be for one.

Images count by the experiments that they belong to. With a variance ``between`` of the experiments'
mean differences and ``within`` of the images of one, the variance of the mean over images is
``sum(n_i ** 2) / N ** 2 * between + within / N`` for experiments of n_i of N images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import nctdtr, stdtrit

from cellharness.statistics.contrasts import FEWEST_UNITS, Floats, Unit
from cellharness.statistics.summary import ALL

#: How often a difference is to be found that is there, and the level of the two-sided test.
POWER, LEVEL = 0.8, 0.05

#: Most units that are looked for.
MOST_UNITS = 10_000


@dataclass(frozen=True)
class Spread:
    """How paired differences of F1 vary.

    Attributes
    ----------
    between, within : float
        Variances: of the units' mean differences, and of the images of one.
    """

    between: float
    within: float

    @classmethod
    def of(cls, sd: float, correlation: float) -> Spread:
        """Make one of a standard deviation over images and the correlation within a unit."""
        return cls(sd**2 * correlation, sd**2 * (1 - correlation))

    @property
    def sd(self) -> float:
        """Standard deviation over images."""
        return math.sqrt(self.between + self.within)

    @property
    def correlation(self) -> float:
        """Intra-class correlation: which part of the variance is that of the units."""
        total = self.between + self.within
        return self.between / total if total else math.nan


#: Median over 58 pairs of methods on 204, 75 and 75 real images of 39 experiments.
TYPICAL = Spread.of(sd=0.32, correlation=0.67)


def measure_spread(differences: ArrayLike, units: ArrayLike) -> Spread:
    """Estimate variances between and within units by the analysis of variance.

    Parameters
    ----------
    differences : array_like of float, shape (images,)
        NaN where there is none.
    units : array_like of int, shape (images,)
        To which unit each image belongs.

    Returns
    -------
    Spread
        NaN where there are fewer than two units. Where every image is a unit of its own, or the
        images of a unit differ by no less than those of others, ``between`` is 0.

    Examples
    --------
    >>> found = measure_spread([0.1, 0.1, 0.3, 0.3, 0.5, 0.5], [0, 0, 1, 1, 2, 2])
    >>> round(found.between, 3), found.within
    (0.04, 0.0)
    """
    values, codes = np.asarray(differences, np.float64), np.asarray(units)
    known = ~np.isnan(values)
    values = values[known]
    numbers, codes = np.unique(codes[known], return_inverse=True)
    count, images = numbers.size, values.size
    if count < 2:
        return Spread(math.nan, math.nan)
    sizes = np.bincount(codes)
    means = np.bincount(codes, values) / sizes
    between = float(np.sum(sizes * (means - values.mean()) ** 2)) / (count - 1)
    if images == count:
        return Spread(0.0, between)
    within = float(np.sum((values - means[codes]) ** 2)) / (images - count)
    typical_size = (images - float(np.sum(sizes**2)) / images) / (count - 1)
    return Spread(max(0.0, (between - within) / typical_size), within)


def detectable_difference(spread: Spread, sizes: ArrayLike) -> float:
    """Least mean difference that is found with a power of `POWER` at the level `LEVEL`.

    Parameters
    ----------
    spread : Spread
        How the differences vary.
    sizes : array_like of int, shape (units,)
        Images of each unit.

    Returns
    -------
    float
        In F1; infinite with fewer than `FEWEST_UNITS` units. More than 1 can never be found.

    Examples
    --------
    >>> round(detectable_difference(Spread.of(sd=0.3, correlation=0.8), [3] * 10), 2)
    0.3
    """
    counts = np.asarray(sizes, np.float64)
    if counts.size < FEWEST_UNITS:
        return math.inf
    images = counts.sum()
    variance = float(np.sum(counts**2)) / images**2 * spread.between + spread.within / images
    return _errors_needed(counts.size) * math.sqrt(variance)


def units_needed(
    spread: Spread, difference: float, images_each: float, unevenness: float = 1.0
) -> float:
    """Fewest units, of so many images each, with which a difference can be found.

    Parameters
    ----------
    spread : Spread
        How the differences vary.
    difference : float
        In F1, above 0.
    images_each : float
        Images of a unit, in the mean.
    unevenness : float
        Mean of the squared sizes of the units over their squared mean size; 1 where all are
        equally large, and more where a few hold most of the images, see `unevenness_of`.

    Returns
    -------
    float
        Whole; infinite above `MOST_UNITS`.

    Examples
    --------
    >>> units_needed(Spread.of(sd=0.3, correlation=0.8), 0.1, 3)
    65.0
    """
    variance = unevenness * spread.between + spread.within / images_each

    def enough(units: int) -> bool:
        return _errors_needed(units) * math.sqrt(variance / units) <= difference

    low, high = FEWEST_UNITS - 1, FEWEST_UNITS
    while not enough(high):
        low, high = high, 2 * high
        if low > MOST_UNITS:
            return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return float(high) if high <= MOST_UNITS else math.inf


def unevenness_of(sizes: ArrayLike) -> float:
    """Say how unequal units are in size, for `units_needed`.

    Parameters
    ----------
    sizes : array_like of int, shape (units,)
        Images of each unit.

    Returns
    -------
    float
        At least 1.

    Examples
    --------
    >>> unevenness_of([3, 3, 3]), unevenness_of([1, 1, 4])
    (1.0, 1.5)
    """
    counts = np.asarray(sizes, np.float64)
    return float(np.mean(counts**2) / np.mean(counts) ** 2)


def power_table(
    differences: Sequence[ArrayLike],
    modality: ArrayLike,
    units: NDArray[np.int64],
    *,
    unit: Unit,
    difference: float | None = None,
    spread: Spread | None = None,
) -> pd.DataFrame:
    """Say of all images and each modality which difference they can show.

    Parameters
    ----------
    differences : sequence of array_like, each of shape (images,)
        Paired differences, such as of every pair of methods; NaN where there is none. Their spread
        is measured, and what is told is the median over them. May be empty if `spread` is given.
    modality : array_like of str, shape (images,)
        Of each image; ``""`` is none.
    units : ndarray of int, shape (images,)
        To which independent unit each image belongs.
    unit : {"experiment", "image"}
        What the units are.
    difference : float, optional
        Of F1, for which to tell how many units and images would be needed.
    spread : Spread, optional
        Assumed in place of measured.

    Returns
    -------
    DataFrame
        One row a modality, `ALL` first: ``modality, unit, n_images, n_units, images_each`` (mean of
        a unit), ``sd, correlation`` (of the differences), ``assumed`` (whether these were not
        measured), ``detectable`` (`detectable_difference`), and with a difference ``difference,
        units_needed, images_needed``, of units as unequal in size as these are.
    """
    groups = np.asarray(modality, object)
    names = [name for name in dict.fromkeys(groups.tolist()) if name]
    rows = []
    for name in (ALL, *(names if len(names) > 1 else [])):
        here = np.flatnonzero((groups == name) | (name == ALL))
        sizes = np.unique(units[here], return_counts=True)[1]
        each = here.size / max(sizes.size, 1)
        found: list[tuple[Spread, float]] = []
        if spread is not None:
            found = [(spread, detectable_difference(spread, sizes))]
        for values in differences if spread is None else ():
            mine = np.asarray(values, np.float64)[here]
            known = ~np.isnan(mine)
            one = measure_spread(mine[known], units[here][known])
            counts = np.unique(units[here][known], return_counts=True)[1]
            # Equal scores say nothing of how others vary.
            if one.sd > 0:
                found.append((one, detectable_difference(one, counts)))
        sd = _median([one.sd for one, _ in found])
        correlation = _median([one.correlation for one, _ in found])
        least = _median([detectable for _, detectable in found])
        row = {
            "modality": name, "unit": unit, "n_images": here.size, "n_units": sizes.size,
            "images_each": each, "sd": sd,
            # One image a unit says nothing of how those of a unit resemble each other.
            "correlation": math.nan if found and not spread and each == 1 else correlation,
            "assumed": spread is not None,
            "detectable": least if found or sizes.size >= FEWEST_UNITS else math.inf,
        }  # fmt: skip
        if difference is not None:
            typical = Spread.of(sd, 0.0 if math.isnan(correlation) else correlation)
            needed = math.nan
            if found:
                needed = units_needed(typical, difference, each, unevenness_of(sizes))
            row |= {
                "difference": difference, "units_needed": needed,
                "images_needed": math.ceil(needed * each) if math.isfinite(needed) else needed,
            }  # fmt: skip
        rows.append(row)
    return pd.DataFrame(rows)


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.median(known)) if known else math.nan


@lru_cache(maxsize=1024)
def _errors_needed(units: int) -> float:
    """How many standard errors a difference must measure to be found, by the number of units.

    That of the t test, times what the sign-flip test costs beside it. The factor was fitted to
    simulated normal differences of 6 to 60 units, which needed 1.32 to 1.00 times that of t.
    """
    border = float(stdtrit(units - 1, 1 - LEVEL / 2))

    def lacking(errors: float) -> float:
        return 1 - float(nctdtr(units - 1, errors, border)) - POWER

    of_t = brentq(lacking, 0.1, 10.0 * border)
    return float(of_t) * (1 + 0.68 * (units - 4) ** -1.107)


def differences_of(values: Floats) -> list[Floats]:
    """All pairs of columns, one less the other, of scores of shape (images, methods)."""
    count = values.shape[1]
    return [values[:, i] - values[:, j] for i in range(count) for j in range(i + 1, count)]
