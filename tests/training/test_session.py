"""Trainings inside a run: reused, resumed, failed, replaced."""

from __future__ import annotations

import json
import os
import signal
import time
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from cellharness import provenance
from cellharness.config.reading import ConfigError
from cellharness.config.run import load_config
from cellharness.data.manifest import Manifest
from cellharness.errors import UsageError
from cellharness.files import hash_file
from cellharness.run_directory import TrainingRecord
from cellharness.running.run import read_cases, run_comparison
from cellharness.training import session
from cellharness.training.session import look_ahead, run_trainings


def configure(manifest, parameters=None, methods=None, **more):
    config = {
        "name": "try",
        "dataset": {"manifest": manifest.name},
        "scoring": {"workers": 1, "thresholds": [0.5]},
        "training": [
            {
                "name": "mine",
                "method": "learned",
                "splits": ["train", "test"],
                "parameters": {"epochs": 2, **(parameters or {})},
                **more,
            }
        ],
        "methods": methods
        or [{"name": "m", "method": "learned", "parameters": {"weights": "trained:mine"}}],
    }
    path = manifest.parent / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return load_config(path)


class Watcher:
    def __init__(self):
        self.seen = []

    def training_started(self, label):
        self.seen.append("started")

    def images_prepared(self, label, done, total):
        self.seen.append(f"{done} of {total}")

    def epoch_finished(self, label, record):
        self.seen.append(record.epoch)

    def training_finished(self, label, record, reused):
        self.seen.append((record.status, reused))


def test_a_run_trains_first_and_predicts_with_the_result(learned, small_manifest, tmp_path):
    run = tmp_path / "run"
    watcher = Watcher()
    result = run_comparison(configure(small_manifest), run, training_observer=watcher)
    assert watcher.seen == ["started", "4 of 4", 1, 2, ("ok", False)]
    assert result.statuses == {"m": {"ok": 5}}
    scores = pd.read_csv(run / "scores.csv")
    assert (scores.loc[scores["profile"] == "strict", "f1"] == 1).all()
    head = json.loads((run / "run.json").read_text())
    (training,) = head["trainings"]
    assert training["status"] == "ok"
    assert len(training["validation"]) == 2
    assert len(training["train"]) == 4
    (weights,) = head["methods"][0]["weights"]
    assert len(weights["sha256"]["network"]) == 64
    # As configured, without this machine's path.
    assert head["methods"][0]["parameters"]["weights"] == "trained:mine"


def test_a_run_that_was_moved_goes_on_where_it_was(learned, small_manifest, tmp_path):
    config = configure(small_manifest)
    run_comparison(config, tmp_path / "run")
    before = pd.read_csv(tmp_path / "run" / "ledger.csv")
    (tmp_path / "run").rename(tmp_path / "moved")
    run_comparison(config, tmp_path / "moved", resume=True)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "moved" / "ledger.csv"), before)


def test_a_finished_training_is_used_again_and_another_one_is_set_aside(
    learned, small_manifest, tmp_path
):
    run = tmp_path / "run"
    manifest = Manifest.read(small_manifest)
    first = run_trainings(configure(small_manifest), manifest, run)["mine"]
    watcher = Watcher()
    again = run_trainings(configure(small_manifest), manifest, run, observer=watcher)["mine"]
    assert watcher.seen == [("ok", True)]
    assert again == first
    changed = configure(small_manifest, {"epochs": 3})
    third = run_trainings(changed, manifest, run)["mine"]
    assert third.identity != first.identity
    assert third.epochs == 3
    (old,) = (run / "training").glob("mine.replaced-*")
    assert TrainingRecord.read(old / "training.json") == first


def test_the_modality_of_a_case_is_part_of_a_training(learned, small_manifest, tmp_path):
    run = tmp_path / "run"
    config = configure(small_manifest, {"sampling": "balanced"}, validation=0)
    first = run_trainings(config, Manifest.read(small_manifest), run)["mine"]
    lines = small_manifest.read_text().splitlines()
    lines[1] = lines[1].replace(",DIC,", ",Brightfield,")
    small_manifest.write_text("\n".join(lines))
    watcher = Watcher()
    other = run_trainings(config, Manifest.read(small_manifest), run, observer=watcher)["mine"]
    assert other.train == first.train
    assert other.identity != first.identity
    assert watcher.seen[-1] == ("ok", False)


