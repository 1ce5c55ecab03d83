from __future__ import annotations

import itertools
import math

import pandas as pd
import pytest

from cellharness.statistics.case_table import RankingError
from cellharness.statistics.ranking import rank
from cellharness.statistics.side_by_side import MEASURES, rank_side_by_side
from cellharness.statistics.summary import ALL

MODALITIES = {"c1": "DIC", "c2": "DIC", "c3": "Fluorescent"}
# F1 at 0.5 and 0.9; b is best at 0.5 and a at 0.9. c has no mask for c2.
F1 = {
    "a": {"c1": (0.80, 0.70), "c2": (0.60, 0.50), "c3": (0.90, 0.80)},
    "b": {"c1": (0.90, 0.10), "c2": (0.70, 0.20), "c3": (0.95, 0.00)},
    "c": {"c1": (0.85, 0.20), "c2": (math.nan, math.nan), "c3": (0.20, 0.10)},
}
# Total seconds, of which load and warm-up, and host memory.
COST = {
    "a": {"c1": (14.0, 9.0, 1.0, 100), "c2": (4.0, 0, 0, 100), "c3": (5.0, 0, 0, 90)},
    "b": {"c1": (6.0, 0, 0, 400), "c2": (6.0, 0, 0, 500), "c3": (6.0, 0, 0, 450)},
    "c": {"c1": (1.0, 0, 0, 700), "c2": (0.1, 0, 0, 5), "c3": (1.0, 0, 0, 700)},
}


@pytest.fixture
def scores():
    rows = []
    for method, case in itertools.product(F1, MODALITIES):
        status = "error" if (method, case) == ("c", "c2") else "ok"
        for threshold, f1 in zip((0.5, 0.9), F1[method][case], strict=True):
            for profile in ("strict", "challenge"):
                value = 0.0 if math.isnan(f1) and profile == "strict" else f1
                about = (MODALITIES[case], "e", False, status)
                rows.append((method, profile, threshold, case, *about, value, 1 - value))
    names = ["method", "profile", "threshold", "case", "modality", "experiment", "seen", "status"]
    return pd.DataFrame(rows, columns=[*names, "f1", "fp"])


@pytest.fixture
def ledger():
    rows = [
        (method, case, "error" if (method, case) == ("c", "c2") else "ok", *COST[method][case])
        for method, case in itertools.product(COST, MODALITIES)
    ]
    names = ["method", "case", "status", "seconds_total", "seconds_load", "seconds_warmup"]
    # Only b used a GPU.
    table = pd.DataFrame(rows, columns=[*names, "peak_host_mb"])
    table["peak_gpu_mb"] = [3000.0 if method == "b" else None for method in table["method"]]
    return table


