"""Rows of frames as plain dictionaries, looked up by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # wording, and with it the commands' quick answers, need no pandas
    import pandas as pd

Record = dict[str, Any]


def records(frame: pd.DataFrame) -> list[Record]:
    """Return every row as a dictionary of column to value."""
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def by_key(frame: pd.DataFrame, *keys: str) -> dict[tuple[Any, ...], Record]:
    """Return every row under the tuple of its values in some columns; these must be unique.

    Examples
    --------
    >>> import pandas as pd
    >>> by_key(pd.DataFrame({"a": ["x"], "b": [1]}), "a")
    {('x',): {'a': 'x', 'b': 1}}
    """
    return {tuple(row[key] for key in keys): row for row in records(frame)}