def test_a_package_that_changes_pixels_is_part_of_a_training(
    learned, small_manifest, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    config, manifest = configure(small_manifest), Manifest.read(small_manifest)
    first = run_trainings(config, manifest, run)["mine"]
    real = provenance.version
    monkeypatch.setattr(provenance, "version", lambda n: "0.1" if n == "pillow" else real(n))
    other = run_trainings(config, manifest, run)["mine"]
    assert other.identity != first.identity
    assert other.versions["pillow"] == "0.1"


def test_a_training_that_is_used_again_has_the_names_and_experiments_of_today(
    learned, small_manifest, tmp_path
):
    run = tmp_path / "run"
    config = configure(small_manifest, validation=0)
    first = run_trainings(config, Manifest.read(small_manifest), run)["mine"]
    left_out = {"left_out": ["case_1"]}
    first.model_copy(update=left_out).write(run / "training" / "mine" / "training.json")
    frame = pd.read_csv(small_manifest, dtype=str, keep_default_na=False)
    frame["case"] = frame["case"].str.replace("case", "image")
    frame["experiment"] = "corrected"
    frame.to_csv(small_manifest, index=False)
    watcher = Watcher()
    again = run_trainings(config, Manifest.read(small_manifest), run, observer=watcher)["mine"]
    assert watcher.seen == [("ok", True)]
    assert again.train == [f"image_{number}" for number in range(6)]
    assert again.left_out == ["image_1"]
    assert again.experiments == [("DIC", "corrected"), ("Fluorescent", "corrected")]
    same = {"train", "experiments", "left_out"}
    assert again.model_dump(exclude=same) == first.model_dump(exclude=same)


@pytest.mark.parametrize("ended", [True, False])
def test_a_training_of_an_older_way_is_done_anew(
    learned, small_manifest, tmp_path, monkeypatch, ended
):
    run = tmp_path / "run"
    config, manifest = configure(small_manifest), Manifest.read(small_manifest)
    with monkeypatch.context() as before:
        before.setattr(session, "_WAY", 1)
        old = run_trainings(config, manifest, run)["mine"]
    if not ended:
        (run / "training" / "mine" / "state.json").write_text('{"epoch": 1}')
        old = old.model_copy(update={"status": "running", "checkpoint": "", "sha256": {}})
        old.write(run / "training" / "mine" / "training.json")
    watcher = Watcher()
    record = run_trainings(config, manifest, run, observer=watcher)["mine"]
    assert watcher.seen == ["started", "4 of 4", 1, 2, ("ok", False)]
    assert record.identity != old.identity
    (aside,) = (run / "training").glob("mine.replaced-*")
    assert TrainingRecord.read(aside / "training.json") == old


@pytest.mark.parametrize(
    ("fail", "status", "message"),
    [
        ("raise", "error", "RuntimeError: no luck"),
        ("memory", "oom", "MemoryError: too much"),
        ("die", "error", "exit code 3"),
    ],
)
def test_a_failed_training_fails_its_methods_and_nothing_else(
    learned, small_manifest, tmp_path, fail, status, message
):
    methods = [
        {"name": "m", "method": "learned", "parameters": {"weights": "trained:mine"}},
        {"name": "truth", "method": "dummy-truth"},
    ]
    config = configure(small_manifest, {"fail": fail}, methods)
    run = tmp_path / "run"
    result = run_comparison(config, run)
    assert result.statuses == {"m": {"error": 5}, "truth": {"ok": 5}}
    assert f"training 'mine' ended with {status}" in result.messages["m"]
    assert message in result.messages["m"]
    record = TrainingRecord.read(run / "training" / "mine" / "training.json")
    assert record.status == status
    assert message in record.message


def _train(path, folder):
    config = load_config(path)
    run_trainings(config, Manifest.read(config.resolve(config.dataset.manifest)), folder)


@pytest.mark.slow
def test_a_training_goes_on_after_a_kill(learned, small_manifest, tmp_path):
    config = configure(small_manifest, {"epochs": 6, "nap": 0.3})
    run = tmp_path / "run"
    process = get_context("fork").Process(
        target=_train, args=(small_manifest.parent / "config.yaml", run)
    )
    process.start()
    state = run / "training" / "mine" / "state.json"
    deadline = time.monotonic() + 60
    while not (state.is_file() and json.loads(state.read_text() or "{}").get("epoch", 0) >= 2):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (trainer,) = [
        child
        for child in psutil.Process(process.pid).children()
        if "resource_tracker" not in " ".join(child.cmdline())
    ]
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    # A training that went on alone would write into the same files.
    trainer.wait(10)
    watcher = Watcher()
    record = run_trainings(config, Manifest.read(small_manifest), run, observer=watcher)["mine"]
    assert record.status == "ok"
    epochs = [seen for seen in watcher.seen if isinstance(seen, int)]
    assert epochs[-1] == 6
    assert epochs[0] >= 3
    log = pd.read_csv(run / "training" / "mine" / "epochs.csv")
    assert log["epoch"].tolist() == [1, 2, 3, 4, 5, 6]


def test_what_cannot_be_trained_is_refused_before_anything_runs(learned, small_manifest, tmp_path):
    manifest = Manifest.read(small_manifest)

    def attempt(**changes):
        run_trainings(configure(small_manifest, **changes), manifest, tmp_path / "run")

    with pytest.raises(UsageError, match=r"'otsu-watershed' cannot be trained; .*cellpose2"):
        attempt(method="otsu-watershed")
    with pytest.raises(UsageError, match=r"epoch: unknown key. Did you mean 'epochs'\?"):
        attempt(parameters={"epoch": 3})
    with pytest.raises(UsageError, match=r"No case has split .*trian"):
        attempt(splits=["trian"])
    with pytest.raises(ConfigError, match="validation"):
        attempt(validation=1.0)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("ended", [True, False])
def test_a_training_whose_files_cannot_be_read_is_left_as_it_is(
    learned, small_manifest, tmp_path, ended
):
    run = tmp_path / "run"
    folder = run / "training" / "mine"
    config, manifest = configure(small_manifest), Manifest.read(small_manifest)
    first = run_trainings(config, manifest, run)["mine"]
    if not ended:
        begun = {"status": "running", "checkpoint": "", "sha256": {}}
        first.model_copy(update=begun).write(folder / "training.json")
        (folder / "state.json").write_text('{"epoch": 1}')
    before = (folder / "training.json").read_bytes()
    images = small_manifest.parent / "images"
    images.rename(images.with_name("away"))
    watcher = Watcher()
    record = run_trainings(config, manifest, run, observer=watcher)["mine"]
    assert watcher.seen == [("error", False)]
    assert "put them back and give the command again" in record.message
    assert f"case_0: '{images / 'case_0.tif'}': No such file" in record.message
    assert look_ahead(config, manifest, run)["mine"].state == "cannot run"
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]
    assert (folder / "training.json").read_bytes() == before
    images.with_name("away").rename(images)
    watcher = Watcher()
    again = run_trainings(config, manifest, run, observer=watcher)["mine"]
    told = [("ok", True)] if ended else ["started", "4 of 4", 2, ("ok", False)]
    assert watcher.seen == told
    assert (again.identity, again.sha256) == (first.identity, first.sha256)
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]


