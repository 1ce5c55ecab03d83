"""Cases on many workers: the same masks and scores as in one process, whatever is lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import pandas as pd
import psutil
import pytest
import yaml

pytest.importorskip("distributed", reason="needs the extra 'cluster'")

from cellharness.config.run import load_config
from cellharness.errors import UsageError
from cellharness.run_directory import RunDirectory, TrainingRecord
from cellharness.running.observer import Silent
from cellharness.running.run import run_comparison
from cellharness.training.observer import SilentTraining

#: Of a row of the ledger, what does not depend on the time or the process.
SAME = ["method", "case", "status", "message", "prediction_sha256", "identity", "pixels"]


def configure(manifest, methods, *, cluster=None, name="config.yaml", **more):
    config = {
        "name": "try",
        "dataset": {"manifest": manifest.name, "splits": ["train", "test"]},
        "scoring": {"workers": 1, "thresholds": [0.5]},
        "methods": methods,
        **({"cluster": cluster} if cluster else {}),
        **more,
    }
    path = manifest.parent / name
    path.write_text(yaml.safe_dump(config))
    return path


def rows(folder):
    return pd.read_csv(folder / "ledger.csv", keep_default_na=False)


def masks(folder):
    files = folder.glob("predictions/*/*.tiff")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class Watching(Silent):
    """Keeps what a run tells, and does something at its first finished case."""

    def __init__(self, at_first=lambda: None):
        self.notes, self.finished, self._at_first = [], [], at_first

    def noted(self, text):
        self.notes.append(text)

    def case_finished(self, label, case, outcome):
        self.finished.append((label, case))
        if len(self.finished) == 1:
            self._at_first()


@pytest.mark.slow
def test_two_workers_give_the_masks_and_scores_of_one_process(small_manifest, tmp_path):
    methods = [
        {"name": "threshold", "method": "dummy-threshold"},
        {"name": "raises", "method": "dummy-raises", "parameters": {"cases": ["case_2"]}},
        {"name": "load", "method": "dummy-raises", "parameters": {"on_load": True}},
        {"name": "slow", "method": "dummy-slow", "timeout_s": 0.5, "parameters": {"seconds": 30}},
        {"name": "otsu", "method": "otsu-watershed"},
    ]
    one, many = tmp_path / "one", tmp_path / "many"
    run_comparison(load_config(configure(small_manifest, methods)), one)
    watching = Watching()
    config = load_config(configure(small_manifest, methods, cluster={"workers": 2}))
    run_comparison(config, many, observer=watching)
    assert len(masks(one)) == 6 + 5 + 6
    assert masks(many) == masks(one)
    assert (many / "scores.csv").read_bytes() == (one / "scores.csv").read_bytes()
    pd.testing.assert_frame_equal(rows(many)[SAME], rows(one)[SAME])
    assert Counter(watching.finished) == Counter(dict.fromkeys(watching.finished, 1))
    assert len(watching.finished) == 30
    assert any("dashboard: http://" in note for note in watching.notes)
    # Seconds beside each other are marked as such, and none is left over for the coordinator.
    assert rows(many)["details"].str.contains('"worker": "tcp://').sum() == 6 * 4
    assert (rows(many)["seconds_overhead"] == "").all()
    # What is there is there for one process too: the identities are the same.
    again = Watching()
    run_comparison(
        load_config(configure(small_manifest, methods)), many, resume=True, observer=again
    )
    assert not again.finished


def _busy_worker():
    """A worker that has a method loaded: a child of ours with a child of its own."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if any("spawn_main" in " ".join(each.cmdline()) for each in child.children()):
                    return child
        time.sleep(0.05)
    pytest.fail("no worker is busy")


