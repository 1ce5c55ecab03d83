from __future__ import annotations

import json
import sqlite3

import pytest

from cellharness.run_directory import LEDGER_COLUMNS
from cellharness.running.ledger import Ledger, Outcome


def test_rows_are_on_disk_at_once_and_replaced_by_later_ones(tmp_path):
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    ledger.record("m", "a", "id1", Outcome("error", "why", {"read": 0.5, "total": 1.0}))
    ledger.record("m", "b", "id2", Outcome("ok", details={"diameter": 30.5}))
    ledger.record("m", "a", "id3", Outcome("ok", "", {"network": 2.0}, 100.0, None, "ff"))
    again = Ledger(path)
    assert again.known("m") == {"a": ("id3", "ok", "ff", ""), "b": ("id2", "ok", "", "")}
    assert again.known("other") == {}
    rows = again.frame()
    assert list(rows.columns) == list(LEDGER_COLUMNS)
    row = rows.set_index("case").loc["a"]
    assert (row["seconds_network"], row["seconds_read"], row["peak_host_mb"]) == (2.0, 0.0, 100.0)
    assert json.loads(rows.set_index("case").loc["b", "details"]) == {"diameter": 30.5}


def test_a_row_that_a_full_disk_refused_is_kept_and_written_later(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    connect = ledger._connect

    def full():
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(ledger, "_connect", full)
    ledger.record("m", "a", "id", Outcome("ok"))
    with pytest.raises(sqlite3.OperationalError):
        ledger.flush()
    monkeypatch.setattr(ledger, "_connect", connect)
    assert len(ledger.frame()) == 1
    ledger.flush()
    assert Ledger(ledger.path).known("m") == {"a": ("id", "ok", "", "")}


def test_a_ledger_of_an_earlier_version_goes_on(tmp_path):
    path = tmp_path / "ledger.sqlite"
    old = LEDGER_COLUMNS[: LEDGER_COLUMNS.index("finished") + 1]
    with sqlite3.connect(path) as connection:
        columns = ", ".join(f'"{name}"' for name in old)
        connection.execute(f'CREATE TABLE cases ({columns}, PRIMARY KEY (method, "case"))')
        values = ["m", "a", "id", "ok", *[None] * (len(old) - 4)]
        connection.execute(f"INSERT INTO cases VALUES ({', '.join('?' * len(old))})", values)
    ledger = Ledger(path)
    ledger.record("m", "b", "id", Outcome("ok", repeats=3, pixels=4096), overhead=0.25)
    rows = Ledger(path).frame().set_index("case")
    assert list(rows.index) == ["a", "b"]
    assert rows.loc["a", "status"] == "ok"
    assert rows["pixels"].isna().tolist() == [True, False]
    assert rows.loc["b", ["repeats", "pixels", "seconds_overhead"]].tolist() == [3, 4096, 0.25]
