from __future__ import annotations

import re
from pathlib import Path

import pytest

from cellharness.config.paths import absolute_parameters
from cellharness.config.reading import ConfigError
from cellharness.config.run import load_config
from cellharness.config.study import load_study_config
from cellharness.methods.registry import build
from cellharness.report.published import published
from cellharness.running.study import expand

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))

GOOD = """
name: try
dataset: {manifest: data/manifest.csv}
methods:
  - {name: a, method: otsu-watershed, parameters: {sigma: 2, folder: ./masks}}
"""


def write(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_projects_own_configurations_load(path):
    if "forgetting" in path.stem:
        config, evaluations = expand(load_study_config(path))
        assert len(config.methods) == len(evaluations) + len(load_study_config(path).teams)
    else:
        assert load_config(path).methods


def test_paths_are_kept_as_written_and_resolved_from_the_file(tmp_path):
    config = load_config(write(tmp_path, GOOD))
    assert config.dataset.manifest == Path("data/manifest.csv")
    assert config.resolve(config.dataset.manifest) == tmp_path / "data" / "manifest.csv"
    given = config.methods[0].parameters
    assert absolute_parameters(None, given, config.resolve) == {
        "sigma": 2,
        "folder": str(tmp_path / "masks"),
    }
    assert str(tmp_path) not in config.model_dump_json()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sigma", "sigma", None),
        ("dataset:", "datset:", r"datset: unknown key. Did you mean 'dataset'\?"),
        ("method: otsu", "metod: otsu", r"methods.0.metod: unknown key. Did you mean 'method'\?"),
        ("manifest:", "manifst:", r"dataset.manifst: unknown key. Did you mean 'manifest'\?"),
        ("name: a", "name: a/b", "must be letters, digits"),
        ("name: try", "name: ../up", "must be letters, digits"),
        ("{manifest: data/manifest.csv}", "{}", "either 'manifest' or 'phantom'"),
        ("name: try", "name: try\nscoring: {thresholds: [1.5]}", "less than or equal to 1"),
        ("name: try", "name: try\nlimits: {timeout_s: 0}", "greater than 0"),
        ("name: try", "[", "cannot read"),
        (GOOD, "- a", "must be a mapping"),
    ],
)
def test_faults_are_named_with_where_and_what_would_be_valid(tmp_path, old, new, message):
    path = write(tmp_path, GOOD.replace(old, new))
    if message is None:
        load_config(path)
        return
    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_two_methods_of_one_name_are_refused(tmp_path):
    twice = GOOD + "  - {name: a, method: dummy-empty}\n"
    with pytest.raises(ConfigError, match="given twice: a"):
        load_config(write(tmp_path, twice))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no configuration file"):
        load_config(tmp_path / "absent.yaml")


def test_the_papers_configuration_holds_all_seven_methods_of_the_paper(tmp_path):
    text = next(path for path in CONFIGS if path.name == "neurips22.yaml").read_text("utf-8")
    switched_on = re.sub(r"^  # (?=- |  )", "  ", text, flags=re.MULTILINE)
    ways: dict[str, list[str]] = {}
    for each in load_config(write(tmp_path, switched_on)).methods:
        row = str(each.label).partition(",")[0].removesuffix("-style")
        ways.setdefault(row, []).append(each.method)
        assert build(each.method, each.parameters).info.summary
    assert set(ways) == set(published()["method"])
    assert ways["T1-osilab"] == ["mediar", "container", "precomputed"]
    assert ways["T2-sribdmed"] == ["container", "precomputed"]
    assert ways["T3-cells"] == ["cpn", "container", "precomputed"]
