"""The rankings of a run: what all figures and tables of the section are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellharness.analysis.run_data import RunData
from cellharness.printing.wording import count
from cellharness.records import records
from cellharness.statistics import ALL, summarise
from cellharness.statistics.contrasts import HIGHER
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
from cellharness.vocabulary import SEGMENTED

#: The scheme that orders the methods: that of the challenge, with F1 alone.
MAIN = "rank-then-mean"
#: The scheme that is not of the paper.
CORRECTED = "test-based-holm"
#: The schemes of the paper, the one that orders first.
PAPER_SCHEMES = (MAIN, *(scheme for scheme in SCHEMES if scheme not in (MAIN, CORRECTED)))

#: What memory is of.
GPU, HOST = "GPU", "host"
#: States of a pair, row against column: see `Ranked.pair_states`.
WORSE, LEVEL, RAW, BETTER = range(4)

# Draws of a run of up to so many scores, and of a larger one, where they would take half a minute.
_MANY_SCORES, _DRAWS, _DRAWS_OF_MANY = 2000, 10_000, 1000
# Columns of the ledger, the one to prefer first.
_MEMORY_COLUMNS = ("peak_gpu_mb", "peak_host_mb")
_COST = "Cost"
_COSTS = {
    SECONDS_PER_CASE: "Time",
    "peak_gpu_mb": f"{GPU} memory",
    "peak_host_mb": f"{HOST.capitalize()} memory",
}


@dataclass(frozen=True)
class GroupRanking:
    """The ranking of the methods by F1 on one group of images.

    ``table``, one row a method, best first: ``method, n, n_failed, median_f1, q1, q3, score`` (mean
    rank), ``rank, rank_low, rank_high`` (bootstrap interval), ``letters, unit, n_units`` (what was
    drawn). ``tests``, from `compare_pairs`, every pair in both orders, and whether the first is
    ``better``.
    """

    table: pd.DataFrame
    tests: pd.DataFrame


class TauSeries(NamedTuple):
    """Kendall's tau of every sample to the full ranking, NaN where either has one rank only."""

    name: str
    by: str
    taus: NDArray[np.float64]


class Column(NamedTuple):
    """One of the rankings side by side: its heading below that of a block, what it ranks by."""

    block: str
    head: str
    modality: str
    metric: str
    threshold: float


