"""`cellharness forgetting`: what it answers before anything is trained."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from cellharness.cli import app, main
from cellharness.config.study import load_study_config

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def config(small_manifest):
    """Write a study of a method that needs no network, bent as a test wants it."""

    def write(**keys):
        content = {
            "name": "try",
            "dataset": {"manifest": small_manifest.name, "splits": ["train", "test"]},
            "before": {"method": "cellpose2", "parameters": {"weights": "cyto"}},
            "finetuning": {"method": "cellpose2", "modalities": ["DIC"]},
            "stages": [2, 4],
            "protocols": [{"name": "truth", "parameters": {"diameter": "truth_median"}}],
            "main": "truth",
            "published": {"before": "truth", "after": "truth"},
        }
        path = small_manifest.parent / "study.yaml"
        kept = {key: value for key, value in (content | keys).items() if value is not None}
        path.write_text(yaml.safe_dump(kept))
        return path

    return write


@pytest.fixture
def refused(tmp_path, capsys):
    """Run the command on a bad configuration; return what it says."""

    def run(path):
        with pytest.raises(SystemExit) as stopped:
            main(["forgetting", str(path), "--out", str(tmp_path / "run")])
        said = capsys.readouterr()
        assert stopped.value.code == 2
        assert "Traceback" not in said.err
        assert said.out == ""
        assert not (tmp_path / "run").exists()
        return " ".join(said.err.split())

    return run


def test_help_tells_what_it_does_with_examples():
    result = CliRunner().invoke(app, ["forgetting", "--help"], terminal_width=200)
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    for words in (
        "Find what a fine-tuning of CONFIG gained, what it forgot, why, and what helps.",
        "Examples", "cellharness forgetting configs/mini-forgetting.yaml --resume",
        "--limit", "--retry-failed", "--out",
    ):  # fmt: skip
        assert words in text


def test_configurations_that_the_help_names_are_there_and_valid():
    result = CliRunner().invoke(app, ["forgetting", "--help"], terminal_width=200)
    named = set(re.findall(r"configs/[\w-]+\.yaml", result.output))
    assert named == {"configs/mini-forgetting.yaml", "configs/forgetting.yaml"}
    for name in named:
        study = load_study_config(PROJECT / name)
        assert study.main in {protocol.name for protocol in study.protocols}


def test_the_command_is_listed():
    result = CliRunner().invoke(app, ["--help"], terminal_width=200)
    assert "forgetting" in result.output


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"remedy": []}, ("remedy", "remedies", "protocols", "finetuning")),
        ({"main": "fair"}, ("main: no protocol 'fair'", "there are truth")),
        ({"stages": [4, 2]}, ("stages", "[4, 2] must be rising epochs")),
        ({"stages": []}, ("stages",)),
        ({"published": None}, ("published",)),
        ({"protocols": [{"name": "truth", "diameter": 3}]},
         ("protocols", "diameter", "parameters", "input")),
        ({"remedies": [{"name": "mix", "of": "plane", "prediction": {"interpolation": 0.5}}]},
         ("remedy 'mix'", "'plane'", "there are plain")),
        ({"remedies": [{"name": "mix", "of": "plain"}]}, ("'mix'", "give it a 'prediction'")),
        ({"remedies": [{"name": "pre-trained"}]}, ("remedy names must differ", "pre-trained")),
        ({"finetuning": {"method": "cellpose2", "validation": 2}}, ("validation", "less than 1")),
    ],
)  # fmt: skip
def test_a_bad_configuration_is_refused_by_name(config, refused, keys, words):
    said = refused(config(**keys))
    for word in words:
        assert word in said


def test_epochs_that_contradict_the_stages_are_refused(config, refused):
    tuned = {"method": "cellpose2", "modalities": ["DIC"], "parameters": {"epochs": 7}}
    said = refused(config(finetuning=tuned))
    assert "epochs 7 does not go with the stages [2, 4]" in said
    assert "it will be 4" in said


def test_a_method_that_is_not_registered_is_refused(config, refused):
    said = refused(config(finetuning={"method": "cellpose9", "modalities": ["DIC"]}))
    assert "cellpose9" in said
    assert "cellpose2" in said


def test_a_file_that_is_not_there_or_no_yaml_is_refused(tmp_path, refused):
    assert "absent.yaml" in refused(tmp_path / "absent.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    assert "broken.yaml" in refused(broken)


def test_a_bad_configuration_costs_no_import_of_torch(config):
    code = (
        "import sys\n"
        "from cellharness.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as stopped:\n"
        "    heavy = {'torch', 'cellpose'} & set(sys.modules)\n"
        "    sys.exit(90 if heavy else stopped.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "forgetting", str(config(main="fair"))],
        cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "no protocol 'fair'" in done.stderr
