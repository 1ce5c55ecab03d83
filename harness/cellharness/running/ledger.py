"""What happened to each case: one SQLite row a method and case, safe against a kill."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cellharness.files import set_aside
from cellharness.run_directory import (
    LEDGER_COLUMNS,
    LEDGER_TEXT,
    SECONDS_COLUMNS,
    RunDirectory,
    RunDirectoryError,
)
from cellharness.vocabulary import PHASES, SEGMENTED

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = {name for name in LEDGER_COLUMNS if name.startswith(("seconds_", "peak_"))}
_COUNTS = {"repeats", "pixels"}

#: How ``ledger.csv`` begins a message about a mask that could not be scored.
NOT_SCORED = "not scored: "


@dataclass(frozen=True)
class Outcome:
    """What came of one case.

    Attributes
    ----------
    status : str
        One of :data:`cellharness.vocabulary.STATUSES`.
    message : str
        Why, where the status is not ``ok``.
    seconds : dict of str to float
        Seconds by phase, and ``total``, medians over the repeats. ``load`` and ``warmup`` are
        counted on the first case after the method's process started, and are 0 on the others.
        ``first`` is the whole of the first repeat, without these; ``phases`` the sum of the
        phases of all repeats, with these.
    peak_host_mb, peak_gpu_mb : float or None
        Peak resident memory of the method's process, and peak memory of the GPU
        allocator, during the case, in MiB.
    peak_gpu_driver_mb : float or None
        Peak memory of the GPU as the driver counts it, see
        :class:`cellharness.running.memory.DriverPeak`, in MiB.
    prediction_sha256 : str
        Of the mask file, or "".
    details : dict
        What the method wants kept, such as the diameter it used.
    """

    status: str
    message: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_host_mb: float | None = None
    peak_gpu_mb: float | None = None
    prediction_sha256: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    peak_gpu_driver_mb: float | None = None
    repeats: int = 1
    pixels: int | None = None


class Known(NamedTuple):
    """What decides whether a case is made again.

    Attributes
    ----------
    identity : str
        Hash of all that its mask was made from.
    status : str
        One of :data:`cellharness.vocabulary.STATUSES`.
    prediction_sha256 : str
        Of the mask file, or "".
    message : str
        Why the status is not ``ok``.
    """

    identity: str
    status: str
    prediction_sha256: str
    message: str = ""


class Ledger:
    """The record of a run; every row is on disk before the next case starts.

    Parameters
    ----------
    path : Path
        SQLite file; made when absent. One process writes, see :mod:`cellharness.running.run`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: dict[tuple[str, str], tuple[Any, ...]] = {}
        #: Method and case of rows that are shown as failed, to what is shown.
        self.suspended: dict[tuple[str, str], dict[str, str]] = {}
        # "case" is a word of SQL and must be quoted.
        columns = ", ".join(f'"{name}" {_sql_type(name)}' for name in LEDGER_COLUMNS)
        with closing(self._connect()) as connection, connection:
            connection.execute(
                f'CREATE TABLE IF NOT EXISTS cases ({columns}, PRIMARY KEY (method, "case"))'
            )
            # A run of an earlier version goes on; what it did not measure stays empty.
            there = {row[1] for row in connection.execute("PRAGMA table_info(cases)")}
            for name in LEDGER_COLUMNS:
                if name not in there:
                    connection.execute(f'ALTER TABLE cases ADD COLUMN "{name}" {_sql_type(name)}')

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=30)
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def record(
        self, method: str, case: str, identity: str, outcome: Outcome, overhead: float | None = None
    ) -> None:
        """Write one row, replacing an older one of the same method and case.

        ``overhead`` is what passed for the case outside the method's own phases, in seconds.

        On a full disk the row is kept in memory and tried again with the next one and
        in :meth:`flush`.
        """
        seconds = {**dict.fromkeys((*PHASES, "total"), 0.0), **outcome.seconds}
        self._waiting[method, case] = (
            method,
            case,
            identity,
            outcome.status,
            outcome.message,
            *(float(seconds[name.removeprefix("seconds_")]) for name in SECONDS_COLUMNS),
            outcome.peak_host_mb,
            outcome.peak_gpu_mb,
            outcome.prediction_sha256,
            json.dumps(dict(outcome.details), sort_keys=True, default=str),
            datetime.now(UTC).isoformat(timespec="seconds"),
            outcome.seconds.get("first"),
            overhead,
            outcome.repeats,
            outcome.pixels,
            outcome.peak_gpu_driver_mb,
        )
        try:
            self.flush()
        except sqlite3.OperationalError:
            return

    def suspend(self, method: str, case: str, identity: str, outcome: Outcome) -> None:
        """Show a row as failed in `frame`, while it stays on disk as it is.

        Its mask is there, but what it was made from is not to be had now. With the shown identity
        in ``ledger.csv``, a ledger that is filled from there has the case made again.
        """
        self.suspended[method, case] = {
            "identity": identity,
            "status": outcome.status,
            "message": outcome.message,
            "details": "{}",
        }

    def flush(self) -> None:
        """Write rows that a full disk held back.

        Raises
        ------
        sqlite3.OperationalError
            The disk is still full, or the file is not writable.
        """
        columns = ", ".join(f'"{name}"' for name in LEDGER_COLUMNS)
        marks = ", ".join("?" * len(LEDGER_COLUMNS))
        with closing(self._connect()) as connection, connection:
            connection.executemany(
                f"INSERT OR REPLACE INTO cases ({columns}) VALUES ({marks})",
                list(self._waiting.values()),
            )
        self._waiting.clear()

    def known(self, method: str) -> dict[str, Known]:
        """Case to what is known of it, for all rows of a method."""
        columns = "identity, status, prediction_sha256, message"
        with closing(self._connect()) as connection:
            rows = connection.execute(
                f'SELECT "case", {columns} FROM cases WHERE method = ?', (method,)
            ).fetchall()
        return {case: Known(*facts) for case, *facts in rows}

    def of_others(self, methods: Collection[str]) -> dict[str, tuple[str, str, str]]:
        """Masks of methods that are not among `methods`: identity to method, case and SHA256."""
        columns = 'identity, status, method, "case", prediction_sha256'
        with closing(self._connect()) as connection:
            rows = connection.execute(f"SELECT {columns} FROM cases ORDER BY rowid").fetchall()
        return {
            identity: (method, case, sha256)
            for identity, status, method, case, sha256 in rows
            if status in SEGMENTED and method not in methods
        }

    def copy(self, method: str, case: str, to: tuple[str, str]) -> None:
        """Give a row to another method and case too: what came of it is the same."""
        columns = ", ".join(f'"{name}"' for name in LEDGER_COLUMNS)
        values = columns.replace('"method", "case"', "?, ?")
        with closing(self._connect()) as connection, connection:
            connection.execute(
                f"INSERT OR REPLACE INTO cases ({columns}) "
                f'SELECT {values} FROM cases WHERE method = ? AND "case" = ?',
                (*to, method, case),
            )

    def first_finished(self) -> str | None:
        """When the first of its cases was finished, ISO date; None where there is none."""
        with closing(self._connect()) as connection:
            return connection.execute("SELECT min(finished) FROM cases").fetchone()[0]

    def _fill(self, rows: pd.DataFrame) -> None:
        """Take over the rows of a table with `LEDGER_COLUMNS`."""
        plain = rows.astype(object).where(rows.notna(), None)
        for row in plain[list(LEDGER_COLUMNS)].itertuples(index=False, name=None):
            self._waiting[row[0], row[1]] = row
        self.flush()

    def frame(self) -> pd.DataFrame:
        """Return all rows, columns `LEDGER_COLUMNS`, in the order of their last writing.

        Those that were suspended are shown so; seconds and memory are those that were measured.
        """
        # The process of a method keeps no table and is spared the import.
        import pandas as pd

        with closing(self._connect()) as connection:
            # By name: columns added to an older file need not stand in this order.
            columns = ", ".join(f'"{name}"' for name in LEDGER_COLUMNS)
            rows = connection.execute(f"SELECT {columns} FROM cases ORDER BY rowid").fetchall()
        written = {(row[0], row[1]): row for row in rows}
        written.update(self._waiting)
        for place, shown in self.suspended.items():
            row = dict(zip(LEDGER_COLUMNS, written[place], strict=True)) | shown
            written[place] = tuple(row.values())
        return pd.DataFrame(list(written.values()), columns=list(LEDGER_COLUMNS))


