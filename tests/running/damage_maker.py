"""Runs with a small training, finished once and then damaged in copies."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import tifffile
import yaml

from cellharness.config.run import load_config
from cellharness.running.observer import Silent
from cellharness.running.run import run_comparison
from cellharness.training.observer import SilentTraining


class Notes(Silent, SilentTraining):
    """What a run says of itself."""

    def __init__(self):
        self.texts, self.trained = [], []

    def noted(self, text):
        self.texts.append(text)

    def training_finished(self, label, record, reused):
        self.trained.append((record.status, reused))


TRAINING = {
    "name": "grey",
    "method": "dummy-trained",
    "splits": ["test"],
    "validation": 0,
    "parameters": {"epochs": 3, "save_every": 2, "device": "cpu"},
}
PLAIN = {"name": "plain", "method": "dummy-threshold"}


def trained_method(base, name="t", weights="trained:grey", **parameters):
    """A method that predicts with the training's weights and writes down each case."""
    parameters |= {"weights": weights, "log": str(base / "calls.txt")}
    return {"name": name, "method": "dummy-trained", "parameters": parameters}


def configure(folder, training, methods):
    config = {
        "name": "try",
        "dataset": {"manifest": "manifest.csv"},
        "scoring": {"workers": 1, "thresholds": [0.5]},
        "training": training,
        "methods": methods,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return load_config(path)


def make_data(folder, cases=3):
    """Images, labels and a manifest."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["case,image,label,modality,experiment,split,sha256"]
    labels = np.kron(np.arange(12).reshape(3, 4), np.pad(np.ones((20, 20)), 6)).astype(np.uint16)
    for number in range(cases):
        image = (rng.normal(20, 3, labels.shape) + 150 * (labels > 0)).clip(0, 255).astype(np.uint8)
        tifffile.imwrite(folder / f"{number}.tif", image)
        tifffile.imwrite(folder / f"{number}_label.tif", labels)
        lines.append(f"c{number},{number}.tif,{number}_label.tif,DIC,e{number},test,")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")


def finish(base, training, methods):
    """Make data and a finished run below a folder."""
    make_data(base / "data")
    result = run_comparison(configure(base / "data", training, methods), base / "run")
    assert not result.failed
    return base


class Again:
    """A copy of a finished run, and its resuming."""

    def __init__(self, base, folder, training, methods):
        self.base, self.training, self.methods = base, training, methods
        self.data, self.run = folder / "data", folder / "run"
        shutil.copytree(base / "data", self.data)
        shutil.copytree(base / "run", self.run)
        self.before = self.rows()
        self.calls_before = self._calls()

    def _calls(self):
        log = self.base / "calls.txt"
        return log.read_text().split() if log.is_file() else []

    def rows(self):
        return pd.read_csv(self.run / "ledger.csv").set_index(["method", "case"])

    def config(self, training=None, methods=None):
        chosen = [self.training if training is None else training, methods or self.methods]
        return configure(self.data, *chosen)

    def resume(self, *, retry_failed=False, **changes):
        self.notes = Notes()
        return run_comparison(
            self.config(**changes),
            self.run,
            resume=True,
            retry_failed=retry_failed,
            observer=self.notes,
            training_observer=self.notes,
        )

    def assert_nothing_was_made_again(self):
        assert self._calls() == self.calls_before
        pd.testing.assert_frame_equal(self.rows(), self.before)


SPOILT = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
}
