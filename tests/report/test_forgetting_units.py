"""What a forgetting report says of units, families and confidence is what its numbers have."""

from __future__ import annotations

import json
import re
from functools import partial
from importlib import import_module

import pandas as pd
import pytest
from study_reader import csv_of, plan_of
from study_run_maker import StudyRunMaker
from study_sketch import sketch_study

from cellharness.report.declare import FigureItem
from cellharness.report.page import write_words
from cellharness.report.study import load_study_report

CHANGES = {"plain": (-0.2, 0.2), "replay": (-0.05, 0.19), "slow": (-0.1, 0.1)}


def captions(run):
    d = load_study_report(run)
    items = (item for section in d.sections for item in section.items)
    shown = [item for item in items if isinstance(item, FigureItem) and item.when(d)]
    return " ".join(write_words(item.caption, d) for item in shown if item.inline)


@pytest.fixture
def said(build_quickly):
    """All that a page says, with what stands under its figures, which are not drawn."""
    return lambda run: " ".join([build_quickly(run, drawn=False).text, captions(run)])


def with_experiments(folder, unit):
    """A study in which every case is an experiment of its own."""
    run = sketch_study(
        folder, CHANGES, unseen=8, seen=12, stages=(2, 4), thresholds=(0.5, 0.9),
        report={"unit": unit}, teams={"good": "ok"},
    )  # fmt: skip
    for name in ("scores", "manifest"):
        table = pd.read_csv(run / f"{name}.csv")
        table.assign(experiment=table["case"]).to_csv(run / f"{name}.csv", index=False)
    seen = [["DIC", f"s{i:02}"] for i in range(12)]
    (run / "study.json").write_text(json.dumps(plan_of(run) | {"seen": seen}))
    return run


@pytest.mark.parametrize(("unit", "other"), [("image", "experiment"), ("experiment", "image")])
def test_the_unit_is_that_of_the_configuration(tmp_path, said, unit, other):
    text = said(with_experiments(tmp_path, unit))
    named = re.findall(r"(?:interval|interval[^.]{0,30}|and p) by (\w+)", text)
    assert len(named) > 8
    assert set(named) == {unit}
    assert set(re.findall(r"fewer than \d+ (\w+)s", text)) == {unit}
    assert ("images / experiments" in text) == (unit == "experiment")
    assert f"Without one {unit}" in text
    assert f"Without one {other}" not in text
    of_units = "20 images of 20 experiments" if unit == "experiment" else "20 images"
    assert f"({of_units.replace('20', '8')}), Plain lost F1" in text


@pytest.mark.parametrize("n", [2, 3])
def test_the_family_is_as_large_as_its_tests(tmp_path, said, n):
    changes = CHANGES | ({"other": (-0.15, 0.1)} if n > 2 else {})
    run = sketch_study(tmp_path, changes)
    text = said(run)
    rows = csv_of(run, "remedies")
    assert set(rows["family_size"]) == {n}
    compared = re.findall(r"two one-sided tests at 0.05, (.*?), show that it differs", text)
    assert compared == [f"Holm-corrected over the {n} tests of a family"] * 2
    sizes = csv_of(run, "change").loc[lambda t: t["family"].notna(), "family_size"]
    sizes = sorted(set(sizes) - {0})
    corrected = [f"{sizes[0]} to {sizes[-1]} tests" if len(sizes) > 1 else f"{sizes[0]} tests"]
    assert f"Holm-corrected over the {corrected[0]} of a family" in text


def test_the_confidence_is_that_of_the_intervals(tmp_path, said, monkeypatch):
    statistics = {
        "analysis.findings": (
            "change", "curves", "compare_with_plain", "forgetting_measures", "decompose",
            "robustness", "mean_difference",
        ),
        "report.study.beside": ("change",),
        "report.study.cells": ("recall_by_property", "cell_retention"),
    }  # fmt: skip
    for place, names in statistics.items():
        module = import_module(f"cellharness.{place}")
        for name in names:
            sure = partial(getattr(module, name), confidence=0.99)
            monkeypatch.setattr(module, name, sure)
    run = StudyRunMaker(tmp_path)(unseen=5, seen=5, stages=(2, 4), mixes=(), teams=("good",))
    text = said(run)
    assert len(re.findall(r"99 % interval|Intervals of 99 %", text)) > 20
    assert not re.findall(r"95 % interval|Intervals of 95 %", text)
    assert "two one-sided tests at 0.01" in text
    # 2 ** -7 is the first two-sided p below 0.01.
    assert "No interval and no test with fewer than 8 images." in text
    assert "none below 8 of them" in text
    assert not re.findall(r"none below 6 |none below six", text)