@dataclass(frozen=True)
class Ranked:
    """All rankings of a run.

    Attributes
    ----------
    order
        Methods that compete, best first; those that read the truth do not.
    groups
        All images, then each modality where there are several.
    accuracy, time, challenge
        Bootstraps of the rankings by F1, with every scheme; by warm seconds, None where a method
        is `RunData.untimed` or nothing was timed; and of the challenge's own by F1 and time, None
        there too, and where the ledger lacks the size of an image.
    costs, side_by_side
        See `costs_of`, and `rank_side_by_side` for F1 at every threshold, and for time and memory
        unless a method is `RunData.untimed`.
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
    def table(self) -> pd.DataFrame:
        """The ranking on all images, see `GroupRanking`."""
        return self.groups[ALL].table

    @property
    def tests(self) -> pd.DataFrame:
        """The tests on all images, see `GroupRanking`."""
        return self.groups[ALL].tests

    @property
    def drawn(self) -> str:
        """What the bootstrap samples drew, in words."""
        if self.accuracy.unit == "image":
            return "the images"
        units = count(self.accuracy.n_units, self.accuracy.unit)
        return f"the {units} with their images, modality by modality"

    @property
    def samples(self) -> str:
        """What the intervals come from, in words."""
        drawn = self.resampling
        return f"{drawn.samples:,} bootstrap samples of {self.drawn}, seed {drawn.seed}"

    @property
    def no_test(self) -> str:
        """What the share of samples with a rank says, and what it does not, in a sentence."""
        return (
            "The share of the samples says how often a method has that rank when "
            f"{self.accuracy.unit}s are drawn again; it is no test, and is not corrected for the "
            "number of pairs."
        )

    @property
    def interval(self) -> str:
        """What an interval of ranks holds, in words."""
        return f"{100 * self.resampling.confidence:g} %"

    @property
    def tail(self) -> float:
        """Share of the samples beyond either end of an interval."""
        return (1 - self.resampling.confidence) / 2

    @cached_property
    def frequencies(self) -> pd.DataFrame:
        """How often each method takes each rank, from `RankBootstrap.frequencies`."""
        return self.accuracy.frequencies()

    @cached_property
    def spread(self) -> pd.DataFrame:
        """Ranks by every scheme with their intervals, from `RankBootstrap.intervals`."""
        return self.accuracy.intervals(self.resampling.confidence)

    @cached_property
    def pair_states(self) -> NDArray[np.int64]:
        """State of every ordered pair of methods, both axes best first: (methods, methods).

        `BETTER`, the row is significantly better than the column; `WORSE`, the column than the row;
        `RAW`, the row is better only without the correction for many tests; `LEVEL`, none of these.
        The diagonal is `WORSE`, which is not drawn.
        """
        place = {method: i for i, method in enumerate(self.order)}
        states = np.full((len(place), len(place)), LEVEL)
        np.fill_diagonal(states, WORSE)
        for row in records(self.tests):
            at = place[row["method"]], place[row["other"]]
            if row["better"]:
                states[at], states[at[::-1]] = BETTER, WORSE
            elif row["p"] < 1 - row["confidence"] and row["estimate"] > 0:
                states[at] = RAW
        return states

    def has_state(self, state: int) -> bool:
        """Whether any pair is in a state."""
        return bool((self.pair_states == state).any())

    @cached_property
    def scheme_ranks(self) -> NDArray[np.int64]:
        """Ranks of the methods, best first, by each scheme of the paper: (methods, schemes)."""
        table = self.accuracy.rankings.pivot_table("rank", "method", "scheme", "first")
        return table.loc[list(self.order), list(PAPER_SCHEMES)].to_numpy(np.int64)

    @property
    def schemes_agree(self) -> bool:
        """Whether every scheme of the paper gives every method the same rank."""
        return bool((self.scheme_ranks == self.scheme_ranks[:, :1]).all())

    @cached_property
    def taus(self) -> list[TauSeries]:
        """How far samples agree with the full ranking, by F1 with every scheme and by time."""
        by_scheme = dict(iter(self.accuracy.taus().groupby("scheme")["tau"]))
        found = [TauSeries(f"F1, {s}", "F1", by_scheme[s].to_numpy(float)) for s in PAPER_SCHEMES]
        if self.time is not None:
            taus = self.time.taus()["tau"].to_numpy(float)
            found.append(TauSeries(f"Time, {MAIN}", "time", taus))
        if self.challenge is not None:
            taus = self.challenge.taus()["tau"].to_numpy(float)
            found.append(TauSeries("Challenge: F1 and time", "F1 and time", taus))
        return found

    @cached_property
    def columns(self) -> list[Column]:
        """The rankings worth showing side by side: thresholds, modalities, costs."""
        table, main = self.side_by_side, self.run.threshold
        thresholds = sorted(table["threshold"].dropna().unique().tolist())
        columns = [Column("F1, IoU ≥", f"{t:g}", ALL, "f1", t) for t in thresholds]
        columns += [Column("Modality", g, g, "f1", main) for g in self.groups if g != ALL]
        known = {metric: head for metric, head in _COSTS.items() if metric in set(table["metric"])}
        return columns + [Column(_COST, h, ALL, m, float("nan")) for m, h in known.items()]

    @property
    def by_cost(self) -> bool:
        """Whether any of `columns` ranks by time or memory."""
        return any(column.block == _COST for column in self.columns)

    def ranks_in(self, column: Column) -> pd.Series:
        """Ranks of the methods, best first, by one column; <NA> where there is none."""
        table = self.side_by_side
        rows = table[(table["modality"] == column.modality) & (table["metric"] == column.metric)]
        if column.metric == "f1":
            rows = rows[rows["threshold"] == column.threshold]
        return rows.set_index("method")["rank"].reindex(list(self.order))


def rank_run(run: RunData, resampling: Resampling | None = None) -> Ranked | None:
    """Rank the methods of a run; None where there are fewer than two to rank.

    F1 is that of the main profile and threshold. An image without a score counts as F1 0; one
    without a mask is behind all others in the rankings by time and memory. Bootstraps draw 10,000
    samples unless told otherwise, or 1,000 of a run with more than 2,000 scores.
    """
    competing = run.competing
    if len(competing) < 2:
        return None
    scores, ledger = (table[table["method"].isin(competing)] for table in (run.scores, run.ledger))
    run = replace(run, methods=competing, scores=scores, ledger=ledger)
    # Equal methods stand in the order of the configuration.
    place = {method: i for i, method in enumerate(run.methods)}
    columns = ["case", "method", "modality", "experiment", "f1", "status"]
    values = run.main[columns].rename(columns={"f1": "value"})
    values = values.sort_values("method", key=lambda names: names.map(place), kind="stable")
    if resampling is None:
        resampling = Resampling(_DRAWS if len(values) <= _MANY_SCORES else _DRAWS_OF_MANY)
    drawn: dict[str, Any] = {
        "samples": resampling.samples,
        "seed": resampling.seed,
        "unit": run.unit,
    }
    tests = both_ways(compare_pairs(values, unit=run.unit))
    tests = tests.assign(better=tests["verdict"] == HIGHER)
    accuracy = bootstrap_ranks(values, SCHEMES, missing=0.0, **drawn)
    level = resampling.confidence
    groups = {ALL: _rank_group(values, ALL, accuracy, tests, level)}
    for group in run.groups[1:] if len(run.groups) > 2 else ():
        rows = values[values["modality"] == group]
        own = bootstrap_ranks(rows, (MAIN,), missing=0.0, **drawn)
        groups[group] = _rank_group(rows, group, own, tests, level)
    keys = ["case", "method"]
    times = values[[*keys, "modality", "experiment"]]
    times = times.merge(run.times, on=keys, how="left")
    time = challenge = None
    if _all_have(run, "warm_seconds"):
        warm = times.rename(columns={"warm_seconds": "value"})
        time = bootstrap_ranks(warm, (MAIN,), larger_is_better=False, **drawn)
    if _all_have(run, "adjusted_seconds"):
        times["f1"] = values["value"].fillna(0.0).to_numpy()
        challenge = bootstrap_challenge(times, **drawn)
    return Ranked(
        run=run,
        order=tuple(groups[ALL].table["method"]),
        groups=groups,
        accuracy=accuracy,
        time=time,
        challenge=challenge,
        costs=costs_of(run),
        side_by_side=_side_by_side(run),
        resampling=resampling,
    )


def costs_of(run: RunData) -> pd.DataFrame:
    """Give seconds and memory of every method, over its images with a mask.

    One row a method: ``method``, ``seconds`` (median of the warm running times), ``memory_mb``
    (largest peak, MiB) and ``memory_of``: ``GPU``, that of the framework's allocator; ``host``,
    resident memory of the process, where the method used no GPU. NaN and "" where it was not
    measured.
    """
    methods = list(run.methods)
    times = run.times.groupby("method")["warm_seconds"].median()
    peaks = run.ledger[run.ledger["status"].isin(SEGMENTED)].set_index("method")
    peaks = peaks.reindex(columns=list(_MEMORY_COLUMNS)).apply(pd.to_numeric, errors="coerce")
    largest = peaks.groupby(level=0).max().reindex(methods).astype(float)
    gpu, host = (largest[name].where(largest[name] > 0) for name in _MEMORY_COLUMNS)
    kind = pd.Series("", largest.index, dtype=object).mask(host.notna(), HOST)
    return pd.DataFrame(
        {
            "method": methods,
            "seconds": times.reindex(methods).to_numpy(float),
            "memory_mb": gpu.fillna(host).to_numpy(float),
            "memory_of": kind.mask(gpu.notna(), GPU).to_numpy(object),
        }
    )


def _rank_group(
    values: pd.DataFrame, group: str, bootstrap: RankBootstrap, tests: pd.DataFrame, level: float
) -> GroupRanking:
    ranks = bootstrap.intervals(level)
    ranks = ranks.loc[ranks["scheme"] == MAIN, ["method", "score", "rank", "low", "high"]]
    ranks = ranks.rename(columns={"low": "rank_low", "high": "rank_high"})
    summary = summarise(
        values.assign(f1=values["value"], profile="", threshold=0.0, seen=""), by=()
    )
    summary = summary[["method", "n", "n_failed", "median_f1", "q1", "q3"]]
    frame = ranks[["method"]].merge(summary, on="method").merge(ranks, on="method")
    own = tests[tests["modality"] == group].reset_index(drop=True)
    frame["letters"] = frame["method"].map(compact_letters(own, list(frame["method"]), "better"))
    frame["unit"], frame["n_units"] = bootstrap.unit, bootstrap.n_units
    return GroupRanking(frame.reset_index(drop=True), own)


def _all_have(run: RunData, time: str) -> bool:
    """Whether every mask has this time, and there is any: unknown would rank as worst."""
    return not run.masks_without(time) and bool(run.times[time].notna().any())


def _side_by_side(run: RunData) -> pd.DataFrame:
    have = set() if run.untimed else set(run.ledger.columns)
    if {"seconds_total", "seconds_load", "seconds_warmup"} <= have:
        have.add(SECONDS_PER_CASE)
    ranks = rank_side_by_side(
        run.scores, run.ledger, (MAIN,), profile=run.profile,
        measures=[name for name in MEASURES if name in have],
    )  # fmt: skip
    # What was measured of no method ranks nothing.
    known = ranks.groupby("metric")["n"].transform("max") > 0
    ranks = ranks[known | ranks["threshold"].notna()]
    return ranks.assign(threshold=np.round(ranks["threshold"], 6)).reset_index(drop=True)
