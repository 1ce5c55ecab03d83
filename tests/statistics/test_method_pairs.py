from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from cellharness.statistics.contrasts import ContrastError, contrast
from cellharness.statistics.method_pairs import both_ways, compare_pairs
from cellharness.statistics.summary import ALL


def table(values, modalities=None):
    """Values of each method by case; modality of each case."""
    return pd.DataFrame(
        [
            (method, f"c{i:02d}", (modalities or [""] * len(row))[i], f"e{i // 2}", value)
            for method, row in values.items()
            for i, value in enumerate(row)
        ],
        columns=["method", "case", "modality", "experiment", "value"],
    )


@pytest.fixture
def three():
    rng = np.random.default_rng(3)
    base = rng.uniform(0.3, 0.7, 32)
    values = {"a": base + 0.2 + rng.normal(0, 0.02, 32), "b": base, "c": rng.permutation(base)}
    return values, ["DIC"] * 16 + ["Fluorescent"] * 16


def test_every_pair_and_group_is_the_contrast_of_the_two(three):
    scores = table(*three)
    found = compare_pairs(scores)
    assert len(found) == 9
    for row in found.to_dict("records"):
        here = scores if row["modality"] == ALL else scores[scores["modality"] == row["modality"]]
        expected = contrast(here, row["method"], row["other"])
        for name in ("estimate", "low", "high", "p", "n_images", "n_units", "unit"):
            assert row[name] == getattr(expected, name)


def test_holm_is_over_the_pairs_of_one_block(three):
    found = compare_pairs(table(*three))
    for modality, block in found.groupby("modality"):
        assert set(block["family"]) == {f"pairs of methods, {modality}"}
        assert set(block["family_size"]) == {3}
        p = block["p"].to_numpy()
        order = np.argsort(p)
        steps = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
        np.testing.assert_allclose(block["p_adjusted"].to_numpy()[order], np.minimum(1, steps))


def test_verdicts_and_baseline(three):
    found = compare_pairs(table(*three), baseline="b")
    assert found["other"].unique().tolist() == ["b"]
    assert found[found["modality"] == ALL].set_index("method")["verdict"].to_dict() == {
        "a": "higher",
        "c": "not significant",
    }
    turned = compare_pairs(table(*three), baseline="a")
    assert (turned[turned["modality"] == ALL]["verdict"] == "lower").all()
    with pytest.raises(ContrastError, match="no method 'z' to compare with; there are a, b, c"):
        compare_pairs(table(*three), baseline="z")


def test_methods_apart_are_in_no_pair_and_in_no_family(three):
    found = compare_pairs(table(*three), apart={"c"})
    assert found[["method", "other"]].drop_duplicates().to_numpy().tolist() == [["a", "b"]]
    assert set(found["family_size"]) == {1}
    assert (found["p_adjusted"] == found["p"]).all()


def test_a_pair_is_compared_on_the_cases_that_both_have():
    nan = math.nan
    found = compare_pairs(table({"a": [0.5, nan, 0.7, 0.9], "b": [0.4, 0.2, nan, 0.6]}))
    assert found["modality"].tolist() == [ALL]
    row = found.iloc[0]
    assert (row["n_images"], row["n_missing"], row["n_units"]) == (2, 2, 2)
    assert row["estimate"] == row["median_difference"] == pytest.approx(0.2)
    assert row["verdict"] == "too few units"


def test_a_method_without_any_score_has_a_defined_answer():
    nan = math.nan
    found = compare_pairs(table({"a": [0.5, 0.6], "b": [0.5, 0.6], "c": [nan, nan]}))
    assert found["n_images"].tolist() == [2, 0, 0]
    assert found["why_not"].tolist()[1] == "no image has both scores"
    assert set(found["family_size"]) == {0}


def test_both_ways_turns_everything(three):
    pairs = compare_pairs(table(*three))
    every = both_ways(pairs).set_index(["modality", "method", "other"])
    assert len(every) == 18
    one, other = every.loc[(ALL, "a", "b")], every.loc[(ALL, "b", "a")]
    assert (other["estimate"], other["low"]) == (-one["estimate"], -one["high"])
    assert (one["verdict"], other["verdict"]) == ("higher", "lower")
    assert one["p_higher"] == other["p_lower"]
