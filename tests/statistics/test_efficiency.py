from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cellharness.statistics.efficiency import overhead, running_times
from cellharness.vocabulary import NOT_LOADED


def ledger(*rows):
    """Rows of (method, case, status, load, warmup, total, first, pixels)."""
    names = ["method", "case", "status", "seconds_load", "seconds_warmup", "seconds_total",
             "seconds_first", "pixels"]  # fmt: skip
    return pd.DataFrame(list(rows), columns=names)


def test_the_start_up_is_paid_by_every_image_that_comes_alone():
    table = running_times(
        ledger(
            ("m", "a", "ok", 8.0, 2.0, 11.0, 1.5, 500_000),
            ("m", "b", "ok", 0.0, 0.0, 4.0, 4.5, 2_000_000),
            ("n", "a", "empty", 0.5, 0.0, 1.0, 0.5, 500_000),
        )
    )
    assert table["warm_seconds"].tolist() == [1.0, 4.0, 0.5]
    assert table["cold_seconds"].tolist() == [11.5, 14.5, 1.0]
    # 10 s are forgiven up to a million pixels, 20 s at two million.
    assert table["adjusted_seconds"].tolist() == [1.5, 0.0, 0.0]


def test_of_several_starts_the_longest_counts():
    rows = [("m", c, "ok", load, 0.0, load + 1, 1.0, 100) for c, load in (("a", 3.0), ("b", 12.0))]
    assert running_times(ledger(*rows))["cold_seconds"].tolist() == [13.0, 13.0]


def test_a_failed_case_has_no_time_and_its_load_counts_for_nobody():
    table = running_times(
        ledger(
            ("m", "a", "timeout", 99.0, 0.0, 999.0, np.nan, np.nan),
            ("m", "b", "ok", 1.0, 0.0, 3.0, 2.0, 100),
        )
    )
    assert table.loc[0, ["warm_seconds", "cold_seconds", "adjusted_seconds"]].isna().all()
    assert table.loc[1, "cold_seconds"] == 3.0


@pytest.mark.parametrize(
    ("message", "loads"),
    [
        ("ValueError: a damaged image", 9.0),
        (f"{NOT_LOADED}: no result within 9 s; the process was ended", 0.0),
    ],
)
def test_the_load_counts_where_the_first_case_failed_and_not_where_it_failed_itself(message, loads):
    table = ledger(
        ("m", "a", "error", 8.0, 1.0, 9.5, 0.5, np.nan),
        ("m", "b", "ok", 0.0, 0.0, 3.0, 2.0, 100),
    )
    times = running_times(table.assign(message=[message, np.nan]))
    assert times.loc[0, ["warm_seconds", "cold_seconds"]].isna().all()
    assert times.loc[1, ["warm_seconds", "cold_seconds"]].tolist() == [3.0, loads + 2.0]


def test_an_older_ledger_has_no_adjusted_time_but_the_others():
    old = ledger(("m", "a", "ok", 1.0, 0.0, 3.0, 0.0, 0)).drop(columns=["seconds_first", "pixels"])
    row = running_times(old).iloc[0]
    assert (row["warm_seconds"], row["cold_seconds"]) == (2.0, 3.0)
    assert np.isnan(row["adjusted_seconds"])


def test_an_empty_ledger_gives_an_empty_table():
    assert running_times(ledger()).empty
    assert np.isnan(overhead(ledger()))


def test_overhead_is_what_is_outside_of_all_phases_of_all_repeats():
    table = pd.DataFrame(
        {
            "seconds_load": [4.0, 0.0, 0.0],
            "seconds_network": [1.0, 2.0, 0.0],
            "seconds_read": [0.5, 0.5, 0.0],
            # The last was ended: only what it took in all is known.
            "seconds_total": [5.5, 2.6, 10.0],
            "seconds_overhead": [1.0, 0.5, 0.5],
            "repeats": [1, 3, 1],
        }
    )
    own = 4.0 + 1.5 + 3 * 2.5 + 10.0
    assert overhead(table) == pytest.approx(2.0 / (own + 2.0))


def test_overhead_counts_what_an_earlier_method_spent_once():
    table = pd.DataFrame(
        {
            "method": ["a", "b", "c"],
            "case": "x",
            "status": "ok",
            "seconds_load": [4.0, 4.0, 4.0],
            "seconds_network": 1.0,
            "seconds_total": 5.0,
            "seconds_overhead": [1.0, 1.0, np.nan],
            "repeats": 1,
            "details": ["{}", '{"reused_seconds": 3.0}', '{"reused_seconds": 3.0}'],
        }
    )
    assert overhead(table) == pytest.approx(2 / (5 + 2 + 2))


def test_overhead_leaves_out_rows_that_did_not_measure_it():
    table = pd.DataFrame(
        {
            "seconds_network": [9.0, 3.0],
            "seconds_total": [9.0, 3.0],
            "seconds_overhead": [1.0, np.nan],
            "repeats": [1, 1],
        }
    )
    assert overhead(table) == pytest.approx(0.1)
