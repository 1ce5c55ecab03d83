"""The run loop against every way in which a case can go wrong."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest
import tifffile
import yaml

from cellharness import provenance
from cellharness.config.run import load_config
from cellharness.data.phantom import experiments
from cellharness.errors import UsageError
from cellharness.report import build_report
from cellharness.running.run import read_cases, run_comparison


def configure(manifest, methods, **more):
    """Write a configuration beside a manifest and load it."""
    config = {
        "name": "try",
        "dataset": {"manifest": manifest.name},
        "scoring": {"workers": 1, "thresholds": [0.5]},
        "methods": [
            {"name": name, "method": method, "parameters": parameters}
            for name, method, parameters in methods
        ],
        **more,
    }
    path = manifest.parent / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return load_config(path)


def statuses(folder):
    rows = pd.read_csv(folder / "ledger.csv", keep_default_na=False)
    return rows.set_index(["method", "case"])["status"].to_dict()


@pytest.fixture
def run_dir(tmp_path):
    return tmp_path / "run"


def test_embedded_data_are_generated_as_configured_and_once(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "EXPERIMENTS", experiments.EXPERIMENTS[:1])
    path = tmp_path / "config.yaml"
    path.write_text(
        "name: try\ndataset: {phantom: {size: 160, experiments_per_kind: 2, per_experiment: 1}}\n"
        "methods: [{name: otsu, method: otsu-watershed}]\n"
    )
    config = load_config(path)
    made = read_cases(config, tmp_path)
    assert sorted({case.experiment for case in made.cases}) == ["bf-giemsa", "bf-giemsa-2"]
    assert {dict(case.extra)["height"] for case in made.cases} == {"160"}
    monkeypatch.setattr("cellharness.data.phantom.generate", None)
    assert read_cases(config, tmp_path, generated=True).cases == made.cases


def test_the_truth_scores_one_and_nothing_scores_zero(small_manifest, run_dir):
    methods = [("truth", "dummy-truth", {}), ("none", "dummy-empty", {})]
    result = run_comparison(configure(small_manifest, methods), run_dir)
    scores = pd.read_csv(run_dir / "scores.csv")
    f1 = scores.groupby(["method", "profile"])["f1"].agg(["min", "max"])
    assert (f1.loc["truth"] == 1).all(axis=None)
    assert (f1.loc["none"] == 0).all(axis=None)
    assert len(scores) == 2 * 2 * 5
    assert result.statuses == {"truth": {"ok": 5}, "none": {"empty": 5}}
    # The one case to learn from is DIC, and so is the only other one of its experiment.
    seen = scores.drop_duplicates("case").set_index("case")["seen"]
    assert seen.index[seen].tolist() == ["case_2"]


def test_the_run_directory_says_what_was_done(small_manifest, run_dir):
    config = configure(small_manifest, [("t", "dummy-threshold", {})])
    run_comparison(config, run_dir, limit=2)
    head = json.loads((run_dir / "run.json").read_text())
    assert (head["status"], head["limit"], head["dataset"]["n_cases"]) == ("partial", 2, 2)
    assert head["versions"]["numpy"] == np.__version__
    assert head["methods"][0]["adapter"] == "dummy-threshold"
    assert str(small_manifest.parent) not in json.dumps(head["config"])
    # Both modalities are met, although the first two cases of a split need not do so.
    assert set(pd.read_csv(run_dir / "manifest.csv")["modality"]) == {"DIC", "Fluorescent"}


def test_a_method_that_raises_is_recorded_and_the_rest_goes_on(small_manifest, run_dir):
    methods = [
        ("some", "dummy-raises", {"cases": ["case_2"]}),
        ("load", "dummy-raises", {"on_load": True}),
        ("oom", "dummy-out-of-memory", {}),
        ("fine", "dummy-threshold", {}),
    ]
    result = run_comparison(configure(small_manifest, methods), run_dir)
    found = statuses(run_dir)
    assert found["some", "case_2"] == "error"
    assert found["some", "case_3"] == "ok"
    assert {found["load", f"case_{n}"] for n in range(1, 6)} == {"error"}
    assert {found["oom", f"case_{n}"] for n in range(1, 6)} == {"oom"}
    assert result.failed == 11
    assert "told to fail on case_2" in result.messages["some"]
    strict = pd.read_csv(run_dir / "scores.csv").query("profile == 'strict'")
    failed = strict[(strict["method"] == "some") & (strict["case"] == "case_2")].iloc[0]
    assert (failed["f1"], failed["status"]) == (0.0, "error")
    assert failed["fn"] == failed["n_true"] > 0
    dropped = pd.read_csv(run_dir / "scores.csv").query(
        "profile == 'challenge' and status == 'error'"
    )
    assert dropped["f1"].isna().all()
    assert len(dropped) == 6


def test_a_method_that_hangs_is_ended_and_started_again(small_manifest, run_dir):
    config = configure(
        small_manifest,
        [("slow", "dummy-slow", {"seconds": 60})],
        limits={"timeout_s": 0.5},
        dataset={"manifest": small_manifest.name, "experiments": ["unseen"]},
    )
    begun = time.perf_counter()
    run_comparison(config, run_dir)
    assert time.perf_counter() - begun < 50
    assert set(statuses(run_dir).values()) == {"timeout"}


def test_what_a_hanging_method_started_is_ended_too(small_manifest, run_dir):
    config = configure(
        small_manifest,
        [("slow", "dummy-slow", {"seconds": 7654.3, "in_child": True})],
        limits={"timeout_s": 1.0},
    )
    run_comparison(config, run_dir, limit=1)
    assert set(statuses(run_dir).values()) == {"timeout"}
    alive = [
        p.info["cmdline"]
        for p in psutil.process_iter(["cmdline", "status"])
        if p.info["status"] != psutil.STATUS_ZOMBIE
    ]
    assert ["sleep", "7654.3"] not in alive


@pytest.mark.slow
def test_a_method_that_eats_memory_is_ended_at_its_limit(small_manifest, run_dir):
    config = configure(
        small_manifest,
        [("hog", "dummy-out-of-memory", {"how": "allocate"}), ("ok", "dummy-threshold", {})],
        limits={"memory_gb": 1.0},
        dataset={"manifest": small_manifest.name, "experiments": ["unseen"]},
    )
    run_comparison(config, run_dir)
    rows = pd.read_csv(run_dir / "ledger.csv").set_index(["method", "case"])
    assert rows.loc[("hog", "case_4"), "status"] == "oom"
    assert "over the limit of 1 GiB" in rows.loc[("hog", "case_4"), "message"]
    assert rows.loc[("ok", "case_4"), "status"] == "ok"


@pytest.mark.parametrize(
    ("spoil", "status", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:300]), "error", "case_2.tif"),
        (lambda path: path.unlink(), "error", "No such file"),
        (
            lambda path: tifffile.imwrite(path, np.full((96, 112), np.nan, "f4")),
            "unsupported",
            "finite",
        ),
        (
            lambda path: tifffile.imwrite(path, np.zeros((9, 96, 112), "u1")),
            "unsupported",
            "(9, 96, 112)",
        ),
        (lambda path: tifffile.imwrite(path, np.full((96, 112), 7, "u1")), "empty", ""),
        (lambda path: tifffile.imwrite(path, np.full((96, 112, 4), 7, "u1")), "empty", ""),
    ],
    ids=["truncated", "absent", "all NaN", "3-D stack", "constant", "constant RGBA"],
)
def test_a_bad_image_gets_a_status(small_manifest, run_dir, spoil, status, message):
    spoil(small_manifest.parent / "images" / "case_2.tif")
    run_comparison(configure(small_manifest, [("otsu", "otsu-watershed", {})]), run_dir)
    row = pd.read_csv(run_dir / "ledger.csv", keep_default_na=False).set_index("case").loc["case_2"]
    assert row["status"] == status
    assert message in row["message"]
    assert statuses(run_dir)["otsu", "case_3"] == "ok"


def test_a_label_that_is_absent_or_of_another_size_is_not_the_methods_fault_in_silence(
    small_manifest, run_dir
):
    (small_manifest.parent / "labels" / "case_2_label.tiff").unlink()
    wrong = small_manifest.parent / "labels" / "case_3_label.tiff"
    tifffile.imwrite(wrong, np.ones((5, 5), np.uint16))
    result = run_comparison(configure(small_manifest, [("t", "dummy-threshold", {})]), run_dir)
    strict = pd.read_csv(run_dir / "scores.csv").query("profile == 'strict'").set_index("case")
    assert strict.loc[["case_2", "case_3"], "status"].tolist() == ["error", "error"]
    assert len(strict) == 5
    assert set(result.unscored) == {("t", "case_2"), ("t", "case_3")}
    messages = pd.read_csv(run_dir / "ledger.csv").set_index("case")["message"]
    assert "case_2_label.tiff" in messages["case_2"]
    assert "(5, 5)" in messages["case_3"]


def test_an_image_that_is_not_the_listed_one_is_refused(small_manifest, run_dir):
    text = small_manifest.read_text().replace("unseen,test,", "unseen,test," + "0" * 64)
    small_manifest.write_text(text)
    run_comparison(configure(small_manifest, [("t", "dummy-threshold", {})]), run_dir)
    rows = pd.read_csv(run_dir / "ledger.csv").set_index("case")
    assert rows.loc["case_4", "status"] == "error"
    assert "not the image that was listed" in rows.loc["case_4", "message"]


def test_half_written_files_of_a_killed_run_are_cleared_away(small_manifest, run_dir):
    config = configure(small_manifest, [("t", "dummy-threshold", {})])
    run_comparison(config, run_dir)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = [
        folder / f".case_1_label.tiff.{dead.pid}-1.tmp"
        for folder in (run_dir, run_dir / "predictions" / "t")
    ]
    for path in left:
        path.write_bytes(b"half")
    run_comparison(config, run_dir, resume=True)
    assert not any(path.exists() for path in left)


def test_resume_makes_nothing_again_but_what_changed(small_manifest, run_dir):
    def finished():
        return pd.read_csv(run_dir / "ledger.csv").set_index("case")

    config = configure(small_manifest, [("t", "dummy-threshold", {})])
    run_comparison(config, run_dir)
    first = finished()
    with pytest.raises(UsageError, match="--resume"):
        run_comparison(config, run_dir)
    image = small_manifest.parent / "images" / "case_2.tif"
    tifffile.imwrite(image, tifffile.imread(image)[::-1])
    (run_dir / "predictions" / "t" / "case_3_label.tiff").unlink()
    run_comparison(config, run_dir, resume=True)
    second = finished()
    changed = (first["seconds_total"] != second["seconds_total"]).to_dict()
    assert changed == {
        "case_1": False,
        "case_2": True,
        "case_3": True,
        "case_4": False,
        "case_5": False,
    }
    run_comparison(
        configure(small_manifest, [("t", "dummy-slow", {"seconds": 0})]), run_dir, resume=True
    )
    assert (finished()["identity"] != second["identity"]).all()


def test_a_mask_that_was_changed_or_damaged_is_made_anew(small_manifest, run_dir):
    config = configure(small_manifest, [("t", "dummy-threshold", {})])
    run_comparison(config, run_dir)
    masks = run_dir / "predictions" / "t"
    before = {path.name: path.read_bytes() for path in masks.iterdir()}
    tifffile.imwrite(masks / "case_2_label.tiff", np.ones((96, 112), np.uint8))
    (masks / "case_3_label.tiff").write_bytes(before["case_3_label.tiff"][:-9])
    untouched = (masks / "case_4_label.tiff").stat().st_mtime_ns
    run_comparison(config, run_dir, resume=True)
    assert {path.name: path.read_bytes() for path in masks.glob("*.tiff")} == before
    # What somebody may have drawn by hand is kept.
    (kept,) = masks.glob("case_2_label.tiff.replaced-*")
    assert tifffile.imread(kept).all()
    assert (masks / "case_4_label.tiff").stat().st_mtime_ns == untouched


CHOOSES = """
    import os
    from cellharness.methods.base import BaseSegmenter, MethodInfo

    class Chooses(BaseSegmenter):
        info = MethodInfo(summary="Chooses by itself.", licence="MIT")

        def resolved(self):
            if os.environ["PRECISION"] == "none":
                raise RuntimeError("no such device")
            return {"precision": os.environ["PRECISION"]}

        def segment(self, image):
            return (image > 100).astype("uint8")
