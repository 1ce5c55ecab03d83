"""The mean difference of paired scores: how large it is, how sure, and what may be said of it.

Images of one experiment resemble each other, so the experiment is the unit wherever experiments
are named; otherwise it is the image. With s the sum and n the number of the differences of a unit,
and theta the true mean difference, the values ``s - n * theta`` of the units are taken to be
independent and symmetric about 0. Then any of their signs could as well have been turned:

- The **sign-flip test** (Fisher 1935, *The Design of Experiments*, section 21) counts the ways of
  choosing signs under which the sum is as extreme as it was found. It is exact for units of unequal
  size and unequal variance.
- All theta that it does not reject are the **interval**. Up to `EXACT_UP_TO` units its ends are two
  of the means of all subsets of units (Hartigan 1969, *Using subsample values as typical values*,
  Journal of the American Statistical Association 64:1303).

Skewed differences are not symmetric: with 8 units drawn from an exponential distribution the
sign-flip test alone is wrong in 11 % of all cases at a level of 5 %. So a second test must agree:
the t test of the units' sums, adjusted for their skewness (Hall 1992, *On the removal of skewness
by transformation*, Journal of the Royal Statistical Society B 54:221). The larger p counts, and the
interval holds both intervals. Nothing is drawn at random, and p is below ``1 - confidence`` exactly
where the interval does not hold 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from cellharness.errors import UsageError, unknown_name

Floats = NDArray[np.float64]
Unit = Literal["experiment", "image"]
UNITS: tuple[str, ...] = get_args(Unit)

#: With fewer units nothing is claimed: even if all point one way, five have a p of 0.0625.
FEWEST_UNITS = 6

#: What `Estimate.verdict` can be.
HIGHER, LOWER, NOT_SIGNIFICANT, TOO_FEW = "higher", "lower", "not significant", "too few units"

#: What a mean of differences of scores can be, and of differences of such differences.
OF_SCORES, OF_CHANGES = (-1.0, 1.0), (-2.0, 2.0)

#: Up to this many units all choices of signs are counted; above, on scores rounded to a grid.
EXACT_UP_TO = 14

# Points of the grid for each unit, and the most: rounding moves p by less than 0.002.
_GRID, _FINEST = 128, 2**13

# Largest ratio of the sum of fourth powers to the squared sum of squares, of the units' sums, at
# which a series takes the place of the grid: they then differ by less than 0.001.
_EVEN = 0.1


class ContrastError(UsageError):
    """Scores that cannot be compared, or a choice that is not valid."""


@dataclass(frozen=True)
class Estimate:
    """A mean difference of paired scores.

    Attributes
    ----------
    estimate : float
        Mean over the images that have both scores; NaN where there is none.
    low, high : float
        Ends of the confidence interval; NaN where `why_not` says why there is none.
    p : float
        Two-sided, not corrected for other comparisons; NaN where nothing was tested.
    p_higher, p_lower : float
        One-sided: that the true difference is above, or below, 0.
    n_images, n_missing : int
        Images with both scores, and images that lack one.
    n_units : int
        Independent units that these images belong to.
    unit : str
        ``"experiment"`` or ``"image"``.
    confidence : float
        Of the interval.
    verdict : str
        `HIGHER` or `LOWER` where p is below ``1 - confidence``, `NOT_SIGNIFICANT`, which does not
        mean equal, or `TOO_FEW`.
    why_not : str
        Why there is neither interval nor test; empty where there are.
    """

    estimate: float
    low: float
    high: float
    p: float
    p_higher: float
    p_lower: float
    n_images: int
    n_missing: int
    n_units: int
    unit: str
    confidence: float
    verdict: str
    why_not: str = ""


def contrast(
    scores: pd.DataFrame,
    a: str,
    b: str,
    unit: Unit | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Compare two methods on the images that both have a score for.

    Parameters
    ----------
    scores : DataFrame
        Columns ``case, method, modality, experiment, value``, one row a case and method; NaN is a
        missing value.
    a, b : str
        Two of the methods; the difference is the value of `a` less that of `b`.
    unit : {"experiment", "image"}, optional
        What is independent. By default ``"experiment"`` if every case names one, else ``"image"``.
        An experiment is one of its modality: equal names under two modalities are two units.
    confidence : float
        Of the interval, between 0 and 1.

    Returns
    -------
    Estimate

    Raises
    ------
    ContrastError
        A column is missing, a method is not in the table, a case has two rows, or a case names no
        experiment and `unit` is ``"experiment"``.

    Examples
    --------
    >>> rows = [
    ...     (f"image{i}", method, "Brightfield", f"experiment{i // 2}", value + 0.01 * i)
    ...     for method, value in (("tuned", 0.8), ("plain", 0.6))
    ...     for i in range(16)
    ... ]
    >>> names = ["case", "method", "modality", "experiment", "value"]
    >>> found = contrast(pd.DataFrame(rows, columns=names), "tuned", "plain")
    >>> round(found.estimate, 3), found.n_images, found.n_units, found.unit, found.verdict
    (0.2, 16, 8, 'experiment', 'higher')
    """
    absent = [name for name in _COLUMNS if name not in scores.columns]
    if absent:
        msg = f"the scores lack the columns {', '.join(absent)}; needed are {', '.join(_COLUMNS)}"
        raise ContrastError(msg)
    methods = list(dict.fromkeys(scores["method"]))
    for name in (a, b):
        if name not in methods:
            msg = f"no method {name!r} in the scores; there are: {', '.join(map(str, methods))}"
            raise ContrastError(msg)
    sides = []
    for name in (a, b):
        side = scores[scores["method"] == name]
        if side["case"].duplicated().any():
            case = side.loc[side["case"].duplicated(), "case"].iloc[0]
            msg = (
                f"case {case!r} has more than one row of method {name!r}; choose one profile first"
            )
            raise ContrastError(msg)
        sides.append(side.set_index("case"))
    first, second = sides
    cases = first.index.union(second.index, sort=False)
    values = [side["value"].reindex(cases).to_numpy(float) for side in sides]
    about = first.combine_first(second).reindex(cases)
    chosen, units = units_of(about["modality"], about["experiment"], unit)
    return mean_difference(values[0] - values[1], units, unit=chosen, confidence=confidence)


