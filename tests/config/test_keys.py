"""Every key of a configuration is told, and ``docs/configuration.md`` tells them all."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from cellharness.cli import app
from cellharness.config.keys import KINDS, MANIFEST, keys_of, page
from cellharness.config.run import RunConfig
from cellharness.config.starter import shipped_configurations
from cellharness.run_directory import MANIFEST_COLUMNS, OPTIONAL_MANIFEST_COLUMNS

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def test_the_page_is_current():
    remedy = "make it anew with: cellharness configuration --markdown > docs/configuration.md"
    assert _PAGE.read_text(encoding="utf-8") == page(), remedy


def test_every_column_of_a_manifest_is_told():
    assert tuple(MANIFEST) == (*MANIFEST_COLUMNS, *OPTIONAL_MANIFEST_COLUMNS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_says_what_it_means(kind):
    for key in keys_of(KINDS[kind]):
        assert key.meaning.endswith("."), key.name
        assert key.part is not None or key.value, key.name


def test_defaults_are_those_that_count():
    told = {key.name: key.default for key in keys_of(RunConfig)}
    assert told["limits.timeout_s"] == "900"
    assert told["training[].validation"] == "0.15"
    assert told["report.published"] == "true"
    assert told["dataset.splits"] == "[test]"
    assert told["name"] == "required"


@pytest.mark.parametrize("each", shipped_configurations(), ids=lambda each: each.name)
def test_what_shipped_configurations_say_is_told(each):
    content = yaml.safe_load(each.text)
    model = KINDS["study" if "finetuning" in content else "run"]
    told = {key.name: key for key in keys_of(model)}

    def names(value, inside=""):
        for name, below in value.items():
            whole = f"{inside}{name}"
            yield whole
            if whole in told and told[whole].part is not None:
                many = isinstance(below, list)
                for one in below if many else [below]:
                    yield from names(one, f"{whole}{'[]' if many else ''}.")

    assert set(names(content)) <= set(told)


def test_the_command_prints_them():
    answer = CliRunner().invoke(app, ["configuration", "study"])
    assert answer.exit_code == 0
    assert "finetuning.parameters" in answer.output
    assert CliRunner().invoke(app, ["configuration", "--markdown"]).output == page()
