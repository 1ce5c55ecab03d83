"""Forgetting studies that lack something: the report is built, and says what is not there."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest
from study_reader import page_tables, plan_of
from study_run_maker import StudyRunMaker
from study_sketch import sketch_study

from cellharness.analysis.study import load_study
from cellharness.own_files import ForeignFilesError
from cellharness.report import build
from cellharness.report.study import load_study_report
from cellharness.run_directory import RunDirectoryError, StudyRecord

LOSS, BETTER = (-0.2, 0.2), (-0.05, 0.19)
TWO = {"plain": LOSS, "replay": BETTER}


@pytest.fixture
def sketch(tmp_path):
    return lambda changes=TWO, **options: sketch_study(tmp_path, changes, **options)


@pytest.fixture
def make_study(tmp_path):
    """A small study with images and masks."""

    def make(**options):
        few = {"modalities": ("DIC",), "unseen": 3, "seen": 3, "stages": (4,), "mixes": ()}
        return StudyRunMaker(tmp_path)(**(few | options))

    return make


def excuses(page):
    """What the page says in place of what it cannot show."""
    return [" ".join(text.split()) for text in re.findall(r'class="empty">(.*?)</p>', page.source,
                                                          re.DOTALL)]  # fmt: skip


def figures_of(page):
    return set(re.findall(r'id="figure-(\w+)"', page.source))


def test_without_unseen_cases(sketch, build_quickly):
    page = build_quickly(sketch(unseen=0))
    nothing = (
        "No case of unseen experiments was scored before and after, so nothing is known of what "
        "was forgotten."
    )
    assert excuses(page).count(nothing) == 2
    assert figures_of(page) == {"heatmap", "slopes", "forest", "teams"}
    tables = page_tables(page.source)
    assert not {"forgetting_measures", "decomposition", "robustness"} & set(tables)
    assert "Not drawn: unseen experiments, none was scored." in page.text


def test_without_seen_cases(sketch, build_quickly):
    page = build_quickly(sketch(seen=0))
    assert "plane" not in figures_of(page)
    assert "heatmap" in figures_of(page)
    assert any("the plot needs both" in excuse for excuse in excuses(page))


def test_one_case(sketch, build_quickly):
    page = build_quickly(sketch(unseen=1, seen=0))
    assert "1 set of trained weights" not in page.text
    assert "2 sets of trained weights on 1 image" in page.text
    for rows in page_tables(page.source).values():
        assert not [cell for row in rows for cell in row if re.search(r"\bnan\b", cell)]


def test_no_remedy_and_one_stage(sketch, build_quickly):
    page = build_quickly(sketch({"plain": LOSS}))
    assert "1 set of trained weights on 20 images" in page.text
    assert "There is no remedy with scores beside plain fine-tuning." in excuses(page)
    assert "forest" not in figures_of(page)
    assert not {"slopes_best", "curves"} & figures_of(page)
    assert "Weights were scored at the start and the end alone; the table has both." in page.text
    assert "remedies" not in page_tables(page.source)
    assert [row[1] for row in page_tables(page.source)["curves"][2:4]] == ["0", "4"]


def test_no_modality_and_two(sketch, build_quickly):
    page = build_quickly(sketch(modalities=("DIC", "")), drawn=False)
    assert "10 of 20 images have no modality in the manifest" in page.text
    rows = [row[0] for row in page_tables(page.source)["change"] if len(row) == 1]
    assert rows == ["All images", "DIC", "Unknown modality"]


def test_weights_that_were_mixed_and_not_trained(sketch, build_quickly):
    shares = {"mix-75": (-0.15, 0.15), "mix-25": (-0.05, 0.05)}
    page = build_quickly(sketch({"plain": LOSS, **shares}, stages=(2, 4)))
    assert figures_of(page) >= {"curves", "plane", "forest"}
    assert "Weights made from those of others have no epochs of their own." in page.text


def test_without_published_protocols(sketch, build_quickly):
    page = build_quickly(sketch(published=None))
    assert "The study names no published protocols, so no loss is taken apart." in excuses(page)
    assert "decomposition" not in figures_of(page)
    assert "protocols" in page_tables(page.source)


def test_teams_with_and_without_masks(sketch, build_quickly):
    page = build_quickly(sketch(teams={"good": "ok", "bad": "error"}), drawn=False)
    assert "bad (no mask for any case (error)" in page.text
    rows = page_tables(page.source)["team_tests"]
    assert [row[0] for row in rows if len(row) == 1] == ["good, DIC"]
    assert not any("masks of a team" in excuse for excuse in excuses(page))


def test_published_medians_can_be_switched_off(sketch, build_quickly):
    run = sketch(report={"published": False})
    page = build_quickly(run, drawn=False)
    assert "Published medians are switched off in the configuration." in " ".join(excuses(page))
    assert "NeurIPS test set" not in " ".join(
        cell for row in page_tables(page.source)["teams"] for cell in row
    )
    assert "source" in pd.read_csv(run / "report/tables/teams.csv").columns


def test_without_published_medians_and_teams_nothing_is_drawn_of_them(sketch, build_quickly):
    page = build_quickly(sketch(report={"published": False}))
    assert "teams" not in figures_of(page)
    assert "Median F1 (IoU ≥ 0.5) and interquartile range" not in page.text


def test_files_that_are_gone_are_told_in_whole_sentences(sketch, build_quickly):
    page = build_quickly(sketch({"plain": LOSS}), drawn=False)
    assert "u00 cannot be shown: gone.tif: no such file." in excuses(page)
    assert "u00: gone.tif: no such file." in page.text
    assert ".." not in re.sub(r"…|\.\.\.", "", page.text)


def test_licences_that_forbid_pixels(make_study, build_quickly):
    page = build_quickly(make_study(report={"panel_licences": ["MIT"]}), drawn=False)
    assert "data:image" not in page.source
    assert "panels" not in {link.split("/")[-1].split(".")[0] for link in page.links}
    assert "No image that was scored may be shown under the configured licences." in excuses(page)
    assert "Only images whose licence matches “MIT” are shown: 0 of 6." in page.text
    # Numbers of cells are no pixels.
    assert page_tables(page.source)["cell_retention"]


@pytest.mark.slow
def test_licences_that_allow_some(make_study, build_quickly):
    run = make_study(report={"panel_licences": ["^MIT"]})
    manifest = pd.read_csv(run / "manifest.csv")
    allowed = ["m0_01", "m0_04"]
    manifest.loc[manifest["case"].isin(allowed), "licence"] = "MIT"
    manifest.to_csv(run / "manifest.csv", index=False)
    page = build_quickly(run, drawn=False)
    shown = re.findall(r'aria-label="DIC image (m0_\d+)', page.source)
    assert shown
    assert set(shown) <= set(allowed)


def test_an_image_that_is_another_now_is_not_shown(make_study, build_quickly):
    run = make_study()
    for path in (run.parent / "data/images").iterdir():
        path.write_bytes(path.read_bytes() + b"\0")
    page = build_quickly(run, drawn=False)
    assert "data:image" not in page.source
    assert "cannot be shown: the image file is not the one that was segmented." in page.text
    assert "6 not measured" in page.text


def test_an_older_report_is_replaced_once_the_new_one_is_whole(sketch, build_quickly, monkeypatch):
    run = sketch({"plain": LOSS})
    build_quickly(run, drawn=False)
    older = (run / "report/index.html").read_text()

    def fail(*_, **__):
        msg = "no"
        raise RuntimeError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(build, "render", fail)
        with pytest.raises(RuntimeError, match="no"):
            build_quickly(run, drawn=False)
    assert (run / "report/index.html").read_text() == older
    assert not list(run.glob(".report-*"))
    (run / "report/mine.html").write_text("mine")
    with pytest.raises(ForeignFilesError, match=r"mine\.html.*--overwrite"):
        build_quickly(run, drawn=False)
    (run / "report/mine.html").unlink()
    (run / "report/tables/change.csv").unlink()
    build_quickly(run, drawn=False)
    assert (run / "report/tables/change.csv").exists()


def test_a_run_without_a_study_is_told_from_a_study(sketch):
    run = sketch()
    (run / "study.json").unlink()
    with pytest.raises(RunDirectoryError, match=r"no study.json.*`cellharness report`"):
        load_study_report(run)


def test_a_study_without_any_mask_is_refused(tmp_path):
    run = sketch_study(tmp_path, {"plain": LOSS})
    scores = pd.read_csv(run / "scores.csv")
    scores.assign(status="error", f1=0.0).to_csv(run / "scores.csv", index=False)
    with pytest.raises(
        RunDirectoryError, match=r"none of the 6 methods that study\.json names has a mask"
    ):
        load_study(run)


def changed(run, **keys):
    (run / "study.json").write_text(json.dumps(plan_of(run) | keys))
    return run


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"plain": "tuned"}, "plain names remedy 'tuned'; there are: plain, replay"),
        ({"main": "x"}, "main names protocol 'x'; there are: truth, estimate, fixed"),
        ({"published": {"before": "truth", "after": "x"}}, "published.after names protocol 'x'"),
        ({"replayed": {"x": []}}, "replayed names remedy 'x'"),
        ({"remedies": []}, "not valid at remedies"),
        ({"remedies": [{"name": "plain", "label": "A"}] * 2}, "more than one remedy 'plain'"),
        ({"remedies": [{"name": "pre-trained", "label": "A"}]}, "means the weights before"),
        ({"methods": [{"method": "m", "remedy": "x", "stage": 1, "protocol": "truth"}]},
         "method 'm' names remedy 'x'"),
        ({"methods": [{"method": "m", "remedy": "plain", "stage": -1, "protocol": "truth"}]},
         "not valid at methods.0.stage"),
        ({"methods": [{"method": "m", "remedy": "pre-trained", "stage": 1, "protocol": "truth"}]},
         "'m' is of 'pre-trained' at stage 1"),
    ],
)  # fmt: skip
def test_a_plan_that_contradicts_itself_is_refused(sketch, keys, words):
    with pytest.raises(RunDirectoryError, match=words):
        StudyRecord.read(changed(sketch(), **keys) / "study.json")


def test_a_plan_that_is_no_json_is_refused(sketch):
    run = sketch()
    (run / "study.json").write_text("{")
    with pytest.raises(RunDirectoryError, match="cannot read"):
        load_study(run)


def test_a_team_that_is_a_method_of_the_study_is_refused(sketch):
    run = changed(sketch(), teams=["before.truth"])
    with pytest.raises(RunDirectoryError, match=r"before\.truth under both methods and teams"):
        load_study(run)
