from __future__ import annotations

from pathlib import Path

import pytest

import cellharness
from cellharness.cli import main

CONFIGS = Path(__file__).parents[2] / "configs"
RUNS = Path(__file__).parents[1] / "frozen/runs"


@pytest.fixture
def power(monkeypatch, capsys):
    """Call the command as the console script does; give the exit code and all that it said."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words):
        with pytest.raises(SystemExit) as stopped:
            main(["power", *map(str, words)])
        return stopped.value.code, " ".join("".join(capsys.readouterr()).split())

    return call


@pytest.fixture
def config(tmp_path):
    """Twelve images of seven DIC and two fluorescent experiments, none of which is opened."""
    places = [("DIC", f"e{i // 2}") for i in range(14)] + [("Fluorescent", f"f{i}") for i in (0, 1)]
    rows = [f"c{i},c{i}.png,,{modality},{name},test," for i, (modality, name) in enumerate(places)]
    head = "case,image,label,modality,experiment,split,sha256"
    (tmp_path / "manifest.csv").write_text("\n".join([head, *rows]))
    for i in range(len(places)):
        (tmp_path / f"c{i}.png").touch()
    path = tmp_path / "run.yaml"
    path.write_text(
        "name: x\ndataset: {manifest: manifest.csv}\n"
        "methods: [{name: otsu, method: otsu-watershed}]\n"
    )
    return path


def test_of_a_configuration_it_is_assumed(power, config):
    code, said = power(config, "--difference", "0.1")
    assert code == 0, said
    assert "assumed." in said
    assert "Experiments for 0.1" in said
    assert "none: fewer than 6" in said
    tables = [cellharness.power(config, sd=sd) for sd in (0.4, 0.2)]
    wide, narrow = (table["detectable"].iloc[0] for table in tables)
    assert wide == pytest.approx(2 * narrow)
    assert tables[0]["n_units"].tolist() == [9, 7, 2]


@pytest.mark.slow
def test_of_a_study_it_is_assumed(power):
    assert "assumed." in power(CONFIGS / "demo-forgetting.yaml")[1]


def test_of_a_run_it_is_measured(power):
    code, said = power(RUNS / "demo", "--unit", "image")
    assert code == 0, said
    assert "measured, median over the pairs." in said
    assert "Images" in said
    assert "assumed." in power(RUNS / "demo", "--sd", "0.2")[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.yaml"], "nowhere.yaml"),
        ([RUNS / "demo", "--unit", "cell"], "unknown unit 'cell'. Valid: experiment, image"),
        ([RUNS / "demo", "--difference", "2"], "less than or equal to 1"),
        ([RUNS / "demo", "--difference", "nan"], "Invalid value for '--difference'"),
        ([RUNS / "demo", "--sd", "nan"], "Invalid value for '--sd'"),
        ([RUNS / "demo", "--correlation", "nan"], "Invalid value for '--correlation'"),
    ],
)
def test_what_is_wrong_is_named(power, words, message):
    code, said = power(*words)
    assert code == 2
    assert message in said
