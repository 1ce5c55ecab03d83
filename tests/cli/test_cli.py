from __future__ import annotations

import csv
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile
from typer.testing import CliRunner

from cellharness.cli import app, main
from cellharness.cli.spreading import spread

COMMANDS = [
    ["run"],
    ["predict"],
    ["score"],
    ["report"],
    ["power"],
    ["methods"],
    ["doctor"],
    ["data", "validate"],
    ["data", "import"],
    ["data", "download"],
    ["data", "phantom"],
    ["weights", "list"],
    ["weights", "fetch"],
]


def call(*args):
    """Run as the console script does; give the exit code."""
    with pytest.raises(SystemExit) as stopped:
        main([str(arg) for arg in args])
    return stopped.value.code


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_shows_examples(command):
    result = CliRunner().invoke(app, [*command, "--help"], terminal_width=200)
    assert result.exit_code == 0
    assert "Examples" in result.output
    assert f"cellharness {' '.join(command)}" in " ".join(result.output.split())


def test_several_values_after_one_option():
    args = ["--threshold", "0.5", "0.7", "--out", "x", "--threshold", "0.9"]
    assert spread(args, {"--threshold"}) == [
        *("--threshold", "0.5", "--threshold", "0.7"),
        *("--out", "x", "--threshold", "0.9"),
    ]


def test_an_option_without_a_value_is_not_lost():
    assert spread(["--threshold", "--out", "x"], {"--threshold"}) == ["--threshold", "--out", "x"]
    assert spread(["--threshold"], {"--threshold"}) == ["--threshold"]


def test_a_run_without_any_label_ends_with_a_report(small_manifest, tmp_path, capsys):
    text = re.sub(r"labels/case_\d_label.tiff", "", small_manifest.read_text())
    small_manifest.write_text(text)
    config = small_manifest.parent / "config.yaml"
    config.write_text(
        "name: blind\ndataset: {manifest: manifest.csv}\nscoring: {workers: 1, thresholds: [0.5]}\n"
        "methods:\n  - {name: t, method: dummy-threshold}\n"
    )
    assert call("run", config, "--out", tmp_path / "run") == 0
    captured = capsys.readouterr()
    assert "Report:" in captured.out
    assert "not scored" in captured.err


