"""The first table of a page: who leads, who cannot be told apart, what fine-tuning changed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from run_maker import RunMaker
from training_maker import add_training

from cellharness.analysis.run_data import load_run
from cellharness.report.comparison import Comparison, load_comparison
from cellharness.report.comparison.accuracy import (
    accuracy_table,
    experiment_table,
    metric_table,
)
from cellharness.report.comparison.result import (
    BEST,
    GAIN,
    LEADS,
    LEVEL,
    LOSS,
    leaderboard,
    starts,
)
from cellharness.statistics.contrasts import HIGHER, LOWER, contrast
from cellharness.statistics.levels import median_interval

METHODS = {"start": "Start", "tuned": "Tuned", "other": "Other", "oracle": "Oracle"}
MODALITIES = ("Brightfield", "Fluorescent", "DIC")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Eight experiments of two images a modality, but two of DIC; tuning helps and harms."""
    path = RunMaker(tmp_path_factory.mktemp("board"))(
        methods=METHODS, modalities=MODALITIES, per_modality=16, thresholds=(0.5,)
    )
    add_training(path, "plain")
    record = json.loads((path / "run.json").read_text())
    record["config"]["report"] = {}
    for method in record["methods"]:
        method["parameters"] = {"diameter": "estimate", "weights": "cyto", "net_avg": False}
    by_name = {method["name"]: method for method in record["methods"]}
    by_name["tuned"]["parameters"] |= {"weights": "trained:plain", "diameter": "training_mean"}
    by_name["tuned"]["weights"] = [{"name": "plain", "sha256": {"network": "99" * 32}}]
    by_name["other"]["weights"] = []
    by_name["oracle"]["parameters"]["diameter"] = "truth_median"
    (path / "run.json").write_text(json.dumps(record))
    rng = np.random.default_rng(0)
    means = {
        "Brightfield": {"start": 0.4, "tuned": 0.8, "other": 0.79, "oracle": 0.9},
        "DIC": {"start": 0.7, "tuned": 0.6, "other": 0.5, "oracle": 0.9},
        "Fluorescent": {"start": 0.8, "tuned": 0.5, "other": 0.3, "oracle": 0.9},
    }
    for name in ("scores.csv", "manifest.csv"):
        table = pd.read_csv(path / name)
        number = table["case"].str[-2:].astype(int)
        units = np.where(table["modality"] == "DIC", number // 8, number // 2)
        table["experiment"] = [f"e{unit}" for unit in units]
        if name == "scores.csv":
            table["f1"] = [
                round(means[modality][method] + rng.normal(0, 0.02), 4)
                for modality, method in zip(table["modality"], table["method"], strict=True)
            ]
        table.to_csv(path / name, index=False)
    return path


@pytest.fixture(scope="module")
def run(path):
    return load_run(path)


@pytest.fixture(scope="module")
def table(run):
    return leaderboard(Comparison(run))


def row(table, label):
    return next(row for row in table.rows if row.cells[0].startswith(label))


def test_the_highest_median_is_first_and_oracles_stand_apart(table):
    labels = [row.cells[0].split("\n")[0] for row in table.rows]
    assert labels == [
        "Start", "Tuned", "Other", "Reads the truth: upper bound, not ranked", "Oracle",
        "Fine-tuned less its start, mean F1", "Tuned − Start",
    ]  # fmt: skip
    assert not row(table, "Oracle").marks


def test_a_method_that_reads_the_truth_is_the_best_in_no_table(run):
    report = Comparison(run)
    for table in (accuracy_table(report), metric_table(report)):
        assert not any(row.strong for row in table.rows if row.cells[0] == "Oracle")
        assert any(row.strong for row in table.rows)
        assert "Bold, the highest that does not read the truth." in table.notes[0]
    experiments = experiment_table(report)
    at = experiments.header.index("Oracle")
    assert not any(at in row.strong for row in experiments.rows)


def test_heads_say_how_many_images_and_experiments(table):
    assert table.header == (
        "Method", "All images\n48 images, 18 experiments",
        "Brightfield\n16 images, 8 experiments", "Fluorescent\n16 images, 8 experiments",
        "DIC\n16 images, 2 experiments\ntoo few to test",
    )  # fmt: skip


def test_medians_and_intervals_are_those_of_the_statistics(run, table):
    main = run.main[(run.main["method"] == "tuned") & (run.main["modality"] == "Brightfield")]
    units = main["experiment"].str[1:].astype(int)
    median, low, high = median_interval(main["f1"], units)
    assert row(table, "Tuned").cells[2] == f"{median:.3f}\n{low:.2f}–{high:.2f}"
    # Two experiments of DIC say nothing of others.
    assert "\n" not in row(table, "Tuned").cells[4]


def test_shaded_is_who_cannot_be_told_from_the_leader(run, table):
    scores = run.main.rename(columns={"f1": "value"})
    for at, group in enumerate(MODALITIES[:2], 2):
        here = scores[scores["modality"] == group]
        marks = {name: row(table, METHODS[name]).marks.get(at, "") for name in METHODS}
        (leader,) = (name for name, mark in marks.items() if mark == LEADS)
        for name in ("start", "tuned", "other"):
            if name != leader:
                behind = contrast(here, leader, name).verdict == HIGHER
                assert marks[name] == ("" if behind else LEVEL), (group, name)
    assert {row(table, label).marks[2] for label in ("Tuned", "Other")} == {LEADS, LEVEL}
    assert row(table, "Start").marks.get(2) is None
    # Of two experiments nothing can be said.
    assert [row(table, label).marks.get(4) for label in METHODS.values()].count(None) == 3
    assert row(table, "Start").marks[4] == BEST
    assert "Nor is anything" not in table.notes[0]
    assert "no two methods can be told apart, so nothing is shaded: DIC" in table.notes[0]


def test_fine_tuning_is_set_beside_its_start(run, table):
    assert starts(run) == {"tuned": ("start", ("diameter",))}
    changes = row(table, "Tuned − Start")
    assert changes.cells[0] == "Tuned − Start\ndiffers in the parameter diameter too"
    scores = run.main.rename(columns={"f1": "value"})
    for at, group in ((2, "Brightfield"), (3, "Fluorescent")):
        found = contrast(scores[scores["modality"] == group], "tuned", "start")
        assert changes.cells[at].startswith(f"{found.estimate:+.3f}".replace("-", "−"))
        assert changes.marks[at] == {HIGHER: GAIN, LOWER: LOSS}[found.verdict]
    assert changes.cells[4].endswith("2 experiments: not tested")
    assert 4 not in changes.marks


def test_what_else_is_set_otherwise_is_named_as_provenance_names_it(path):
    run = load_run(path)
    methods = [
        method.model_copy(
            update={"input": "rgb", "parameters": method.parameters | {"net_avg": True}}
        )
        if method.name == "tuned"
        else method
        for method in run.record.methods
    ]
    run = replace(run, record=run.record.model_copy(update={"methods": methods}))
    table = leaderboard(Comparison(run))
    assert row(table, "Tuned − Start").cells[0] == (
        "Tuned − Start\ndiffers in the input and in the parameters diameter and net_avg too"
    )
    assert "parameters of the methods are listed under Provenance" in table.notes[0]


def test_one_method_has_a_board_without_marks(path):
    report = load_comparison(path)
    vars(report)["ranked"] = None
    alone = leaderboard(report)
    assert all(not row.marks for row in alone.rows)
    assert "Bold" not in alone.notes[0]


def board_of(path, change):
    """The leaderboard of the run with other scores."""
    report = load_comparison(path)
    report.run.scores["f1"] = change(report.run.scores)
    return leaderboard(report)


def test_the_highest_median_is_not_shaded_where_another_mean_is_higher(path):
    def change(scores):
        """The start has the highest median, and fails on two images of every five."""
        failing = scores["case"].str[-1].astype(int) % 5 < 2
        f1 = scores["method"].map({"start": 0.85, "tuned": 0.8, "other": 0.5, "oracle": 0.9})
        noise = np.random.default_rng(0).normal(0, 0.01, len(scores))
        return f1.where((scores["method"] != "start") | ~failing, 0.0) + noise * (f1 > 0)

    table = board_of(path, change)
    assert row(table, "Start").marks[1] == BEST
    assert [line.marks.get(1) for line in table.rows].count(BEST) == 1
    assert not {LEADS, LEVEL} & {line.marks.get(1) for line in table.rows}
    assert "another method's mean F1 is significantly higher" in table.notes[0]


def test_a_median_of_few_images_says_so_and_shades_nobody(path):
    def change(scores):
        few = (scores["method"] == "other") & ~scores["case"].str.endswith("_00")
        f1 = scores["method"].map({"start": 0.8, "tuned": 0.5, "other": 0.95, "oracle": 0.9})
        noise = np.random.default_rng(0).normal(0, 0.01, len(scores))
        return (f1 + noise).where(~few)

    table = board_of(path, change)
    assert row(table, "Other").cells[1].endswith("\nof 3 images")
    assert row(table, "Other").marks[1] == BEST
    assert 1 not in row(table, "Start").marks


def test_the_start_runs_the_very_network_and_not_only_its_size_model(path):
    run = load_run(path)
    methods = {record.name: record for record in run.record.methods}
    # Another network beside the size model of the start, and a method with other parameters.
    sizes = {"network": "11" * 32, "size": "ef" * 32}
    other = methods["other"].model_copy(update={"weights": [{"name": "x", "sha256": sizes}]})
    assert starts(replaced(run, other)) == {"tuned": ("start", ("diameter",))}
    strange = methods["start"].model_copy(
        update={"parameters": {**methods["start"].parameters, "mask_threshold": 0}}
    )
    assert starts(replaced(run, strange)) == {}
    native = methods["start"].model_copy(update={"input": "native"})
    assert starts(replaced(run, native)) == {"tuned": ("start", ("diameter", "input"))}


def replaced(run, method):
    methods = [method if m.name == method.name else m for m in run.record.methods]
    return replace(run, record=run.record.model_copy(update={"methods": methods}))


def test_nothing_is_shaded_where_the_correction_lets_nothing_be_significant(tmp_path):
    methods = {name: name for name in "abcdefgh"}
    path = RunMaker(tmp_path)(
        methods=methods, modalities=("DIC", "Fluorescent"), per_modality=9, thresholds=(0.5,)
    )
    for name in ("scores.csv", "manifest.csv"):
        table = pd.read_csv(path / name)
        # Every image is an experiment, and so the unit: nine of each modality, eighteen together.
        table["experiment"] = "e" + table["case"].str[-2:]
        if name == "scores.csv":
            best = table["method"] == "a"
            table["f1"] = np.where(best, 0.9, 0.1) + np.arange(len(table)) % 7 / 1000
        table.to_csv(path / name, index=False)
    table = leaderboard(load_comparison(path))
    assert "too few" not in table.header[1]
    assert all("too few for 28 pairs" in head for head in table.header[2:])
    first = next(row for row in table.rows if row.cells[0].startswith("a"))
    assert first.marks == {1: LEADS, 2: BEST, 3: BEST}
    assert not [row for row in table.rows if LEVEL in row.marks.values()]
    (note,) = [note for note in table.notes if "28 pairs can be significant" in note]
    assert "With fewer than 11 images none of 28 pairs" in note
