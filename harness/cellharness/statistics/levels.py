"""How high scores are: the median over images, with an interval that allows for experiments."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from cellharness.statistics.contrasts import Floats, check_confidence, fewest_units


def median_interval(
    values: ArrayLike, units: ArrayLike, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Median of some values, with its confidence interval.

    As Woodruff (1952, *Confidence intervals for medians and other position measures*, Journal of
    the American Statistical Association 47:635): the share of the values up to the median is a
    mean, whose standard error allows for units; the ends of its interval about one half are shares
    as well, and the values at these are the ends of that of the median. Images of a unit are not
    taken to differ more than those of different ones, so the error is at least that of independent
    images.

    Parameters
    ----------
    values : array_like of float, shape (images,)
        NaN where there is none.
    units : array_like of int, shape (images,)
        To which independent unit each image belongs.
    confidence : float
        Of the interval, between 0 and 1.

    Returns
    -------
    tuple of float
        Median, and the ends of its interval; these are NaN with fewer units than
        `cellharness.statistics.contrasts.fewest_units` names, and the median without any value.

    Raises
    ------
    ContrastError
        `confidence` is not between 0 and 1.

    Examples
    --------
    >>> median_interval([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], range(7))
    (0.4, 0.122546275505, 0.677453724495)
    """
    check_confidence(confidence)
    known: Floats = np.asarray(values, np.float64)
    some = ~np.isnan(known)
    known, codes = known[some], np.asarray(units)[some]
    if not known.size:
        return math.nan, math.nan, math.nan
    median = float(np.median(known))
    numbers, codes = np.unique(codes, return_inverse=True)
    count = numbers.size
    if count < fewest_units(1 - confidence):
        return median, math.nan, math.nan
    # One of the median itself counts as half below it.
    below = np.mean([known < median, known <= median], axis=0)
    left = np.bincount(codes, below - below.mean())
    variance = float(np.sum(left**2)) * count / (count - 1) / known.size**2
    error = math.sqrt(max(variance, 0.25 / known.size))
    half = -float(stdtrit(count - 1, (1 - confidence) / 2)) * error
    ends = np.quantile(known, [max(0.0, 0.5 - half), min(1.0, 0.5 + half)])
    return median, round(float(ends[0]), 12), round(float(ends[1]), 12)