_COLUMNS = ("case", "method", "modality", "experiment", "value")


def units_of(
    modalities: ArrayLike, experiments: ArrayLike, unit: Unit | None = None
) -> tuple[Unit, NDArray[np.int64]]:
    """Number the independent units of some cases.

    Parameters
    ----------
    modalities, experiments : array_like of str, shape (cases,)
        An experiment that is missing or ``""`` is not named.
    unit : {"experiment", "image"}, optional
        By default ``"experiment"`` where all are named.

    Returns
    -------
    tuple of str and ndarray of int, shape (cases,)
        The unit, and the number of each case's.

    Raises
    ------
    ContrastError
        Unknown unit, or an experiment is asked for that is not named.
    """
    if unit is not None and unit not in UNITS:
        raise unknown_name(kind="unit", name=str(unit), known=UNITS, error=ContrastError)
    names = pd.DataFrame(
        {"modality": np.asarray(modalities, object), "experiment": np.asarray(experiments, object)}
    )
    named = names["experiment"].notna() & (names["experiment"] != "")
    if unit == "experiment" and not named.all():
        msg = (
            f"{int((~named).sum())} of {len(names)} cases name no experiment; name it for every "
            "case, or choose unit='image', which takes images as independent"
        )
        raise ContrastError(msg)
    if unit == "image" or not named.all():
        return "image", np.arange(len(names), dtype=np.int64)
    numbers = names.groupby(["modality", "experiment"], dropna=False).ngroup()
    return "experiment", np.asarray(numbers, np.int64)


