from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from figure_reader import texts_outside
from page_reader import Page
from training_maker import USUAL, add_training, epoch

from cellharness.analysis.exposure import exposures, overlaps
from cellharness.analysis.run_data import load_run
from cellharness.analysis.trainings import load_trainings
from cellharness.report import build_report
from cellharness.report.comparison import load_comparison
from cellharness.report.provenance import methods_of
from cellharness.report.style import (
    ONE_COLUMN_MM,
    TWO_COLUMNS_MM,
    journal_style,
    method_styles,
    modality_styles,
)
from cellharness.report.training import training_figure, training_table
from cellharness.run_directory import RunDirectoryError
from cellharness.statistics import ALL


@pytest.fixture
def run(make_run):
    return make_run(modalities=("DIC",), per_modality=1, thresholds=(0.5,))


def trainings_of(run):
    return load_trainings(load_run(run))


def table_of(run, config=None):
    report = load_comparison(run)
    report.run.config.update(config or {})
    table = training_table(report)
    return {row.cells[0]: row.cells[1:] for row in table.rows if not row.heading}


def figure_of(run, width_mm=TWO_COLUMNS_MM):
    with journal_style():
        return training_figure(load_comparison(run), width_mm)


def lines_of(ax):
    """Points of the lines (not of the marks) of a panel by colour."""
    return {
        line.get_color(): np.column_stack(line.get_data())
        for line in ax.lines
        if line.get_linestyle() != "None" and len(line.get_xdata()) > 1
    }


def test_log_is_read_as_it_was_written(run):
    add_training(run)
    (training,) = trainings_of(run)
    assert training.epochs["epoch"].tolist() == [line.epoch for line in USUAL]
    losses = [line.train_loss for line in USUAL]
    assert training.epochs["train_loss"].tolist() == pytest.approx(losses, abs=0, nan_ok=True)
    assert training.epochs["validation_loss"].tolist() == [line.validation_loss for line in USUAL]
    assert training.groups == (ALL, "Brightfield", "DIC")
    assert {g: row["mean_f1"] for g, row in training.scores_at(2).items()} == {
        "Brightfield": 0.75, "DIC": 0.9, ALL: 0.8,
    }  # fmt: skip
    assert (training.n_train, training.n_validation) == (7, 3)


def test_images_that_were_left_out_are_counted(run):
    add_training(run, left_out=["t1", "t4"])
    (training,) = trainings_of(run)
    assert (training.n_train, training.n_left_out) == (5, 2)
    assert table_of(run)["Images trained on"] == ("5 (2 left out)",)


def test_images_that_were_replayed_are_counted(run):
    add_training(run, replay=["r1", "r2", "r3"], left_out=["r2"])
    assert table_of(run)["Images replayed"] == ("2",)


@pytest.mark.parametrize(
    ("checkpoint", "keep", "chosen", "scored"),
    [
        ("checkpoints/last.pt", "last", 4, 4),
        ("checkpoints/best.pt", "best_f1", 2, 2),
        # Epoch 3 has the smallest loss and was not scored: the F1 is that of epoch 2.
        ("checkpoints/best.pt", "best_loss", 3, 2),
        ("checkpoints/epoch-0001.pt", "last", 1, None),
        ("checkpoints/other.pt", "last", None, 4),
        ("", "last", None, 4),
    ],
)
def test_epoch_of_the_chosen_weights(run, checkpoint, keep, chosen, scored):
    add_training(run, parameters={"keep": keep}, checkpoint=checkpoint)
    (training,) = trainings_of(run)
    assert training.chosen_epoch == chosen
    assert training.scored_epoch == scored


@pytest.mark.parametrize("keep", ["best_loss", "best_f1"])
def test_best_weights_without_validation_are_the_last(run, keep):
    log = [epoch(1, 0.5), epoch(2, 0.4)]
    add_training(run, log=log, parameters={"keep": keep}, checkpoint="checkpoints/best.pt")
    assert trainings_of(run)[0].chosen_epoch == 2


def test_best_epoch_is_the_first_of_equals(run):
    log = [epoch(e, 0.5, 0.3, 0.7) for e in (1, 2, 3)]
    for keep in ("best_loss", "best_f1"):
        add_training(run, keep, log, {"keep": keep}, checkpoint="checkpoints/best.pt")
    assert [t.chosen_epoch for t in trainings_of(run)] == [1, 1]


