from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cellharness.statistics.method_pairs import compare_pairs
from cellharness.statistics.summary import ALL


def table(values, modalities=None):
    """Values of each method by case; modality of each case."""
    return pd.DataFrame(
        [
            (method, f"c{i:02d}", (modalities or [""] * len(row))[i], value)
            for method, row in values.items()
            for i, value in enumerate(row)
        ],
        columns=["method", "case", "modality", "value"],
    )


@pytest.fixture
def three():
    rng = np.random.default_rng(3)
    base = rng.uniform(0.3, 0.7, 12)
    values = {"a": base + 0.2 + rng.normal(0, 0.02, 12), "b": base, "c": rng.permutation(base)}
    return values, ["DIC"] * 6 + ["Fluorescent"] * 6


def test_differences_and_p_are_scipys(three):
    values, modalities = three
    found = compare_pairs(table(*three)).set_index(["modality", "method", "other"])
    for (modality, one, other), row in found.iterrows():
        chosen = [modality in (ALL, name) for name in modalities]
        difference = (values[one] - values[other])[chosen]
        assert row["n"] == len(difference)
        assert row["mean_change"] == pytest.approx(difference.mean())
        assert row["median_change"] == pytest.approx(np.median(difference))
        p = stats.wilcoxon(difference, method="exact").pvalue
        assert row["p_two_sided"] == pytest.approx(p)


def test_holm_is_over_the_pairs_of_one_block(three):
    found = compare_pairs(table(*three))
    for _, block in found.groupby("modality"):
        p = block["p_two_sided"].to_numpy()
        order = np.argsort(p)
        steps = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
        np.testing.assert_allclose(block["p_holm"].to_numpy()[order], np.minimum(1, steps))


def test_verdicts_and_baseline(three):
    found = compare_pairs(table(*three), baseline="b")
    assert found["other"].unique().tolist() == ["b"]
    assert found[found["modality"] == ALL].set_index("method")["verdict"].to_dict() == {
        "a": "better",
        "c": "not proven",
    }
    turned = compare_pairs(table(*three), baseline="a")
    assert (turned[turned["modality"] == ALL]["verdict"] == "worse").all()
    with pytest.raises(ValueError, match="no method 'z' to compare with; there are a, b, c"):
        compare_pairs(table(*three), baseline="z")


def test_a_pair_is_compared_on_the_cases_that_both_have():
    nan = float("nan")
    found = compare_pairs(table({"a": [0.5, nan, 0.7, 0.9], "b": [0.4, 0.2, nan, 0.6]}))
    assert found["modality"].tolist() == [ALL]
    row = found.iloc[0]
    assert (row["n"], row["n_missing"]) == (2, 2)
    assert row["mean_change"] == pytest.approx(0.2)


def test_a_method_without_any_score_and_equal_methods_have_a_defined_answer():
    nan = float("nan")
    found = compare_pairs(table({"a": [0.5, 0.6], "b": [0.5, 0.6], "c": [nan, nan]}))
    verdicts = found.set_index(["method", "other"])["verdict"].to_dict()
    assert verdicts == {
        ("a", "b"): "not proven",
        ("a", "c"): "no pairs",
        ("b", "c"): "no pairs",
    }
