from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile

import bench_table
from cellharness.data.challenge import PARTS, import_challenge
from cellharness.data.images import read_image
from cellharness.files import hash_file
from rehearsal import Watch
from rehearsal_projection import TRAININGS, Rehearsal, on_one_gpu, on_processors
from rehearsal_table import (
    BEGIN,
    END,
    GPU,
    PAGE,
    block,
    gpu_parts,
    processor_parts,
    read,
)
from stand_in import Amounts, make_archives

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    make_archives(folder, Amounts(train=26, tuning=4, test=5, slide=700), workers=1)
    return folder


def test_the_stand_in_is_laid_out_as_the_challenge_is(archives, tmp_path):
    answer = import_challenge(archives / "pictures", tmp_path / "manifest.csv")
    counts = {part: count.images for part, count in answer.found.items()}
    assert counts == {"training": 26, "tuning": 4, "testing-public": 3,
                      "testing-wsi": 2, "testing-hidden": 0}  # fmt: skip
    assert all("expected" in problem for problem in answer.problems)
    assert all(case.label is not None for case in answer.manifest.cases)
    assert len({case.sha256 for case in answer.manifest.cases}) == 35
    assert set(PARTS) == set(counts)


def test_the_stand_in_has_the_challenges_formats(archives, tmp_path):
    cases = import_challenge(archives / "pictures", tmp_path / "manifest.csv").manifest.cases
    forms = Counter()
    for case in cases:
        image = read_image(case.image)
        labels = tifffile.imread(case.label)
        assert labels.shape == image.shape[:2]
        slide = dict(case.extra)["part"] == "testing-wsi"
        ids, pixels = np.unique(labels[labels > 0], return_counts=True)
        assert len(ids) >= 5
        assert slide or ids[-1] == len(ids)
        assert slide or pixels.min() >= 20
        assert labels.shape == (700, 700) or not slide
        forms[case.image.suffix, image.dtype.name, image.ndim] += 1
    assert {suffix for suffix, _, _ in forms} == {".png", ".bmp", ".tif", ".tiff"}
    assert {kind for _, kind, _ in forms} == {"uint8", "uint16"}
    assert {axes for _, _, axes in forms} == {2, 3}


def test_archives_have_the_hash_that_is_told(archives):
    told = json.loads((archives / "sha256.json").read_text())
    assert told == {part: hash_file(archives / f"{part}.zip") for part in told}
    assert len(told) == 3


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_small_rehearsal_goes_through_and_kills_lose_nothing(cyto, tmp_path):
    pytest.importorskip("omnipose", reason="needs the extra 'omnipose'")
    out = tmp_path / "rehearsal"
    script = PROJECT / "tests/rehearsal.py"
    amounts = {"train": 8, "tuning": 3, "test": 4, "slide": 600}
    options = [word for name, n in amounts.items() for word in (f"--{name}", str(n))]
    kills = ["preparing", "epoch", "prediction"]
    command = [sys.executable, str(script), str(out), "--small", *options]
    command += [word for kill in kills for word in ("--kill", kill)]
    subprocess.run(command, check=True, env=os.environ)
    kept = read(out / "rehearsal.json")
    ended = [attempt["ended"] for attempts in kept["steps"].values() for attempt in attempts]
    assert sorted(set(ended) - {"finished"}) == [f"killed: {kill}" for kill in sorted(kills)]
    assert ended.count("finished") == len(kept["steps"]) == 9
    for name, attempts in kept["steps"].items():
        assert attempts[-1]["ended"] == "finished"
        for before, after in pairwise(attempts):
            # A mask that was written and not yet in the ledger is made again.
            assert after["files_before_kept"] >= before["files_after"] - (name == "run"), name
        assert all(attempt["exit_code"] == 0 for attempt in attempts if "exit_code" in attempt)
    assert [training["epochs"] for training in kept["trainings"].values()] == [1, 1]
    for run, images in (("rehearsal", 5), ("slides", 2)):
        found = kept["predictions"][run]
        assert set(found) == {"cellpose", "cellpose2", "omnipose", "kit-ge"}
        assert {part["images"] for part in found.values()} == {images}
        for part in found.values():
            assert set(part["statuses"]) <= {"ok", "empty"}
        assert (out / "runs" / run / "report/index.html").is_file()
    # What is done is passed over, and not measured again.
    subprocess.run(command, check=True, env=os.environ)
    assert read(out / "rehearsal.json")["steps"] == kept["steps"]
    for parts in (
        on_one_gpu(kept, read(GPU)),
        on_processors(kept, read(bench_table.KEPT)),
    ):
        assert [part.name for part in parts if part.minutes <= 0] == []
    refused = subprocess.run(
        [sys.executable, str(script), str(out)], check=False, capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert "give another folder" in refused.stderr


def test_the_page_has_what_the_rehearsal_measured():
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(BEGIN) == page.count(END) == 1
    assert block() in page
    text = " ".join(page.split())
    with_gpu, without = (
        {part.name: part.minutes for part in parts} for parts in (gpu_parts(), processor_parts())
    )
    cellpose2, kit_ge = TRAININGS["cellpose2"], TRAININGS["kit-ge"]
    total, longest = sum(with_gpu.values()), with_gpu[kit_ge]
    assert (
        f"{total:.0f} minutes, {longest:.0f} of them KIT-GE's 200 epochs and "
        f"{with_gpu[cellpose2]:.0f} those of Cellpose 2.0"
    ) in text
    assert f"Without KIT-GE's training the rest takes {total - longest:.0f} minutes" in text
    total, longest = (minutes / 60 for minutes in (sum(without.values()), without[kit_ge]))
    assert (
        f"{total:.0f} hours, {longest:.0f} of them KIT-GE's 200 epochs and "
        f"{without[cellpose2] / 60:.1f} those of Cellpose 2.0"
    ) in text
    assert f"Without them the rest takes {total - longest:.1f} hours" in text


def test_a_command_shorter_than_a_look_counts_what_it_took():
    busy = "import time\nwhile time.process_time() < 0.1: pass"
    inner = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    process = subprocess.Popen([sys.executable, "-c", inner, busy])
    watch = Watch(process, list)
    process.wait()
    assert watch.until(None) == 0
    assert watch.processor_s > 0.05  # some kernels count in ticks


def test_a_killed_call_counts_what_it_prepared():
    step = [
        {"to_last_file": {"processor_s": 3.0}},
        {"to_last_file": None},
        {"to_last_file": {"processor_s": 4.5}},
    ]
    kept = {
        "steps": {"train x": step},
        "environment": {"machine": {"cores": 2}},
        "data": {"Training-labeled": {"megapixels": 3.0}},
    }
    assert Rehearsal(kept).prepared_s("x") == 2.5
