from __future__ import annotations

import json

from cellharness.report.comparison import load_comparison
from cellharness.report.comparison.result import caveats, headline


def spoken(make_run, change=None, **options):
    report = load_comparison(make_run(thresholds=(0.5,), **options))
    scores = report.run.scores
    for (method, modality), f1 in (change or {}).items():
        where = (scores["method"] == method) & (scores["modality"] == modality)
        scores.loc[where & (scores["status"] == "ok"), "f1"] = f1
    return report


TWO = {"modalities": ("Brightfield", "DIC"), "per_modality": 2}


def test_one_winner_everywhere(make_run):
    top = spoken(
        make_run,
        {("alpha", "Brightfield"): 0.9, ("alpha", "DIC"): 0.8, ("beta", "Brightfield"): 0.5,
         ("beta", "DIC"): 0.4},
        **TWO,
    )  # fmt: skip
    assert headline(top).startswith(
        "Over all 4 images, Alpha net has the higher median F1 at IoU ≥ 0.5: 0.850, against 0.450 "
        "for Beta watershed."
    )
    assert "Fewer than 10 images: Brightfield (2) and DIC (2)." in caveats(top)


def test_equal_as_printed_is_level(make_run):
    places = [("alpha", g) for g in TWO["modalities"]] + [("beta", g) for g in TWO["modalities"]]
    change = {place: 0.7 + 1e-5 * (place[0] == "beta") for place in places}
    top = spoken(make_run, change, **TWO)
    assert headline(top) == (
        "Over all 4 images, Alpha net and Beta watershed are level, with a median F1 at IoU ≥ 0.5 "
        "of 0.700."
    )


def test_only_method_is_not_called_a_winner(make_run):
    top = spoken(make_run, methods={"solo": "Solo"}, modalities=("DIC",), per_modality=1)
    assert "nothing to compare it with" in headline(top)
    assert "on the one image" in headline(top)


def test_failures_and_a_change_of_leader_between_profiles_are_told(make_run):
    failed = {("alpha", f"m0_{i:02d}"): "oom" for i in range(2)}
    top = spoken(
        make_run,
        {("alpha", "DIC"): 0.9, ("beta", "DIC"): 0.5},
        modalities=("DIC",),
        per_modality=3,
        statuses=failed,
    )
    assert "Beta watershed has the higher median" in headline(top)
    assert "Alpha net failed on 2 of 3 images (counted as F1 0)." in caveats(top)
    assert (
        "Under the challenge profile the higher median is another method's in all images and DIC."
        in caveats(top)
    )


def test_nobody_has_a_score(make_run):
    change = {(method, "DIC"): float("nan") for method in ("alpha", "beta")}
    top = spoken(make_run, change, modalities=("DIC",), per_modality=1)
    assert headline(top).startswith("No method has an F1")


def test_a_run_of_oracles_has_no_leader(make_run):
    path = make_run(methods={"solo": "Solo"}, modalities=("DIC",), per_modality=2)
    record = json.loads((path / "run.json").read_text())
    record["methods"][0]["parameters"] = {"diameter": "truth_median"}
    (path / "run.json").write_text(json.dumps(record))
    top = load_comparison(path)
    assert headline(top) == "Every method of this run reads the truth; none is ranked."
    assert caveats(top) == []


def test_a_higher_mean_behind_the_highest_median_is_told(make_run):
    """Alpha has the higher median and fails on two images of five."""
    path = make_run(modalities=("DIC",), per_modality=30, thresholds=(0.5,))
    top = load_comparison(path)
    run = top.run
    number = run.scores["case"].str[-2:].astype(int)
    alpha = run.scores["method"] == "alpha"
    noise = 0.001 * (number % 7)
    run.scores["f1"] = (0.85 * alpha + 0.8 * ~alpha).where(~alpha | (number % 5 > 1), 0.0) + noise
    assert "Alpha net has the higher median" in headline(top)
    assert "By mean F1, 30 images, Beta watershed is significantly higher all" in headline(top)
    assert "not distinguishable" not in headline(top)
