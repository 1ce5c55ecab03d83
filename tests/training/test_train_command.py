"""``cellharness train``."""

from __future__ import annotations

import pytest
import yaml

from cellharness.cli import main


@pytest.fixture
def config(learned, small_manifest):
    def write(**changes):
        training = {"name": "mine", "method": "learned", "splits": ["train", "test"]}
        content = {
            "name": "try",
            "dataset": {"manifest": small_manifest.name},
            "scoring": {"workers": 1, "thresholds": [0.5]},
            "training": [{**training, "parameters": {"epochs": 2, **changes}}],
            "methods": [
                {"name": "m", "method": "learned", "parameters": {"weights": "trained:mine"}}
            ],
        }
        path = small_manifest.parent / "config.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def call(*args):
    with pytest.raises(SystemExit) as caught:
        main([str(arg) for arg in args])
    return caught.value.code


def test_a_training_is_done_once_and_then_used_by_the_run(config, tmp_path, capsys, monkeypatch):
    run = tmp_path / "run"
    monkeypatch.setattr(
        "cellharness.report.build_report", lambda folder, **_: folder / "index.html"
    )
    assert call("train", config(), "--out", run) == 0
    assert "checkpoints/last.pt" in capsys.readouterr().out
    assert call("train", config(), "--out", run) == 0
    assert "there already" in capsys.readouterr().err
    assert call("run", config(), "--out", run) == 0
    assert "there already" in capsys.readouterr().err


def test_a_failed_training_ends_with_exit_code_1_and_says_why(config, tmp_path, capsys):
    assert call("train", config(fail="raise"), "--out", tmp_path / "run") == 1
    assert "mine: error. RuntimeError: no luck" in capsys.readouterr().err


def test_bad_usage_ends_with_exit_code_2(config, tmp_path, capsys):
    path = config()
    assert call("train", path, "--only", "yours", "--out", tmp_path / "run") == 2
    assert "unknown training 'yours'. Valid: mine" in capsys.readouterr().err
    assert call("train", "configs/demo.yaml") == 2
    assert "has no training" in capsys.readouterr().err
    assert call("train", config(epoch=3), "--out", tmp_path / "run") == 2
    assert "Did you mean 'epochs'?" in capsys.readouterr().err


def test_the_options_of_a_training_are_listed(learned, capsys):
    assert call("methods", "learned") == 0
    shown = capsys.readouterr().out
    assert "Parameters of its training" in shown
    assert "save_every" in shown
