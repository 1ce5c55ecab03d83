"""What the page is given equals the tables of the run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from explorer_reader import Explorer, explore
from run_maker import RunMaker

from cellharness.report import build_report
from cellharness.statistics import contrast
from cellharness.statistics.contrasts import OF_SCORES

STATUSES = {("beta", "m1_01"): "timeout", ("beta", "m3_02"): "error", ("alpha", "m2_01"): "empty"}
METHODS = {"alpha": "Alpha <net> & co", "beta": "Beta_100% {watershed}", "gamma": "Gamma"}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return RunMaker(tmp_path_factory.mktemp("explorer"))(methods=METHODS, statuses=STATUSES)


@pytest.fixture(scope="module")
def explorer(run) -> Explorer:
    return Explorer(build_report(run).parent)


def test_scores_are_those_of_the_table(run, explorer):
    data = explorer.data
    profiles, thresholds = data["profiles"], data["thresholds"]
    methods = [method["name"] for method in data["methods"]]
    cases = [case["name"] for case in data["cases"]]
    assert (profiles, methods) == (["strict", "challenge"], list(METHODS))
    f1 = explorer.floats("f1", len(profiles), len(thresholds), len(methods), len(cases))
    table = pd.read_csv(run / "scores.csv").set_index(["profile", "threshold", "method", "case"])
    assert len(table) == f1.size
    expected = table["f1"].reindex(
        pd.MultiIndex.from_product([profiles, thresholds, methods, cases])
    )
    np.testing.assert_allclose(f1.ravel(), expected.to_numpy(), rtol=1e-6, atol=0)
    assert np.isnan(f1).sum() == 2 * len(thresholds), "two failures are left out of one profile"


def test_statuses_costs_and_counts(run, explorer):
    data = explorer.data
    cases = list(explorer.cases)
    methods = list(METHODS)
    codes = explorer.codes("status", 3, len(cases))
    told = {
        (method, case): data["statuses"][codes[m, c]]
        for m, method in enumerate(methods)
        for c, case in enumerate(cases)
    }
    assert {key: status for key, status in told.items() if status != "ok"} == STATUSES
    assert data["segmented"] == ["ok", "empty"]
    seconds = explorer.floats("seconds", 3, len(cases))
    segmented = np.isin(codes, [0, 1])
    assert seconds[segmented] == pytest.approx(1.376), "from reading to writing, method warm"
    assert np.isnan(seconds[~segmented]).all()
    scores = pd.read_csv(run / "scores.csv")
    strict = scores[(scores["profile"] == "strict") & (scores["threshold"] == 0.5)]
    n_true = strict.groupby("case")["n_true"].max().reindex(cases)
    np.testing.assert_array_equal(explorer.floats("cells", len(cases)), n_true)
    n_pred = strict.set_index(["method", "case"])["n_pred"]
    predicted = explorer.floats("predicted", 3, len(cases))
    assert predicted[0, cases.index("m2_01")] == 0
    assert predicted[2, 5] == n_pred["gamma", cases[5]]


def test_failures_say_why(explorer):
    messages, cases = explorer.data["messages"], list(explorer.cases)
    told = {(m, cases[c]): messages["texts"][t] for m, c, t in messages["where"]}
    assert set(told) == {(1, "m1_01"), (1, "m3_02")}
    assert told[1, "m1_01"] == "ValueError: bad <tile> & 100 % in m1_01"


def test_cases_know_where_they_come_from(explorer):
    case = explorer.cases["m1_00"]
    names = [each["name"] for each in explorer.data["modalities"]]
    assert names[case["modality"]] == "Fluorescent"
    assert case["experiment"] == "exp-1-seen"
    assert case["seen"] is True
    assert explorer.cases["m1_01"]["seen"] is False


def test_colours_are_those_of_the_report(explorer):
    page = explorer.page.with_name("index.html").read_text(encoding="utf-8")
    for method in explorer.data["methods"]:
        assert f"background:{method['colour']}" in page


def test_pairs_are_tested_in_every_group(run, explorer):
    data = explorer.data
    tests = explorer.tests(2, len(data["thresholds"]), len(data["groups"]), 3)
    assert data["groups"][1:] == [each["name"] for each in data["modalities"]]
    table = pd.read_csv(run / "scores.csv").rename(columns={"f1": "value"})
    part = table[(table["profile"] == "strict") & (table["threshold"] == 0.7)]
    for g, modality in enumerate([None, "Brightfield", "Fluorescent", "Phase-contrast", "DIC"]):
        rows = part if modality is None else part[part["modality"] == modality]
        for pair, (i, j) in enumerate([("alpha", "beta"), ("alpha", "gamma"), ("beta", "gamma")]):
            found = contrast(rows, j, i, unit="image")
            expected = (found.p, *np.clip([found.low, found.high], *OF_SCORES))
            assert tests[0, 2, g, [0, 2, 3], pair] == pytest.approx(expected, nan_ok=True, rel=1e-5)
    raw, adjusted = tests[:, :, :, 0], tests[:, :, :, 1]
    assert not np.isnan(raw[:, :, 0]).any()
    assert (adjusted >= raw)[~np.isnan(raw)].all()
    assert (np.isnan(adjusted) == np.isnan(raw)).all()
    assert adjusted[0, 0, 0].min() == pytest.approx(min(1, 3 * raw[0, 0, 0].min()), rel=1e-5)


def test_an_oracle_is_tested_against_nobody(tmp_path):
    run = RunMaker(tmp_path)(methods={"a": "A", "b": "B", "c": "C"}, per_modality=2)
    record = json.loads((run / "run.json").read_text())
    record["methods"][1]["parameters"] = {"diameter": "truth_median"}
    (run / "run.json").write_text(json.dumps(record))
    explorer = explore(run)
    raw = explorer.tests(2, len(explorer.data["thresholds"]), 5, 3)[0, 0, 0, 0]
    assert [method["oracle"] for method in explorer.data["methods"]] == [False, True, False]
    assert np.isnan(raw).tolist() == [True, False, True]


def test_one_method_has_a_page_too(tmp_path):
    run = RunMaker(tmp_path)(methods={"only": "Only one"}, per_modality=2)
    data = explore(run).data
    assert [method["label"] for method in data["methods"]] == ["Only one"]
    assert data["tests"]["numbers"] == data["tests"]["how"] == ""


def test_what_was_not_tested_says_why(tmp_path):
    run = RunMaker(tmp_path)(per_modality=2)
    explorer = explore(run)
    outcomes = explorer.outcomes(2, len(explorer.data["thresholds"]), 5, 1)[0, 0, :, 0]
    few = "2 images; 6 are the fewest that can show anything"
    assert list(outcomes[1:]) == [few] * 4
    assert outcomes[0] in ("higher", "lower", "not significant")
    assert "by image" in explorer.data["tests"]["how"]


def test_data_cannot_end_the_script(tmp_path):
    run = RunMaker(tmp_path)(methods={"a": "</script><b>&"}, per_modality=1)
    explorer = explore(run)
    assert explorer.data["methods"][0]["label"] == "</script><b>&"
    for file in ("explore/data.js", "explore.html"):
        assert "</script><b>" not in (explorer.page.parent / file).read_text(encoding="utf-8")


def test_seen_in_a_study_is_what_the_study_learned_from(built_study):
    """The manifest's own column says the opposite here."""
    cases = Explorer(built_study.run / "report").data["cases"]
    assert {case["experiment"] for case in cases} == {"br-old", "br-new", "fl-old", "fl-new"}
    for case in cases:
        assert case["seen"] == case["experiment"].endswith("-new")
