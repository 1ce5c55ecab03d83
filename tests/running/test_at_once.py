"""A run with several cases at the same time beside one of one case after another."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
import yaml

from cellharness.config.reading import ConfigError
from cellharness.config.run import load_config
from cellharness.errors import UsageError
from cellharness.files import hash_file
from cellharness.methods.registry import build, weight_source
from cellharness.report import build_report
from cellharness.run_directory import details_of
from cellharness.running.plan import make_plan
from cellharness.running.run import run_comparison
from cellharness.weights import WeightsUnavailableError

METHODS = [
    {"name": "threshold", "method": "dummy-threshold"},
    {"name": "raises", "method": "dummy-raises", "parameters": {"cases": ["case_2"]}},
    {"name": "load", "method": "dummy-raises", "parameters": {"on_load": True}},
    {"name": "slow", "method": "dummy-slow", "timeout_s": 1.0, "parameters": {"seconds": 30}},
    {"name": "none", "method": "dummy-empty"},
    {"name": "otsu", "method": "otsu-watershed"},
]
SAME = ["method", "case", "identity", "status", "message", "prediction_sha256", "pixels"]


def configure(manifest, methods, **more):
    config = {
        "name": "try",
        "dataset": {"manifest": manifest.name, "splits": ["train", "test"]},
        "scoring": {"workers": 1, "thresholds": [0.5]},
        "methods": methods,
        **more,
    }
    path = manifest.parent / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return load_config(path)


def rows(run):
    return pd.read_csv(run / "ledger.csv", keep_default_na=False)


def masks(run):
    found = sorted((run / "predictions").rglob("*.tiff"))
    return {path.relative_to(run).as_posix(): hash_file(path) for path in found}


def own_details(run):
    kept = [details_of(text) for text in rows(run)["details"]]
    times = ("cases_at_once", "seconds", "reused_seconds")
    return [{name: value for name, value in each.items() if name not in times} for each in kept]


def assert_same(many, one):
    assert masks(many) == masks(one)
    assert (many / "scores.csv").read_bytes() == (one / "scores.csv").read_bytes()
    pd.testing.assert_frame_equal(rows(many)[SAME], rows(one)[SAME])
    assert own_details(many) == own_details(one)


def test_masks_scores_and_ledger_are_those_of_one_case_after_another(small_manifest, tmp_path):
    one, many = tmp_path / "one", tmp_path / "many"
    run_comparison(configure(small_manifest, METHODS), one)
    result = run_comparison(configure(small_manifest, METHODS, cases_at_once=3), many)
    assert len(masks(one)) == 6 + 5 + 6 + 6
    assert result.statuses["slow"] == {"timeout": 6}
    assert_same(many, one)
    assert json.loads((many / "run.json").read_text())["config"]["cases_at_once"] == 3
    # What is there is there for one case after another too.
    before = rows(many)
    again = run_comparison(configure(small_manifest, METHODS), many, resume=True)
    assert again.statuses == result.statuses
    pd.testing.assert_frame_equal(rows(many), before)


def test_the_report_shows_no_running_time_of_cases_at_once(small_manifest, tmp_path):
    run = tmp_path / "run"
    methods = [METHODS[0], METHODS[4], METHODS[5]]
    run_comparison(configure(small_manifest, methods, cases_at_once=3), run)
    ledger = rows(run).set_index("method")
    together = ledger.loc[["threshold", "otsu"]]
    assert (together["seconds_total"] == "").all()
    assert (together["peak_host_mb"] == "").all()
    assert (together["seconds_overhead"] == "").all()
    # A method that can take one case at a time alone is measured as ever.
    assert (ledger.loc[["none"], "seconds_total"].astype(float) > 0).all()
    build_report(run)
    made = {path.stem for path in (run / "report" / "tables").glob("*.csv")}
    assert "ranking" in made
    assert not made & {"running_time", "timing"}
    page = (run / "report" / "index.html").read_text()
    assert "have no running times, and the others alone would be no comparison" in page
    assert "Of the 18 pairs of method and case, 12 were segmented at the same time" in page


def test_running_times_are_not_taken_of_cases_at_once(small_manifest):
    with pytest.raises(ConfigError, match=r"timing\.repeats 3 with cases_at"):
        configure(small_manifest, METHODS, cases_at_once="auto", timing={"repeats": 3})


def test_a_worker_takes_one_case_at_a_time(small_manifest, tmp_path):
    config = configure(small_manifest, METHODS, cases_at_once=2, cluster={"workers": 2})
    with pytest.raises(UsageError, match=r"cases_at_once 2 with a cluster"):
        run_comparison(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("wanted", "found"), [(1, 1), (5, 5), ("auto", 6)])
def test_so_many_cases_are_meant(small_manifest, tmp_path, monkeypatch, wanted, found):
    monkeypatch.setattr("cellharness.running.worker.cores", lambda: 4)
    config = configure(small_manifest, METHODS, cases_at_once=wanted)
    assert make_plan(config, config.methods[0], tmp_path, {}).spec.at_once == found


def of_real_images(realdata, folder, methods, **more):
    """Configure a run of one real image of each experiment to test on."""
    folder.mkdir(exist_ok=True)
    manifest = folder / "manifest.csv"
    shutil.copyfile(realdata.path, manifest)
    dataset = {
        "manifest": manifest.name,
        "root": str(realdata.root),
        "splits": ["test"],
        "per_experiment": 1,
    }
    return configure(manifest, methods, dataset=dataset, **more)


def run_both_ways(realdata, tmp_path, methods):
    one, many = tmp_path / "one", tmp_path / "many"
    run_comparison(of_real_images(realdata, tmp_path / "data", methods), one, limit=6)
    config = of_real_images(realdata, tmp_path / "data", methods, cases_at_once=4)
    run_comparison(config, many, limit=6)
    names = [method["name"] for method in methods]
    together = rows(many)[rows(many)["details"].str.contains("cases_at_once")]
    assert set(together["method"]) == set(names)
    assert_same(many, one)
    return rows(one)


@pytest.mark.slow
@pytest.mark.weights
def test_cellpose_gives_the_same_masks_bit_by_bit(cyto, realdata, tmp_path):
    options = {"weights": "cyto", "device": "cpu", "precision": "float32"}
    methods = [
        {"name": "estimate", "method": "cellpose", "parameters": options},
        {
            "name": "other-sizes",
            "method": "cellpose",
            "parameters": {**options, "size_weights": "cyto", "diameter": "training_mean"},
        },
    ]
    made = run_both_ways(realdata, tmp_path, methods)
    assert (made["status"] == "ok").any()
    # The diameter of each case is its own, and not that of another at the same time.
    estimated = [details_of(text)["diameter"] for text in made["details"][:6]]
    assert len(set(estimated)) > 3


@pytest.mark.slow
def test_kit_ge_gives_the_same_masks_bit_by_bit(realdata, tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch")
    from cellharness.training.checkpoints import save
    from cellharness_adapters.kit_ge.network import DUNet

    torch.manual_seed(0)
    save(tmp_path / "small.pt", {"model": DUNet((4, 16)).state_dict(), "meta": {}})
    # Untrained, it finds many odd cells: thresholds in the range of what it gives.
    parameters = {
        "weights": str(tmp_path / "small.pt"),
        "precision": "float32",
        "device": "cpu",
        "th_cell": 0.0,
        "th_seed": 0.02,
    }
    methods = [{"name": "kit-ge", "method": "kit-ge", "parameters": parameters}]
    made = run_both_ways(realdata, tmp_path, methods)
    assert (made["status"] == "ok").sum() > 3


@pytest.mark.slow
@pytest.mark.weights
def test_misic_gives_the_same_masks_bit_by_bit(realdata, tmp_path):
    pytest.importorskip("h5py", reason="needs the extra 'misic' (h5py)")
    source = weight_source("misic")
    try:
        source.locate() or source.fetch()
    except WeightsUnavailableError as error:
        pytest.skip(f"needs the misic weights: {error}")
    parameters = {"precision": "float32", "device": "cpu"}
    methods = [{"name": "misic", "method": "misic", "parameters": parameters}]
    made = run_both_ways(realdata, tmp_path, methods)
    assert len({details_of(text)["width"] for text in made["details"]}) > 3


@pytest.mark.slow
def test_mediar_style_gives_the_same_masks_bit_by_bit(realdata, tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch")
    pytest.importorskip("segmentation_models_pytorch", reason="needs the extra 'mediar'")
    from cellharness.training.checkpoints import save
    from cellharness_adapters.mediar.network import MediarFormer
    from cellharness_adapters.mediar_style.network import SMALL

    torch.manual_seed(0)
    save(tmp_path / "small.pt", {"model": MediarFormer(SMALL).state_dict(), "meta": {}})
    # Untrained, its probabilities are about a half: it finds cells of some kind.
    parameters = {
        "weights": str(tmp_path / "small.pt"),
        "device": "cpu",
        "precision": "float32",
        "flips": "none",
        "window": 256,
        "flow_threshold": 0,
    }
    methods = [{"name": "small", "method": "mediar-style", "parameters": parameters}]
    made = run_both_ways(realdata, tmp_path, methods)
    assert (made["status"] == "ok").any()


@pytest.mark.weights
def test_the_librarys_own_cellpose_has_no_replicas(cyto):
    segmenter = build("cellpose", {"weights": "cyto", "device": "cpu", "precision": "stock"})
    segmenter.load()
    assert segmenter.replica() is None