def test_table_says_from_what_on_what_how_long_and_what_came_of_it(run):
    add_training(run, parameters={"epochs": 30, "keep": "best_f1"},
                 checkpoint="checkpoints/best.pt")  # fmt: skip
    config = {"training": [{"name": "cp2", "splits": ["train"], "experiments": ["a", "b"]}]}
    assert table_of(run, config) == {
        "Method": ("cellpose2",),
        "Starting weights": (f"cyto · SHA256 {'cd' * 6}…",),
        "Training images from": ("split train; experiments a, b",),
        "Images trained on": ("7",),
        "Images held back": ("3",),
        "Epochs": ("4 of 30",),
        "Batch size": ("8",),
        "Learning rate": ("0.05",),
        "Optimiser": ("sgd",),
        "Precision": ("auto",),
        "Time": ("1 h 7 min",),
        "Status": ("ok",),
        "Chosen checkpoint": ("best.pt, epoch 2 (largest validation F1)",),
        "All held-back images": ("0.500 → 0.800 (3 images)",),
        "Brightfield": ("0.450 → 0.750 (2 images)",),
        "DIC": ("0.600 → 0.900 (1 image)",),
        "After epoch": ("2",),
    }


def test_table_of_a_training_from_scratch_without_validation(run):
    log = [epoch(1, 0.5), epoch(2, 0.4)]
    record = add_training(run, log=log, weights=[], validation=[])
    assert "optimizer" in record.parameters
    info = json.loads((run / "run.json").read_text())
    del info["trainings"][0]["parameters"]["optimizer"]
    (run / "run.json").write_text(json.dumps(info))
    rows = table_of(run)
    assert rows["Starting weights"] == ("none, from scratch",)
    assert rows["Images held back"] == ("0",)
    # What no training has is no row.
    assert not {"Optimiser", "All held-back images", "After epoch", "DIC"} & rows.keys()


def test_page_shows_figure_table_and_raw_numbers(run):
    add_training(run)
    page = Page(build_report(run))
    assert "Training" in page.headings
    assert "#training" in page.links
    assert len(page.ids) == len(set(page.ids))
    targets = re.findall(r'(?:href="|url\()#([^")]+)', page.source)
    assert set(targets) <= set(page.ids)
    for link in page.links:
        if not link.startswith(("#", "https://")):
            assert (run / "report" / link).is_file(), link
    assert "Fine-tuned <net>" in page.text
    assert "<net>" not in page.source
    assert "optimizer: sgd" in page.text
    assert "torch 2.15.0" in page.text
    row = pd.read_csv(run / "report/tables/trainings.csv").loc[0]
    assert row["weights_sha256"] == "cd" * 32
    assert row["seconds"] == 4000
    assert (row["checkpoint_epoch"], row["scored_epoch"], row["n_All"]) == (4, 4, 3)
    assert (row["f1_before_All"], row["f1_after_All"]) == (0.5, 0.7)
    assert r"0.500 $\to$ 0.700" in (run / "report/tables/trainings.tex").read_text()


@pytest.mark.parametrize("head", [{}, {"trainings": []}])
@pytest.mark.slow
def test_run_without_trainings_shows_nothing(make_run, head):
    path = make_run(modalities=("DIC",), per_modality=1, thresholds=(0.5,), head=head)
    page = Page(build_report(path))
    assert "Training" not in page.headings
    assert "#training" not in page.links
    made = {p.stem for p in (path / "report").rglob("*") if p.is_file()}
    assert not {"trainings", "training", "training_1column"} & made


@pytest.mark.slow
def test_failed_training_shows_status_and_message(run):
    told = "DivergedError: the loss became nan in <epoch 3>"
    add_training(run, log=USUAL[:3], status="error", message=told, checkpoint="")
    page = Page(build_report(run))
    assert f"error: {told}" in page.text
    rows = table_of(run)
    assert rows["Chosen checkpoint"] == ("none",)
    assert rows["Epochs"] == ("2 of 4",)
    assert rows["All held-back images"] == ("0.500 → 0.800 (3 images)",)
    assert "7 images; error after epoch 2" in page.text