def pick(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    return dict(zip(table["method"], table["rank"], strict=True))


def test_rankings_differ_by_threshold_and_modality(scores):
    table = rank_side_by_side(scores)
    assert list(table.columns) == [
        "modality", "metric", "threshold", "scheme", "method", "n", "score", "rank",
    ]  # fmt: skip
    assert list(dict.fromkeys(table["modality"])) == [ALL, "DIC", "Fluorescent"]
    assert pick(table, modality=ALL, threshold=0.5) == {"b": 1, "a": 2, "c": 3}
    assert pick(table, modality=ALL, threshold=0.9) == {"a": 1, "c": 2, "b": 3}
    assert pick(table, modality="Fluorescent", threshold=0.5) == {"b": 1, "a": 2, "c": 3}
    only = rank_side_by_side(scores, thresholds=[0.9])
    assert set(only["threshold"]) == {0.9}


@pytest.mark.parametrize("profile", ["strict", "challenge"])
def test_each_block_is_the_ranking_of_its_rows(scores, profile):
    schemes = ["mean-then-rank", "rank-then-median"]
    table = rank_side_by_side(scores, schemes=schemes, profile=profile)
    for (modality, threshold, scheme), block in table.groupby(["modality", "threshold", "scheme"]):
        rows = scores[(scores["profile"] == profile) & (scores["threshold"] == threshold)]
        if modality != ALL:
            rows = rows[rows["modality"] == modality]
        expected = rank(rows.rename(columns={"f1": "value"}), scheme, missing=0)
        assert block["method"].tolist() == expected["method"].tolist()
        assert block["score"].tolist() == expected["score"].tolist()
        assert block["rank"].tolist() == expected["rank"].tolist()


def test_n_counts_the_cases_with_a_value(scores):
    table = rank_side_by_side(scores, profile="challenge", thresholds=[0.5])
    counts = table[table["modality"] == ALL].set_index("method")["n"].to_dict()
    assert counts == {"a": 3, "b": 3, "c": 2}


def test_time_leaves_out_the_start_and_a_quick_failure_is_no_merit(scores, ledger):
    table = rank_side_by_side(scores, ledger, schemes=["median-then-rank"])
    # Of c2, c has only a failure after 0.1 s, which counts as the slowest of the table: 6 s.
    times = table[table["metric"] == "seconds_per_case"]
    everything = times[times["modality"] == ALL]
    assert everything["threshold"].isna().all()
    assert everything.set_index("method")["score"].to_dict() == {"c": 1.0, "a": 4.0, "b": 6.0}
    dic = times[times["modality"] == "DIC"].set_index("method")
    assert dic["score"].to_dict() == {"c": 3.5, "a": 4.0, "b": 6.0}
    assert dic["n"].to_dict() == {"c": 1, "a": 2, "b": 2}


def test_memory_has_its_own_ranking_and_unknown_is_not_worst(scores, ledger):
    table = rank_side_by_side(scores, ledger)
    assert pick(table, modality=ALL, metric="peak_host_mb") == {"a": 1, "b": 2, "c": 3}
    gpu = table[(table["metric"] == "peak_gpu_mb") & (table["modality"] == ALL)]
    assert gpu["method"].tolist() == ["b", "a", "c"]
    assert gpu["rank"].isna().tolist() == [False, True, True]
    assert (gpu["rank"].iloc[0], gpu["n"].tolist()) == (1, [3, 0, 0])
    assert gpu["score"].isna().tolist() == [False, True, True]


def test_measure_that_nobody_has_ranks_nobody(scores, ledger):
    ledger["peak_gpu_mb"] = None
    table = rank_side_by_side(scores, ledger, measures=["peak_gpu_mb"])
    gpu = table[table["metric"] == "peak_gpu_mb"]
    assert len(gpu) == 3 * 3
    assert gpu["rank"].isna().all()


def test_method_that_never_made_a_mask_is_last_in_time(scores, ledger):
    ledger.loc[ledger["method"] == "a", "status"] = "oom"
    table = rank_side_by_side(scores, ledger, schemes=["rank-then-mean"])
    assert pick(table, modality=ALL, metric="seconds_per_case")["a"] == 3


def test_smaller_is_better_where_it_is(scores):
    by_fp = rank_side_by_side(scores, metrics=["fp"])
    by_f1 = rank_side_by_side(scores, metrics=["f1"])
    assert by_fp["rank"].tolist() == by_f1["rank"].tolist()
    assert by_fp["method"].tolist() == by_f1["method"].tolist()


def test_seconds_per_case_of_the_ledger_is_taken_as_it_is(scores, ledger):
    ledger["seconds_per_case"] = [3.0] * 3 + [2.0] * 3 + [1.0] * 3
    table = rank_side_by_side(scores, ledger, schemes=["mean-then-rank"], measures=MEASURES[:1])
    found = pick(table, modality="Fluorescent", metric="seconds_per_case")
    assert found == {"c": 1, "b": 2, "a": 3}


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"profile": "lenient"}, "unknown profile 'lenient'; valid: strict, challenge"),
        ({"metrics": ["iou"]}, "unknown metric 'iou'; valid: f1, fp"),
        ({"thresholds": [0.7]}, "unknown threshold 0.7; valid: 0.5, 0.9"),
        ({"measures": ["joules"]}, "unknown measure 'joules'; valid: method, case, status"),
        ({"schemes": ["best"]}, "unknown ranking scheme 'best'"),
    ],
)
def test_unknown_names_are_errors_that_list_the_valid(scores, ledger, choice, message):
    with pytest.raises(RankingError, match=message):
        rank_side_by_side(scores, ledger, **choice)


def test_ledger_without_its_keys_is_an_error(scores, ledger):
    with pytest.raises(RankingError, match="the ledger lacks the columns status"):
        rank_side_by_side(scores, ledger.drop(columns="status"))


def test_nothing_chosen_gives_no_rows(scores):
    assert rank_side_by_side(scores, metrics=[]).empty
