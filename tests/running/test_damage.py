"""Run directories that were damaged, moved into, renamed or filled up."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import typer
from damage_maker import PLAIN, SPOILT, Again, finish

from cellharness import files
from cellharness.cli.outcome import tell
from cellharness.errors import MissingDependencyError, UsageError
from cellharness.report import build_report
from cellharness.running import plan, run
from cellharness.running.claim import locked
from cellharness.running.run import run_comparison

spoilt = pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return finish(tmp_path_factory.mktemp("finished"), [], [PLAIN])


@pytest.fixture
def again(finished, tmp_path):
    return Again(finished, tmp_path, [], [PLAIN])


@spoilt
def test_a_broken_head_is_written_again(again, spoil):
    head = json.loads((again.run / "run.json").read_text())
    spoil(again.run / "run.json")
    with pytest.raises(UsageError, match=r"run\.json.*--resume writes it again"):
        build_report(again.run)
    again.resume()
    again.assert_nothing_was_made_again()
    new = json.loads((again.run / "run.json").read_text())
    assert (new["status"], new["methods"]) == ("complete", head["methods"])


@spoilt
def test_a_broken_ledger_is_filled_again_from_the_table_beside_it(again, spoil):
    spoil(again.run / "ledger.sqlite")
    again.resume()
    again.assert_nothing_was_made_again()
    (note,) = again.notes.texts
    assert "ledger.sqlite' is" in note
    assert "filled again from ledger.csv" in note
    again.resume()
    again.assert_nothing_was_made_again()
    assert not again.notes.texts


def test_a_ledger_that_is_gone_is_filled_again(again):
    (again.run / "ledger.sqlite").unlink()
    again.resume()
    again.assert_nothing_was_made_again()


def test_a_ledger_filled_from_a_table_with_details_that_are_no_json_goes_on(again):
    rows = again.rows().reset_index()
    rows.assign(details="mended by hand").to_csv(again.run / "ledger.csv", index=False)
    (again.run / "ledger.sqlite").unlink()
    assert again.resume().statuses == {"plain": {"ok": 3}}


def test_a_broken_ledger_of_an_unfinished_run_is_refused_with_a_remedy(again):
    (again.run / "ledger.csv").unlink()
    SPOILT["cut"](again.run / "ledger.sqlite")
    masks = {path: path.read_bytes() for path in again.run.glob("predictions/*/*")}
    with pytest.raises(UsageError, match=r"ledger\.sqlite' is damaged .*Put it back.*delete it"):
        again.resume()
    assert {path: path.read_bytes() for path in again.run.glob("predictions/*/*")} == masks
    (again.run / "ledger.sqlite").unlink()
    assert again.resume().statuses == {"plain": {"ok": 3}}
    assert "all masks are made again" in again.notes.texts[0]


def test_what_a_kill_leaves_of_a_ledger_before_its_first_row_is_no_damage(again):
    shutil.rmtree(again.run / "predictions")
    (again.run / "ledger.csv").unlink()
    SPOILT["empty"](again.run / "ledger.sqlite")
    assert again.resume().statuses == {"plain": {"ok": 3}}
    assert not again.notes.texts


def test_a_method_with_a_new_name_keeps_its_masks(again):
    result = again.resume(methods=[{**PLAIN, "name": "renamed"}])
    assert result.statuses == {"renamed": {"ok": 3}}
    assert "3 masks of 'plain' are used again" in again.notes.texts[0]
    pd.testing.assert_frame_equal(again.rows().loc["renamed"], again.before.loc["plain"])
    assert len(list(again.run.glob("predictions/renamed/*.tiff"))) == 3


def test_a_configuration_that_was_edited_says_what_is_made_again(again):
    again.resume(methods=[{**PLAIN, "method": "otsu-watershed"}])
    assert again.notes.texts == [
        "plain: 3 masks are made again, as parameters, weights, images or versions are not those "
        "of the last run (c0, c1, c2)"
    ]
    assert (again.rows()["identity"] != again.before["identity"]).all()


def test_an_image_that_was_replaced_is_segmented_again_and_alone(again):
    image = again.data / "1.tif"
    tifffile.imwrite(image, tifffile.imread(image)[::-1])
    again.resume()
    changed = again.before.loc["plain", "finished"] != again.rows().loc["plain", "finished"]
    identities = again.before.loc["plain", "identity"] != again.rows().loc["plain", "identity"]
    assert identities.to_dict() == {"c0": False, "c1": True, "c2": False}
    assert not changed.drop("c1").any()


def masks_of(run):
    return {path: path.read_bytes() for path in run.glob("predictions/*/*")}


def raises(error):
    def gone(*_args, **_options):
        raise error

    return gone


WEIGHED = """
    from pathlib import Path
    from cellharness.methods.base import BaseSegmenter, MethodInfo, Parameters
    from cellharness.weights import local_weights

    class OwnParameters(Parameters):
        weights: Path

    class Weighed(BaseSegmenter):
        info = MethodInfo(summary="Needs a file.", licence="MIT")
        Parameters = OwnParameters

        def weights(self):
            return (local_weights(self.parameters.weights),)

        def segment(self, image):
            return (image > 100).astype("uint8")