@pytest.mark.slow
def test_training_that_never_began_has_no_figure(run):
    parameters = {"weights": "cyto2"}
    add_training(
        run, log=(), parameters=parameters, status="error", message="cyto2 is not to be had",
        checkpoint="", weights=[], seconds=0.0,
    )  # fmt: skip
    page = Page(build_report(run))
    assert "error: cyto2 is not to be had" in page.text
    assert not (run / "report/figures/training.svg").exists()
    rows = table_of(run)
    assert rows["Starting weights"] == ("cyto2 (not found)",)
    assert rows["Epochs"] == ("0 of 4",)
    assert "Time" not in rows


@pytest.mark.slow
def test_log_of_another_training_is_not_shown(run):
    record = add_training(run)
    folder = run / "training" / record.name
    kept = json.loads((folder / "training.json").read_text())
    (folder / "training.json").write_text(json.dumps({**kept, "identity": "another"}))
    page = Page(build_report(run))
    assert "its folder holds another training now" in page.text
    assert not (run / "report/figures/training.svg").exists()
    assert "All held-back images" not in table_of(run)


@pytest.mark.slow
def test_run_directory_without_the_training_folder(run):
    add_training(run)
    (run / "training").rename(run.parent / "elsewhere")
    assert "its log is not in the run directory" in Page(build_report(run)).text


def test_last_line_that_a_kill_cut_off_is_left_out(run):
    record = add_training(run)
    for name, cut in (("epochs.csv", "5,0.01,0.3"), ("validation.csv", "5,DI")):
        with (run / "training" / record.name / name).open("a") as file:
            file.write(cut)
    (training,) = trainings_of(run)
    assert training.epochs["epoch"].max() == 4
    assert training.validation["epoch"].max() == 4


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("epochs.csv", "epoch,loss\n1,0.5\n"),
        ("epochs.csv", "epoch,learning_rate,train_loss,validation_loss,seconds\n1,0.1,much,,1\n"),
        ("validation.csv", b"\xff\xfe\x00"),
    ],
)
def test_broken_log_is_named(run, name, content):
    record = add_training(run)
    path = run / "training" / record.name / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RunDirectoryError, match=re.escape(f"{record.name}/{name}")):
        trainings_of(run)


def test_trainings_of_one_label_are_told_apart(run):
    add_training(run, "a", label="Net")
    add_training(run, "b", label="Net")
    assert [t.label for t in trainings_of(run)] == ["Net (a)", "Net (b)"]


def test_figure_draws_the_numbers_of_the_log(run):
    add_training(run)
    left, right = figure_of(run).axes
    losses = lines_of(left)
    train, validation = losses.values()
    np.testing.assert_array_equal(train, [(e.epoch, e.train_loss) for e in USUAL[1:]])
    np.testing.assert_array_equal(validation, [(e.epoch, e.validation_loss) for e in USUAL])
    styles = modality_styles([ALL, "Brightfield", "DIC"])
    scores = lines_of(right)
    for group, name in ((ALL, "all"), ("Brightfield", "Brightfield"), ("DIC", "DIC")):
        expected = [(e.epoch, e.scores[name].mean_f1) for e in USUAL if e.scores]
        np.testing.assert_array_equal(scores[styles[group].colour], expected)
    # The start is open, what follows is not.
    opened = [line for line in right.lines if line.get_markerfacecolor() == "white"]
    assert {float(line.get_ydata()[0]) for line in opened} == {0.5, 0.45, 0.6}
    assert all(line.get_xdata().tolist() == [0] for line in opened)


@pytest.mark.parametrize(
    ("log", "named"),
    [
        (USUAL, ["Training loss", "Validation loss"]),
        ([epoch(1, 0.5), epoch(2, 0.4)], ["Training loss"]),
        ([epoch(0, 0.0, f1=0.5)], []),
    ],
)
def test_key_names_the_losses_that_are_drawn(run, log, named):
    add_training(run, log=log)
    keys = [text.get_text() for key in figure_of(run).legends for text in key.get_texts()]
    assert [text for text in keys if "loss" in text] == named


def test_figure_marks_the_epoch_of_the_weights_where_it_is_not_the_last(run):
    add_training(run, "last")
    add_training(run, "best", parameters={"keep": "best_f1"}, checkpoint="checkpoints/best.pt")
    upright = [
        [line.get_xdata()[0] for line in ax.lines if list(line.get_ydata()) == [0, 1]]
        for ax in figure_of(run).axes
    ]
    assert upright == [[], [], [2], [2]]


