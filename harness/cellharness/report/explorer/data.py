"""What the page knows: every score of the run, laid out for a script."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cellharness.analysis.exposure import NOTHING_KNOWN
from cellharness.analysis.run_data import RunData, failure_message
from cellharness.printing.table import group_title
from cellharness.records import by_key, records
from cellharness.report.outlines import STYLES
from cellharness.report.style import LineStyle, modality_styles
from cellharness.statistics.estimates import how_tested
from cellharness.statistics.method_pairs import compare_pairs
from cellharness.vocabulary import SEGMENTED, STATUSES

# A traceback in a message would make the page heavy.
_LONGEST_MESSAGE = 600


class Axes(NamedTuple):
    """What was scored, in the order in which the page has it."""

    profiles: tuple[str, ...]  # the page's main one first
    thresholds: tuple[float, ...]  # ascending
    methods: tuple[str, ...]
    cases: tuple[str, ...]  # as in the manifest


def axes_of(run: RunData) -> Axes:
    """List what the scores of a run are of; every method has a row a case and threshold."""
    scored = dict.fromkeys(run.scores["case"])
    cases = [case for case in run.manifest["case"] if case in scored]
    profiles = sorted(run.scores["profile"].unique(), key=lambda name: name != run.profile)
    return Axes(
        tuple(profiles), run.thresholds, run.methods, tuple(dict.fromkeys([*cases, *scored]))
    )


def explorer_data(
    run: RunData,
    axes: Axes,
    styles: Mapping[str, LineStyle],
    pictures: Sequence[Mapping[str, Any]],
    pair: tuple[str, str],
    exposures: pd.DataFrame,
) -> dict[str, Any]:
    """Collect what the page knows, as plain values.

    `styles` are the looks of the methods, `pair` those shown first, `exposures` what
    `cellharness.analysis.exposure.exposures` tells; `pictures` are what
    `cellharness.report.explorer.pictures.draw_cases` tells.

    Numbers are packed as base64 of little-endian float32 or, where they are places in a list, of
    bytes: ``f1`` (profiles, thresholds, methods, cases), ``status`` (methods, cases) as places in
    ``statuses``, ``seconds`` and ``predicted`` (methods, cases), ``cells`` (cases). For ``tests``
    see `_tests`.
    """
    statuses = [name for name in STATUSES if name in set(run.main["status"])]
    status = run.main.assign(place=run.main["status"].map(statuses.index))
    true = _numbers(run, axes, run.main, "n_true")
    scores = run.scores.set_index(["profile", "threshold", "method", "case"])
    f1 = scores["f1"].reindex(pd.MultiIndex.from_product(axes)).to_numpy(np.float64)
    return {
        "main": {"profile": run.profile, "threshold": run.threshold,
                 "pair": [run.methods.index(method) for method in pair]},
        "profiles": axes.profiles,
        "thresholds": axes.thresholds,
        "methods": [{"name": name, "label": run.labels[name], "colour": styles[name].colour,
                     "oracle": name in run.oracles} for name in run.methods],
        "modalities": [{"name": name, "colour": look.colour, "marker": look.marker}
                       for name, look in modality_styles(run.groups[1:]).items()],
        "groups": [group_title(name) for name in run.groups],
        "outlines": {kind: vars(style) for kind, style in STYLES.items()},
        "statuses": statuses,
        "segmented": [name for name in statuses if name in SEGMENTED],
        "cases": _cases(run, axes, pictures),
        "f1": _pack(f1),
        "status": _pack(_numbers(run, axes, status, "place"), "u1"),
        "seconds": _pack(_numbers(run, axes, run.times, "warm_seconds")),
        "predicted": _pack(_numbers(run, axes, run.main, "n_pred")),
        # The most that any row of a case names.
        "cells": _pack(np.fmax.reduce(true)),
        "messages": _messages(run, axes),
        "met": _met(axes, exposures),
        "tests": _tests(run, axes),
    }  # fmt: skip


def script_text(value: Any) -> str:
    r"""Write a value as JSON that is safe wherever a script may stand, and ASCII only.

    Examples
    --------
    >>> print(script_text({"name": "</script>"}))
    {"name":"\u003c/script\u003e"}
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _tests(run: RunData, axes: Axes) -> dict[str, Any]:
    """Look up the estimates of all pairs.

    ``numbers``, packed, are (profiles, thresholds, groups, 5, pairs): p, p adjusted, the ends of
    the interval of the second method less the first, and the number of units; pairs are in the
    order of `itertools.combinations`, NaN where there is no estimate. ``outcomes``, packed alike
    without the fifth axis, are places in ``words``: 0 for no estimate, otherwise the verdict on the
    first method, or why there is none. ``unit`` and ``how`` say of what the tests are.
    """
    pairs = {pair: at for at, pair in enumerate(combinations(run.methods, 2))}
    blocks = (len(axes.profiles), len(axes.thresholds), len(run.groups))
    numbers = np.full((*blocks, 5, len(pairs)), np.nan)
    outcomes = np.zeros((*blocks, len(pairs)), np.uint8)
    words, unit, how = [""], "", ""
    rank = {name: number for number, name in enumerate(run.methods)}
    columns = ["case", "method", "modality", "experiment", "f1"]
    for i, j in np.ndindex(blocks[:2]):
        chosen = run.scores["profile"] == axes.profiles[i]
        chosen &= run.scores["threshold"] == axes.thresholds[j]
        rows = run.scores.loc[chosen, columns].rename(columns={"f1": "value"})
        rows = rows.iloc[rows["method"].map(rank).argsort(kind="stable")]
        table = compare_pairs(rows, apart=run.oracles, unit=run.unit)
        for row in records(table):
            group, at = run.groups.index(row["modality"]), pairs[row["method"], row["other"]]
            # The page gives the second less the first.
            found = (row["p"], row["p_adjusted"], -row["high"], -row["low"], row["n_units"])
            numbers[i, j, group, :, at] = found
            word = row["why_not"] or row["verdict"]
            if word not in words:
                words.append(word)
            outcomes[i, j, group, at] = words.index(word)
        if len(table):
            unit, how = table["unit"].iloc[0], how_tested(table)
    return {"numbers": _pack(numbers), "outcomes": _pack(outcomes, "u1"), "words": words,
            "unit": unit, "how": how}  # fmt: skip


