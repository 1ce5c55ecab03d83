"""A remedy that was trained several times: the mean counts, and the spread is shown."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from study_sketch import sketch_study

from cellharness.analysis.findings import measure
from cellharness.analysis.study import load_study
from cellharness.report import build_report
from cellharness.report.study import load_study_report
from cellharness.report.study.change import seed_table
from cellharness.report.study.result import caveats, fact_table
from cellharness.statistics.contrasts import mean_difference

SHIFTS = {0: 0.0, 5: 0.06}


@pytest.fixture
def run(tmp_path):
    """Plain fine-tuning and replay with seeds 0 and 5; those of 5 score 0.06 higher."""
    path = sketch_study(
        tmp_path, {"plain": (-0.2, 0.1), "replay": (-0.1, 0.1)}, thresholds=(0.5, 0.7)
    )
    study = json.loads((path / "study.json").read_text())
    scores, ledger = (pd.read_csv(path / f"{name}.csv") for name in ("scores", "ledger"))
    record = json.loads((path / "run.json").read_text())
    for entry in [e for e in study["methods"] if e["stage"]]:
        name = f"{entry['method']}-seed5"
        study["methods"].append({**entry, "method": name, "seed": 5})
        entry["seed"] = 0
        again = scores[scores["method"] == entry["method"]]
        again = again.assign(method=name, f1=again["f1"] + SHIFTS[5])
        scores = pd.concat([scores, again])
        mine = ledger[ledger["method"] == entry["method"]].assign(method=name)
        ledger = pd.concat([ledger, mine])
        (of,) = (m for m in record["methods"] if m["name"] == entry["method"])
        record["methods"].append({**of, "name": name, "label": name})
    scores.to_csv(path / "scores.csv", index=False)
    ledger.to_csv(path / "ledger.csv", index=False)
    for name, content in (("study", study), ("run", record)):
        (path / f"{name}.json").write_text(json.dumps(content))
    return path


def test_one_diameter_for_all_images_is_told(run):
    ledger = pd.read_csv(run / "ledger.csv")
    study = json.loads((run / "study.json").read_text())
    trained = {entry["method"] for entry in study["methods"] if entry["stage"]}
    given = np.where(ledger["method"].isin(trained), 60.12, 27.0)
    ledger["details"] = [json.dumps({"diameter": diameter}) for diameter in given]
    ledger.to_csv(run / "ledger.csv", index=False)
    facts = dict(row.cells for row in fact_table(load_study_report(run)).rows)
    told = {value for name, value in facts.items() if name.startswith("Diameter, ")}
    assert "27 px before, 60 px after Plain" in told


def test_the_mean_over_the_trainings_counts(run):
    study = load_study(run)
    assert study.seeds == [0, 5]
    findings = measure(study)
    row = findings.changes.query(
        "remedy == 'plain' and level == 'overall' and seen == 'unseen'"
    ).iloc[0]
    assert row["estimate"] == pytest.approx(-0.2 + 0.03)
    # As many images as there are, and not twice as many.
    assert (row["n_images"], row["n_units"]) == (10, 10)
    table = findings.table
    before = table.before("plain", "truth")
    each = study.by_seed.query("remedy == 'plain' and protocol == 'truth' and stage == 4")
    means = each.groupby("case")["f1"].mean().reindex(table.cases).to_numpy()
    expected = mean_difference((means - before)[table.part("unseen")], unit="image")
    assert (row["low"], row["high"], row["p"]) == pytest.approx(
        (expected.low, expected.high, expected.p)
    )
    other = findings.thresholds.query("threshold == 0.7 and seen == 'unseen'")
    assert set(other["n_images"]) == {10}


def test_the_spread_over_the_trainings_is_shown(run):
    d = load_study_report(run)
    made = seed_table(d)
    rows = [row.cells for row in made.rows if len(row.cells) > 1]
    assert rows[0] == ("Plain", "2", "−0.170", "0.042", "−0.200", "−0.140")
    assert rows[1][0] == "Replay"
    assert float(rows[0][3]) == pytest.approx(np.std([0, 0.06], ddof=1), abs=5e-4)
    assert any("were trained with seeds 0 and 5" in said for said in caveats(d))


def test_one_training_of_each_is_called_so(tmp_path):
    d = load_study_report(sketch_study(tmp_path, {"plain": (-0.2, 0.1)}))
    assert seed_table(d) is None
    assert any(said.startswith("One training of each") for said in caveats(d))


def test_pictures_say_of_which_training_they_are(run):
    page = build_report(run).read_text(encoding="utf-8")
    said = "the mean over 2 trainings, the pictures and their F1 are of seed 0."
    assert said in " ".join(page.split())