def test_another_image_than_the_listed_one_sets_no_training_aside(
    learned, small_manifest, tmp_path
):
    run = tmp_path / "run"
    frame = pd.read_csv(small_manifest, dtype=str, keep_default_na=False)
    frame["sha256"] = [hash_file(small_manifest.parent / image) for image in frame["image"]]
    frame.to_csv(small_manifest, index=False)
    config, manifest = configure(small_manifest), Manifest.read(small_manifest)
    run_trainings(config, manifest, run)
    image = small_manifest.parent / "images" / "case_2.tif"
    image.write_bytes(b"an error page")
    record = run_trainings(config, manifest, run)["mine"]
    assert "1 of its cases' files cannot be used" in record.message
    assert f"case_2: '{image}' has SHA256" in record.message
    assert [path.name for path in (run / "training").iterdir()] == ["mine"]


def test_a_finished_training_that_is_wanted_again_is_put_back(learned, small_manifest, tmp_path):
    run = tmp_path / "run"
    manifest = Manifest.read(small_manifest)
    trained = {
        epochs: run_trainings(configure(small_manifest, {"epochs": epochs}), manifest, run)["mine"]
        for epochs in (2, 3)
    }
    for epochs in (2, 3, 2):
        config = configure(small_manifest, {"epochs": epochs})
        assert look_ahead(config, manifest, run)["mine"].state == "put back"
        watcher = Watcher()
        assert run_trainings(config, manifest, run, observer=watcher)["mine"] == trained[epochs]
        assert watcher.seen == [("ok", True)]
        assert look_ahead(config, manifest, run)["mine"].state == "kept"
    (aside,) = (run / "training").glob("mine.replaced-*")
    assert TrainingRecord.read(aside / "training.json") == trained[3]
    # Weights that are not as they were are no reason not to train.
    (aside / "checkpoints" / "last.pt").write_text("{}")
    config = configure(small_manifest, {"epochs": 3})
    assert look_ahead(config, manifest, run)["mine"].state == "again"
    assert run_trainings(config, manifest, run)["mine"].sha256 == trained[3].sha256
    assert len(list((run / "training").glob("mine.replaced-*"))) == 2


