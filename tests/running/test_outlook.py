"""What ``--dry-run`` foresees is what the run then does, and nothing is written for it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest
import tifffile
import yaml

from cellharness.cli import main
from cellharness.config.run import load_config
from cellharness.data.phantom import experiments
from cellharness.errors import UsageError
from cellharness.running.observer import Silent
from cellharness.running.outlook import foresee
from cellharness.running.run import run_comparison


class Counted(Silent):
    """Cases of each method that were made, and those that were there."""

    def __init__(self):
        self.made, self.kept = {}, {}

    def method_started(self, method, total, done):
        self.made[method], self.kept[method] = 0, done

    def case_finished(self, method, case, outcome):
        self.made[method] += 1


def configure(folder, methods, *, training=(), dataset=None):
    config = {
        "name": "try",
        "dataset": dataset or {"manifest": "manifest.csv"},
        "scoring": {"workers": 1, "thresholds": [0.5]},
        "training": list(training),
        "methods": [
            {"name": name, "method": method, "parameters": parameters}
            for name, method, parameters in methods
        ],
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return load_config(path)


def contents(folder):
    return {
        path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def foreseen_and_done(config, out, **options):
    """Look ahead, run, and hold the one against the other."""
    before = contents(out.parent)
    outlook = foresee(config, out, **options)
    assert contents(out.parent) == before
    observer = Counted()
    run_comparison(config, out, resume=outlook.holds_run, observer=observer, **options)
    assert {each.label: each.to_make for each in outlook.methods} == observer.made
    # Masks under another name are there, but are not counted as done by a run.
    assert all(each.kept >= observer.kept[each.label] for each in outlook.methods)
    return outlook


def test_what_is_foreseen_is_what_is_done(small_manifest, tmp_path):
    folder, out = small_manifest.parent, tmp_path / "run"
    methods = [("t", "dummy-threshold", {}), ("bad", "dummy-raises", {"cases": ["case_2"]})]
    config = configure(folder, methods)
    outlook = foreseen_and_done(config, out, limit=4)
    assert not outlook.holds_run
    assert outlook.cases == {"DIC": 2, "Fluorescent": 2}
    assert [each.seconds for each in outlook.methods] == [None, None]
    assert outlook.seconds is None
    outlook = foreseen_and_done(config, out)
    assert outlook.holds_run
    assert {each.name: (each.kept, each.to_make) for each in outlook.methods} == {
        "t": (4, 1),
        "bad": (4, 1),
    }
    assert outlook.seconds > 0
    # Everything is there; what failed is tried again on request only.
    assert foreseen_and_done(config, out).seconds == 0
    assert [each.to_make for each in foreseen_and_done(config, out, retry_failed=True).methods] == [
        0,
        1,
    ]
    # Other pixels, a mask that was edited, another name, another parameter.
    tifffile.imwrite(folder / "images" / "case_1.tif", np.zeros((96, 112), np.uint8))
    (out / "predictions" / "t" / "case_3_label.tiff").write_bytes(b"edited")
    outlook = foreseen_and_done(config, out)
    assert [each.to_make for each in outlook.methods] == [2, 1]
    config = configure(folder, [("renamed", "dummy-threshold", {}), ("bad", "dummy-raises", {})])
    outlook = foreseen_and_done(config, out)
    assert [(each.kept, each.to_make) for each in outlook.methods] == [(5, 0), (0, 5)]


def test_cases_whose_image_is_away_are_counted_apart(small_manifest, tmp_path):
    folder, out = small_manifest.parent, tmp_path / "run"
    config = configure(folder, [("t", "dummy-threshold", {})])
    run_comparison(config, out)
    (folder / "images" / "case_2.tif").rename(tmp_path / "away.tif")
    (found,) = foresee(config, out).methods
    assert (found.kept, found.to_make) == (4, 0)
    assert found.note.startswith("1 cannot be made: cannot read the image 'case_2.tif'")


@pytest.mark.slow
def test_trainings_are_new_kept_or_made_again(small_manifest, tmp_path):
    folder, out = small_manifest.parent, tmp_path / "run"

    def config(epochs):
        training = {
            "name": "grey",
            "method": "dummy-trained",
            "splits": ["train"],
            "parameters": {"epochs": epochs},
        }
        return configure(
            folder, [("net", "dummy-trained", {"weights": "trained:grey"})], training=[training]
        )

    outlook = foreseen_and_done(config(2), out)
    (training,) = outlook.trainings
    assert (training.state, training.epochs, training.seconds) == ("new", 2, None)
    assert len(training.record.train) == 1
    assert outlook.methods[0].note == "after training grey"
    outlook = foreseen_and_done(config(2), out)
    assert (outlook.trainings[0].state, outlook.trainings[0].epochs) == ("kept", 0)
    assert (outlook.methods[0].kept, outlook.methods[0].note) == (5, "")
    outlook = foreseen_and_done(config(3), out)
    assert (outlook.trainings[0].state, outlook.trainings[0].epochs) == ("again", 3)
    assert outlook.trainings[0].seconds > 0
    assert outlook.methods[0].to_make == 5


def test_synthetic_data_are_looked_at_without_being_written(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "EXPERIMENTS", experiments.EXPERIMENTS[:1])
    phantom = {"phantom": {"size": 160, "per_experiment": 2}}
    config = configure(tmp_path, [("t", "dummy-threshold", {})], dataset=phantom)
    outlook = foreseen_and_done(config, tmp_path / "run")
    assert outlook.methods[0].to_make == outlook.cases.total() == 2
    assert foreseen_and_done(config, tmp_path / "run").methods[0].kept == 2


def test_weights_that_are_not_here_are_not_fetched(small_manifest, tmp_path, monkeypatch):
    monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(tmp_path / "models"))
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CELLHARNESS_OFFLINE", raising=False)
    methods = [("there", "dummy-threshold", {}), ("net", "cellpose", {"weights": "cyto2"}),
               ("lost", "kit-ge", {"weights": "./lost.pt"})]  # fmt: skip
    outlook = foresee(configure(small_manifest.parent, methods), tmp_path / "run")
    notes = {each.name: each.note for each in outlook.methods}
    assert notes["there"] == ""
    assert notes["net"] == "its weights are fetched first"
    assert "cannot run: " in notes["lost"]
    assert "lost.pt" in notes["lost"]
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("offline", [False, True])
def test_a_training_whose_weights_are_not_here(small_manifest, tmp_path, monkeypatch, offline):
    monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(tmp_path / "models"))
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CELLHARNESS_OFFLINE", "1" if offline else "")
    training = {"name": "fine", "method": "cellpose2", "parameters": {"weights": "cyto2"}}
    methods = [("net", "cellpose", {"weights": "cyto2"})]
    config = configure(small_manifest.parent, methods, training=[training])
    outlook = foresee(config, tmp_path / "run")
    (trained,), (method,) = outlook.trainings, outlook.methods
    if offline:
        assert trained.state == "cannot run"
        assert "CELLHARNESS_OFFLINE is set" in trained.record.message
        assert "CELLHARNESS_OFFLINE is set" in method.note
    else:
        assert (trained.state, trained.epochs, trained.record.message) == (
            "fetches weights first", 500, "",
        )  # fmt: skip
        assert method.note == "its weights are fetched first"


def test_a_folder_of_others_and_a_damaged_ledger(small_manifest, tmp_path):
    config = configure(small_manifest.parent, [("t", "dummy-threshold", {})])
    out = tmp_path / "run"
    out.mkdir()
    (out / "scores.csv").write_text("mine")
    with pytest.raises(UsageError, match=r"scores\.csv"):
        foresee(config, out)
    (out / "scores.csv").unlink()
    run_comparison(config, out)
    with closing(sqlite3.connect(out / "ledger.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 1")
    (out / "ledger.sqlite").write_bytes(b"no ledger, but long enough to be looked at " * 50)
    outlook = foresee(config, out)
    assert "what is done is not known" in outlook.notes[0]


@pytest.mark.parametrize("config", ["run", "forgetting"])
def test_the_commands_say_so_and_leave_nothing(small_manifest, tmp_path, capsys, config):
    folder, out = small_manifest.parent, tmp_path / "run"
    if config == "run":
        configure(folder, [("t", "dummy-threshold", {})])
    else:
        study = {
            "name": "study",
            "dataset": {"manifest": "manifest.csv"},
            "before": {"method": "dummy-threshold", "label": "Before"},
            "finetuning": {"method": "dummy-trained", "label": "Plain", "splits": ["train"]},
            "stages": [2],
            "protocols": [{"name": "usual", "label": "as usual", "parameters": {}}],
            "main": "usual",
            "published": {"before": "usual", "after": "usual"},
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(study))
    with pytest.raises(SystemExit) as stopped:
        main([config, str(folder / "config.yaml"), "--out", str(out), "--dry-run"])
    printed = capsys.readouterr()
    assert stopped.value.code == 0, printed.err
    assert "5 cases: DIC 2, Fluorescent 3" in printed.out
    assert "not known" in printed.out
    assert "nothing was" in printed.out
    assert ("after training plain" in printed.out) == (config == "forgetting")
    assert not out.exists()