"""


def test_what_automatic_choices_come_to_is_part_of_a_masks_identity(
    small_manifest, run_dir, installed, monkeypatch
):
    installed(CHOOSES, {"cellharness.methods": {"chooses": "Chooses"}})
    config = configure(small_manifest, [("c", "chooses", {})])
    found = {}
    for precision in ("float32", "bfloat16", "none"):
        monkeypatch.setenv("PRECISION", precision)
        run_comparison(config, run_dir, resume=True, limit=1)
        found[precision] = pd.read_csv(run_dir / "ledger.csv").iloc[0]
        head = json.loads((run_dir / "run.json").read_text())["methods"][0]
        assert head["resolved"] == ({"precision": precision} if precision != "none" else {})
    assert len({row["identity"] for row in found.values()}) == 3
    assert [row["status"] for row in found.values()] == ["ok", "ok", "error"]
    assert "no such device" in found["none"]["message"]


@pytest.mark.slow
@pytest.mark.parametrize("package", ["numpy", "imageio", "pillow"])
def test_a_package_that_changes_pixels_is_part_of_a_masks_identity(
    small_manifest, run_dir, monkeypatch, package
):
    config = configure(small_manifest, [("t", "dummy-threshold", {})])
    run_comparison(config, run_dir, limit=1)
    first = pd.read_csv(run_dir / "ledger.csv")["identity"]
    real = provenance.version
    monkeypatch.setattr(provenance, "version", lambda n: "0.1" if n == package else real(n))
    run_comparison(config, run_dir, limit=1, resume=True)
    assert (pd.read_csv(run_dir / "ledger.csv")["identity"] != first).all()


def test_failed_cases_are_tried_again_only_when_asked(small_manifest, run_dir):
    config = configure(small_manifest, [("r", "dummy-raises", {"cases": ["case_2"]})])
    run_comparison(config, run_dir)

    def stamp():
        return pd.read_csv(run_dir / "ledger.csv").set_index("case").loc["case_2", "seconds_total"]

    first = stamp()
    run_comparison(config, run_dir, resume=True)
    assert stamp() == first
    run_comparison(config, run_dir, resume=True, retry_failed=True)
    assert stamp() != first


def test_a_mask_that_was_drawn_for_a_failed_case_outlives_another_try(small_manifest, run_dir):
    config = configure(small_manifest, [("r", "dummy-raises", {"cases": ["case_2"]})])
    run_comparison(config, run_dir)
    masks = run_dir / "predictions" / "r"
    before = {path.name: path.read_bytes() for path in masks.iterdir()}
    drawn = masks / "case_2_label.tiff"
    tifffile.imwrite(drawn, np.ones((96, 112), np.uint8))
    hand = drawn.read_bytes()
    run_comparison(config, run_dir, resume=True)
    assert drawn.read_bytes() == hand
    run_comparison(config, run_dir, resume=True, retry_failed=True)
    (kept,) = masks.glob("case_2_label.tiff.replaced-*")
    assert kept.read_bytes() == hand
    assert {path.name: path.read_bytes() for path in masks.glob("*.tiff")} == before


@pytest.mark.slow
def test_a_kill_in_mid_run_loses_nothing_and_repeats_nothing(small_manifest, run_dir):
    config = configure(small_manifest, [("slow", "dummy-slow", {"seconds": 0.7})])
    command = [sys.executable, "-m", "cellharness", "run", str(config.base / "config.yaml")]
    process = subprocess.Popen(
        [*command, "--out", str(run_dir)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    masks = run_dir / "predictions" / "slow"
    deadline = time.time() + 60
    while len(list(masks.glob("*_label.tiff"))) < 2 and time.time() < deadline:
        time.sleep(0.05)
    with pytest.raises(UsageError, match="another run is busy"):
        run_comparison(config, run_dir, resume=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in masks.glob("*_label.tiff")}
    assert 2 <= len(before) < 5
    time.sleep(1.5)
    # The worker died with its parent: no mask appears after the kill.
    assert {path.name for path in masks.glob("*_label.tiff")} == {path.name for path in before}
    with sqlite3.connect(run_dir / "ledger.sqlite") as connection:
        recorded = {row[0] for row in connection.execute('SELECT "case" FROM cases')}
    run_comparison(config, run_dir, resume=True)
    assert set(statuses(run_dir).values()) == {"ok"}
    for case in recorded:
        path = masks / f"{case}_label.tiff"
        assert path.stat().st_mtime_ns == before[path]
    assert len(recorded) >= len(before) - 1


def test_a_full_disk_is_a_status(small_manifest, tmp_path):
    """On a real file system of 300 kilobytes; needs the right to mount."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        rng = np.random.default_rng(0)
        noise = rng.integers(0, 2**31, (400, 400), dtype=np.uint32)
        label = small_manifest.parent / "labels" / "case_2_label.tiff"
        image = small_manifest.parent / "images" / "case_2.tif"
        tifffile.imwrite(label, noise)
        tifffile.imwrite(image, np.zeros((400, 400), np.uint8))
        config = configure(small_manifest, [("truth", "dummy-truth", {})])
        run_comparison(config, disk / "run")
        found = statuses(disk / "run")
        assert found["truth", "case_2"] == "error"
        assert found["truth", "case_3"] == "ok"
        rows = pd.read_csv(disk / "run" / "ledger.csv").set_index("case")
        assert "no space left" in rows.loc["case_2", "message"]
        assert not list((disk / "run" / "predictions" / "truth").glob(".*"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_weights_that_are_not_to_be_had_fail_their_method_only(
    small_manifest, run_dir, monkeypatch, tmp_path
):
    pytest.importorskip("cellpose")
    monkeypatch.setenv("CELLHARNESS_OFFLINE", "1")
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(tmp_path / "models"))
    methods = [("cp", "cellpose", {"weights": "cyto2"}), ("t", "dummy-threshold", {})]
    result = run_comparison(configure(small_manifest, methods), run_dir)
    assert result.statuses == {"cp": {"error": 5}, "t": {"ok": 5}}
    assert "cyto2torch_0" in result.messages["cp"]
    assert json.loads((run_dir / "run.json").read_text())["methods"][0]["weights"] == []


def test_an_unknown_method_or_option_stops_before_anything_runs(small_manifest, run_dir):
    with pytest.raises(UsageError, match="Did you mean 'otsu-watershed'"):
        run_comparison(configure(small_manifest, [("a", "otsu-watersheds", {})]), run_dir)
    with pytest.raises(UsageError, match=r"sigmma: unknown key. Did you mean 'sigma'"):
        run_comparison(configure(small_manifest, [("a", "otsu-watershed", {"sigmma": 1})]), run_dir)
    options = {"polarity": "trained:nope"}
    with pytest.raises(UsageError, match="unknown training 'nope'"):
        run_comparison(configure(small_manifest, [("a", "otsu-watershed", options)]), run_dir)
    assert not run_dir.exists()


@pytest.mark.slow
def test_a_method_that_cannot_be_imported_fails_alone(small_manifest, run_dir, installed):
    source = "import no_such_package"
    installed(source, {"cellharness.methods": {"lost": "Lost"}})
    methods = [("lost", "lost", {"any": "option"}), ("t", "dummy-threshold", {})]
    config = configure(small_manifest, methods)
    result = run_comparison(config, run_dir)
    assert result.statuses == {"lost": {"error": 5}, "t": {"ok": 5}}
    assert "provides the module 'no_such_package'" in result.messages["lost"]
    page = build_report(run_dir).read_text()
    assert "no_such_package" in page
    # Nothing is tried again in vain, but all of it once the package is there.
    first = pd.read_csv(run_dir / "ledger.csv")
    run_comparison(config, run_dir, resume=True)
    assert pd.read_csv(run_dir / "ledger.csv").equals(first)


def test_a_misspelt_method_stops_the_run_although_another_cannot_be_imported(
    small_manifest, run_dir, installed
):
    installed("import no_such_package", {"cellharness.methods": {"lost": "Lost"}})
    methods = [("lost", "lost", {}), ("t", "otsu-wathershed", {})]
    with pytest.raises(UsageError, match="Did you mean 'otsu-watershed'"):
        run_comparison(configure(small_manifest, methods), run_dir)
    assert not run_dir.exists()


def test_path_parameters_start_at_the_configuration(small_manifest, run_dir, monkeypatch):
    folder = small_manifest.parent
    (folder / "labels" / "note.txt").write_text("the truth")
    monkeypatch.chdir(folder.parent)
    options = {"folder": "labels", "provenance": "labels/note.txt"}
    result = run_comparison(configure(small_manifest, [("p", "precomputed", options)]), run_dir)
    assert result.statuses == {"p": {"ok": 5}}
    head = json.loads((run_dir / "run.json").read_text())
    assert head["methods"][0]["parameters"] == options


def test_a_manifest_that_points_outside_is_refused(small_manifest, run_dir):
    small_manifest.write_text(small_manifest.read_text().replace("images/case_2", "../case_2"))
    with pytest.raises(UsageError, match="case_2"):
        run_comparison(configure(small_manifest, [("t", "dummy-threshold", {})]), run_dir)


def test_repeats_are_timed_each_and_their_median_is_kept(small_manifest, run_dir):
    methods = [("slow-first", "dummy-restless", {"first_seconds": 0.6})]
    config = configure(small_manifest, methods, timing={"repeats": 3})
    run_comparison(config, run_dir, limit=2)
    rows = pd.read_csv(run_dir / "ledger.csv").set_index("case")
    assert (rows["repeats"] == 3).all()
    assert (rows["pixels"] > 0).all()
    first = rows.iloc[0]
    assert first["seconds_first"] > 0.6
    assert 0 < first["seconds_network"] < 0.6
    assert (rows["seconds_overhead"] > 0).all()
    assert rows["prediction_sha256"].str.len().eq(64).all()


def test_repeats_that_give_other_masks_are_told(small_manifest, run_dir):
    config = configure(
        small_manifest, [("r", "dummy-restless", {"wander": True})], timing={"repeats": 2}
    )
    run_comparison(config, run_dir, limit=1)
    details = json.loads(pd.read_csv(run_dir / "ledger.csv")["details"].iloc[0])
    assert details["repeats_differ"] is True


def test_a_failure_in_a_later_repeat_leaves_no_mask(small_manifest, run_dir):
    methods = [("r", "dummy-restless", {"fail_at": 2})]
    config = configure(small_manifest, methods, timing={"repeats": 3})
    run_comparison(config, run_dir, limit=1)
    row = pd.read_csv(run_dir / "ledger.csv").iloc[0]
    assert (row["status"], row["repeats"]) == ("error", 2)
    assert not list(run_dir.glob("predictions/r/*.tiff"))
    strict = pd.read_csv(run_dir / "scores.csv").query("profile == 'strict'")
    assert strict["f1"].tolist() == [0.0]
