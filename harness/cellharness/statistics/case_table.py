"""One value a case and method, checked and laid out as a matrix for the rankings."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellharness.errors import UsageError

Floats = NDArray[np.float64]

#: What to put for a missing value: `"worst"`, or a number.
Missing = Literal["worst"] | float


class RankingError(UsageError, ValueError):
    """The table or a choice given to a ranking is not valid."""


@dataclass(frozen=True)
class CaseTable:
    """Values of one metric, cases by methods.

    Attributes
    ----------
    cases : tuple
        Names, sorted as text, so that a seed draws the same cases whatever the order of the rows.
    methods : tuple
        Names, in the order in which they first occur.
    values : ndarray of float64, shape (cases, methods)
        Finite, or NaN where a method has no value for a case.
    """

    cases: tuple[Hashable, ...]
    methods: tuple[Hashable, ...]
    values: Floats


def tabulate(scores: pd.DataFrame, columns: Sequence[str] = ("value",)) -> list[CaseTable]:
    """Lay out columns of a long table, one matrix a column, all with the same cases and methods.

    A case and method without a row has no value, as one whose value is NaN.

    Parameters
    ----------
    scores : DataFrame
        One row a case and method, with the columns ``case``, ``method`` and those of `columns`;
        others are passed over.
    columns : sequence of str
        Columns of numbers.

    Returns
    -------
    list of CaseTable
        One for each of `columns`.

    Raises
    ------
    RankingError
        If there are no rows, a column is missing, a row has no case or method or occurs twice, or
        a value is no finite number.
    """
    needed = ("case", "method", *columns)
    absent = [name for name in needed if name not in scores.columns]
    if absent:
        msg = (
            f"the table lacks the columns {', '.join(absent)}; it needs {', '.join(needed)} "
            f"and has {', '.join(map(str, scores.columns)) or 'none'}"
        )
        raise RankingError(msg)
    if scores.empty:
        msg = "the table has no rows; a ranking needs at least one case of one method"
        raise RankingError(msg)
    for key in ("case", "method"):
        if scores[key].isna().any():
            row = scores.index[scores[key].isna()][0]
            msg = f"row {row} has no {key}; every row needs a case and a method"
            raise RankingError(msg)
    twice = scores[scores.duplicated(["case", "method"])]
    if not twice.empty:
        first = twice.iloc[0]
        msg = (
            f"more than one row for case {first['case']} and method {first['method']}; "
            "choose one threshold and profile before ranking"
        )
        raise RankingError(msg)
    methods = tuple(dict.fromkeys(scores["method"]))
    cases = tuple(sorted(dict.fromkeys(scores["case"]), key=str))
    rows = scores["case"].map({name: i for i, name in enumerate(cases)}).to_numpy(np.intp)
    places = scores["method"].map({name: i for i, name in enumerate(methods)}).to_numpy(np.intp)
    tables = []
    for column in columns:
        values = np.full((len(cases), len(methods)), np.nan)
        values[rows, places] = _numbers(scores[column])
        tables.append(CaseTable(cases, methods, values))
    return tables


def check_missing(missing: object) -> Missing:
    """Return `missing` if it is ``"worst"`` or a finite number, or say what is valid."""
    if missing == "worst":
        return "worst"
    is_number = isinstance(missing, Real) and not isinstance(missing, bool)
    if not is_number or not math.isfinite(float(missing)):  # type: ignore[arg-type]
        msg = f"missing is {missing!r}; valid are 'worst' and finite numbers, such as 0 for F1"
        raise RankingError(msg)
    return float(missing)  # type: ignore[arg-type]


def fill(values: Floats, missing: Missing, *, larger_is_better: bool) -> Floats:
    """Put a number in place of every NaN.

    Parameters
    ----------
    values : ndarray of float64
        NaN where there is no value.
    missing : "worst" or float
        ``"worst"`` is the worst value of the whole array; where it holds no number at all, it is
        returned as it is.
    larger_is_better : bool
        Decides which value is the worst.
    """
    missing = check_missing(missing)
    absent = np.isnan(values)
    if not absent.any():
        return values
    if missing == "worst":
        if absent.all():
            return values
        missing = float(np.nanmin(values) if larger_is_better else np.nanmax(values))
    return np.where(absent, missing, values)


def _numbers(column: pd.Series) -> Floats:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    bad = (np.isnan(numbers) & column.notna().to_numpy()) | np.isinf(numbers)
    if bad.any():
        value = column.iloc[int(np.flatnonzero(bad)[0])]
        value = value.item() if isinstance(value, np.generic) else value
        msg = (
            f"column {column.name} holds {value!r}; valid are finite numbers, and NaN for a value "
            "that is missing"
        )
        raise RankingError(msg)
    return numbers
