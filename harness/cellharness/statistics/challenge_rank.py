"""The challenge's own ranking: by F1 and by running time in each case, averaged over both."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cellharness.statistics.case_table import Floats, RankingError, tabulate
from cellharness.statistics.ranking import ranking_frame
from cellharness.statistics.schemes import order_scores, rank_cases

#: Seconds forgiven for the start of a container, for every image up to `TOLERATED_PIXELS`.
TOLERATED_SECONDS = 10.0
#: Pixels from which on the tolerance grows in proportion.
TOLERATED_PIXELS = 1_000_000


def time_tolerance(pixels: ArrayLike) -> NDArray[np.float64]:
    """Return the seconds that the challenge forgives for an image.

    10 s up to 1,000,000 pixels, then 10 s for every 1,000,000 pixels (paper, section "Segmentation
    efficiency metric").

    Parameters
    ----------
    pixels : array_like
        Height times width, of any shape.

    Returns
    -------
    ndarray of float64
        Seconds, same shape.

    Raises
    ------
    RankingError
        If a number of pixels is not positive.

    Examples
    --------
    >>> time_tolerance([250_000, 1_000_000, 2_500_000]).tolist()
    [10.0, 10.0, 25.0]
    """
    pixels = np.asarray(pixels, np.float64)
    bad = pixels[~(pixels > 0)]
    if bad.size:
        msg = f"{bad.flat[0]:g} pixels; an image has a positive number of them, height times width"
        raise RankingError(msg)
    return TOLERATED_SECONDS * np.maximum(1.0, pixels / TOLERATED_PIXELS)


def adjusted_seconds(seconds: ArrayLike, pixels: ArrayLike) -> NDArray[np.float64]:
    """Take the challenge's tolerance from running times; nothing goes below 0.

    Parameters
    ----------
    seconds : array_like
        Real running times; NaN stays NaN.
    pixels : array_like
        Height times width of the images, in a shape that broadcasts with `seconds`.

    Returns
    -------
    ndarray of float64
        ``max(0, seconds - time_tolerance(pixels))``.

    Raises
    ------
    RankingError
        If a time is negative or a number of pixels not positive.

    Examples
    --------
    >>> adjusted_seconds([8.0, 13.5, 24.0], [250_000, 1_000_000, 2_000_000]).tolist()
    [0.0, 3.5, 4.0]
    """
    seconds = np.asarray(seconds, np.float64)
    if (seconds < 0).any():
        msg = f"a running time of {np.nanmin(seconds):g} s; times are 0 or more, or NaN if missing"
        raise RankingError(msg)
    return np.maximum(0.0, seconds - time_tolerance(pixels))


def challenge_rank(scores: pd.DataFrame) -> pd.DataFrame:
    """Rank methods as the NeurIPS 2022 challenge did.

    Every one of N cases ranks the methods by F1 and by adjusted running time. The 2N ranks of a
    method are averaged and divided by the number of methods; the smallest score wins (paper,
    section "Ranking Scheme", steps 1 to 3). Ties share the smallest of their ranks, so all methods
    within the tolerance are first in time.

    Parameters
    ----------
    scores : DataFrame
        Columns ``case``, ``method``, ``f1`` and ``adjusted_seconds`` (see `adjusted_seconds`), one
        row a case and method. A missing value comes behind all others of its case.

    Returns
    -------
    DataFrame
        Columns ``method``, ``score`` (from 1 / methods to 1), ``rank``, ``mean_rank_f1`` and
        ``mean_rank_seconds``; best first.

    Raises
    ------
    RankingError
        If the table is not valid, see `tabulate`.

    Examples
    --------
    >>> rows = [(1, "a", 0.9, 4.0), (1, "b", 0.7, 0.0), (2, "a", 0.8, 0.0), (2, "b", 0.5, 0.0)]
    >>> table = pd.DataFrame(rows, columns=["case", "method", "f1", "adjusted_seconds"])
    >>> challenge_rank(table)[["method", "score", "rank"]].values.tolist()
    [['a', 0.625, 1], ['b', 0.75, 2]]
    """
    methods, by_f1, by_seconds = challenge_case_ranks(scores)
    mean_f1, mean_seconds = by_f1.mean(axis=0), by_seconds.mean(axis=0)
    score = (mean_f1 + mean_seconds) / (2 * len(methods))
    ranks = order_scores(score[None], larger_is_better=False)[0]
    frame = ranking_frame(methods, score, ranks)
    for name, means in (("mean_rank_f1", mean_f1), ("mean_rank_seconds", mean_seconds)):
        frame[name] = frame["method"].map(dict(zip(methods, means, strict=True)))
    return frame


def challenge_case_ranks(scores: pd.DataFrame) -> tuple[tuple, Floats, Floats]:
    """Rank the methods in each case by F1 and by adjusted running time.

    Parameters
    ----------
    scores : DataFrame
        See `challenge_rank`.

    Returns
    -------
    methods : tuple
        Names, in the order in which they first occur.
    by_f1, by_seconds : ndarray of float64, shape (cases, methods)
        Ranks, 1 the best; cases sorted by name.
    """
    f1, seconds = tabulate(scores, ("f1", "adjusted_seconds"))
    return (
        f1.methods,
        rank_cases(f1.values, larger_is_better=True).astype(np.float64),
        rank_cases(seconds.values, larger_is_better=False).astype(np.float64),
    )
