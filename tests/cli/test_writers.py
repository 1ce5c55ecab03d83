"""Every command that writes, let loose on a folder of somebody else's files with likely names."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from cellharness.cli import main
from cellharness.methods.registry import weight_source

PROJECT = Path(__file__).resolve().parents[2]

#: What people may have lying about, by the names that cellharness gives to its own files.
FOREIGN = (
    "README.md",
    "manifest.csv",
    "configs/own.yaml",
    "config.yaml",
    "run.json",
    "study.json",
    "ledger.csv",
    "ledger.sqlite",
    "scores.csv",
    "guessed.csv",
    "data/manifest.csv",
    "data/images/a.png",
    "report/index.html",
    "report/tables/notes.md",
    "predictions/t/case_1_label.tiff",
    "training/grey/training.json",
    "training/grey/checkpoints/last.pt",
    "case_1_label.tiff",
    "case_2_label.tif",
    "case_1.png",
    "provenance.json",
    "masks.sha256",
    "overlays/case_1.png",
    "counts.csv",
    "flows/case_1_flows.tiff",
    "methods.csv",
    "pairs.csv",
    "ranks.csv",
    "Tuning.zip",
    "Training-labeled.zip",
    "images/a.png",
    "labels/a_label.png",
)

#: Commands, with ``{out}`` for the foreign folder; the code that they end with.
COMMANDS = {
    "run": ("run {config} --out {out}", 2),
    "run, resumed": ("run {config} --out {out} --resume", 2),
    "train": ("train {training} --out {out}", 2),
    "forgetting": (f"forgetting {PROJECT}/configs/demo-forgetting.yaml --out {{out}}", 2),
    "report": ("report {out}", 2),
    "predict": ("predict --method dummy-threshold --images {images} --out {out}", 2),
    "score": ("score --gt {labels} --pred {labels} --out {out}/scores.csv", 2),
    "compare": ("compare {one} {two} --out {out}", 2),
    "init": ("init {out}", 2),
    "data new": ("data new --images {images} --labels {labels} --out {images}/manifest.csv", 2),
    "data new, in the way": ("data new --images {out}/images --out {out}/manifest.csv", 2),
    "data validate": ("data validate {manifest} --write-guesses {out}/guessed.csv", 2),
    "data import": ("data import {challenge} --out {out}/manifest.csv", 2),
    "data download": ("--offline data download --out {out}", 2),
    "data phantom": ("data phantom --out {out}", 2),
    "weights fetch": ("weights fetch cyto", 2),
}


@pytest.fixture
def places(small_manifest, tmp_path):
    folder = small_manifest.parent
    config = {
        "name": "try",
        "dataset": {"manifest": "manifest.csv"},
        "methods": [{"name": "t", "method": "dummy-threshold"}],
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    config["training"] = [{"name": "grey", "method": "dummy-trained", "splits": ["train"]}]
    (folder / "train.yaml").write_text(yaml.safe_dump(config))
    for name in ("one", "two"):
        rows = "".join(f"c{number},0.{number}\n" for number in range(1, 9))
        (folder / f"{name}.csv").write_text(f"case,f1\n{rows}")
    shutil.copytree(folder / "images", folder / "challenge" / "Tuning" / "images")
    shutil.copytree(folder / "labels", folder / "challenge" / "Tuning" / "labels")
    out = tmp_path / "theirs"
    for number, name in enumerate(FOREIGN):
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"written by hand, {number}\n".encode())
    return {
        "config": folder / "run.yaml",
        "training": folder / "train.yaml",
        "manifest": small_manifest,
        "images": folder / "images",
        "labels": folder / "labels",
        "one": folder / "one.csv",
        "two": folder / "two.csv",
        "challenge": folder / "challenge",
        "out": out,
    }


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(("command", "code"), COMMANDS.values(), ids=COMMANDS)
def test_a_folder_of_somebody_else_stays_as_it_is(places, command, code, monkeypatch, capsys):
    out = places["out"]
    monkeypatch.setenv("CELLHARNESS_CACHE", str(out))
    monkeypatch.setenv("CELLHARNESS_OFFLINE", "")
    source = weight_source("cyto")
    for path in map(source._path, source.members):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("my weights")
    before = contents(out)
    with pytest.raises(SystemExit) as stopped:
        main(command.format(**places).split())
    assert contents(out) == before
    message = " ".join(capsys.readouterr().err.split())
    assert stopped.value.code == code, message
    assert re.search(
        r"--out|--overwrite|--write-guesses|--force|[Gg]ive another|give the folder|Choose another",
        message,
    ), message


def test_what_was_written_by_a_command_is_replaced_by_it_and_what_was_changed_is_not(places):
    def score(*more):
        args = f"score --gt {places['labels']} --pred {places['labels']} --out".split()
        with pytest.raises(SystemExit) as stopped:
            main([*args, str(target), *more])
        return stopped.value.code

    target = places["images"].parent / "new" / "scores.csv"
    assert score() == 0
    first = target.read_bytes()
    assert score() == 0
    target.write_text("my notes")
    assert score() == 2
    assert target.read_text() == "my notes"
    assert score("--overwrite") == 0
    assert target.read_bytes() == first


def test_a_table_of_scores_is_printed_where_no_file_is_named(places, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["score", "--gt", str(places["labels"]), "--pred", str(places["labels"])])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert "case_3" in printed
    assert "strict" in printed


def test_labels_that_lie_where_masks_would_go_stay(places):
    images = places["images"]
    label = images / "case_1_label.tiff"
    tifffile.imwrite(label, np.ones((96, 112), np.uint8))
    before = contents(images)
    args = ["predict", "--method", "dummy-threshold", "--images", str(images), "--out", str(images)]
    with pytest.raises(SystemExit) as stopped:
        main(args)
    assert stopped.value.code == 2
    assert contents(images) == before