def copy_ledger(path: Path, to: Path) -> Ledger:
    """Open a copy of a ledger, to look into it: to open one may change it. None there is no error.

    Raises
    ------
    sqlite3.Error
        It is damaged.
    """
    if path.is_file():
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with (
            closing(sqlite3.connect(uri, uri=True, timeout=30)) as source,
            closing(sqlite3.connect(to)) as copy,
        ):
            source.backup(copy)
    return Ledger(to)


def open_ledger(run: RunDirectory) -> tuple[Ledger, str]:
    """Open the ledger of a run; a damaged one is filled again from ``ledger.csv``.

    Parameters
    ----------
    run : RunDirectory

    Returns
    -------
    ledger : Ledger
    note : str
        What was wrong and what was done, or "".

    Raises
    ------
    RunDirectoryError
        It is damaged, and no finished run left a ``ledger.csv`` from which to fill it.
    """
    path = run.database
    damage = _damage(path)
    if not damage or not any(run.path.glob("predictions/*/*")):
        if damage and path.exists():
            path.unlink()  # cut off before the first mask: it holds nothing
        return Ledger(path), ""
    if path.exists() and not run.ledger.is_file():
        msg = (
            f"'{path}' {damage}, and it alone says which masks are finished. Put it back from a "
            "copy, or delete it, and go on with --resume, which then makes the masks again"
        )
        raise RunDirectoryError(msg)
    if not run.ledger.is_file():
        return Ledger(path), f"'{path}' {damage}: all masks are made again"
    # The process of a method opens no ledger and is spared the import of pandas.
    from cellharness.tables import TableError, read_table

    words = [*LEDGER_TEXT, "prediction_sha256"]
    try:
        rows = read_table(run.ledger, words)[list(LEDGER_COLUMNS)]
    except (TableError, KeyError) as error:
        msg = (
            f"'{path}' {damage}, and '{run.ledger}' does not help: {error}. Put either back from "
            "a copy, or delete both, and go on with --resume, which then makes the masks again"
        )
        raise RunDirectoryError(msg) from error
    kept = f"; it is kept as '{set_aside(path).name}'" if path.exists() else ""
    ledger = Ledger(path)
    told = rows["message"].fillna("").str.startswith(NOT_SCORED) & rows["status"].isin(SEGMENTED)
    ledger._fill(
        rows.assign(message=rows["message"].mask(told, "")).fillna(dict.fromkeys(words, ""))
    )
    return ledger, f"'{path}' {damage} and was filled again from {run.ledger.name}{kept}"


def is_ledger(path: Path) -> bool:
    """Whether a file is a ledger that :class:`Ledger` wrote, as far as it can be read."""
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            names = {row[1] for row in connection.execute("PRAGMA table_info(cases)")}
    except sqlite3.Error:
        return False
    return {"method", "case", "identity"} <= names


def _damage(path: Path) -> str:
    """What is wrong with the file of a ledger, or ""."""
    if not path.exists():
        return "is not there"
    if path.stat().st_size == 0:
        return "is empty"
    try:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            connection.execute("SELECT count(*) FROM cases").fetchone()
    except sqlite3.OperationalError as error:
        return "holds no ledger" if "no such table" in str(error) else ""
    except sqlite3.DatabaseError as error:
        return f"is damaged ({error})"
    return "" if found == "ok" else f"is damaged ({found})"


def _sql_type(name: str) -> str:
    return "REAL" if name in _NUMBERS else "INTEGER" if name in _COUNTS else "TEXT"
