"""Masks for a folder: what is written about them, and what a kill leaves behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from cellharness.config.run import LimitsConfig
from cellharness.errors import UsageError
from cellharness.running.predict import predict_folder


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        np.save(folder / f"i{number}.npy", np.pad(np.full((9, 9), 200, np.uint8), 5))
    return folder


def note(out):
    return json.loads((out / "provenance.json").read_text())


def test_the_note_tells_all_that_the_masks_hang_on(images, tmp_path):
    out = tmp_path / "masks"
    options = {"sigma": 1}
    predict_folder("otsu-watershed", images, out, parameters=options, limits=LimitsConfig(), seed=3)
    facts = note(out)
    assert facts["status"] == "complete"
    assert facts["parameters"] == {
        "sigma": 1.0,
        "polarity": "auto",
        "min_distance": 7,
        "min_size": 30,
    }
    assert (facts["seed"], facts["input"], facts["weights"]) == (3, "gray_max", [])
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["limits"]["timeout_s"] == 900
    assert set(facts["images"]) == {"i0", "i1", "i2"}


def test_weights_and_their_hashes_stand_in_the_note_from_the_start(images, tmp_path, installed):
    source = """
        from pathlib import Path
        from cellharness.methods.base import BaseSegmenter, MethodInfo, Parameters
        from cellharness.weights import local_weights

        class OwnParameters(Parameters):
            weights: Path
            out: Path

        class Looks(BaseSegmenter):
            info = MethodInfo(summary="Reads its own note.", licence="MIT")
            Parameters = OwnParameters

            def weights(self):
                return (local_weights(self.parameters.weights),)

            def segment(self, image):
                (self.parameters.out / "seen.json").write_text(
                    (self.parameters.out / "provenance.json").read_text()
                )
                return (image > 0).astype("uint8")
    """
    installed(source, {"cellharness.methods": {"looks": "Looks"}})
    (tmp_path / "net").write_bytes(b"net")
    out = tmp_path / "masks"
    options = {"weights": str(tmp_path / "net"), "out": str(out)}
    predict_folder("looks", images, out, parameters=options)
    seen = json.loads((out / "seen.json").read_text())
    assert (seen["status"], seen["images"]) == ("running", {})
    assert seen["weights"][0]["name"] == "net"
    assert len(seen["weights"][0]["sha256"]["network"]) == 64
    assert {**note(out), "status": "", "images": {}} == {**seen, "status": ""}


@pytest.mark.slow
def test_a_kill_leaves_a_note_that_says_so_and_nothing_else_for_long(images, tmp_path):
    out = tmp_path / "masks"
    predict_folder("dummy-threshold", images, out)
    arguments = ["predict", "--method", "dummy-slow", "--images", str(images), "--out", str(out)]
    code = "import sys; from cellharness.cli import main; main(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments, "--set", "seconds=1.0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.time() + 60
    while time.time() < deadline:
        if note(out)["method"] == "dummy-slow" and (out / "i0_label.tiff").is_file():
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert note(out)["status"] == "running"
    # No mask of the earlier method is left under the note of the new one.
    assert not (out / "i2_label.tiff").exists()
    left = out / f".i1_label.tiff.{process.pid}-1.tmp"
    left.write_bytes(b"half")
    predict_folder("dummy-threshold", images, out)
    assert not left.exists()
    assert note(out)["status"] == "complete"


@pytest.mark.slow
def test_masks_outlive_a_method_that_does_not_load(images, tmp_path):
    out = tmp_path / "masks"
    predict_folder("dummy-threshold", images, out)
    with pytest.raises(UsageError, match="told to fail on loading"):
        predict_folder("dummy-raises", images, out, parameters={"on_load": True})
    assert len(list(out.glob("*_label.tiff"))) == 3
    assert note(out)["method"] == "dummy-threshold"
