from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from cellharness.report.comparison.cost import cost_table, running_time_table
from cellharness.statistics.efficiency import running_times
from cellharness.vocabulary import NOT_LOADED


def run_of(ledger):
    methods = list(dict.fromkeys(ledger["method"]))
    run = SimpleNamespace(
        ledger=ledger, times=running_times(ledger), methods=methods,
        labels={m: m.upper() for m in methods}, untimed={},
    )  # fmt: skip
    return SimpleNamespace(run=run, colours=dict.fromkeys(methods, "#000000"))


def ledger(**more):
    rows = [
        {"method": "a", "case": "1", "status": "ok", "seconds_load": 9.0, "seconds_warmup": 0.0,
         "seconds_network": 2.0, "seconds_total": 11.0, "seconds_first": 3.0, "pixels": 100},
        {"method": "a", "case": "2", "status": "ok", "seconds_load": 0.0, "seconds_warmup": 0.0,
         "seconds_network": 1.0, "seconds_total": 1.0, "seconds_first": 0.5, "pixels": 100},
        {"method": "b", "case": "1", "status": "error", "seconds_load": 0.0, "seconds_warmup": 0.0,
         "seconds_network": 0.0, "seconds_total": 4.0, "seconds_first": np.nan, "pixels": np.nan},
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**more)


def test_cold_and_adjusted_times_are_those_of_the_statistics():
    run = run_of(ledger(repeats=3, seconds_overhead=0.25))
    table = running_time_table(run)
    frame = table.frame.set_index("method")
    assert frame.loc["a", "warm_seconds_median"] == 1.5
    assert frame.loc["a", "cold_seconds_median"] == (12.0 + 9.5) / 2
    assert frame.loc["a", "adjusted_seconds_median"] == 1.0
    assert frame.loc["a", "within"] == 0.5
    assert table.rows[0].cells[-1] == "50 %"
    assert "median of 3 repeats" in table.notes[0]
    # Own phases: 3 x 3 s, 9 s of load, 4 s of the failed one; 0.75 s outside.
    assert f"passed {100 * 0.75 / 22.75:.1f} %" in table.notes[1]


def test_a_method_without_a_mask_has_dashes_and_older_runs_no_share():
    run = run_of(ledger())
    table = running_time_table(run)
    assert table.rows[1].cells == ("B", "0", "–", "–", "–", "–")
    assert len(table.notes) == 1


def test_the_load_stands_in_the_table_of_phases_where_the_first_case_failed():
    table = ledger(message=["ValueError: damaged", "", "ValueError: damaged"])
    table.loc[0, "status"] = "error"
    frame = cost_table(run_of(table)).frame.set_index("method")
    assert frame.loc["a", ["n", "seconds_load", "seconds_network"]].tolist() == [1, 9.0, 1.0]
    table.loc[0, "message"] = f"{NOT_LOADED}: no such weights"
    assert cost_table(run_of(table)).frame["seconds_load"].tolist() == [0.0, 0.0]