def _cases(run: RunData, axes: Axes, pictures: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    rows = by_key(run.scores.drop_duplicates("case"), "case")
    manifest = by_key(run.manifest.drop_duplicates("case"), "case")
    seen = {"true": True, "false": False}
    return [
        {
            "name": case,
            "modality": run.groups.index(rows[case,]["modality"]) - 1,
            "experiment": rows[case,]["experiment"],
            # None where that is not stated.
            "seen": seen.get(str(rows[case,].get("seen")).lower()),
            "licence": manifest.get((case,), {}).get("licence") or "",
            **picture,
        }
        for case, picture in zip(axes.cases, pictures, strict=True)
    ]


def _numbers(run: RunData, axes: Axes, table: pd.DataFrame, column: str) -> np.ndarray:
    """Lay a column of numbers out as methods by cases; NaN where it has none."""
    order = pd.MultiIndex.from_product([run.methods, axes.cases])
    rows = table.drop_duplicates(["method", "case"]).set_index(["method", "case"])
    values = pd.to_numeric(rows.reindex(columns=[column])[column], errors="coerce").reindex(order)
    return values.to_numpy(np.float64).reshape(len(run.methods), len(axes.cases))


def _messages(run: RunData, axes: Axes) -> dict[str, Any]:
    """Collect what the ledger says of cases without a mask: texts, and which case has which."""
    told = by_key(run.ledger.drop_duplicates(["method", "case"]), "method", "case")
    failed = run.main[~run.main["status"].isin(SEGMENTED)]
    texts: dict[str, int] = {}
    where = []
    for method, case in zip(failed["method"], failed["case"], strict=True):
        text = failure_message(told.get((method, case), {}))[:_LONGEST_MESSAGE]
        if text:
            number = texts.setdefault(text, len(texts))
            where.append([run.methods.index(method), axes.cases.index(case), number])
    return {"texts": list(texts), "where": where}


def _met(axes: Axes, exposures: pd.DataFrame) -> dict[str, Any]:
    """Say what the methods had met of the images.

    ``what`` are pairs of a level and by what it is known, ``which`` (methods, cases) places in it,
    packed as little-endian uint16.
    """
    known = exposures["seen"].where(exposures["seen"] != NOTHING_KNOWN, "")
    told = pd.Series(list(zip(known, exposures["by"], strict=True)), index=exposures.index)
    what = [("", ""), *sorted(set(told) - {("", "")})]
    keys = zip(exposures["method"], exposures["case"], strict=True)
    places = dict(zip(keys, told.map({pair: at for at, pair in enumerate(what)}), strict=True))
    which = [[places[method, case] for case in axes.cases] for method in axes.methods]
    return {"what": what, "which": _pack(np.array(which), "<u2")}


def _pack(values: np.ndarray, dtype: str = "<f4") -> str:
    """Write numbers as base64, last axis fastest; NaN stays NaN."""
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode("ascii")
