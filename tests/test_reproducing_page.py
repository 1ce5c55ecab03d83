"""``docs/reproducing-the-paper.md`` names commands, reports and figures that are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import typer

from cellharness.cli import app, main
from cellharness.config.run import load_config
from cellharness.config.study import load_study_config
from cellharness.data.challenge import PARTS
from cellharness.methods.registry import built_in_methods
from cellharness.report.published import CAVEAT, published
from cellharness.statistics.contrasts import FEWEST_UNITS
from drawn_case import draw_case

PROJECT = Path(__file__).resolve().parent.parent
PAGE = PROJECT / "docs" / "reproducing-the-paper.md"
TEXT = PAGE.read_text(encoding="utf-8")
FLAT = " ".join(TEXT.split())

_BLOCKS = [
    block.splitlines() for block in re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
]
_INLINE = re.findall(r"`(cellharness [^`]+)`", TEXT)
COMMANDS = sorted({line for block in _BLOCKS for line in block} | set(_INLINE))
#: These are named for what they do, without what a whole command line needs.
_NAMED_ONLY = {"cellharness predict", "cellharness forgetting"}
LINES = [line for line in COMMANDS if line not in _NAMED_ONLY]


def parse(line):
    """Parse a command as the command line does, and do nothing; give its name."""
    program, *words = shlex.split(line)
    assert program == "cellharness"
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    return command.make_context(command.name, words).info_name


def call(line):
    """Run a command as the console script does; give the exit code."""
    with pytest.raises(SystemExit) as stopped:
        main(shlex.split(line)[1:])
    return stopped.value.code


@pytest.mark.parametrize("line", LINES)
def test_commands_parse(line):
    assert parse(line) in line.split()[1:3]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cellharness rum configs/demo.yaml", "rum"),
        ("cellharness run configs/demo.yaml --resumes", "No such option"),
        ("cellharness run", "config"),
        ("cellharness data validate a.csv b.csv", "unexpected extra argument"),
    ],
)
def test_a_slip_in_a_command_would_be_found(line, message):
    with pytest.raises(Exception, match=message):
        parse(line)


def test_configurations_and_run_directories_are_those_of_the_commands():
    named = {}
    for line in LINES:
        _, command, *rest = shlex.split(line)
        for word in rest:
            if word.startswith("configs/"):
                load = load_study_config if command == "forgetting" else load_config
                named[word] = load(PROJECT / word).name
    assert len(named) == 7
    runs = {word for line in LINES for word in shlex.split(line) if word.startswith("runs/")}
    assert runs == {"runs/neurips22"}
    assert named["configs/neurips22.yaml"] == "neurips22"


def test_commands_on_the_challenges_data_go_through_with_stand_ins(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for part in ("Training-labeled", "Tuning", "Testing/Public"):
        for number in range(2):
            image, labels = draw_case(rng)
            for folder, name, data in (
                ("images", f"cell_{number:05d}.tiff", image),
                ("labels", f"cell_{number:05d}_label.tiff", labels),
            ):
                path = tmp_path / "neurips22" / part / folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                tifffile.imwrite(path, data)
    (tmp_path / "configs").mkdir()
    for name in ("neurips22", "forgetting"):
        text = (PROJECT / f"configs/{name}.yaml").read_text()
        (tmp_path / f"configs/{name}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    (block,) = (lines for lines in _BLOCKS if "data download" in lines[0])
    tried = 0
    for line in block:
        if line.startswith("cellharness data ") and "download" not in line:
            assert call(line) == 0, line
        elif line.startswith(("cellharness run ", "cellharness forgetting ")):
            assert call(f"{line.removesuffix(' --resume')} --dry-run") == 0, line
        else:
            continue
        tried += 1
    assert tried == 4
    assert "4 cases" in capsys.readouterr().out
    guessed = pd.read_csv("neurips22/guessed.csv")
    assert set(guessed["modality_source"]) == {"guessed"}
    tested = guessed[
        guessed["split"].isin(load_config(Path("configs/neurips22.yaml")).dataset.splits)
    ]
    assert set(tested["experiment"]) == {"neurips22-tuning", "neurips22-testing"}


def test_what_the_import_names_experiments_is_too_few_to_test_in_a_modality():
    names = {part.experiment for part in PARTS.values() if part.split in ("tuning", "test")}
    assert len(names) < FEWEST_UNITS
    assert all(f"`{name}`" in TEXT for name in names)


@pytest.mark.parametrize(
    "line", [line for block in _BLOCKS if "neurips22" not in block[0] for line in block]
)
def test_commands_on_images_at_hand_plan_their_work(line, request, monkeypatch, tmp_path):
    if "mini" in line:
        request.getfixturevalue("realdata")
    monkeypatch.chdir(PROJECT)
    assert call(f"{line} --dry-run --out {shlex.quote(str(tmp_path / 'run'))}") == 0
    assert not (tmp_path / "run").exists()


def test_links_into_reports_lead_to_what_they_name():
    links = re.findall(r"\]\(\.\./(reports/[\w./-]+)#([\w-]+)\)", TEXT)
    assert len(links) > 10
    for page, place in links:
        assert f'id="{place}"' in (PROJECT / page).read_text(encoding="utf-8"), (page, place)


def test_figures_and_tables_are_those_of_the_reports():
    rows = re.findall(r"^\| (?:Fig|Table|Suppl|Results|Methods).*\|$", TEXT, re.MULTILINE)
    assert len(rows) > 15
    names = {
        path.stem
        for report in ("demo", "demo-forgetting")
        for kind in ("tables/*.csv", "figures/*.svg")
        for path in (PROJECT / "reports" / report).glob(kind)
    }
    scores = pd.read_csv(PROJECT / "reports/demo/scores.csv", nrows=1)
    schemes = (PROJECT / "reports/demo/tables/ranking_schemes.csv").read_text()
    known = names | set(built_in_methods()) | set(scores) | {"forgetting"}
    said = [
        word for row in rows for word in re.findall(r"`([a-z0-9][a-z0-9_-]*)`", row.split(" | ")[2])
    ]
    assert {"f1_by_modality", "accuracy_cost", "ranking_stability"} <= set(said)
    assert not [word for word in said if word not in known and word not in schemes]


def test_how_many_values_are_published():
    values = published()
    known = values["median_f1"].notna()
    assert f"prints {known.sum()} medians with quartiles of the {len(values)} in Fig. 4a–e" in FLAT
    assert not known[values["method"] == "KIT-GE"].any()
    assert CAVEAT in FLAT.replace('"', "")
