"""The rankings of a run: what all figures and tables of the section are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from cellharness.report.loading import RunData
from cellharness.report.rankings.costs import MEMORY_COLUMNS, costs_of, timed
from cellharness.report.wording import count
from cellharness.statistics import ALL, summarise
from cellharness.statistics.contrasts import HIGHER
from cellharness.statistics.efficiency import running_times
from cellharness.statistics.letters import compact_letters
from cellharness.statistics.method_pairs import both_ways, compare_pairs
from cellharness.statistics.rank_bootstrap import (
    RankBootstrap,
    Resampling,
    bootstrap_challenge,
    bootstrap_ranks,
)
from cellharness.statistics.schemes import SCHEMES
from cellharness.statistics.side_by_side import MEASURES, SECONDS_PER_CASE, rank_side_by_side

#: The scheme that orders the methods: that of the challenge, with F1 alone.
MAIN = "rank-then-mean"
#: The five schemes of the paper, the one that orders first.
PAPER_SCHEMES = (
    MAIN, *(scheme for scheme in SCHEMES if scheme not in (MAIN, "test-based-holm")),
)  # fmt: skip


# Draws of a run of up to so many scores, and of a larger one, where they would take half a minute.
_MANY_SCORES, _DRAWS, _DRAWS_OF_MANY = 2000, 10_000, 1000


@dataclass(frozen=True)
class GroupRanking:
    """The ranking of the methods by F1 on one group of images.

    Attributes
    ----------
    table
        One row a method, best first: ``method, n, n_failed, median_f1, q1, q3, score`` (mean
        rank), ``rank, rank_low, rank_high`` (bootstrap interval), ``letters, unit, n_units`` (what
        was drawn, and how many there are).
    tests
        From `compare_pairs`, every pair in both orders (`both_ways`), and ``better``, whether the
        verdict on the first is that it is higher.
    """

    table: pd.DataFrame
    tests: pd.DataFrame


@dataclass(frozen=True)
class Ranked:
    """All rankings of a run.

    Attributes
    ----------
    run
        The run.
    order
        Methods that compete, best first; those that read the truth do not.
    groups
        All images, then each modality where there are several.
    accuracy
        Bootstrap of the rankings by F1, by the schemes of the paper.
    time
        Bootstrap of the ranking by warm seconds; None where fewer than two methods were timed.
    challenge
        Bootstrap of the challenge's own ranking by F1 and time; None where the ledger lacks what it
        needs of a method.
    costs
        See `costs_of`.
    side_by_side
        Ranks by F1 at every threshold, by time and by memory, see `rank_side_by_side`.
    resampling
        How intervals were made.
    """

    run: RunData
    order: tuple[str, ...]
    groups: Mapping[str, GroupRanking]
    accuracy: RankBootstrap
    time: RankBootstrap | None
    challenge: RankBootstrap | None
    costs: pd.DataFrame
    side_by_side: pd.DataFrame
    resampling: Resampling

    @property
    def names(self) -> list[str]:
        """Labels of the methods, best first."""
        return [self.run.labels[method] for method in self.order]

    @property
    def drawn(self) -> str:
        """What the bootstrap samples drew, in words."""
        if self.accuracy.unit == "image":
            return "the images"
        units = count(self.accuracy.n_units, "experiment")
        return f"the {units} with their images, modality by modality"

    @property
    def n_cases(self) -> int:
        """How many images the methods are ranked on."""
        return int(self.run.main["case"].nunique())


def rank_run(run: RunData, resampling: Resampling | None = None) -> Ranked | None:
    """Rank the methods of a run.

    F1 is that of the main profile and threshold. An image without a score counts as F1 0; one
    without a mask is behind all others in the rankings by time and memory.

    Parameters
    ----------
    run : RunData
        The run.
    resampling : Resampling, optional
        Samples and seed of the bootstraps; by default 10,000 samples, or 1,000 of a run with more
        than 2,000 scores.

    Returns
    -------
    Ranked or None
        None where there are fewer than two methods to rank.
    """
    competing = [method for method in run.methods if method not in run.oracles]
    if len(competing) < 2:
        return None
    run = _of_methods(run, competing)
    # Equal methods stand in the order of the configuration.
    place = {method: i for i, method in enumerate(run.methods)}
    columns = ["case", "method", "modality", "experiment", "f1", "status"]
    values = run.main[columns].rename(columns={"f1": "value"})
    values = values.sort_values("method", key=lambda names: names.map(place), kind="stable")
    if resampling is None:
        resampling = Resampling(_DRAWS if len(values) <= _MANY_SCORES else _DRAWS_OF_MANY)
    drawn = _drawn(run, resampling)
    tests = both_ways(compare_pairs(values, unit=run.unit))
    tests = tests.assign(better=tests["verdict"] == HIGHER)
    accuracy = bootstrap_ranks(values, SCHEMES, missing=0.0, **drawn)
    modalities = run.groups if len(run.groups) > 2 else (ALL,)
    groups = {ALL: _rank_group(values, ALL, accuracy, tests)}
    for group in modalities[1:]:
        rows = values[values["modality"] == group]
        own = bootstrap_ranks(rows, (MAIN,), missing=0.0, **drawn)
        groups[group] = _rank_group(rows, group, own, tests)
    times = running_times(run.ledger)
    keys = ["case", "method"]
    times = values[[*keys, "modality", "experiment"]].merge(times, on=keys, how="left")
    return Ranked(
        run=run,
        order=tuple(groups[ALL].table["method"]),
        groups=groups,
        accuracy=accuracy,
        time=_rank_times(run, times, resampling),
        challenge=_rank_as_challenge(run, values, times, resampling),
        costs=costs_of(run),
        side_by_side=_side_by_side(run),
        resampling=resampling,
    )


def _drawn(run: RunData, resampling: Resampling) -> dict[str, Any]:
    """What every bootstrap of a run draws, and how often."""
    return {"samples": resampling.samples, "seed": resampling.seed, "unit": run.unit}


def _of_methods(run: RunData, methods: Sequence[str]) -> RunData:
    """Leave out the other methods."""
    scores, ledger = (table[table["method"].isin(methods)] for table in (run.scores, run.ledger))
    return replace(run, methods=tuple(methods), scores=scores, ledger=ledger)


def _rank_group(
    values: pd.DataFrame, group: str, bootstrap: RankBootstrap, tests: pd.DataFrame
) -> GroupRanking:
    ranks = bootstrap.intervals()
    ranks = ranks.loc[ranks["scheme"] == MAIN, ["method", "score", "rank", "low", "high"]]
    ranks = ranks.rename(columns={"low": "rank_low", "high": "rank_high"})
    summary = summarise(
        values.assign(f1=values["value"], profile="", threshold=0.0, seen=""), by=()
    )
    summary = summary[["method", "n", "n_failed", "median_f1", "q1", "q3"]]
    frame = ranks[["method"]].merge(summary, on="method").merge(ranks, on="method")
    own = tests[tests["modality"] == group].reset_index(drop=True)
    letters = compact_letters(own, list(frame["method"]), "better")
    frame["letters"] = frame["method"].map(letters)
    frame["unit"], frame["n_units"] = bootstrap.unit, bootstrap.n_units
    return GroupRanking(frame.reset_index(drop=True), own)


def _rank_times(run: RunData, times: pd.DataFrame, resampling: Resampling) -> RankBootstrap | None:
    known = timed(run, times, "warm_seconds")
    if len(known) < 2:
        return None
    rows = times[times["method"].isin(known)].rename(columns={"warm_seconds": "value"})
    return bootstrap_ranks(rows, (MAIN,), larger_is_better=False, **_drawn(run, resampling))


def _rank_as_challenge(
    run: RunData, values: pd.DataFrame, times: pd.DataFrame, resampling: Resampling
) -> RankBootstrap | None:
    if len(timed(run, times, "adjusted_seconds")) < values["method"].nunique():
        return None
    rows = times.assign(f1=values["value"].fillna(0.0).to_numpy())
    return bootstrap_challenge(rows, **_drawn(run, resampling))


def _side_by_side(run: RunData) -> pd.DataFrame:
    seconds = {"seconds_total", "seconds_load", "seconds_warmup"} <= set(run.ledger.columns)
    have = {*run.ledger.columns, *([SECONDS_PER_CASE] if seconds else [])}
    measures = [name for name in (*MEASURES, *MEMORY_COLUMNS) if name in have]
    ranks = rank_side_by_side(
        run.scores, run.ledger, (MAIN,), profile=run.profile,
        measures=list(dict.fromkeys(measures)),
    )  # fmt: skip
    # What was measured of no method ranks nothing.
    known = ranks.groupby("metric")["n"].transform("max") > 0
    ranks = ranks[known | ranks["threshold"].notna()]
    return ranks.assign(threshold=np.round(ranks["threshold"], 6)).reset_index(drop=True)
