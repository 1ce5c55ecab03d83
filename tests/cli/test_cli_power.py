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


def test_of_a_configuration_it_is_assumed(power):
    code, said = power(CONFIGS / "demo.yaml", "--difference", "0.1")
    assert code == 0, said
    assert "assumed." in said
    assert "Experiments for 0.1" in said
    assert "none: fewer than 6" in said
    wide, narrow = (
        cellharness.power(CONFIGS / "demo.yaml", sd=sd)["detectable"].iloc[0] for sd in (0.4, 0.2)
    )
    assert wide == pytest.approx(2 * narrow)
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
        (
            [CONFIGS / "demo.yaml", "--unit", "cell"],
            "unknown unit 'cell'; valid: experiment, image",
        ),
        ([CONFIGS / "demo.yaml", "--difference", "2"], "less than or equal to 1"),
    ],
)
def test_what_is_wrong_is_named(power, words, message):
    code, said = power(*words)
    assert code == 2
    assert message in said