def mean_difference(
    differences: ArrayLike,
    units: ArrayLike | None = None,
    *,
    unit: Unit = "experiment",
    confidence: float = 0.95,
    weights: ArrayLike | None = None,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate:
    """Estimate the mean of paired differences.

    Parameters
    ----------
    differences : array_like of float, shape (images,)
        NaN where one of the two scores is missing.
    units : array_like of int, shape (images,), optional
        To which independent unit each image belongs; by default each is one of its own.
    unit : {"experiment", "image"}
        What the units are.
    confidence : float
        Of the interval.
    weights : array_like of float, shape (images,), optional
        Of a weighted mean, above 0; by default every image counts once. `equal_weights` gives
        those under which every modality counts the same.
    bounds : (float, float)
        Least and largest value that the mean can have, where an interval ends at the latest, such
        as `OF_SCORES`: with few units it may reach further.

    Returns
    -------
    Estimate

    Raises
    ------
    ContrastError
        `confidence` is not between 0 and 1.

    Examples
    --------
    >>> found = mean_difference([0.1, 0.2, 0.3, 0.2, 0.1, 0.3], unit="image")
    >>> round(found.estimate, 3), found.p, round(found.low, 3), round(found.high, 3), found.verdict
    (0.2, 0.03125, 0.1, 0.3, 'higher')
    """
    check_confidence(confidence)
    values = np.asarray(differences, np.float64)
    codes = np.arange(values.size) if units is None else np.asarray(units)
    kept = ~np.isnan(values)
    numbers, codes = np.unique(codes[kept], return_inverse=True)
    weight = np.ones(values.size) if weights is None else np.asarray(weights, np.float64)
    sums: Floats = np.bincount(codes, (values * weight)[kept], numbers.size).astype(np.float64)
    sizes: Floats = np.bincount(codes, weight[kept], numbers.size).astype(np.float64)
    count = int(kept.sum())
    level = 1 - confidence
    mean = float(sums.sum() / sizes.sum()) if count else math.nan
    low = high = p = p_higher = p_lower = math.nan
    verdict, why_not = TOO_FEW, _why_not(count, numbers.size, unit, level)
    if not why_not:
        p_higher, p_lower = (
            max(one, other)
            for one, other in zip(_sign_flip(sums, sizes), _skewed_t(sums, sizes), strict=True)
        )
        p = min(1.0, 2 * min(p_higher, p_lower))
        ends = [_sign_flip_ends(sums, sizes, level), _skewed_t_ends(sums, sizes, level)]
        low = max(bounds[0], min(end[0] for end in ends))
        high = min(bounds[1], max(end[1] for end in ends))
        verdict = verdict_of(mean, low, high, p, level)
    return Estimate(
        mean, low, high, p, p_higher, p_lower, count, values.size - count, numbers.size, unit,
        confidence, verdict, why_not,
    )  # fmt: skip


def mean_ratio(
    numerators: ArrayLike,
    denominators: ArrayLike,
    units: ArrayLike,
    *,
    confidence: float = 0.95,
    weights: ArrayLike | None = None,
) -> tuple[float, float, float]:
    """Estimate the ratio of two means of the same images, such as a part of a loss to the loss.

    As Fieller (1954, *Some problems in interval estimation*, Journal of the Royal Statistical
    Society B 16:175): all ratios r at which ``numerator - r * denominator`` is not told apart from
    0, here by the tests of `mean_difference`. They are only bounded where the mean of the
    denominators is told apart from 0.

    Parameters
    ----------
    numerators, denominators : array_like of float, shape (images,)
        NaN in either leaves the image out.
    units, confidence, weights
        See `mean_difference`.

    Returns
    -------
    tuple of float
        The ratio, and the ends of its interval, which may be infinite.

    Examples
    --------
    >>> part, whole = [0.1, 0.2, 0.1, 0.2, 0.1, 0.2], [0.2, 0.4, 0.2, 0.4, 0.2, 0.4]
    >>> mean_ratio(part, whole, range(6))
    (0.5, 0.5, 0.5)
    """
    pair = np.stack([np.asarray(side, np.float64) for side in (numerators, denominators)])
    kept = ~np.isnan(pair).any(axis=0)
    weight = np.ones(kept.size) if weights is None else np.asarray(weights, np.float64)
    numbers, codes = np.unique(np.asarray(units)[kept], return_inverse=True)
    above, below, sizes = (
        np.bincount(codes, (side * weight)[kept], numbers.size).astype(np.float64)
        for side in (*pair, np.ones(kept.size))
    )
    if numbers.size == 0 or below.sum() == 0:
        return math.nan, math.nan, math.nan
    ratio = float(above.sum() / below.sum())
    if numbers.size < FEWEST_UNITS:
        return ratio, -math.inf, math.inf
    error, _ = _error_and_skewness(above - ratio * below, sizes)
    step = error / abs(float(below.sum()))
    if step <= 1e-12 * abs(ratio):
        return ratio, ratio, ratio

    def kept_at(theta: float) -> bool:
        sums = above - theta * below
        tests = (_sign_flip(sums, sizes), _skewed_t(sums, sizes))
        return 2 * min(max(sides) for sides in zip(*tests, strict=True)) >= 1 - confidence

    return ratio, _last_kept(kept_at, ratio, -step), _last_kept(kept_at, ratio, step)


# A ratio this many standard errors from its estimate is not looked at.
_UNBOUNDED = 1000.0


def _last_kept(kept_at: Callable[[float], bool], start: float, step: float) -> float:
    """Where going from `start` in steps first leads to a value that is not kept."""
    inner, reach = start, 2 * step
    while kept_at(start + reach):
        inner, reach = start + reach, 1.5 * reach
        if abs(reach) > _UNBOUNDED * abs(step):
            return math.copysign(math.inf, step)
    outer = start + reach
    while abs(outer - inner) > 1e-4 * abs(step):
        middle = (inner + outer) / 2
        inner, outer = (middle, outer) if kept_at(middle) else (inner, middle)
    return inner


def equal_weights(differences: ArrayLike, groups: ArrayLike) -> Floats:
    """Weights of images under which every group with a difference counts the same.

    Parameters
    ----------
    differences : array_like of float, shape (images,)
        NaN where there is none.
    groups : array_like, shape (images,)
        Such as the modality of each image.

    Examples
    --------
    >>> equal_weights([0.1, 0.2, 0.3], ["a", "a", "b"]).tolist()
    [0.75, 0.75, 1.5]
    """
    known = ~np.isnan(np.asarray(differences, np.float64))
    _, codes = np.unique(np.asarray(groups, str), return_inverse=True)
    counts = np.bincount(codes, known)
    present = np.count_nonzero(counts)
    share = known.sum() / np.maximum(counts * max(present, 1), 1)
    weights: Floats = share[codes]
    return weights


def check_confidence(confidence: float) -> None:
    """Raise a `ContrastError` unless `confidence` is one."""
    if not 0 < confidence < 1:
        msg = f"confidence is {confidence!r}; valid are numbers between 0 and 1, such as 0.95"
        raise ContrastError(msg)


def verdict_of(estimate: float, low: float, high: float, p: float, level: float) -> str:
    """Say what a difference shows, with p as it is after any correction.

    Parameters
    ----------
    estimate, low, high, p, level : float
        NaN as p means that nothing could be tested.

    Returns
    -------
    str
        `HIGHER`, `LOWER`, `NOT_SIGNIFICANT` or `TOO_FEW`.
    """
    if math.isnan(p):
        return TOO_FEW
    if p < level and (low > 0 or high < 0):
        return HIGHER if estimate > 0 else LOWER
    return NOT_SIGNIFICANT


def fewest_units(level: float) -> int:
    """Fewest units with which a two-sided p can be below a level, and at least `FEWEST_UNITS`.

    Examples
    --------
    >>> fewest_units(0.05), fewest_units(0.01)
    (6, 8)
    """
    # 2 * 2 ** -units is the least p that the test can give.
    return max(FEWEST_UNITS, math.floor(math.log2(2 / level)) + 1)


def _why_not(images: int, units: int, unit: str, level: float) -> str:
    if not images:
        return "no image has both scores"
    fewest = fewest_units(level)
    if units < fewest:
        return f"{units} {unit}{'s' * (units != 1)}; {fewest} are the fewest that can show anything"
    return ""


@lru_cache(maxsize=8)
def _subsets(count: int) -> Floats:
    """All choices of some of `count` units but that of none, shape (2 ** count - 1, count)."""
    chosen = np.arange(1, 2**count)[:, None] >> np.arange(count) & 1
    return chosen.astype(np.float64)


def _sign_flip(sums: Floats, sizes: Floats, theta: float = 0.0) -> tuple[float, float]:
    """One-sided p of "above theta" and "below theta".

    Turning the signs of a subset makes the sum larger, or leaves it, where the subset's own sum is
    at most 0; the empty subset is the choice of signs that was found.
    """
    shifted = sums - sizes * theta
    total = np.abs(shifted).sum()
    if total == 0:
        return 1.0, 1.0
    if sums.size <= EXACT_UP_TO:
        turned = _subsets(sums.size) @ shifted
        rounding = 1e-12 * total
        above = 1 + np.count_nonzero(turned <= rounding)
        below = 1 + np.count_nonzero(turned >= -rounding)
        return above / 2**sums.size, below / 2**sums.size
    squares: Floats = np.square(shifted, dtype=np.float64)
    variance = float(squares.sum())
    if float((squares**2).sum()) < _EVEN * variance**2:
        return _sign_flip_tails(squares, variance, float(shifted.sum()))
    points = min(_GRID * sums.size, _FINEST)
    steps = np.rint(np.abs(shifted) / total * points).astype(np.int64)
    # How likely each sum of the absolute values of a subset is.
    share = np.zeros(steps.sum() + 1)
    share[0], reach = 1.0, 1
    for step in np.sort(steps).tolist():
        share[step : step + reach] += share[:reach].copy()
        reach += step
        share[:reach] /= 2
    # A subset's sum of signed values is at most 0 where that of absolute ones is at most this.
    border = steps[shifted < 0].sum()
    return float(share[: border + 1].sum()), float(share[border:].sum())


def _sign_flip_tails(squares: Floats, variance: float, total: float) -> tuple[float, float]:
    """Edgeworth's series for the sum of values with random signs, of which none stands out."""
    fourth = -2 * float((squares**2).sum()) / variance**2
    sixth = 16 * float((squares**3).sum()) / variance**3
    z = total / math.sqrt(variance)
    hermite_3, hermite_5 = z**3 - 3 * z, z**5 - 10 * z**3 + 15 * z
    hermite_7 = z**7 - 21 * z**5 + 105 * z**3 - 105 * z
    series = fourth / 24 * hermite_3 + sixth / 720 * hermite_5 + fourth**2 / 1152 * hermite_7
    above = float(ndtr(-z)) + math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * series
    least = 0.5**squares.size
    above = min(max(above, least), 1 - least)
    return above, 1 - above


def _sign_flip_ends(sums: Floats, sizes: Floats, level: float) -> tuple[float, float]:
    if sums.size <= EXACT_UP_TO:
        choices = _subsets(sums.size)
        means = choices @ sums / (choices @ sizes)
        rank = math.floor(level / 2 * 2**sums.size * (1 + 1e-12))
        ordered = np.partition(means, [rank - 1, means.size - rank])
        return float(ordered[rank - 1]), float(ordered[means.size - rank])
    mean = float(sums.sum() / sizes.sum())
    spread = math.sqrt(float(np.sum((sums - sizes * mean) ** 2)) / sizes.sum() ** 2)
    if spread <= 1e-12 * abs(mean):  # nothing but rounding
        return mean, mean
    ends: list[float] = []
    for side in (-1, 1):
        # On the scale of the normal distribution p is nearly a straight line in theta.
        def excess(theta: float, side: int = side) -> float:
            p = _sign_flip(sums, sizes, theta)[side > 0]
            return float(ndtri(min(p, 0.75)) - ndtri(level / 2))

        near = mean - side * spread * float(ndtri(level / 2))
        inner, outer = near - 0.3 * side * spread, near + 0.3 * side * spread
        while excess(inner) < 0:
            inner -= 0.5 * (inner - mean)
        while excess(outer) > 0:
            outer += side * spread
        ends.append(float(brentq(excess, inner, outer, xtol=2e-3 * spread, rtol=1e-12)))
    return ends[0], ends[1]


def _skewed_t(sums: Floats, sizes: Floats) -> tuple[float, float]:
    """One-sided p of "above 0" and "below 0"."""
    error, skewness = _error_and_skewness(sums, sizes)
    if error == 0:
        return (1.0, 1.0) if sums.sum() == 0 else (float(sums.sum() < 0), float(sums.sum() > 0))
    t = sums.sum() / error
    adjusted = t + skewness * t**2 / 3 + skewness**2 * t**3 / 27 + skewness / 6
    below = float(stdtr(sums.size - 1, adjusted))
    return 1 - below, below


def _skewed_t_ends(sums: Floats, sizes: Floats, level: float) -> tuple[float, float]:
    error, skewness = _error_and_skewness(sums, sizes)
    total = sums.sum()
    border = -float(stdtrit(sums.size - 1, level / 2))
    ends = []
    for adjusted in (border, -border):
        t = adjusted
        if abs(skewness) > 1e-6:
            t = 3 / skewness * (np.cbrt(1 + skewness * (adjusted - skewness / 6)) - 1)
        ends.append(float((total - error * t) / sizes.sum()))
    return ends[0], ends[1]


def _error_and_skewness(sums: Floats, sizes: Floats) -> tuple[float, float]:
    """Standard error of the total, and skewness of its distribution, both estimated by unit."""
    left = sums - sizes * (sums.sum() / sizes.sum())
    squares = float(np.sum(left**2))
    if squares <= 1e-24 * float(np.sum(sums**2)):
        return 0.0, 0.0
    count = sums.size
    return math.sqrt(squares * count / (count - 1)), float(np.sum(left**3)) / squares**1.5