def test_an_output_that_cannot_be_written_is_named(small_manifest, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    images = small_manifest.parent / "images"
    args = [
        "predict",
        "--method",
        "dummy-threshold",
        "--images",
        images,
        "--out",
        tmp_path / "file",
    ]
    assert call(*args) == 2
    assert "file" in capsys.readouterr().err


def test_predict_leaves_no_mask_of_an_earlier_method(small_manifest, tmp_path):
    out, images = tmp_path / "masks", small_manifest.parent / "images"
    assert call("predict", "--method", "dummy-threshold", "--images", images, "--out", out) == 0
    assert call("predict", "--method", "dummy-raises", "--images", images, "--out", out) == 1
    assert not list(out.glob("*_label.tiff"))


def test_score_writes_the_promised_columns(small_manifest, tmp_path, capsys):
    labels = small_manifest.parent / "labels"
    table = tmp_path / "scores.csv"
    args = ["score", "--gt", labels, "--pred", labels, "--profile", "challenge"]
    assert call(*args, "--threshold", "0.5", "0.9", "--out", table) == 0
    scores = pd.read_csv(table)
    assert list(scores.columns) == [
        *("case", "threshold", "status", "n_true", "n_pred", "tp", "fp", "fn"),
        *("precision", "recall", "f1", "dice", "remarks"),
    ]
    assert len(scores) == 12
    assert set(scores["threshold"]) == {0.5, 0.9}
    assert (scores["f1"] == 1).all()
    assert "median F1" in capsys.readouterr().out


def test_score_tells_of_a_missing_partner_and_leaves_with_one(small_manifest, tmp_path, capsys):
    labels, masks = small_manifest.parent / "labels", tmp_path / "masks"
    masks.mkdir()
    tifffile.imwrite(masks / "case_0.tif", np.zeros((96, 112), np.uint8))
    args = ["score", "--gt", labels, "--pred", masks, "--profile", "strict"]
    assert call(*args, "--out", tmp_path / "s.csv") == 1
    scores = pd.read_csv(tmp_path / "s.csv").set_index("case")
    assert scores.loc["case_0", "status"] == "empty"
    assert (scores.drop("case_0")["status"] == "missing").all()
    assert (scores["f1"] == 0).all()
    assert "case_1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["score", "--gt", "a", "--pred", "b", "--profile", "lenient", "--out", "c"], "lenient"),
        (["run", "absent.yaml"], "no configuration file"),
        (["predict", "--method", "celpose", "--images", ".", "--out", "o"], "no image in"),
        (["methods", "celpose"], "Did you mean 'cellpose'"),
        (["weights", "fetch", "cyto9"], "unknown weights 'cyto9'"),
        (["data", "validate", "absent.csv"], "absent.csv"),
        (["report", "absent"], "absent"),
        (["frobnicate"], "No such command"),
        (["run"], "Missing argument"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_bad_usage_is_explained_on_stderr_with_exit_code_two(
    args, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert call(*args) == 2
    captured = capsys.readouterr()
    assert message in " ".join(captured.err.split())
    assert "Traceback" not in captured.err


def test_predict_writes_masks_and_a_provenance_note(small_manifest, tmp_path, capsys):
    out = tmp_path / "masks"
    images = small_manifest.parent / "images"
    args = ["predict", "--method", "otsu-watershed", "--images", images, "--out", out]
    assert call(*args, "--set", "sigma=1", "min_size=20") == 0
    assert sorted(path.name for path in out.iterdir()) == [
        ".cellharness.lock",
        *(f"case_{number}_label.tiff" for number in range(6)),
        "masks.sha256",
        "provenance.json",
    ]
    # What was predicted can be compared as a method of its own.
    config = small_manifest.parent / "config.yaml"
    config.write_text(
        "name: again\ndataset: {manifest: manifest.csv}\nscoring: {workers: 1, thresholds: [0.5]}\n"
        "methods:\n  - name: masks\n    method: precomputed\n"
        f"    parameters: {{folder: {out}, provenance: {out}/provenance.json}}\n"
    )
    (out / "case_5_label.tiff").unlink()
    assert call("run", config, "--out", tmp_path / "run") == 1
    scores = pd.read_csv(tmp_path / "run" / "scores.csv").query("profile == 'strict'")
    assert scores.set_index("case")["f1"].to_dict() == pytest.approx(
        {"case_1": 1, "case_2": 1, "case_3": 1, "case_4": 1, "case_5": 0}
    )
    assert (tmp_path / "run" / "report" / "index.html").is_file()
    assert "Report:" in capsys.readouterr().out


def test_predict_refuses_two_images_of_one_stem_and_bad_settings(tmp_path, capsys):
    for name in ("a.png", "a.tif"):
        (tmp_path / name).write_bytes(b"")
    args = ["predict", "--method", "otsu-watershed", "--images", tmp_path, "--out", tmp_path / "o"]
    assert call(*args) == 2
    assert "rename one" in capsys.readouterr().err
    (tmp_path / "a.png").unlink()
    assert call(*args, "--set", "sigma") == 2
    assert "key=value" in capsys.readouterr().err
    # The file that is left is no image: recorded, and said.
    assert call(*args) == 1
    assert "a.tif" in capsys.readouterr().err


def test_predictions_without_a_truth_are_passed_over_when_asked(small_manifest, tmp_path, capsys):
    labels, masks = small_manifest.parent / "labels", tmp_path / "masks"
    shutil.copytree(labels, masks)
    shutil.copy(masks / "case_0_label.tiff", masks / "stray_label.tiff")
    args = ["score", "--gt", labels, "--pred", masks, "--profile", "strict"]
    args += ["--out", tmp_path / "s.csv"]
    assert call(*args) == 2
    assert "stray_label.tiff" in capsys.readouterr().err
    assert call(*args, "--ignore-extra") == 0
    assert "stray" not in (tmp_path / "s.csv").read_text()


BRACKETS = "[red]a[/red] [b] :warning: \\[/]"


def test_brackets_and_colons_in_paths_and_messages_stay_as_they_are(
    small_manifest, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "300")
    out = tmp_path / "masks [green]x :smile:"
    images = tmp_path / "images"
    images.mkdir()
    name = "a[red]b[bold]"
    np.save(images / f"{name}.npy", np.zeros((9, 9), np.uint8))
    args = ["predict", "--images", images, "--out", out, "--method"]
    assert call(*args, "dummy-threshold") == 0
    assert f"Masks: {out}" in capsys.readouterr().out
    assert call(*args, "dummy-raises") == 1
    assert "told to fail on 00000_a_red_b_bold_" in capsys.readouterr().err
    assert call(*args, BRACKETS) == 2
    assert f"unknown method '{BRACKETS}'" in capsys.readouterr().err
    truth = tmp_path / "truth"
    truth.mkdir()
    for stem in (name, "found"):
        tifffile.imwrite(truth / f"{stem}.tif", np.ones((9, 9), np.uint8))
    made = tmp_path / "made"
    made.mkdir()
    tifffile.imwrite(made / "found.tif", np.ones((9, 9), np.uint8))
    table = tmp_path / "[s]" / "scores.csv"
    args = ["score", "--gt", truth, "--pred", made, "--profile", "strict", "--out", table]
    assert call(*args) == 1
    captured = capsys.readouterr()
    assert f"{name}: missing" in captured.err
    assert f"Scores: {table}" in captured.out


@pytest.mark.slow
def test_labels_with_brackets_do_not_break_a_run(small_manifest, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    config = small_manifest.parent / "config.yaml"
    config.write_text(
        "name: try\ndataset: {manifest: manifest.csv}\n"
        "scoring: {workers: 1, thresholds: [0.5]}\nmethods:\n"
        "  - {name: r, label: 'Raises [/] [bold]', method: dummy-raises}\n"
    )
    assert call("run", config, "--out", tmp_path / "[run]") == 1
    captured = capsys.readouterr()
    assert "Raises [/] [bold], case_1: error" in captured.err
    assert f"Report: {tmp_path / '[run]'}" in captured.out


def test_data_import_prints_a_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    for folder in ("images", "labels"):
        (tmp_path / "Tuning" / folder).mkdir(parents=True)
    for number in range(3):
        tifffile.imwrite(tmp_path / f"Tuning/images/i{number}.tif", np.zeros((4, 4), np.uint8))
    tifffile.imwrite(tmp_path / "Tuning/labels/i0_label.tiff", np.ones((4, 4), np.uint8))
    manifest = tmp_path / "[m].csv"
    assert call("data", "import", tmp_path, "--out", manifest) == 0
    captured = capsys.readouterr()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in captured.out.splitlines()]
    assert ["tuning", "3", "101", "1", "0"] in rows
    assert f"3 cases: {manifest}" in captured.out
    assert "PartCount" not in captured.out
    assert "i1.tif has no label" in captured.err


def test_methods_and_weights_and_doctor_answer(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert call("methods") == 0
    assert "otsu-watershed" in capsys.readouterr().out
    assert call("methods", "cellpose") == 0
    assert "truth_median" in capsys.readouterr().out
    assert call("weights", "list") == 0
    assert "cyto2" in capsys.readouterr().out
    assert call("doctor") in (0, 1)
    printed = capsys.readouterr().out
    assert "weights cyto2" in printed
    assert "cellharness weights fetch" in printed or "SHA256" in printed


def test_phantom_and_validate(tmp_path, capsys):
    assert call("data", "phantom", "--out", tmp_path / "p", "--per-experiment", 1) == 0
    assert call("data", "validate", tmp_path / "p" / "manifest.csv") == 0
    assert "0 error(s)" in capsys.readouterr().out
    small = ("--per-experiment", 1, "--experiments-per-kind", 2, "--size", 160)
    assert call("data", "phantom", "--out", tmp_path / "small", *small) == 0
    with (tmp_path / "small" / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["height"], row["width"]) for row in rows} == {("160", "160")}
    assert len({row["experiment"] for row in rows}) == 24


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("-q", "score", "--gt", "train", "--pred", "run"), "To start again"),
        (("run", "download"), "--resume"),
    ],
)
def test_a_command_that_was_stopped_says_how_it_goes_on(args, said, monkeypatch, capsys):
    def stopped(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("cellharness.scoring.score_folders", stopped)
    monkeypatch.setattr("cellharness.api.run", stopped)
    assert call(*args) == 130
    assert said in capsys.readouterr().err
