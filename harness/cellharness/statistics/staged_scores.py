"""The scores of a forgetting study: weights over time, scored case by case under a protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellharness.errors import UsageError
from cellharness.statistics.contrasts import Unit, units_of
from cellharness.statistics.summary import ALL, UNKNOWN_MODALITY
from cellharness.vocabulary import PRETRAINED

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

#: Cases whose experiment was trained on, and those whose was not.
SEEN, UNSEEN = "seen", "unseen"
PARTS = (ALL, SEEN, UNSEEN)
#: How finely cases are grouped.
LEVELS = ("overall", "modality", "experiment")

REQUIRED = ("remedy", "stage", "protocol", "case", "modality", "experiment", "seen", "f1")
COUNTS = ("tp", "n_true", "n_pred")

_TRUTH = {"true": True, "false": False}


class ForgettingError(UsageError, ValueError):
    """The scores or a choice given to a forgetting measure are not valid."""


@dataclass(frozen=True)
class Group:
    """Cases that are looked at together.

    Attributes
    ----------
    level
        One of `LEVELS`.
    modality, experiment
        Name, or `ALL`.
    seen
        One of `PARTS`.
    rows : ndarray of intp
        Positions of its cases, ascending; may be empty.
    """

    level: str
    modality: str
    experiment: str
    seen: str
    rows: Rows

    @property
    def name(self) -> tuple[str, str, str]:
        """What tells it from other groups."""
        return self.modality, self.experiment, self.seen


@dataclass(frozen=True)
class Pair:
    """Scores of the same cases before a training and after some of it.

    Attributes
    ----------
    remedy
        Name of the training.
    stage
        Its epoch.
    protocol, before_protocol
        How the weights after and before were evaluated.
    before, after : ndarray of float64, shape (cases,)
        NaN where a case was not scored.
    """

    remedy: str
    stage: int
    protocol: str
    before_protocol: str
    before: Floats
    after: Floats


@dataclass(frozen=True)
class StagedScores:
    """Scores laid out as a matrix, sets of weights by cases. Made by `read_scores`.

    Attributes
    ----------
    cases : tuple of str
        Names, sorted, so that a seed draws the same cases whatever the order of the rows.
    modality, experiment : ndarray of str, shape (cases,)
        Of each case.
    seen : ndarray of bool, shape (cases,)
        Whether its experiment was trained on.
    f1 : ndarray of float64, shape (sets of weights, cases)
        NaN where a case was not scored.
    runs : mapping of (remedy, protocol, stage) to int
        Row of `f1`.
    counts : ndarray of float64, shape (3, sets of weights, cases), or None
        ``tp, n_true, n_pred``, where the table has them.
    modalities, remedies, protocols : tuple of str
        In the order in which they first occur.
    unit : str or None
        What to take as independent where a function is not told, see `units`.
    """

    cases: tuple[str, ...]
    modality: NDArray[np.str_]
    experiment: NDArray[np.str_]
    seen: NDArray[np.bool_]
    f1: Floats = field(repr=False)
    runs: Mapping[tuple[str, str, int], int] = field(repr=False)
    counts: Floats | None = field(repr=False)
    modalities: tuple[str, ...]
    remedies: tuple[str, ...]
    protocols: tuple[str, ...]
    unit: Unit | None = None

    def groups(self, levels: Sequence[str] = LEVELS) -> list[Group]:
        """Group the cases: overall and by modality in all three parts, and by experiment.

        Groups of a part that has no case are there, and empty, so that nothing is missing in
        silence. An experiment is a modality's, and seen or unseen as its cases are.
        """
        parts = {ALL: np.ones(len(self.cases), bool), SEEN: self.seen, UNSEEN: ~self.seen}
        groups = []
        if "overall" in levels:
            groups += [
                Group("overall", ALL, ALL, part, np.flatnonzero(mask))
                for part, mask in parts.items()
            ]
        for modality in self.modalities:
            within = self.modality == modality
            if "modality" in levels:
                groups += [
                    Group("modality", modality, ALL, part, np.flatnonzero(mask & within))
                    for part, mask in parts.items()
                ]
            if "experiment" in levels:
                groups += self._experiments(modality, within, parts)
        return groups

    def stages(self, remedy: str, protocol: str) -> tuple[int, ...]:
        """Epochs after which a training was scored, ascending, without stage 0."""
        return tuple(
            sorted(
                stage
                for name, evaluated, stage in self.runs
                if (name, evaluated) == (remedy, protocol) and stage > 0
            )
        )

    def before(self, remedy: str, protocol: str) -> Floats | None:
        """Scores of the weights that a training started from; None where there are none.

        Its own rows with stage 0, or else those of `PRETRAINED`.
        """
        for name in (remedy, PRETRAINED):
            row = self.runs.get((name, protocol, 0))
            if row is not None:
                return self.f1[row]
        return None

    def after(self, remedy: str, protocol: str, stage: int) -> Floats:
        """Scores after `stage` epochs."""
        return self.f1[self.runs[remedy, protocol, stage]]

    def only_protocol(self, protocol: str | None) -> str:
        """Return `protocol` if it is known, or the only one of the table for None."""
        if protocol in self.protocols:
            return str(protocol)
        listing = ", ".join(self.protocols)
        if protocol is not None:
            msg = f"no scores under protocol {protocol!r}; there are: {listing}"
            raise ForgettingError(msg)
        if len(self.protocols) > 1:
            msg = f"the scores hold several protocols; name one of: {listing}"
            raise ForgettingError(msg)
        return self.protocols[0]

    def pairs(
        self,
        protocol: str | None = None,
        before_protocol: str | None = None,
        stages: int | Mapping[str, int] | None = None,
    ) -> list[Pair]:
        """Put the scores of every training beside those of the weights it started from.

        Parameters
        ----------
        protocol : str, optional
            How the trained weights were evaluated; may be left out where the table has only one.
        before_protocol : str, optional
            How the weights before were evaluated; by default the same.
        stages : int or mapping of str to int, optional
            Epoch to look at, for all or by remedy; by default the last of each.

        Raises
        ------
        ForgettingError
            A protocol or stage is not there, or nothing was scored before or after training.
        """
        protocol = self.only_protocol(protocol)
        before_protocol = self.only_protocol(before_protocol or protocol)
        found = []
        for remedy in self.remedies:
            scored = self.stages(remedy, protocol)
            if not scored:
                continue
            stage = self._stage(remedy, scored, stages)
            before = self.before(remedy, before_protocol)
            if before is None:
                have = [f"{name} ({p})" for name, p, s in self.runs if s == 0]
                msg = (
                    f"remedy {remedy!r} has no scores before training under protocol "
                    f"{before_protocol!r}: it needs rows with stage 0, its own or those of remedy "
                    f"{PRETRAINED!r}; stage 0 is there for: {', '.join(have) or 'none'}"
                )
                raise ForgettingError(msg)
            after = self.after(remedy, protocol, stage)
            found.append(Pair(remedy, stage, protocol, before_protocol, before, after))
        if not found:
            msg = (
                f"no weights were scored after training under protocol {protocol!r}; "
                "rows with a stage of 1 or more are needed"
            )
            raise ForgettingError(msg)
        return found

    def units(self, unit: Unit | None = None) -> tuple[Unit, NDArray[np.int64]]:
        """Say what is independent, and number it: `cellharness.statistics.contrasts.units_of`."""
        return units_of(self.modality, self.experiment, unit or self.unit)

    def part(self, name: str) -> NDArray[np.bool_]:
        """Return which cases belong to one of `PARTS`."""
        if name not in PARTS:
            msg = f"unknown part {name!r}; valid: {', '.join(PARTS)}"
            raise ForgettingError(msg)
        if name == ALL:
            return np.ones(len(self.cases), bool)
        return self.seen == (name == SEEN)

    def _stage(
        self, remedy: str, scored: tuple[int, ...], stages: int | Mapping[str, int] | None
    ) -> int:
        wanted = stages.get(remedy) if isinstance(stages, Mapping) else stages
        if wanted is None:
            return scored[-1]
        if wanted not in scored:
            msg = (
                f"remedy {remedy!r} has no scores at stage {wanted!r}; it has stages "
                f"{', '.join(map(str, scored))}"
            )
            raise ForgettingError(msg)
        return int(wanted)

    def _experiments(
        self, modality: str, within: NDArray[np.bool_], parts: Mapping[str, NDArray[np.bool_]]
    ) -> list[Group]:
        groups = []
        for name in dict.fromkeys(self.experiment[within]):
            here = within & (self.experiment == name)
            for part in (SEEN, UNSEEN):
                rows = np.flatnonzero(here & parts[part])
                if rows.size:
                    groups.append(Group("experiment", modality, str(name), part, rows))
        return groups


def center(values: Floats, statistic: str) -> Floats:
    """Mean or median over the cases that have a value.

    Parameters
    ----------
    values : ndarray of float64, shape (series, cases)
        NaN where there is no value.
    statistic : str
        One of `STATISTICS`.

    Returns
    -------
    ndarray of float64, shape (series,)
        NaN where no case has a value.
    """
    found = np.full(len(values), np.nan)
    some = ~np.isnan(values).all(axis=1) if values.shape[1] else np.zeros(len(values), bool)
    if some.any():
        over = np.nanmean if statistic == "mean" else np.nanmedian
        found[some] = over(values[some], axis=1)
    return found


def read_scores(scores: pd.DataFrame | StagedScores, unit: Unit | None = None) -> StagedScores:
    """Check a table of scores and lay it out as a matrix.

    A *stage* is one set of weights in time: 0 before the training, then the epoch of a checkpoint.
    A *remedy* is one training, plain fine-tuning being one of them. Weights that all trainings
    start from may be given once, as remedy `PRETRAINED`. A *protocol* is a way of evaluating
    weights: diameter policy, form of the input, test-time augmentation.

    Parameters
    ----------
    scores : DataFrame or StagedScores
        One row a remedy, stage, protocol and case, with the columns `REQUIRED` and, if it likes,
        `COUNTS`; others are passed over. ``f1`` is 0 for a case that failed and NaN for one that
        was not scored; a row that is not there counts as one whose ``f1`` is NaN. A `StagedScores`
        is returned as it is.
    unit : {"experiment", "image"}, optional
        See `StagedScores`.

    Returns
    -------
    StagedScores
        The table given is not changed and not kept.

    Raises
    ------
    ForgettingError
        A column is missing, there are no rows, a row occurs twice, a case has two modalities,
        experiments or kinds of ``seen``, or a value is not valid.
    """
    if isinstance(scores, StagedScores):
        return scores
    absent = [name for name in REQUIRED if name not in scores.columns]
    if absent:
        msg = (
            f"the scores lack the columns {', '.join(absent)}; they need {', '.join(REQUIRED)} "
            f"and have {', '.join(map(str, scores.columns)) or 'none'}"
        )
        raise ForgettingError(msg)
    if scores.empty:
        msg = "the scores have no rows; score at least one case before and after training"
        raise ForgettingError(msg)
    table = pd.DataFrame(
        {
            "remedy": _text(scores, "remedy"),
            "protocol": _text(scores, "protocol"),
            "stage": _stages(scores["stage"]),
            "case": _text(scores, "case"),
            "modality": _text(scores, "modality", UNKNOWN_MODALITY),
            "experiment": _text(scores, "experiment", ""),
            "seen": _booleans(scores["seen"]),
        }
    )
    late = table[(table["remedy"] == PRETRAINED) & (table["stage"] > 0)]
    if not late.empty:
        msg = (
            f"remedy {PRETRAINED!r} has a row at stage {late['stage'].iloc[0]}; these are the "
            "weights before any training, whose stage is 0. Name a training otherwise"
        )
        raise ForgettingError(msg)
    about = table[["case", "modality", "experiment", "seen"]].drop_duplicates()
    twice = about[about.duplicated("case")]
    if not twice.empty:
        case = twice["case"].iloc[0]
        kinds = about[about["case"] == case].drop(columns="case").to_numpy().tolist()
        msg = (
            f"case {case!r} stands under more than one modality, experiment or kind of seen: "
            f"{' and '.join(map(str, kinds))}; a case has one of each"
        )
        raise ForgettingError(msg)
    modalities = tuple(dict.fromkeys(about["modality"]))
    about = about.sort_values("case")
    cases = tuple(about["case"])
    # Numbers in place of names: looking up a tuple of strings for every row would take the time.
    run, runs = _number_runs(table)
    place = pd.Index(cases).get_indexer(table["case"])
    repeated = pd.Series(run * len(cases) + place).duplicated().to_numpy()
    if repeated.any():
        row = table.iloc[int(np.flatnonzero(repeated)[0])]
        msg = (
            f"more than one row for remedy {row['remedy']!r}, stage {row['stage']}, protocol "
            f"{row['protocol']!r}, case {row['case']!r}; choose one method, profile and threshold"
        )
        raise ForgettingError(msg)
    shape = (len(runs), len(cases))
    f1 = np.full(shape, np.nan)
    f1[run, place] = _numbers(scores["f1"], highest=1)
    counts = None
    if all(name in scores.columns for name in COUNTS):
        counts = np.full((len(COUNTS), *shape), np.nan)
        for number, name in enumerate(COUNTS):
            counts[number, run, place] = _numbers(scores[name], highest=np.inf)
    return StagedScores(
        cases=cases,
        modality=about["modality"].to_numpy(str),
        experiment=about["experiment"].to_numpy(str),
        seen=about["seen"].to_numpy(bool),
        f1=f1,
        runs=runs,
        counts=counts,
        modalities=modalities,
        remedies=tuple(dict.fromkeys(key[0] for key in runs)),
        protocols=tuple(dict.fromkeys(key[1] for key in runs)),
        unit=unit,
    )


def _number_runs(table: pd.DataFrame) -> tuple[Rows, dict[tuple[str, str, int], int]]:
    keys = ["remedy", "protocol", "stage"]
    numbers: Rows = table.groupby(keys, sort=False).ngroup().to_numpy().astype(np.intp)
    first = table[keys].drop_duplicates()
    names = first.itertuples(index=False, name=None)
    return numbers, {(str(r), str(p), int(s)): row for row, (r, p, s) in enumerate(names)}


def _text(scores: pd.DataFrame, name: str, default: str | None = None) -> NDArray[np.object_]:
    codes, names = pd.factorize(scores[name])
    nameless = (codes < 0) | np.isin(codes, np.flatnonzero([str(text) == "" for text in names]))
    if nameless.any() and default is None:
        row = scores.index[int(np.flatnonzero(nameless)[0])]
        msg = f"row {row} has no {name}; every row needs a remedy, a protocol and a case"
        raise ForgettingError(msg)
    words = np.array([*map(str, names), default], object)[codes]
    words[nameless] = default
    return words


def _stages(column: pd.Series) -> NDArray[np.int64]:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    with np.errstate(invalid="ignore"):
        bad = ~(numbers >= 0) | (numbers != np.floor(numbers)) | np.isinf(numbers)
    if bad.any():
        value = _first(column, bad)
        msg = f"stage {value!r} is not valid; stages are epochs: 0 before training, then 1, 2, ..."
        raise ForgettingError(msg)
    return numbers.astype(np.int64)


def _booleans(column: pd.Series) -> NDArray[np.bool_]:
    codes, names = pd.factorize(column)
    # The code of a missing value is -1 and finds the None at the end.
    truth = np.array([*(_TRUTH.get(str(name).lower()) for name in names), None], object)[codes]
    bad = pd.isna(truth)
    if bad.any():
        value = _first(column, bad)
        msg = (
            f"seen is {value!r}; valid are True and False: whether the experiment of the case was "
            "trained on"
        )
        raise ForgettingError(msg)
    return truth.astype(bool)


def _first(column: pd.Series, bad: NDArray[np.bool_]) -> object:
    value = column.iloc[int(np.flatnonzero(bad)[0])]
    return value.item() if isinstance(value, np.generic) else value


def _numbers(column: pd.Series, highest: float) -> Floats:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    missing = column.isna().to_numpy()
    with np.errstate(invalid="ignore"):
        bad = ~missing & ~((numbers >= 0) & (numbers <= highest) & np.isfinite(numbers))
    if bad.any():
        value = _first(column, bad)
        limits = f"from 0 to {highest:g}" if np.isfinite(highest) else "from 0 on"
        msg = f"{column.name} is {value!r}; valid are numbers {limits}, and NaN for not scored"
        raise ForgettingError(msg)
    return numbers
