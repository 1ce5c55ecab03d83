"""What the methods had met of each image: the image, its experiment, its data set."""

from __future__ import annotations

import base64
import json

import numpy as np
import pandas as pd
import pytest

from cellharness.analysis.exposure import NOTHING_KNOWN, exposures
from cellharness.analysis.run_data import load_run
from cellharness.report import build_report
from cellharness.report.closing import exposure_table
from cellharness.report.comparison import Comparison, load_comparison
from cellharness.report.comparison.result import leaderboard


@pytest.fixture
def run(make_run):
    """Alpha was trained in the run, on two of its images; Beta's weights name a data set."""
    path = make_run(per_modality=3)
    scores = pd.read_csv(path / "scores.csv")
    cases = sorted(set(scores["case"]))
    scores["seen"] = scores["case"].isin(cases[:4])
    scores.to_csv(path / "scores.csv", index=False)
    manifest = pd.read_csv(path / "manifest.csv")
    manifest["source"] = ["Plasma atlas" if c in cases[3:6] else "" for c in manifest["case"]]
    manifest.to_csv(path / "manifest.csv", index=False)
    record = json.loads((path / "run.json").read_text())
    start = {"name": "old", "sha256": {"network": "ab"}, "training_data": ["the plasma atlas"]}
    record["trainings"] = [
        {"name": "tuned", "weights": [start], "train": [cases[0]], "validation": [cases[1]]}
    ]
    for method in record["methods"]:
        method["weights"], method["info"]["training_data"] = [], []
    record["methods"][0]["parameters"] = {"weights": "trained:tuned"}
    record["methods"][1]["weights"] = [start]
    (path / "run.json").write_text(json.dumps(record))
    return load_run(path), cases


def test_each_image_counts_at_the_surest_level(run):
    data, cases = run
    found = exposures(data).set_index(["method", "case"])
    alpha, beta = data.methods[:2]
    assert [found.loc[(alpha, case), "seen"] for case in cases[:7]] == [
        *("image", "image", "experiment", "experiment", "data set", "data set"),
        "nothing known",
    ]
    assert [found.loc[(beta, case), "seen"] for case in cases[:7]] == [
        *["nothing known"] * 3,
        *["data set"] * 3,
        "nothing known",
    ]
    assert found.loc[(alpha, cases[0]), "by"] == "training tuned"
    # What its training started from had met it, so it has as well.
    assert found.loc[(alpha, cases[4]), "by"] == "the plasma atlas"
    assert len(found) == len(data.methods) * len(cases)


def test_a_training_met_the_experiments_of_its_own_cases_and_no_others(run):
    data, cases = run
    scores = data.scores.drop_duplicates("case").set_index("case")
    place = tuple(scores.loc[cases[2], ["modality", "experiment"]])
    record = json.loads((data.path / "run.json").read_text())
    record["trainings"][0]["experiments"] = [place]
    (data.path / "run.json").write_text(json.dumps(record))
    found = exposures(load_run(data.path)).set_index(["method", "case"])["seen"]
    mine = found[data.methods[0]]
    near = {
        case for case in cases if tuple(scores.loc[case, ["modality", "experiment"]]) == place
    } - set(cases[:2])
    assert cases[2] in near
    assert set(mine.index[mine == "experiment"]) == near


def test_a_year_names_no_data_set(run):
    data, cases = run
    manifest = pd.read_csv(data.path / "manifest.csv", keep_default_na=False)
    manifest["notes"] = "published in 2022"
    manifest.to_csv(data.path / "manifest.csv", index=False)
    record = json.loads((data.path / "run.json").read_text())
    record["methods"][1]["info"]["training_data"] = ["Challenge 2022"]
    (data.path / "run.json").write_text(json.dumps(record))
    found = exposures(load_run(data.path)).set_index(["method", "case"])["seen"]
    named = found[data.methods[1]] == "data set"
    assert set(named.index[named]) == set(cases[3:6])  # as "the plasma atlas" names them


def test_the_table_counts_images(run):
    data, cases = run
    table = exposure_table(Comparison(data))
    n = len(cases)
    assert [row.cells[1:] for row in table.rows[:2]] == [
        ("2", "2", "2", str(n - 6)),
        ("0", "0", "3", str(n - 3)),
    ]
    assert list(table.frame["seen"]) == list(exposures(data)["seen"])


def test_hints_and_levels_give_the_same_thing_the_same_number(run):
    """A word marks three images of Alpha, of which one counts by its experiment."""
    data, cases = run
    report = Comparison(data)
    n = len(cases)
    alpha, beta = (data.labels[name] for name in data.methods[:2])
    hints = {hint.method: hint for hint in report.overlaps if hint.word == "plasma"}
    assert (hints[alpha].n_cases, hints[alpha].n_surer) == (3, 1)
    assert (hints[beta].n_cases, hints[beta].n_surer) == (3, 0)
    counted = {row.cells[0]: [int(cell) for cell in row.cells[1:]]
               for row in exposure_table(report).rows}  # fmt: skip
    for hint in hints.values():
        assert counted[hint.method][2] == hint.n_cases - hint.n_surer
    text = " ".join(build_report(data.path).read_text(encoding="utf-8").split())
    # At the top as many as the levels of the table make together.
    assert f"{alpha}, {sum(counted[alpha][:3])} of {n} images; {beta}, 3 of {n} images." in text
    assert text.count("table of what was met</a> counts 1 of these by image or exp") == 2
    assert "overlap with training data" not in text


def test_the_leaderboard_says_it_beside_the_method(run):
    data, _ = run
    table = leaderboard(load_comparison(data.path))
    heads = {row.cells[0].split("\n")[0]: row.cells[0].split("\n")[1:] for row in table.rows}
    alpha, beta, *others = (data.labels[name] for name in data.methods)
    assert heads[alpha] == ["seen before: 2 as images, 2 by experiment, 2 by data set"]
    assert heads[beta] == ["seen before: 3 by data set"]
    assert all(heads[label] == [] for label in others)
    assert "Seen before: images" in " ".join(table.notes)


def test_the_explorer_says_it_of_each_image(run):
    data, cases = run
    text = (build_report(data.path).parent / "explore/data.js").read_text(encoding="ascii")
    found = json.loads(text[text.index("{") : text.rindex("}") + 1])
    met = found["met"]
    places = np.frombuffer(base64.b64decode(met["which"]), "<u2")
    which = places.reshape(len(data.methods), len(cases))
    told = {
        (method, case): tuple(met["what"][which[m, c]])
        for m, method in enumerate(data.methods)
        for c, case in enumerate(case["name"] for case in found["cases"])
    }
    for row in exposures(data).itertuples():
        level = "" if row.seen == NOTHING_KNOWN else row.seen
        assert told[row.method, row.case] == (level, row.by)


def test_where_nothing_is_known_there_is_no_table(make_run):
    path = make_run(per_modality=2)
    record = json.loads((path / "run.json").read_text())
    for method in record["methods"]:
        method["weights"], method["info"]["training_data"] = [], []
    (path / "run.json").write_text(json.dumps(record))
    data = load_run(path)
    assert exposure_table(Comparison(data)) is None
    table = leaderboard(load_comparison(data.path))
    assert "een before" not in " ".join([*table.notes, *(row.cells[0] for row in table.rows)])
