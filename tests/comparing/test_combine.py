from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cellharness.comparing import SourceError, combine
from cellharness.comparing.sources import COLUMNS


def scores(values, method="m", modality="", n_true=float("nan")):
    return pd.DataFrame(
        [
            (method, case, modality, "", "ok", value, n_true, False)
            for case, value in values.items()
        ],
        columns=list(COLUMNS),
    )


def test_methods_of_one_name_are_told_apart_by_their_source():
    combined = combine(
        {
            Path("one/run"): scores({"a": 1.0}),
            Path("other.csv"): scores({"a": 0.5}),
            Path("third.csv"): scores({"a": 0.5}, "else"),
        }
    )
    assert combined.methods == ["run: m", "other: m", "else"]
    assert combined.warnings == ()


def test_sources_of_one_name_are_told_apart_by_their_path():
    combined = combine({Path("a/run"): scores({"a": 1.0}), Path("b/run"): scores({"a": 0.5})})
    assert combined.methods == ["a/run: m", "b/run: m"]


def test_a_case_has_the_modality_that_any_source_knows():
    combined = combine(
        {
            Path("one"): scores({"a": 1.0, "b": 0.2}, "m", "DIC"),
            Path("two"): scores({"a": 0.5, "b": 0.1}, "n"),
        }
    )
    assert set(combined.scores["modality"]) == {"DIC"}


def test_sources_that_contradict_each_other_are_refused():
    with pytest.raises(SourceError, match="case 'a' is of modality 'DIC' and 'Fluorescent'"):
        combine(
            {
                Path("one"): scores({"a": 1.0}, "m", "DIC"),
                Path("two"): scores({"a": 0.5}, "n", "Fluorescent"),
            }
        )


def test_sources_that_name_other_experiments_of_a_case_are_refused():
    one, two = (scores({"a": 1.0, "b": 0.5}, name).assign(experiment="e1") for name in "mn")
    two.loc[two["case"] == "b", "experiment"] = "e2"
    with pytest.raises(SourceError, match="case 'b' is of experiment 'e1' and 'e2'"):
        combine({Path("one"): one, Path("two"): two})


def test_what_makes_a_comparison_doubtful_is_told():
    combined = combine(
        {
            Path("one"): scores({"a": 1.0, "b": float("nan"), "c": 0.5}, "m", n_true=30),
            Path("two"): scores({"a": 0.5, "b": 0.5}, "n", n_true=34),
        }
    )
    partly, truth, failed = combined.warnings
    assert partly.startswith("1 of 3 cases have a score of every method")
    assert "'a': 30 in 'one' and 34 in 'two'" in truth
    assert truth.startswith("2 cases")
    assert failed.startswith("'m' has no score on 1 of its cases")


def test_one_method_or_no_common_case_is_refused():
    with pytest.raises(SourceError, match="one method is nothing to compare"):
        combine({Path("one"): scores({"a": 1.0})})
    with pytest.raises(SourceError, match="such as 'a' in 'one' and 'b' in the next"):
        combine({Path("one"): scores({"a": 1.0}), Path("two"): scores({"b": 1.0}, "n")})
