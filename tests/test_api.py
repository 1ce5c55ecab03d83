"""The Python API: what the package offers, and that the examples in the docs are true."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import cellharness
from cellharness import api
from cellharness.errors import UsageError

DOCS = Path(__file__).resolve().parent.parent / "docs" / "python-api.md"
OFFERED = {
    "compare",
    "power",
    "predict",
    "rank",
    "read_image",
    "run",
    "score_folders",
    "score_pair",
}


def test_everything_offered_is_there_documented_and_listed():
    assert set(cellharness.__all__) == OFFERED | {"__version__"}
    assert set(dir(cellharness)) >= OFFERED
    for name in OFFERED:
        documentation = getattr(cellharness, name).__doc__
        assert "Examples" in documentation, name
        assert "Parameters" in documentation, name
        assert f"`{name}`" in DOCS.read_text(), name


def test_an_unknown_name_is_refused_with_those_that_are_offered():
    with pytest.raises(AttributeError, match=r"'score_pairs'.*score_folders, score_pair"):
        cellharness.score_pairs  # noqa: B018


@pytest.mark.slow
def test_the_examples_in_the_docs_run_as_they_stand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(DOCS), "exec"), names)


def test_one_path_is_no_list_of_sources():
    with pytest.raises(UsageError, match=r"several sources in a list.*'runs/mini'"):
        cellharness.compare("runs/mini")


def test_an_unknown_input_mode_is_refused_before_anything_is_made(tmp_path):
    np.save(tmp_path / "one.npy", np.zeros((9, 9), np.uint8))
    with pytest.raises(UsageError, match=r"unknown input mode 'grey'\. Did you mean 'gray'"):
        cellharness.predict("otsu-watershed", tmp_path, tmp_path / "out", input_mode="grey")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("function", "args"),
    [
        ("run", ["run", "a.yaml"]),
        ("predict", ["predict", "--method", "m", "--images", "i", "--out", "o"]),
        ("compare", ["compare", "a.csv", "b.csv"]),
    ],
)
def test_commands_call_what_scripts_call(monkeypatch, capsys, function, args):
    from cellharness.cli import main

    def refuse(*_args, **_options):
        msg = f"{function} was called"
        raise UsageError(msg)

    monkeypatch.setattr(api, function, refuse)
    with pytest.raises(SystemExit):
        main(args)
    assert f"{function} was called" in capsys.readouterr().err
