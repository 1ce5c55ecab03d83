"""How stable a ranking is: cases drawn anew, ranked again, and compared with the full ranking."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellharness.statistics.case_table import Floats, Missing, RankingError, tabulate
from cellharness.statistics.challenge_rank import challenge_case_ranks, challenge_rank
from cellharness.statistics.contrasts import Unit, units_of
from cellharness.statistics.ranking import compare_schemes
from cellharness.statistics.schemes import (
    SCHEMES,
    Integers,
    Sampled,
    means,
    order_scores,
)
from cellharness.statistics.significance import ALPHA

#: Name under which the challenge's own scheme stands in a `RankBootstrap`.
CHALLENGE = "challenge"


@dataclass(frozen=True)
class Resampling:
    """How often ranks are drawn anew, and what their intervals hold.

    Attributes
    ----------
    samples, seed
        See `bootstrap_ranks`.
    confidence : float
        Share of the samples that an interval holds.
    """

    samples: int = 1000
    seed: int = 0
    confidence: float = 0.95

    def settings(self) -> dict[str, float]:
        """Return the columns that say how the intervals of a table were made."""
        return {"confidence": self.confidence, "samples": self.samples, "seed": self.seed}


@dataclass(frozen=True)
class RankBootstrap:
    """Ranks of all methods in every bootstrap sample.

    Attributes
    ----------
    seed : int
        Of the generator that drew the cases; the same seed, cases and number of samples draw the
        same, in whatever order the rows stand.
    samples : int
        How many times the cases were drawn.
    unit : str
        What was drawn: ``"image"``, or ``"experiment"`` with all its images.
    n_units : int
        How many there are.
    methods : tuple
        Names, in the order in which they first occur in the table.
    rankings : DataFrame
        The ranking of all cases: ``scheme, method, score, rank``, best first.
    ranks : dict of str to ndarray of int64, shape (samples, methods)
        By scheme.
    """

    seed: int
    samples: int
    unit: str
    n_units: int
    methods: tuple[Hashable, ...]
    rankings: pd.DataFrame
    ranks: Mapping[str, Integers]

    def taus(self) -> pd.DataFrame:
        """Kendall's tau-b of every sample's ranking to the full one, as in the paper's Fig. 3f.

        Returns
        -------
        DataFrame
            Columns ``scheme``, ``sample`` (from 0), ``tau``, ``seed``. NaN where all methods of
            one of the two rankings share a rank, as there is no order to compare.
        """
        blocks = []
        for scheme, ranks in self.ranks.items():
            taus = kendall_taus(ranks, self._full_ranks(scheme))
            samples = np.arange(self.samples)
            blocks.append(pd.DataFrame({"scheme": scheme, "sample": samples, "tau": taus}))
        return pd.concat(blocks, ignore_index=True).assign(seed=self.seed)

    def intervals(self, level: float = 0.95) -> pd.DataFrame:
        """Interval of the ranks that each method takes.

        Parameters
        ----------
        level : float
            Share of the samples that the interval holds, between 0 and 1.

        Returns
        -------
        DataFrame
            Columns ``scheme, method, score, rank`` (of the full ranking, best first), ``median``,
            ``low`` and ``high`` (quantiles of the samples' ranks, interpolated linearly),
            ``samples`` and ``seed``.

        Raises
        ------
        RankingError
            If `level` is not between 0 and 1.
        """
        if not 0 < level < 1:
            msg = f"level is {level!r}; valid are numbers between 0 and 1, such as 0.95"
            raise RankingError(msg)
        tail = (1 - level) / 2
        blocks = []
        for scheme, ranks in self.ranks.items():
            low, median, high = np.quantile(ranks, [tail, 0.5, 1 - tail], axis=0)
            block = {"scheme": scheme, "method": self.methods}
            blocks.append(pd.DataFrame({**block, "median": median, "low": low, "high": high}))
        spread = pd.concat(blocks, ignore_index=True)
        merged = self.rankings.merge(spread, on=["scheme", "method"], how="left")
        return merged.assign(samples=self.samples, seed=self.seed)

    def frequencies(self) -> pd.DataFrame:
        """Share of the samples in which each method takes each rank, as in the paper's Fig. 3d.

        Returns
        -------
        DataFrame
            Columns ``scheme``, ``method``, ``rank``, ``share`` (of 1), ``seed``; only ranks that
            occur, methods in the order of the full ranking.
        """
        rows = []
        for scheme, ranks in self.ranks.items():
            for method in self.rankings.loc[self.rankings["scheme"] == scheme, "method"]:
                found, times = np.unique(ranks[:, self.methods.index(method)], return_counts=True)
                rows += [
                    (scheme, method, int(place), count / self.samples)
                    for place, count in zip(found, times, strict=True)
                ]
        frame = pd.DataFrame(rows, columns=["scheme", "method", "rank", "share"])
        return frame.assign(seed=self.seed)

    def _full_ranks(self, scheme: str) -> Integers:
        full = self.rankings[self.rankings["scheme"] == scheme]
        places = dict(zip(full["method"], full["rank"], strict=True))
        return np.array([places[method] for method in self.methods], np.int64)


def bootstrap_ranks(
    scores: pd.DataFrame,
    schemes: Sequence[str] = SCHEMES,
    larger_is_better: bool = True,
    missing: Missing = "worst",
    *,
    samples: int = 1000,
    seed: int = 0,
    alpha: float = ALPHA,
    unit: Unit | None = "image",
) -> RankBootstrap:
    """Draw the cases with replacement and rank the methods anew, again and again.

    All schemes see the same samples. A sample ranks as `cellharness.statistics.ranking.rank` does
    on a table with the drawn cases written out, a case drawn twice standing there twice.

    Images of one experiment resemble each other. Where experiments are drawn, with all their
    images and in each modality as many as it has, the ranks vary as they would between data sets;
    where images are, as in the paper's Fig. 3, they vary too little.

    Parameters
    ----------
    scores, larger_is_better, missing, alpha
        See `cellharness.statistics.ranking.rank`. With ``missing="worst"`` the worst value is that
        of the full table in every sample: what a failure costs does not depend on the draw.
    schemes : sequence of str
        Some of `SCHEMES`.
    samples : int
        How many times to draw as many cases as there are.
    seed : int
        Of `numpy.random.default_rng`.
    unit : {"image", "experiment"} or None
        What is drawn; None is experiments where every case names one, else images. All but
        ``"image"`` need the columns ``modality`` and ``experiment``.

    Returns
    -------
    RankBootstrap
        Ranks of every sample, with the seed.

    Raises
    ------
    RankingError
        If no scheme is given or one is unknown, `samples` or `seed` is not a valid number, or the
        table, `missing` or `alpha` is not valid.

    Examples
    --------
    >>> rows = [(c, m, v + 0.01 * c) for c in range(9) for m, v in (("a", 0.8), ("b", 0.6))]
    >>> table = pd.DataFrame(rows, columns=["case", "method", "value"])
    >>> stable = bootstrap_ranks(table, ["rank-then-mean"], samples=100, seed=1)
    >>> stable.intervals()[["method", "rank", "low", "high", "seed"]].values.tolist()
    [['a', 1, 1.0, 1.0, 1], ['b', 2, 2.0, 2.0, 1]]
    """
    schemes = tuple(dict.fromkeys(schemes))
    unknown = [scheme for scheme in schemes if scheme not in SCHEMES]
    if unknown or not schemes:
        given = f"unknown ranking scheme {unknown[0]!r}" if unknown else "no ranking scheme given"
        msg = f"{given}; valid: {', '.join(SCHEMES)}"
        raise RankingError(msg)
    rankings = compare_schemes(scores, schemes, larger_is_better, missing, alpha=alpha)
    (table,) = tabulate(scores)
    unit, n_units, weights = _draw(scores, table.cases, samples, seed, unit)
    drawn = Sampled(
        table.values,
        weights,
        larger_is_better=larger_is_better,
        missing=missing,
        alpha=alpha,
    )
    ranks = {scheme: drawn.ranks(scheme) for scheme in schemes}
    return RankBootstrap(int(seed), int(samples), unit, n_units, table.methods, rankings, ranks)


def bootstrap_challenge(
    scores: pd.DataFrame, *, samples: int = 1000, seed: int = 0, unit: Unit | None = "image"
) -> RankBootstrap:
    """Draw the cases with replacement and rank the methods anew by the challenge's own scheme.

    Parameters
    ----------
    scores : DataFrame
        Columns ``case``, ``method``, ``f1``, ``adjusted_seconds``, see
        `cellharness.statistics.challenge_rank.challenge_rank`.
    samples, seed, unit
        See `bootstrap_ranks`.

    Returns
    -------
    RankBootstrap
        With the one scheme `CHALLENGE`.

    Raises
    ------
    RankingError
        If the table, `samples` or `seed` is not valid.
    """
    methods, by_f1, by_seconds = challenge_case_ranks(scores)
    case_scores = (by_f1 + by_seconds) / (2 * len(methods))
    (table,) = tabulate(scores, ("f1",))
    unit, n_units, weights = _draw(scores, table.cases, samples, seed, unit)
    drawn = means(case_scores, weights)
    ranks = order_scores(drawn, larger_is_better=False)
    rankings = challenge_rank(scores).assign(scheme=CHALLENGE)
    return RankBootstrap(
        seed=int(seed),
        samples=int(samples),
        unit=unit,
        n_units=n_units,
        methods=methods,
        rankings=rankings[["scheme", "method", "score", "rank"]],
        ranks={CHALLENGE: ranks},
    )


def kendall_taus(ranks: Integers, full: Integers) -> Floats:
    """Kendall's tau-b of many rankings to one.

    Parameters
    ----------
    ranks : ndarray of int, shape (samples, methods)
        Rankings.
    full : ndarray of int, shape (methods,)
        The ranking they are compared with.

    Returns
    -------
    ndarray of float64, shape (samples,)
        1 for the same order, -1 for the inverse; NaN where either has one rank only. Equals
        `scipy.stats.kendalltau`.
    """
    first, second = np.triu_indices(len(full), 1)
    order = np.sign(full[first] - full[second]).astype(np.float64)
    orders = np.sign(ranks[:, first] - ranks[:, second]).astype(np.float64)
    pairs = np.abs(orders).sum(axis=1) * np.abs(order).sum()
    with np.errstate(invalid="ignore"):
        return orders @ order / np.sqrt(pairs)


def _draw(
    scores: pd.DataFrame, cases: Sequence[Hashable], samples: int, seed: int, unit: Unit | None
) -> tuple[Unit, int, Floats]:
    """Say what is drawn and how many there are, and how often each case was, (cases, samples)."""
    for name, value, least in (("samples", samples, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            msg = f"{name} is {value!r}; valid are whole numbers from {least} on"
            raise RankingError(msg)
    generator = np.random.default_rng(seed)
    if unit == "image":
        return unit, len(cases), _draw_weights(generator, samples, np.arange(len(cases)))
    about = scores.drop_duplicates("case").set_index("case").reindex(list(cases))
    unit, units = units_of(about["modality"], about["experiment"], unit)
    modality = about["modality"].to_numpy(object)
    weights = np.empty((len(cases), samples))
    for name in sorted(set(modality), key=str):
        rows = np.flatnonzero(modality == name)
        weights[rows] = _draw_weights(generator, samples, units[rows])
    return unit, np.unique(units).size, weights


def _draw_weights(generator: np.random.Generator, samples: int, units: Integers) -> Floats:
    """Draw as many units as there are, with all their cases: how often each, (cases, samples)."""
    _, codes = np.unique(units, return_inverse=True)
    count = int(codes.max()) + 1
    draws = generator.integers(0, count, (samples, count))
    cells = draws + np.arange(samples)[:, None] * count
    times = np.bincount(cells.ravel(), minlength=samples * count).reshape(samples, count)
    return np.ascontiguousarray(times.T, dtype=np.float64)[codes]
