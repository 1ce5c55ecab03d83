"""Rows of estimates: families of tests, p values corrected within them, and the verdicts.

A family is the set of comparisons that are looked at together; Holm's method (1979, *A simple
sequentially rejective multiple test procedure*, Scandinavian Journal of Statistics 6:65) keeps the
chance that any of them is called different by mistake below the level. Notes and captions are made
from the columns ``family, family_size, unit, n_images, n_units, confidence``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from cellharness.statistics.contrasts import (
    Estimate,
    Floats,
    verdict_of,
)
from cellharness.statistics.significance import adjust_by_holm

#: What every row of estimates has, beside the columns that say what was compared.
ESTIMATE_COLUMNS = (
    "unit", "n_images", "n_missing", "n_units", "estimate", "low", "high", "confidence", "p",
    "p_higher", "p_lower", "p_adjusted", "family", "family_size", "verdict", "why_not",
)  # fmt: skip

#: How p is corrected within a family, and of which tests it is, in words.
CORRECTED = "Holm-corrected"
TESTS = "sign-flip and skewness-adjusted t test, two-sided"


def estimate_rows(
    about: pd.DataFrame, found: Sequence[Estimate], families: Sequence[str | None]
) -> pd.DataFrame:
    """Put estimates beside what they are of, corrected within their families.

    Parameters
    ----------
    about : DataFrame
        One row an estimate: what was compared.
    found : sequence of Estimate
        As many.
    families : sequence of str or None
        To which family each belongs; None for one that was named beforehand, or stands alone, and
        is not corrected.

    Returns
    -------
    DataFrame
        The columns of `about`, then `ESTIMATE_COLUMNS`. ``family_size`` counts the tests that were
        done. ``verdict`` follows from ``p_adjusted``, which is `p` for a test of no family.
    """
    names = [field.name for field in fields(Estimate)]
    values = pd.DataFrame([[getattr(one, name) for name in names] for one in found], columns=names)
    family = pd.Series(list(families), dtype=object)
    in_family = family.notna()
    p = values["p"].to_numpy(float)
    values["p_adjusted"] = np.where(in_family, adjust_families(p, family.tolist()), p)
    values["family"] = family.fillna("")
    sizes = values["p"].groupby(values["family"]).transform("count")
    values["family_size"] = sizes.where(in_family, values["p"].notna().astype(int)).astype(int)
    values["verdict"] = [
        verdict_of(estimate, low, high, p_adjusted, 1 - confidence)
        for estimate, low, high, p_adjusted, confidence in values[
            ["estimate", "low", "high", "p_adjusted", "confidence"]
        ].to_numpy(float)
    ]
    return pd.concat([about.reset_index(drop=True), values[list(ESTIMATE_COLUMNS)]], axis="columns")


def adjust_families(p: Sequence[float] | Floats, families: Sequence[object]) -> Floats:
    """Adjust p values by Holm's method, each family of tests for itself.

    Parameters
    ----------
    p : sequence of float
        NaN for a test that could not be done; it does not count.
    families : sequence
        To which family each test belongs.

    Examples
    --------
    >>> adjust_families([0.01, 0.04, 0.04], ["a", "a", "b"]).tolist()
    [0.02, 0.04, 0.04]
    """
    raw = np.asarray(p, np.float64)
    adjusted = np.full(raw.shape, np.nan)
    members: dict[object, list[int]] = {}
    for place, family in enumerate(families):
        members.setdefault(family, []).append(place)
    for places in members.values():
        adjusted[places] = adjust_by_holm(raw[places][None])[0]
    return adjusted


def how_tested(rows: pd.DataFrame) -> str:
    """Say of which tests some rows are, for the note of a table or the caption of a figure.

    Parameters
    ----------
    rows : DataFrame
        With `ESTIMATE_COLUMNS`.

    Returns
    -------
    str
        One or two sentences.

    Examples
    --------
    >>> from cellharness.statistics.contrasts import mean_difference
    >>> one = mean_difference([0.1, 0.2, 0.1, 0.3, 0.2, 0.4], unit="image")
    >>> how_tested(estimate_rows(pd.DataFrame({"a": [1]}), [one], [None]))[:32]
    'Intervals of 95 % and p by image'
    """
    row = rows.iloc[0]
    said = f"Intervals of {level_words(row)} and p by {row['unit']}: {TESTS}, p {corrected(rows)}"
    return f"{said}, intervals not corrected." if _in_families(rows) else f"{said}."


def level_words(row: pd.Series | Mapping[str, Any]) -> str:
    """Write the confidence of an interval.

    Examples
    --------
    >>> level_words({"confidence": 0.95})
    '95 %'
    """
    return f"{100 * row['confidence']:g} %"


def interval_head(rows: pd.DataFrame) -> str:
    """Name the intervals of some rows, as in ``95 % interval``."""
    return f"{level_words(rows.iloc[0])} interval"


def images_and_units(row: Mapping[str, Any]) -> str:
    """Count the images of an estimate, and the units where those are others.

    Examples
    --------
    >>> images_and_units({"n_images": 26, "n_units": 19, "unit": "experiment"})
    '26 / 19'
    """
    n = f"{row['n_images']:,}"
    return n if row["unit"] == "image" else f"{n} / {row['n_units']:,}"


def n_head(rows: pd.DataFrame) -> str:
    """Say what `images_and_units` counts."""
    unit = rows["unit"].iloc[0]
    return "n, images" if unit == "image" else f"n, images / {unit}s"


def corrected(rows: pd.DataFrame) -> str:
    """Say over how many tests the p of some rows are corrected."""
    if not _in_families(rows):
        return "not corrected"
    return f"{CORRECTED} over the {_sizes(rows)} of a family"


def _in_families(rows: pd.DataFrame) -> bool:
    """Whether any p is corrected for others."""
    return int(rows["family_size"].max()) > 1 and bool(rows["family"].any())


def too_few_words(rows: pd.DataFrame) -> str:
    """Say where nothing could be tested and why; nothing where all was."""
    reasons = dict.fromkeys(rows.loc[rows["why_not"] != "", "why_not"])
    return f"Not tested: {'; '.join(reasons)}." if reasons else ""


def not_tested_words(row: Mapping[str, Any]) -> str:
    """Say that a row of estimates tests no difference, and why."""
    return f"No difference is tested: {row['why_not']}."


def _sizes(rows: pd.DataFrame) -> str:
    sizes = sorted({int(size) for size in rows.loc[rows["family"] != "", "family_size"] if size})
    few, most = sizes[0], sizes[-1]
    return f"{most} tests" if few == most else f"{few} to {most} tests"