def test_loss_that_falls_far_is_drawn_on_a_logarithmic_scale(run):
    add_training(run, log=[epoch(e, 10.0 ** (1 - e), 10.0 ** (1 - e)) for e in range(1, 5)])
    figure = figure_of(run)
    left = figure.axes[0]
    assert left.get_yscale() == "log"
    figure.draw_without_rendering()
    assert {"1", "0.1", "0.01"} <= {text.get_text() for text in left.get_yticklabels()}
    assert left.get_ylabel() == "Loss"


def test_small_losses_are_multiples_of_a_power_of_ten(run):
    add_training(run, log=[epoch(1, 0.0021, 0.003), epoch(2, 0.0015, 0.002)])
    left = figure_of(run).axes[0]
    assert left.get_ylabel() == "Loss (10⁻³)"
    # The scale alone is multiplied, the points are not.
    assert left.yaxis.get_major_formatter()(0.0015) == "1.5"
    assert next(iter(lines_of(left).values())).tolist() == [[1, 0.0021], [2, 0.0015]]


@pytest.mark.parametrize("width_mm", [ONE_COLUMN_MM, TWO_COLUMNS_MM])
def test_no_text_of_the_figure_is_cut(run, width_mm):
    add_training(run, "long", label="A very long name of a training that nobody can read at once")
    add_training(run, "small", log=[epoch(e, 0.00123 / e, 0.00234 / e, 0.1) for e in (1, 2)])
    add_training(run, "many", log=[epoch(e, 40 / e, 50 / e, 0.5) for e in range(1, 301)])
    add_training(run, "none", log=[epoch(1, 0.5)], validation=[])
    add_training(run, "huge", log=[epoch(1, 51234.5), epoch(2, 49876.5)])
    assert texts_outside(figure_of(run, width_mm)) == []


def test_modalities_look_the_same_whichever_occur():
    known = ("Brightfield", "Fluorescent", "Phase-contrast", "DIC", "Unknown modality")
    everything = modality_styles((ALL, *known, "Electron", "Raman"))
    assert modality_styles(["DIC"])["DIC"] == everything["DIC"]
    assert list(everything) == [ALL, *known, "Electron", "Raman"]
    for field in ("colour", "marker", "dashes"):
        values = [getattr(style, field) for style in everything.values()]
        assert len(set(values)) == len(values), field
    methods = {
        style.colour.lower() for style in method_styles([f"m{i}" for i in range(9)]).values()
    }
    assert not methods & {style.colour.lower() for style in everything.values()}


def test_trained_weights_keep_their_ancestry(make_run):
    path = make_run(methods={"tuned": "Tuned", "further": "Further"})
    record = json.loads((path / "run.json").read_text())
    start = {"name": "cyto", "sha256": {"network": "ab"}, "training_data": ["Plasma atlas"]}
    record["trainings"] = [
        {"name": "first", "label": "First", "weights": [start], "train": ["x", "y"],
         "parameters": {"weights": "cyto"}},
        {"name": "second", "label": "", "train": ["z"], "parameters": {"weights": "trained:first"}},
    ]  # fmt: skip
    for method, weights in zip(record["methods"], ("first@3", "second"), strict=True):
        method["parameters"] = {"weights": f"trained:{weights}"}
        method["weights"] = [{"name": "epoch-0003.pt", "sha256": {"network": "cd"}}]
    (path / "run.json").write_text(json.dumps(record))
    manifest = pd.read_csv(path / "manifest.csv").assign(source="plasma smears")
    manifest.to_csv(path / "manifest.csv", index=False)
    run = load_run(path)
    tuned, further = methods_of(run)
    assert tuned["training_data"] == further["training_data"] == ["Plasma atlas"]
    assert [entry["name"] for entry in further["weights"]] == [
        "epoch-0003.pt", "cyto, start of the training “First”"
    ]  # fmt: skip
    assert further["learned_here"] == [
        "1 image of this data set (training “second”)",
        "2 images of this data set (training “First”)",
    ]
    assert {(o.method, o.word) for o in overlaps(run, exposures(run))} == {
        ("Tuned", "plasma"), ("Further", "plasma")
    }  # fmt: skip
