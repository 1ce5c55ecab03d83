"""Masks for a folder: what is written about them, and what a kill leaves behind."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from cellharness import provenance
from cellharness.config.run import LimitsConfig
from cellharness.errors import UsageError
from cellharness.files import hash_file
from cellharness.methods.base import MissingPredictionError
from cellharness.methods.registry import build
from cellharness.own_files import MASK_LIST
from cellharness.running.own_masks import Beside, ForeignMasksError
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


def hand_made(folder, stems):
    """Labels that a person drew, beside the images."""
    files = [folder / f"{stem}_label.tiff" for stem in stems]
    for number, file in enumerate(files, 1):
        tifffile.imwrite(file, np.full((19, 19), 100 * number, np.uint16))
    return {file: file.read_bytes() for file in files}


def untouched(files):
    return {file: file.read_bytes() for file in files} == files


def test_labels_made_by_hand_are_neither_segmented_nor_replaced(images):
    files = hand_made(images, ["i0", "i2"])
    with pytest.raises(ForeignMasksError, match=r"2 of the files.*i0_label\.tiff, i2_label\.tiff"):
        predict_folder("dummy-threshold", images, images)
    assert untouched(files)
    assert {path.name for path in images.iterdir()} == {
        "i0.npy", "i1.npy", "i2.npy", "i0_label.tiff", "i2_label.tiff",
    }  # fmt: skip
    result = predict_folder("dummy-threshold", images, images, overwrite=True)
    assert dict(result.statuses["dummy-threshold"]) == {"ok": 3}
    assert not untouched(files)


def test_masks_that_were_edited_are_not_replaced_and_own_ones_are(images, tmp_path):
    out = tmp_path / "masks"
    predict_folder("dummy-threshold", images, out)
    predict_folder("dummy-threshold", images, out)
    lines = [line for line in (out / MASK_LIST).read_text().splitlines() if line[0] != "#"]
    assert [line.split("  ")[1] for line in lines] == [f"i{n}_label.tiff" for n in range(3)]
    assert all(line.split("  ")[0] == hash_file(out / line.split("  ")[1]) for line in lines)
    edited = hand_made(out, ["i1"])
    with pytest.raises(ForeignMasksError, match=r"1 of the files.*: i1_label\.tiff\."):
        predict_folder("dummy-threshold", images, out)
    assert untouched(edited)
    # Of other images they are in nobody's way.
    other = hand_made(out, ["other"])
    predict_folder("dummy-threshold", images, out, overwrite=True)
    assert untouched(other)


def test_the_mask_that_a_kill_came_upon_is_ours(images, tmp_path):
    out = tmp_path / "masks"
    predict_folder("dummy-threshold", images, out)
    journal = (out / MASK_LIST).read_text().splitlines()
    (out / MASK_LIST).write_text("\n".join(journal[:-1]) + "\n")
    assert journal[-2] == "# writing i2_label.tiff"
    predict_folder("dummy-threshold", images, out)
    (out / MASK_LIST).unlink()
    with pytest.raises(ForeignMasksError):
        predict_folder("dummy-threshold", images, out)


def test_a_label_drawn_for_an_image_that_failed_is_not_ours(images, tmp_path):
    out = tmp_path / "masks"
    predict_folder("dummy-raises", images, out)
    assert not list(out.glob("*_label.tiff"))
    drawn = hand_made(out, ["i2"])
    with pytest.raises(ForeignMasksError, match=r"i2_label\.tiff"):
        predict_folder("dummy-threshold", images, out)
    assert untouched(drawn)


@pytest.mark.parametrize("name", ["masks.sha256", "provenance.json"])
def test_a_list_or_note_of_somebody_else_is_not_replaced(images, tmp_path, name):
    out = tmp_path / "masks"
    out.mkdir()
    labels = hand_made(out, ["i0"])
    lines = [f"{hash_file(file)}  {file.name}" for file in labels]
    (out / name).write_text("\n".join(lines) if name == "masks.sha256" else '{"by": "me"}')
    kept = (out / name).read_bytes()
    with pytest.raises(ForeignMasksError, match=f"i0_label.tiff, {name}"):
        predict_folder("dummy-threshold", images, out)
    assert untouched(labels)
    assert (out / name).read_bytes() == kept


def test_odd_names_can_be_predicted_again(tmp_path):
    folder, out = tmp_path / "images", tmp_path / "masks"
    folder.mkdir()
    for name in ("b", "c  b", "# x", "caf\udce9", "line\u2028end"):
        np.save(tmp_path / "one.npy", np.pad(np.full((9, 9), 200, np.uint8), 5))
        (tmp_path / "one.npy").rename(folder / f"{name}.npy")
    for _ in range(2):
        result = predict_folder("dummy-threshold", folder, out)
        assert dict(result.statuses["dummy-threshold"]) == {"ok": 5}
    (out / "b_label.tiff").unlink()
    (out / "b_label.tiff").mkdir()
    with pytest.raises(ForeignMasksError, match=r"b_label\.tiff"):
        predict_folder("dummy-threshold", folder, out, overwrite=True)


@pytest.fixture
def more(tmp_path, images):
    """Another folder of images, one of them of a name that is in the first one too."""
    folder = tmp_path / "more"
    folder.mkdir()
    for name in ("i0", "new"):
        (folder / f"{name}.npy").write_bytes((images / "i0.npy").read_bytes())
    return folder


def masks_in(out):
    return {path.name: path.read_bytes() for path in out.glob("*_label.tiff")}


def listed(out):
    lines = (out / MASK_LIST).read_text().splitlines()
    return {line.split("  ")[1] for line in lines if line[0] != "#"}


def taken(out):
    """Cases of which method precomputed takes a mask."""
    method = build("precomputed", {"folder": out, "provenance": out / "provenance.json"})
    found = set()
    for path in out.glob("*_label.tiff"):
        case = path.name.removesuffix("_label.tiff")
        method.begin_case(SimpleNamespace(case=case))
        with contextlib.suppress(MissingPredictionError):
            method.segment(np.zeros((19, 19)))
            found.add(case)
    return found


@pytest.mark.parametrize(
    ("method", "parameters", "package"),
    [
        ("dummy-threshold", {}, ""),
        ("otsu-watershed", {"sigma": 2}, ""),
        ("otsu-watershed", {}, "scikit-image"),
    ],
    ids=["method", "parameters", "version"],
)
def test_masks_of_another_method_do_not_stay_under_its_note(
    images, more, tmp_path, monkeypatch, method, parameters, package
):
    out = tmp_path / "masks"
    predict_folder("otsu-watershed", images, out, beside=Beside(overlays=True))
    before = {path.name: path.read_bytes() for path in out.glob("i[12]_*")}
    real = provenance.version
    monkeypatch.setattr(provenance, "version", lambda n: "0.1" if n == package else real(n))
    result = predict_folder(method, more, out, parameters=parameters)
    assert masks_in(out).keys() == {"i0_label.tiff", "new_label.tiff"} == listed(out)
    # Nothing is lost: what lay beside them went with them.
    aside = {p.name.split(".replaced-")[0]: p.read_bytes() for p in out.glob("*.replaced-*")}
    assert aside == before
    assert len(before) == 4
    (said,) = result.doubts
    assert said == (
        "2 mask(s) made with another method, or other parameters, weights or versions, set aside "
        "as <name>.replaced-<time>: i1_label.tiff, i2_label.tiff"
    )
    assert note(out)["masks"] == ["i0_label.tiff", "new_label.tiff"]
    assert taken(out) == {"i0", "new"}


@pytest.mark.parametrize("killed", [False, True])
def test_masks_of_the_same_method_stay_and_the_note_speaks_for_all(images, more, tmp_path, killed):
    out = tmp_path / "masks"
    predict_folder("dummy-threshold", images, out, beside=Beside(overlays=True))
    first = note(out)
    assert first["masks"] == [f"i{number}_label.tiff" for number in range(3)]
    if killed:
        (out / "provenance.json").write_text(
            json.dumps({**first, "status": "running", "images": {}})
        )
    before = masks_in(out)
    limits = LimitsConfig(timeout_s=99)
    result = predict_folder("dummy-threshold", more, out, limits=limits)
    assert not result.doubts
    assert masks_in(out) == {**before, "new_label.tiff": before["i0_label.tiff"]}
    assert (out / "i1_overlay.png").is_file()
    assert not list(out.glob("*.replaced-*"))
    assert note(out)["masks"] == sorted(masks_in(out)) == sorted(listed(out) - {*overlays(out)})
    assert note(out)["images"].keys() == ({"i0", "new"} if killed else {"i0", "i1", "i2", "new"})
    assert taken(out) == {"i0", "i1", "i2", "new"}


def overlays(out):
    return {path.name for path in out.glob("*_overlay.png")}


def test_a_note_of_an_earlier_version_speaks_for_the_masks_of_its_images(images, more, tmp_path):
    out = tmp_path / "masks"
    predict_folder("dummy-threshold", images, out)
    old = note(out)
    del old["masks"], old["images"]["i2"]
    (out / "provenance.json").write_text(json.dumps(old))
    # Precomputed takes what it took.
    assert taken(out) == {"i0", "i1", "i2"}
    predict_folder("dummy-threshold", more, out)
    assert masks_in(out).keys() == {"i0_label.tiff", "i1_label.tiff", "new_label.tiff"}
    assert len(list(out.glob("i2_label.tiff.replaced-*"))) == 1


@pytest.mark.parametrize("method", ["dummy-threshold", "dummy-empty"])
def test_masks_that_people_made_are_not_touched_and_not_spoken_for(images, more, tmp_path, method):
    out = tmp_path / "masks"
    predict_folder("dummy-threshold", images, out)
    (out / "i1_label.tiff").unlink()
    drawn = hand_made(out, ["i2", "other"])
    result = predict_folder(method, more, out)
    assert untouched(drawn)
    assert not list(out.glob("*.replaced-*"))
    (said,) = result.doubts
    assert said.startswith("2 mask(s) in the folder were not made here, or were changed since; ")
    assert said.endswith(": i2_label.tiff, other_label.tiff")
    assert note(out)["masks"] == ["i0_label.tiff", "new_label.tiff"]
    assert taken(out) == {"i0", "new"}


def test_an_image_that_failed_has_no_mask_that_the_note_speaks_for(images, tmp_path):
    out = tmp_path / "masks"
    predict_folder("dummy-raises", images, out)
    hand_made(out, ["i2"])
    assert note(out)["masks"] == []
    assert taken(out) == set()