def test_cases_without_labels_are_refused_by_name(learned, small_manifest, tmp_path):
    text = small_manifest.read_text().replace("labels/case_0_label.tiff", "")
    small_manifest.write_text(text)
    with pytest.raises(UsageError, match=r"1 of 6 cases have no label .case_0"):
        run_trainings(
            configure(small_manifest), Manifest.read(small_manifest), Path(tmp_path / "run")
        )


@pytest.mark.slow
def test_the_time_and_epochs_of_a_killed_session_count(learned, small_manifest, tmp_path):
    run = tmp_path / "run"
    folder = run / "training" / "mine"
    config = configure(small_manifest)
    manifest = Manifest.read(small_manifest)
    first = run_trainings(config, manifest, run)["mine"]
    # What a kill after the last epoch leaves: the record of the start, and the log.
    cut = {"status": "running", "epochs": 0, "seconds": 0.0, "checkpoint": ""}
    first.model_copy(update=cut).write(folder / "training.json")
    log = pd.read_csv(folder / "epochs.csv").assign(seconds=1000.0)
    log.to_csv(folder / "epochs.csv", index=False)
    record = run_trainings(config, manifest, run)["mine"]
    assert record.epochs == 2
    assert 2000 < record.seconds < 3000


def test_what_a_killed_training_left_half_written_is_cleared(learned, small_manifest, tmp_path):
    run = tmp_path / "run"
    folder = run / "training" / "mine"
    config = configure(small_manifest)
    manifest = Manifest.read(small_manifest)
    run_trainings(config, manifest, run)
    finished = get_context("fork").Process(target=int)
    finished.start()
    finished.join()
    left = [place / f".state.pt.{finished.pid}-1.tmp" for place in (folder, folder / "checkpoints")]
    for path in left:
        path.touch()
    run_trainings(config, manifest, run)
    assert not any(path.exists() for path in left)


def test_guessed_modalities_reach_the_trainings(learned, small_manifest, tmp_path, monkeypatch):
    text = small_manifest.read_text()
    small_manifest.write_text(text.replace(",DIC,", ",,").replace(",Fluorescent,", ",,"))
    config = configure(small_manifest, splits=["train"])
    guessing = config.model_copy(
        update={"dataset": config.dataset.model_copy(update={"guess_modality": True})}
    )
    assert {case.modality for case in read_cases(config, tmp_path).cases} == {None}
    cases = read_cases(guessing, tmp_path).cases
    assert [case.case for case in cases] == [f"case_{number}" for number in range(6)]
    # Only those to train on are read here.
    assert [case.modality_source for case in cases] == ["guessed", "", "", "", "", ""]

    seen = []

    def watched(config, manifest, *args, **more):
        seen.extend(manifest.select(["train"]).cases)
        return run_trainings(config, manifest, *args, **more)

    monkeypatch.setattr("cellharness.running.run.run_trainings", watched)
    run_comparison(guessing, tmp_path / "run")
    assert [case.modality_source for case in seen] == ["guessed"]