@pytest.mark.slow
def test_a_worker_killed_in_mid_run_loses_nothing_and_makes_nothing_twice(small_manifest, tmp_path):
    log = tmp_path / "begun"
    killed = []

    def kill_one():
        worker = _busy_worker()
        killed.extend([worker, *worker.children(recursive=True)])
        os.kill(worker.pid, signal.SIGKILL)

    methods = [
        {
            "name": "slow",
            "method": "dummy-slow",
            "parameters": {"seconds": 1.0, "log": str(log)},
        }
    ]
    watching = Watching(kill_one)
    config = load_config(configure(small_manifest, methods, cluster={"workers": 2}))
    result = run_comparison(config, tmp_path / "run", observer=watching)
    assert result.statuses["slow"] == {"ok": 6}
    assert sorted(case for _, case in watching.finished) == [f"case_{n}" for n in range(6)]
    assert rows(tmp_path / "run")["case"].tolist() == [f"case_{n}" for n in range(6)]
    begun = Counter(line.split()[0] for line in log.read_text().splitlines())
    # The kill may have come between two cases of that worker.
    assert sum(begun.values()) in (6, 7)
    assert set(begun) == {f"case_{n}" for n in range(6)}
    assert any("was lost" in note for note in watching.notes)
    assert len(killed) > 1
    assert not [each for each in killed if each.is_running() and each.status() != "zombie"]


@pytest.fixture
def scheduler(tmp_path):
    """A Dask scheduler and two workers, each a program as users start them."""
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    address_file = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    options = ["--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"]
    first = subprocess.Popen([*dask, *options, "--scheduler-file", str(address_file)], **quiet)
    worker = [sys.executable, "-m", "distributed.cli.dask_worker"]
    options = ["--scheduler-file", str(address_file), "--nthreads", "1", "--memory-limit", "0"]
    options += ["--local-directory", str(tmp_path / "workers"), "--death-timeout", "60"]
    others = [subprocess.Popen([*worker, *options], **quiet) for _ in range(2)]
    until = time.monotonic() + 60
    while not address_file.exists() and time.monotonic() < until:
        time.sleep(0.1)
    yield first, yaml.safe_load(address_file.read_text())["address"]
    for process in (first, *others):
        for each in [*psutil.Process(process.pid).children(recursive=True), process]:
            with contextlib.suppress(psutil.Error):
                each.kill()
        process.wait()


