"""What happened to each case: one SQLite row a method and case, safe against a kill."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cellharness.run_directory import LEDGER_COLUMNS, SECONDS_COLUMNS
from cellharness.vocabulary import PHASES

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = {name for name in LEDGER_COLUMNS if name.startswith(("seconds_", "peak_"))}
_COUNTS = {"repeats", "pixels"}


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
    """

    identity: str
    status: str
    prediction_sha256: str


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
        columns = "identity, status, prediction_sha256"
        with closing(self._connect()) as connection:
            rows = connection.execute(
                f'SELECT "case", {columns} FROM cases WHERE method = ?', (method,)
            ).fetchall()
        return {case: Known(*facts) for case, *facts in rows}

    def frame(self) -> pd.DataFrame:
        """Return all rows, columns `LEDGER_COLUMNS`, in the order of their last writing."""
        # The process of a method keeps no table and is spared the import.
        import pandas as pd

        with closing(self._connect()) as connection:
            # By name: columns added to an older file need not stand in this order.
            columns = ", ".join(f'"{name}"' for name in LEDGER_COLUMNS)
            rows = connection.execute(f"SELECT {columns} FROM cases ORDER BY rowid").fetchall()
        written = {(row[0], row[1]): row for row in rows}
        written.update(self._waiting)
        return pd.DataFrame(list(written.values()), columns=list(LEDGER_COLUMNS))


def _sql_type(name: str) -> str:
    return "REAL" if name in _NUMBERS else "INTEGER" if name in _COUNTS else "TEXT"
