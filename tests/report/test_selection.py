from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from cellharness.analysis.run_data import load_run
from cellharness.report.comparison import load_comparison
from cellharness.report.comparison.cases import _extreme_rows
from cellharness.report.selection import example_case, extremes, first_methods, showable
from cellharness.run_directory import RunDirectoryError, RunRecord
from simulated_run import Simulation, simulate_run


def scores(values: dict[str, tuple[float, ...]]) -> pd.DataFrame:
    rows = [
        {"method": f"m{i}", "case": case, "f1": f1, "status": "ok"}
        for case, many in values.items()
        for i, f1 in enumerate(many)
    ]
    return pd.DataFrame(rows)


def test_example_is_the_case_nearest_the_median_of_the_means():
    table = scores({"a": (0.9, 0.7), "b": (0.4, 0.6), "c": (0.1, 0.1)})
    assert example_case(table, {"a", "b", "c"}) == "b"


def test_example_is_the_nearest_allowed_one():
    table = scores({"a": (0.9, 0.7), "b": (0.4, 0.6), "c": (0.1, 0.1)})
    # Means 0.8, 0.5, 0.1 with median 0.5: without b, a is nearer than c.
    assert example_case(table, {"a", "c"}) == "a"
    assert example_case(table, set()) is None


def test_equal_distance_is_settled_by_name():
    table = scores({"z": (0.6,), "b": (0.4,)})
    assert example_case(table, {"z", "b"}) == "b"


def test_cases_without_a_number_are_never_examples():
    assert example_case(scores({"a": (float("nan"),)}), {"a"}) is None


def test_best_and_worst_never_share_a_case():
    table = scores({"a": (0.9,), "b": (0.4,), "c": (0.1,)})
    best, worst = extremes(table, 2)
    assert best["case"].tolist() == ["a", "b"]
    assert worst["case"].tolist() == ["c"]
    best, worst = extremes(table.iloc[:1], 2)
    assert (len(best), len(worst)) == (1, 0)


def test_failures_are_not_among_the_worst():
    table = scores({"a": (0.9,), "b": (0.0,), "c": (0.3,)})
    table.loc[table["case"] == "b", "status"] = "oom"
    assert extremes(table, 1)[1]["case"].tolist() == ["c"]


def test_methods_beyond_the_limit_are_those_with_lower_medians():
    medians = pd.Series({"a": 0.1, "b": 0.9, "c": float("nan"), "d": 0.5})
    assert first_methods(["a", "b", "c", "d"], medians, 2) == ["b", "d"]
    assert first_methods(["a", "b"], medians, 2) == ["a", "b"]


def licensed(patterns):
    return RunRecord(config={"report": {"panel_licences": patterns}})


@pytest.mark.parametrize(
    ("patterns", "n"),
    [(None, 2), ([], 0), (["^cc0$"], 1), (["MIT", "nc-nd"], 1), (["gpl"], 0)],
)
def test_licences_restrict_what_is_shown(make_run, patterns, n):
    run = load_run(make_run(modalities=("DIC",), per_modality=2, thresholds=(0.5,)))
    run = dataclasses.replace(run, record=licensed(patterns))
    allowed, rule = showable(run)
    assert len(allowed) == n
    assert (f"{n} of 2" in rule) is (patterns is not None)


def test_broken_pattern_is_named(make_run):
    run = load_run(make_run(modalities=("DIC",), per_modality=1, thresholds=(0.5,)))
    run = dataclasses.replace(run, record=licensed(["(MIT"]))
    with pytest.raises(RunDirectoryError, match=r"'\(MIT'.*not a regular expression"):
        showable(run)


def test_a_case_that_is_best_and_worst_of_a_method_is_shown_as_both(tmp_path):
    sizes = {"Brightfield": 2, "DIC": 2}
    what = Simulation(methods=2, sizes=sizes, failures=0, side=64)
    run = simulate_run(tmp_path, what)
    scores = pd.read_csv(run / "scores.csv")
    scores.assign(f1=1.0).to_csv(run / "scores.csv", index=False)
    rows = _extreme_rows(load_comparison(run))["rows"]
    assert len(rows) == 2
    for _, _, ranks in rows:
        (_, best), (_, worst) = ranks
        assert [pane.name for pane in best] == [pane.name for pane in worst] != []
