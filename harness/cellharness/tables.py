"""Read a CSV table: the one reader of all, for which only an empty field is missing."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from cellharness.errors import UsageError

# A case, method or experiment may be called "NA", "None" or "nan".
_MISSING_NUMBERS = ["", "nan", "NaN", "NA"]


class TableError(UsageError):
    """A file that cannot be read as a table; the message names it."""


def read_table(path: Path, text: Collection[str] | None) -> pd.DataFrame:
    """Read a CSV with a header line.

    Parameters
    ----------
    path : Path
        UTF-8, comma-separated.
    text : collection of str or None
        Columns that are text, of which only an empty field is missing; None takes all. In the
        others ``nan`` and ``NA`` are missing numbers as well, and pandas decides what they hold.

    Returns
    -------
    DataFrame

    Raises
    ------
    TableError
        The file cannot be read, or is no CSV.
    """
    try:
        header = [str(name) for name in pd.read_csv(path, nrows=0).columns]
        words = [name for name in header if text is None or name in text]
        missing = {name: [""] if name in words else _MISSING_NUMBERS for name in header}
        return pd.read_csv(
            path, dtype=dict.fromkeys(words, str), keep_default_na=False, na_values=missing
        )
    except (OSError, ValueError) as error:
        msg = f"cannot read '{path}' as a CSV table: {error}"
        raise TableError(msg) from error
