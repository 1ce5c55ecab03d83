"""Whatever a reader opens: one run, one pair and one group of images have one p and verdict."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from explorer_reader import Explorer
from run_maker import RunMaker

import cellharness
from cellharness.report import build_report
from cellharness.statistics import contrast
from cellharness.statistics.estimates import ESTIMATE_COLUMNS

METHODS = {"alpha": "Alpha", "beta": "Beta", "gamma": "Gamma", "truth": "With the truth"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = RunMaker(tmp_path_factory.mktemp("verdict"))(
        methods=METHODS, modalities=("Brightfield", "DIC"), per_modality=14, thresholds=(0.5,)
    )
    record = json.loads((path / "run.json").read_text())
    record["config"]["report"] = {}
    record["methods"][-1]["parameters"] = {"diameter": "truth_median"}
    (path / "run.json").write_text(json.dumps(record))
    for name in ("scores.csv", "manifest.csv"):
        table = pd.read_csv(path / name)
        # Seven experiments a modality, of two images each.
        table["experiment"] = "e" + (table["case"].str[-2:].astype(int) // 2).astype(str)
        table.to_csv(path / name, index=False)
    build_report(path)
    return path


@pytest.fixture(scope="module")
def tests(run):
    found = pd.read_csv(run / "report/tables/ranking_tests.csv")
    return found.set_index(["modality", "method", "other"]).sort_index()


def test_the_table_is_the_public_contrast(run, tests):
    scores = pd.read_csv(run / "scores.csv").query("profile == 'strict'")
    scores = scores.rename(columns={"f1": "value"})
    for (modality, one, other), row in tests.iterrows():
        here = scores if modality == "All" else scores[scores["modality"] == modality]
        found = contrast(here, one, other)
        assert (row["unit"], row["n_units"]) == ("experiment", found.n_units)
        for name in ("estimate", "low", "high", "p"):
            assert row[name] == pytest.approx(getattr(found, name))


def test_an_oracle_is_ranked_and_tested_nowhere(run, tests):
    assert "truth" not in set(tests.reset_index()["method"])
    assert set(tests["family_size"]) == {3}
    ranking = pd.read_csv(run / "report/tables/ranking.csv")
    assert set(ranking["method"]) == {"alpha", "beta", "gamma"}
    page = (run / "report/index.html").read_text(encoding="utf-8")
    assert '<p class="headline">' in page
    headline = page.partition('<p class="headline">')[2].partition("</p>")[0]
    assert "With the truth" not in headline


def test_compare_says_the_same(run, tests):
    pairs = cellharness.compare([run]).pairs
    names = {label: name for name, label in METHODS.items()}
    assert len(pairs) == 3 * 3
    for row in pairs.to_dict("records"):
        own = tests.loc[(row["modality"], names[row["method"]], names[row["other"]])]
        for name in ESTIMATE_COLUMNS:
            if isinstance(row[name], str):
                assert (own[name] if isinstance(own[name], str) else "") == row[name]
            else:
                assert own[name] == pytest.approx(row[name])


def test_the_explorer_says_the_same(run, tests):
    explorer = Explorer(run / "report")
    groups = ["All", "Brightfield", "DIC"]
    found = explorer.tests(2, 1, 3, 6)[0, 0]
    outcomes = explorer.outcomes(2, 1, 3, 6)[0, 0]
    for pair, (i, j) in enumerate(combinations(METHODS, 2)):
        for place, group in enumerate(groups):
            numbers = found[place, :, pair]
            if "truth" in (i, j):
                assert np.isnan(numbers).all()
                assert outcomes[place, pair] == ""
                continue
            own = tests.loc[(group, j, i)]
            expected = own[["p", "p_adjusted", "low", "high", "n_units"]].to_numpy(float)
            assert numbers == pytest.approx(expected, rel=1e-6, abs=1e-9)
            assert outcomes[place, pair] == tests.loc[(group, i, j)]["verdict"]


def test_letters_say_the_same(run, tests):
    ranking = pd.read_csv(run / "report/tables/ranking.csv").set_index(["modality", "method"])
    for (modality, one, other), row in tests.iterrows():
        letters = (set(ranking.loc[(modality, name), "letters"]) for name in (one, other))
        assert bool(set.intersection(*letters)) == (row["verdict"] not in ("higher", "lower"))


def test_the_page_names_unit_family_and_number(run):
    page = (run / "report/index.html").read_text(encoding="utf-8")
    assert "by experiment: sign-flip and skewness-adjusted t test" in page
    assert "Holm-corrected over the 3 tests of a family" in page
    assert "the 14 experiments with their images" in page


def test_scores_and_estimates_stand_in_the_report(run, tests):
    report = run / "report"
    assert (report / "scores.csv").read_bytes() == (run / "scores.csv").read_bytes()
    estimates = pd.read_csv(report / "estimates.csv")
    assert set(estimates["measure"]) == {"difference of F1"}
    # Three pairs, of all images and two modalities, each one way round.
    assert len(estimates) == 9
    for _, row in estimates.iterrows():
        same = tests.loc[row["modality"], row["subject"], row["reference"]]
        for name in ESTIMATE_COLUMNS:
            assert row[name] == same[name] or (pd.isna(row[name]) and pd.isna(same[name])), name
    assert 'href="estimates.csv"' in (report / "index.html").read_text()