"""


@pytest.fixture
def weighed(again, installed):
    """A finished run of a method with weights."""
    installed(WEIGHED, {"cellharness.methods": {"weighed": "Weighed"}})
    weights = again.data / "net"
    weights.write_bytes(b"net")
    again.methods = [{**PLAIN, "method": "weighed", "parameters": {"weights": str(weights)}}]
    assert again.resume().statuses == {"plain": {"ok": 3}}
    again.before = again.rows()
    return again


@contextmanager
def images_gone(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "image_hash", lambda case: ("", f"cannot read {case.image.name}"))
        yield "cannot read 0.tif"


@contextmanager
def package_gone(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "build", raises(MissingDependencyError("install 'it'.")))
        yield "install 'it'"


@contextmanager
def weights_gone(folder):
    (folder / "net").rename(folder / "away")
    yield f"no weight file '{folder / 'net'}'; looked for '{folder / 'net'}'"
    (folder / "away").rename(folder / "net")


@pytest.mark.parametrize("gone", [images_gone, package_gone, weights_gone])
def test_what_is_gone_for_a_while_costs_no_mask(weighed, capsys, gone):
    again, before = weighed, masks_of(weighed.run)
    for retry_failed in (False, True):
        with gone(again.data) as reason:
            result = again.resume(retry_failed=retry_failed)
        assert masks_of(again.run) == before
        # It counts as failed, in every table: whether it is still right cannot be known.
        assert result.statuses == {"plain": {"error": 3}}
        assert (result.failed, result.suspended) == (3, 3)
        rows = again.rows()
        assert set(rows["status"]) == {"error"}
        assert set(pd.read_csv(again.run / "scores.csv")["status"]) == {"error"}
        said = (
            f"{reason}. Its mask of an earlier run stays, and counts again once this is put right"
        )
        assert result.messages == {"plain": said}
        assert rows.loc[("plain", "c0"), "message"] == said
        assert not again.notes.texts
        # What the method took is still known, and the first case carries the load.
        assert rows["seconds_load"].equals(again.before["seconds_load"])
    with pytest.raises(typer.Exit) as stopped:
        tell(result)
    assert stopped.value.exit_code == 1
    printed = " ".join(capsys.readouterr().err.split())
    assert "3 pair(s) of method and case have a mask of an earlier run" in printed
    assert "have no mask" not in printed
    result = again.resume()
    assert (result.failed, result.suspended) == (0, 0)
    again.assert_nothing_was_made_again()
    assert masks_of(again.run) == before


def test_an_image_that_is_gone_costs_no_mask_but_one_that_is_not_there(again):
    before = masks_of(again.run)
    (again.data / "1.tif").rename(again.data / "away")
    lost = again.run / "predictions" / "plain" / "c1_label.tiff"
    result = again.resume()
    assert (result.failed, result.suspended) == (1, 1)
    assert masks_of(again.run) == before
    lost.unlink()
    result = again.resume()
    assert (result.failed, result.suspended) == (1, 0)
    assert "stays" not in result.messages["plain"]
    (again.data / "away").rename(again.data / "1.tif")
    assert again.resume().statuses == {"plain": {"ok": 3}}
    assert masks_of(again.run) == before


def test_a_ledger_that_is_gone_does_not_take_what_was_gone_for_a_while_for_failed(again):
    (again.data / "1.tif").rename(again.data / "away")
    again.resume()
    (again.run / "ledger.sqlite").unlink()
    before = masks_of(again.run)
    assert again.resume().statuses == {"plain": {"ok": 2, "error": 1}}
    assert masks_of(again.run) == before
    (again.data / "away").rename(again.data / "1.tif")
    assert again.resume().statuses == {"plain": {"ok": 3}}
    assert masks_of(again.run) == before


def test_a_folder_that_is_a_file_or_cannot_be_written_is_named(again, tmp_path, monkeypatch):
    config = again.config()
    taken = tmp_path / "taken"
    taken.write_text("mine")
    for place in (taken, taken / "below"):
        with pytest.raises(UsageError, match="taken' is a file and no folder; give another --out"):
            run_comparison(config, place)
    assert taken.read_text() == "mine"

    real = Path.mkdir

    def refuses(self, *args, **options):
        if self.name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        real(self, *args, **options)

    monkeypatch.setattr(Path, "mkdir", refuses)
    with pytest.raises(UsageError, match=r"cannot write into '.*locked': Permission denied"):
        run_comparison(config, tmp_path / "locked")


@pytest.fixture
def mounted(tmp_path):
    """Mount a small file system; skips without the right to."""
    places = []

    def mount(options):
        place = tmp_path / f"disk-{len(places)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("needs the right to mount a small file system")
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", str(place)], check=True)


def test_a_read_only_folder_is_named(again, mounted):
    place = mounted("size=300k,ro")
    config = again.config()
    for folder in (place, place / "run"):
        with pytest.raises(UsageError, match=r"cannot write into '.*': Read-only file system"):
            run_comparison(config, folder)


def test_cases_that_a_full_disk_cost_are_made_once_there_is_space(again, mounted):
    place = mounted("size=300k")
    config = again.config()
    # Some 70,000 pieces, whose mask takes more than there is.
    noise = np.random.default_rng(0).random((1000, 1000)) < 0.15
    tifffile.imwrite(again.data / "1.tif", noise.astype(np.uint8))
    run_comparison(config, place / "run")
    rows = pd.read_csv(place / "run" / "ledger.csv").set_index("case")
    assert rows["status"].to_dict() == {"c0": "ok", "c1": "error", "c2": "ok"}
    assert "no space left" in rows.loc["c1", "message"]
    subprocess.run(["mount", "-o", "remount,size=30m", str(place)], check=True)
    result = run_comparison(config, place / "run", resume=True)
    assert result.statuses == {"plain": {"ok": 3}}


def test_a_disk_that_is_full_at_the_end_of_a_run_costs_nothing(again, monkeypatch):
    (again.run / "scores.csv").write_text("older\n")

    def full(handle):
        if "scores" in str(Path(f"/proc/self/fd/{handle}").readlink()):
            raise OSError(errno.ENOSPC, "No space left on device", "scores.csv")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        again.resume()
    assert (again.run / "scores.csv").read_text() == "older\n"
    monkeypatch.undo()
    again.resume()
    again.assert_nothing_was_made_again()


def test_two_runs_do_not_share_a_directory(again):
    with locked(again.run), pytest.raises(UsageError, match="another run is busy in"):
        again.resume()


def test_a_folder_of_somebody_else_is_not_written_into(again, tmp_path):
    theirs = tmp_path / "theirs"
    (theirs / "data").mkdir(parents=True)
    texts = {
        "config.yaml": b"mine: 1\n",
        "manifest.csv": b"my,list\n",
        "run.json": b"{}",
        "scores.csv": b"a,b\n",
        "data/notes.txt": b"notes",
    }
    for name, text in texts.items():
        (theirs / name).write_bytes(text)
    with sqlite3.connect(theirs / "ledger.sqlite") as connection:
        connection.execute("CREATE TABLE cases (money REAL)")
    config = again.config()
    for resume in (False, True):
        with pytest.raises(UsageError, match="no run of cellharness wrote that"):
            run_comparison(config, theirs, resume=resume)
    assert {name: (theirs / name).read_bytes() for name in texts} == texts
    assert {path.name for path in theirs.iterdir()} == {
        *(name for name in texts if "/" not in name), "data", "ledger.sqlite",
    }  # fmt: skip


def test_a_folder_with_files_that_are_in_nobodys_way_can_be_used(again, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "README.md").write_text("mine")
    config = again.config()
    run_comparison(config, theirs)
    assert (theirs / "README.md").read_text() == "mine"
