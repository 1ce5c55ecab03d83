from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cellharness.cli import app
from cellharness.config.run import load_config
from cellharness.config.starter import shipped_configurations
from cellharness.config.study import load_study_config
from cellharness.data.manifest import Manifest, ManifestError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def call(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args], terminal_width=200)


@pytest.fixture
def started(tmp_path):
    folder = tmp_path / "comparison"
    assert call("init", folder).exit_code == 0
    return folder


def test_the_shipped_configurations_are_those_of_the_project():
    assert {each.name: each.text for each in shipped_configurations()} == {
        path.name: path.read_text(encoding="utf-8") for path in CONFIGS.glob("*.yaml")
    }


def test_only_configurations_that_work_elsewhere_are_written(started):
    names = {path.name for path in (started / "configs").iterdir()}
    assert names == {
        *("own.yaml", "demo.yaml", "demo-forgetting.yaml", "neurips22.yaml", "forgetting.yaml"),
    }
    for path in (started / "configs").iterdir():
        config = load_study_config(path) if "forgetting" in path.stem else load_config(path)
        if config.dataset.manifest:
            assert config.resolve(config.dataset.manifest).is_relative_to(started.resolve())


def test_the_readme_names_every_configuration_with_a_command_that_exists(started):
    readme = (started / "README.md").read_text()
    commands = re.findall(r"`cellharness (run|forgetting) configs/([\w-]+\.yaml)`", readme)
    assert sorted(name for _, name in commands) == sorted(
        path.name for path in (started / "configs").iterdir()
    )
    assert all((verb == "forgetting") == ("forgetting" in name) for verb, name in commands)


def test_the_readmes_example_is_a_manifest(started):
    example = re.search(r"```csv\n(.*?)```", (started / "README.md").read_text(), re.DOTALL)
    (started / "example.csv").write_text(example[1])
    cases = Manifest.read(started / "example.csv")
    assert {case.split for case in cases.cases} == {"train", "test"}


def test_an_empty_manifest_is_named_where_cases_are_wanted(started):
    with pytest.raises(ManifestError, match=r"manifest\.csv: no case is listed; add one row"):
        Manifest.read(started / "manifest.csv").select(["test"])


def test_next_steps_are_printed_for_the_folder(tmp_path, monkeypatch):
    result = call("init", tmp_path / "two words")
    lines = [line.strip() for line in result.output.partition("Next:")[2].splitlines()]
    assert f"cd '{tmp_path}/two words'" in lines
    assert "cellharness run configs/own.yaml" in lines
    monkeypatch.chdir(tmp_path)
    assert "cd " not in call("init", ".").output


def test_nothing_is_overwritten(started):
    own, demo = started / "configs" / "own.yaml", started / "configs" / "demo.yaml"
    own.write_text("mine")
    demo.unlink()
    result = call("init", started)
    assert result.exit_code != 0
    message = str(result.exception)
    assert "configs/own.yaml" in message
    assert "configs/demo.yaml" not in message
    assert "Choose another folder" in message
    assert own.read_text() == "mine"
    assert not demo.exists()


def test_other_files_of_the_folder_are_left_alone(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.tif").write_bytes(b"mine")
    assert call("init", tmp_path).exit_code == 0
    assert (tmp_path / "images" / "a.tif").read_bytes() == b"mine"


def test_help_shows_examples():
    output = call("init", "--help").output
    assert "Examples" in output
    assert "cellharness init comparison/" in output