@pytest.mark.slow
def test_a_lost_scheduler_stops_the_run_and_resume_makes_the_rest(
    small_manifest, tmp_path, scheduler
):
    process, address = scheduler
    log = tmp_path / "begun"
    slow = {"name": "slow", "method": "dummy-slow", "parameters": {"seconds": 2, "log": str(log)}}
    path = configure(small_manifest, [slow])
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "cellharness", "run", str(path), "--out", str(folder)]
    running = subprocess.Popen(
        [*command, "--scheduler", address], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    until = time.monotonic() + 300
    while len(masks(folder)) < 1 and time.monotonic() < until:
        time.sleep(0.1)
    process.kill()
    _, told = running.communicate(timeout=200)
    text = told.decode()
    assert running.returncode == 3, text
    assert "the Dask scheduler was lost" in text
    assert f"--scheduler {address} --resume" in text
    assert "Traceback" not in text
    kept = masks(folder)
    assert 0 < len(kept) < 6
    watching = Watching()
    result = run_comparison(load_config(path), folder, resume=True, observer=watching)
    assert result.statuses["slow"] == {"ok": 6}
    assert len(watching.finished) == 6 - len(kept)
    assert kept.items() <= masks(folder).items()


class WatchingTrainings(SilentTraining):
    """Keeps the order of epochs and ends, and does something once both trainings are at work."""

    def __init__(self, once_both=lambda: None):
        self.heard, self.prepared, self._once_both = [], {}, once_both

    def images_prepared(self, label, done, total):
        self.prepared.setdefault(label, []).append((done, total))

    def epoch_finished(self, label, record):
        both = len({label for label, _ in self.heard}) == 2
        self.heard.append((label, record.epoch))
        if not both and len({label for label, _ in self.heard}) == 2:
            self._once_both()

    def training_finished(self, label, record, reused):
        self.heard.append((label, record.status))


@pytest.mark.slow
def test_trainings_run_beside_each_other_and_outlive_a_worker(small_manifest, tmp_path):
    pytest.importorskip("lightning_fabric", reason="needs lightning-fabric")
    training = [
        {
            "name": name,
            "method": "dummy-trained",
            "splits": ["test"],
            "validation": 0,
            "seed": seed,
            "parameters": {"epochs": 20, "save_every": 2, "device": "cpu", "nap": 0.5},
        }
        for seed, name in enumerate(["first", "second"])
    ]
    methods = [
        {"name": each["name"], "method": "dummy-trained", "parameters": {"weights": weights}}
        for each in training
        for weights in [f"trained:{each['name']}"]
    ]
    one, many = tmp_path / "one", tmp_path / "many"
    run_comparison(load_config(configure(small_manifest, methods, training=training)), one)
    watching = WatchingTrainings(lambda: os.kill(_busy_worker().pid, signal.SIGKILL))
    path = configure(small_manifest, methods, training=training, cluster={"workers": 2})
    run_comparison(load_config(path), many, training_observer=watching)
    for name in ("first", "second"):
        plain, beside = (
            TrainingRecord.find(RunDirectory(folder).training(name).record)
            for folder in (one, many)
        )
        assert (beside.status, beside.identity) == (plain.status, plain.identity)
        assert beside.sha256 == plain.sha256
        assert (beside.checkpoint, beside.epochs) == (plain.checkpoint, plain.epochs)
        logs = [RunDirectory(folder).training(name).epochs for folder in (one, many)]
        columns = [pd.read_csv(log).drop(columns="seconds") for log in logs]
        pd.testing.assert_frame_equal(*columns)
    images = 5  # of split "test"
    for name in ("first", "second"):
        told = watching.prepared[name]
        # The one whose worker was killed prepares its images a second time.
        assert told[:images] == told[-images:] == [(n + 1, images) for n in range(images)]
    ends = [place for place, (_, what) in enumerate(watching.heard) if what == "ok"]
    assert len(ends) == 2
    before_any_end = {label for label, _ in watching.heard[: ends[0]]}
    assert before_any_end == {"first", "second"}
    assert masks(many) == masks(one)
    assert (many / "scores.csv").read_bytes() == (one / "scores.csv").read_bytes()


def test_times_are_not_taken_on_workers(small_manifest, tmp_path):
    methods = [{"name": "threshold", "method": "dummy-threshold"}]
    path = configure(small_manifest, methods, cluster={"workers": 2}, timing={"repeats": 3})
    with pytest.raises(UsageError, match=r"timing\.repeats 3 with a cluster"):
        run_comparison(load_config(path), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_scheduler_that_is_not_there_is_named(small_manifest, tmp_path, monkeypatch):
    monkeypatch.setattr("cellharness.cluster.workers._PATIENCE_S", 1.0)
    methods = [{"name": "threshold", "method": "dummy-threshold"}]
    cluster = {"scheduler": "tcp://127.0.0.1:1"}
    config = load_config(configure(small_manifest, methods, cluster=cluster))
    with pytest.raises(UsageError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:1'"):
        run_comparison(config, tmp_path / "run")


@pytest.mark.slow
def test_workers_come_and_go_with_the_work(small_manifest, tmp_path):
    methods = [{"name": "slow", "method": "dummy-slow", "parameters": {"seconds": 0.5}}]
    cluster = {"workers": 2, "at_least": 0}
    config = load_config(configure(small_manifest, methods, cluster=cluster))
    result = run_comparison(config, tmp_path / "run")
    assert result.statuses["slow"] == {"ok": 6}
    assert rows(tmp_path / "run")["details"].str.contains("worker").all()


@pytest.mark.slow
@pytest.mark.weights
def test_cellpose_on_two_workers_gives_the_masks_of_one_process(cyto, realdata, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copyfile(realdata.path, folder / "manifest.csv")
    config = {
        "name": "real",
        "dataset": {
            "manifest": "manifest.csv",
            "root": str(realdata.root),
            "splits": ["test"],
            "per_experiment": 1,
        },
        "scoring": {"workers": 1, "thresholds": [0.5]},
        "methods": [
            {"name": "cellpose", "method": "cellpose", "parameters": {"weights": "cyto"}},
            {"name": "otsu", "method": "otsu-watershed"},
        ],
    }
    made = []
    for cluster in (None, {"workers": 2}):
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump({**config, **({"cluster": cluster} if cluster else {})}))
        made.append(tmp_path / f"run{len(made)}")
        run_comparison(load_config(path), made[-1], limit=6)
    assert masks(made[0]) == masks(made[1])
    assert (made[0] / "scores.csv").read_bytes() == (made[1] / "scores.csv").read_bytes()
