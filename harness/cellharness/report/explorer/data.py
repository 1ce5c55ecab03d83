"""What the page knows: every score of the run, laid out for a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cellharness.report.case_tables import failure_message
from cellharness.report.explorer.packing import pack_bytes, pack_floats
from cellharness.report.loading import RunData
from cellharness.report.records import by_key, group_title, records
from cellharness.report.style import LineStyle, modality_styles
from cellharness.statistics import ALL
from cellharness.statistics.efficiency import running_times
from cellharness.statistics.estimates import how_tested
from cellharness.statistics.method_pairs import compare_pairs
from cellharness.vocabulary import SEGMENTED, STATUSES

# A traceback in a message would make the page heavy.
_LONGEST_MESSAGE = 600


@dataclass(frozen=True)
class Scores:
    """Scores of a run as arrays.

    Attributes
    ----------
    cases
        Names, in the order of the manifest.
    profiles, thresholds
        What was scored, the page's main profile first.
    f1
        float64, (profiles, thresholds, methods, cases); NaN where a case has no score.
    groups
        Group to its cases, bool (cases,); the order is that of ``RunData.groups``.
    """

    cases: tuple[str, ...]
    profiles: tuple[str, ...]
    thresholds: tuple[float, ...]
    f1: np.ndarray
    groups: Mapping[str, np.ndarray]


def arrange_scores(run: RunData) -> Scores:
    """Lay the score table of a run out as arrays.

    Parameters
    ----------
    run : RunData
        The run; every method has a row for every case, profile and threshold.
    """
    scored = set(run.scores["case"])
    cases = [case for case in dict.fromkeys(run.manifest["case"]) if case in scored]
    cases += [case for case in dict.fromkeys(run.scores["case"]) if case not in set(cases)]
    profiles = sorted(run.scores["profile"].unique(), key=lambda name: name != run.profile)
    thresholds = sorted(run.scores["threshold"].unique().tolist())
    keys = ["profile", "threshold", "method", "case"]
    order = pd.MultiIndex.from_product([profiles, thresholds, run.methods, cases], names=keys)
    f1 = run.scores.set_index(keys)["f1"].reindex(order).to_numpy(np.float64)
    modality = run.scores.drop_duplicates("case").set_index("case")["modality"].reindex(cases)
    names = modality.to_numpy()
    groups = {group: np.full(len(cases), True) if group == ALL else names == group
              for group in run.groups}  # fmt: skip
    shape = (len(profiles), len(thresholds), len(run.methods), len(cases))
    return Scores(tuple(cases), tuple(profiles), tuple(thresholds), f1.reshape(shape), groups)


def explorer_data(
    run: RunData,
    scores: Scores,
    styles: Mapping[str, LineStyle],
    pictures: Sequence[Mapping[str, Any]],
    pair: tuple[str, str],
) -> dict[str, Any]:
    """Collect what the page knows.

    Parameters
    ----------
    run : RunData
        The run.
    scores : Scores
        From `arrange_scores`.
    styles : mapping of str to LineStyle
        Looks of the methods, as in the figures.
    pictures : sequence of mapping
        For every case what the page says of its picture.
    pair : tuple of str
        Methods that are compared until the reader chooses others.

    Returns
    -------
    dict
        Of plain values. Arrays are packed (`cellharness.report.explorer.packing`), all with cases
        on the last axis: ``f1`` (profiles, thresholds, methods, cases), ``status`` (methods, cases)
        as places in ``statuses``, ``seconds`` and ``predicted`` (methods, cases), ``cells``
        (cases). ``tests`` is (profiles, thresholds, groups, 4, pairs): p, p adjusted, and the ends
        of the interval of the second method less the first, from `compare_pairs`; pairs are in the
        order of `itertools.combinations`, NaN where nothing was tested.
    """
    statuses = [name for name in STATUSES if name in set(run.main["status"])]
    status = run.main.assign(place=run.main["status"].map(statuses.index))
    tests = _tests(run, scores)
    looks = modality_styles(run.groups[1:])
    return {
        "main": {
            "profile": run.profile,
            "threshold": run.threshold,
            "pair": [run.methods.index(method) for method in pair],
        },
        "profiles": list(scores.profiles),
        "thresholds": list(scores.thresholds),
        "methods": [
            {"name": name, "label": run.labels[name], "colour": styles[name].colour}
            for name in run.methods
        ],
        "modalities": [
            {"name": name, "colour": looks[name].colour, "marker": looks[name].marker}
            for name in run.groups[1:]
        ],
        "groups": [group_title(name) for name in run.groups],
        "statuses": statuses,
        "segmented": [name for name in statuses if name in SEGMENTED],
        "cases": _cases(run, scores, pictures),
        "f1": pack_floats(scores.f1),
        "status": pack_bytes(_numbers(run, scores, status, "place")),
        "seconds": pack_floats(_numbers(run, scores, running_times(run.ledger), "warm_seconds")),
        "predicted": pack_floats(_numbers(run, scores, run.main, "n_pred")),
        "cells": pack_floats(_cells(run, scores)),
        "messages": _messages(run, scores),
        "tests": pack_floats(tests.values),
        "tested": tests.words,
    }


class _Tests(NamedTuple):
    """Tests of all pairs, and how they were made; empty words where there are none."""

    values: np.ndarray
    words: str


def _tests(run: RunData, scores: Scores) -> _Tests:
    pairs = list(combinations(range(len(run.methods)), 2))
    shape = (len(scores.profiles), len(scores.thresholds), len(scores.groups), 4, len(pairs))
    found = np.full(shape, np.nan)
    words = ""
    place = {pair: number for number, pair in enumerate(pairs)}
    rank = {name: number for number, name in enumerate(run.methods)}
    groups = {name: number for number, name in enumerate(scores.groups)}
    columns = ["case", "method", "modality", "experiment", "f1"]
    for i, profile in enumerate(scores.profiles):
        for j, threshold in enumerate(scores.thresholds):
            rows = run.scores
            rows = rows[(rows["profile"] == profile) & (rows["threshold"] == threshold)]
            order = rows["method"].map(rank).sort_values(kind="stable").index
            values = rows.loc[order, columns].rename(columns={"f1": "value"})
            table = compare_pairs(values, apart=run.oracles, unit=run.unit)
            for row in records(table):
                at = place[rank[row["method"]], rank[row["other"]]]
                # The page gives the second less the first.
                numbers = (row["p"], row["p_adjusted"], -row["high"], -row["low"])
                found[i, j, groups[row["modality"]], :, at] = numbers
            if len(table):
                words = how_tested(table)
    return _Tests(found, words)


def _cases(
    run: RunData, scores: Scores, pictures: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    rows = by_key(run.scores.drop_duplicates("case"), "case")
    manifest = by_key(run.manifest.drop_duplicates("case"), "case")
    modalities = {name: place for place, name in enumerate(run.groups[1:])}
    found = []
    for case, picture in zip(scores.cases, pictures, strict=True):
        row, listed = rows[case,], manifest.get((case,), {})
        found.append(
            {
                "name": case,
                "modality": modalities[row["modality"]],
                "experiment": row["experiment"],
                "seen": _seen(row.get("seen")),
                "licence": listed.get("licence") or "",
                **picture,
            }
        )
    return found


def _seen(value: object) -> bool | None:
    """Whether an experiment was seen in training; None where that is not stated."""
    return {"true": True, "false": False}.get(str(value).lower())


def _numbers(run: RunData, scores: Scores, table: pd.DataFrame, column: str) -> np.ndarray:
    """Lay a column of numbers out as methods by cases; NaN where it has none."""
    order = pd.MultiIndex.from_product([run.methods, scores.cases])
    rows = table.drop_duplicates(["method", "case"]).set_index(["method", "case"])
    values = pd.to_numeric(rows.reindex(columns=[column])[column], errors="coerce").reindex(order)
    return values.to_numpy(np.float64).reshape(len(run.methods), len(scores.cases))


def _cells(run: RunData, scores: Scores) -> np.ndarray:
    """Count the true cells that are scored: the most that any row of the case names."""
    counts = _numbers(run, scores, run.main, "n_true")
    most = np.where(np.isnan(counts), -1, counts).max(0)
    return np.where(most < 0, np.nan, most)


def _messages(run: RunData, scores: Scores) -> dict[str, Any]:
    """Collect what the ledger says of cases without a mask: texts, and which case has which."""
    told = by_key(run.ledger.drop_duplicates(["method", "case"]), "method", "case")
    places = {case: place for place, case in enumerate(scores.cases)}
    failed = run.main[~run.main["status"].isin(SEGMENTED)]
    texts: dict[str, int] = {}
    where = []
    for method, case in zip(failed["method"], failed["case"], strict=True):
        text = failure_message(told.get((method, case), {}))[:_LONGEST_MESSAGE]
        if text:
            number = texts.setdefault(text, len(texts))
            where.append([run.methods.index(method), places[case], number])
    return {"texts": list(texts), "where": where}
