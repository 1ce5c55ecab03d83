"""Diameters that Cellpose's size model finds once for several methods of a run."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import yaml

from cellharness.config.run import load_config
from cellharness.run_directory import RunDirectory, details_of
from cellharness.running import run

pytestmark = pytest.mark.slow

ESTIMATE = {"weights": "cyto", "diameter": "estimate"}
MIXED = {**ESTIMATE, "base_weights": "cyto", "interpolation": 0.5}
METHODS = [
    {"name": "first", "method": "cellpose", "parameters": ESTIMATE},
    {"name": "loose", "method": "cellpose", "parameters": {**ESTIMATE, "flow_threshold": 0}},
    # Segments with a network of its own; cyto's gives the style.
    {"name": "tuned", "method": "cellpose2", "parameters": {**MIXED, "size_weights": "cyto"}},
    # Its own network gives the style, and is not cyto's.
    {"name": "mixed", "method": "cellpose2", "parameters": MIXED},
    {
        "name": "range",
        "method": "cellpose",
        "parameters": {**ESTIMATE, "normalize": {"percentile": [0, 100]}},
    },
]
SAME = ["method", "case", "identity", "status", "message", "prediction_sha256", "pixels"]


def compare(tmp_path, name, methods, **more):
    config = {
        "name": "try",
        "dataset": {"phantom": {"size": 128, "per_experiment": 1}},
        "scoring": {"workers": 1, "thresholds": [0.5]},
        "methods": methods,
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    run.run_comparison(load_config(path), tmp_path / name, limit=1, **more)
    return pd.read_csv(tmp_path / name / "ledger.csv", keep_default_na=False).set_index("method")


def test_diameters_are_found_once_and_masks_are_the_same_to_the_bit(cyto, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(run, "SharedBy", lambda *_: None)
        apart = compare(tmp_path, "apart", METHODS)
    assert not RunDirectory(tmp_path / "apart").shared_results.exists()
    # The methods of a run that goes on use what it found before.
    compare(tmp_path, "shared", METHODS[:1])
    shared = compare(tmp_path, "shared", METHODS, resume=True)
    pd.testing.assert_frame_equal(shared.reset_index()[SAME], apart.reset_index()[SAME])
    details = {name: details_of(text) for name, text in shared["details"].items()}
    used = {name: each.get("diameter_from", "") for name, each in details.items()}
    assert used == {"first": "", "loose": "first", "tuned": "first", "mixed": "", "range": ""}
    lines = RunDirectory(tmp_path / "shared").shared_results.read_text().splitlines()
    assert [json.loads(line)["method"] for line in lines] == ["first", "range"]
    for name, text in apart["details"].items():
        own = details_of(text)
        kept = ("diameter", "diameter_from_style", "diameter_policy")
        assert {key: details[name][key] for key in kept} == {key: own[key] for key in kept}
    # Their seconds hold those of the estimate, which took none of the run's time.
    spent = sum(json.loads(lines[0])["seconds"].values())
    for name in ("loose", "tuned"):
        assert float(shared.loc[name, "seconds_network"]) > 0.5 * spent
        assert float(shared.loc[name, "seconds_total"]) > spent
        assert details[name]["reused_seconds"] >= round(spent, 4)
