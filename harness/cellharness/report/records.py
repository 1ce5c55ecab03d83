"""Rows of frames as plain dictionaries, looked up by name."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cellharness.statistics import ALL

Record = dict[str, Any]


def records(frame: pd.DataFrame) -> list[Record]:
    """Return every row as a dictionary of column to value."""
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def by_key(frame: pd.DataFrame, *keys: str) -> dict[tuple[Any, ...], Record]:
    """Return every row under the tuple of its values in some columns; these must be unique.

    Examples
    --------
    >>> by_key(pd.DataFrame({"a": ["x"], "b": [1]}), "a")
    {('x',): {'a': 'x', 'b': 1}}
    """
    return {tuple(row[key] for key in keys): row for row in records(frame)}


def leaders(medians: dict[str, float]) -> set[str]:
    """Name the methods with the highest value as printed; nobody where there is no contest.

    Examples
    --------
    >>> leaders({"a": 0.81, "b": 0.80}), leaders({"a": 0.81}), leaders({"a": 0.5, "b": 0.5001})
    ({'a'}, set(), set())
    """
    printed = {name: round(float(v), 3) for name, v in medians.items() if not pd.isna(v)}
    if len(medians) < 2 or len(set(printed.values())) < 2:
        return set()
    top = max(printed.values())
    return {name for name, value in printed.items() if value == top}


def group_title(group: str) -> str:
    """Spell a group of images in headings and panel titles."""
    return "All images" if group == ALL else group
