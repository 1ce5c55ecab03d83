from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from page_reader import Page, svg_width_mm
from PIL import Image
from run_maker import RunMaker

from cellharness.analysis.run_data import load_run
from cellharness.data.images import read_label, write_label
from cellharness.own_files import ForeignFilesError
from cellharness.report import build_report
from cellharness.report.cutouts import case_tiles
from cellharness.run_directory import RunDirectoryError
from cellharness.statistics import summarise


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    statuses = {
        ("beta", "m1_01"): "timeout",
        ("beta", "m3_02"): "error",
        ("alpha", "m2_01"): "empty",
    }
    methods = {"alpha": "Alpha <net> & co", "beta": "Beta_100% {watershed}"}
    return RunMaker(tmp_path_factory.mktemp("report"))(methods=methods, statuses=statuses)


@pytest.fixture(scope="module")
def page(run) -> Page:
    return Page(build_report(run))


def test_everything_lies_where_the_contract_says(run, page):
    report = run / "report"
    tables = {"leaderboard", "accuracy", "exposure", "profile_differences", "seen_unseen",
              "threshold_sweep", "experiments", "other_metrics", "best_worst", "failures",
              "running_time", "timing",
              "published", "ranking", "ranking_tests", "ranking_frequencies", "ranking_schemes",
              "ranking_stability", "ranking_side_by_side"}  # fmt: skip
    figures = {"f1_by_modality", "threshold_sweep", "seen_unseen", "accuracy_cost",
               "ranking_significance", "ranking_stability",
               "ranking_side_by_side"}  # fmt: skip
    figures |= {f"{name}_1column" for name in figures} | {"examples"}
    for folder, names, suffixes in (
        ("tables", tables, ("csv", "md", "tex")),
        ("figures", figures, ("svg",)),
    ):
        found = {p.name for p in (report / folder).iterdir()}
        assert found == {f"{name}.{suffix}" for name in names for suffix in suffixes}
        assert all((report / folder / name).stat().st_size for name in found)
    assert not list(run.glob(".report-*"))


def test_page_loads_nothing_from_elsewhere(page):
    assert page.loads, "pictures and their uses are expected"
    assert all(target.startswith(("#", "data:image/")) for _, target in page.loads)
    style = re.search(r"<style>(.*?)</style>", page.source, re.DOTALL)[1]
    assert "@import" not in style
    assert "url(" not in style
    assert "<script src" not in page.source


def test_the_explorer_carries_no_picture_of_the_report(run, page):
    assert "data:image" in page.source
    assert "data:image" not in (run / "report/explore.html").read_text(encoding="utf-8")


def test_ids_are_unique_and_every_reference_has_its_target(run, page):
    assert len(page.ids) == len(set(page.ids))
    targets = re.findall(r'(?:href="|url\()#([^")]+)', page.source)
    assert set(targets) <= set(page.ids)
    for link in page.links:
        if not link.startswith(("#", "https://")):
            assert (run / "report" / link).is_file(), link


def test_page_is_light(run, page):
    assert len(page.source.encode()) < 2_000_000


def test_headline_and_every_section_are_there(page):
    assert "has the higher median F1 at IoU ≥ 0.5" in page.text
    for heading in ("Result", "Accuracy", "Ranking",
                    "Threshold sweep", "Seen and unseen experiments",
                    "Two profiles, and where they differ", "Examples", "Best and worst images",
                    "Failures", "Time and memory", "Definitions", "Provenance",
                    "Possible contamination"):  # fmt: skip
        assert heading in page.headings
    for words in (
        "2 TP / (2 TP + FP + FN)",
        "TP / (TP + FP + FN)",
        "≥, not >",
        "two outermost rows",
    ):
        assert words in page.text


def test_names_are_escaped_everywhere(run, page):
    assert "Alpha <net> & co" in page.text
    assert "<net>" not in page.source
    assert "bad <tile> & 100 % in m1_01" in page.text
    tex = (run / "report/tables/accuracy.tex").read_text()
    assert r"Beta\_100\% \{watershed\}" in tex
    assert r"Alpha \<net\> & co" in (run / "report/tables/accuracy.md").read_text()
    assert "Beta_100% {watershed}" in (run / "report/figures/f1_by_modality.svg").read_text()


def test_numbers_are_those_of_the_summary(run):
    table = pd.read_csv(run / "report/tables/accuracy.csv")
    expected = summarise(pd.read_csv(run / "scores.csv"))
    expected = expected[expected["threshold"] == 0.5].reset_index(drop=True)
    for column in ("method", "profile", "modality", "n", "n_failed", "median_f1", "q1", "mean_f1"):
        assert table[column].tolist() == pytest.approx(expected[column].tolist(), nan_ok=True) or (
            table[column].tolist() == expected[column].tolist()
        )
    beta = table[(table["method"] == "beta") & (table["modality"] == "Fluorescent")]
    assert beta["n_timeout"].tolist() == [1, 1]
    assert "1 (1 timeout)" in (run / "report/tables/accuracy.md").read_text()


def test_dropped_cases_are_told(run, page):
    rows = pd.read_csv(run / "report/tables/profile_differences.csv").set_index("method")
    assert rows.loc["beta", "n_dropped"] == 2
    assert rows.loc["alpha", "n_dropped"] == 0
    assert "1 failed (timeout)" in rows.loc["beta", "reasons"]
    assert "failed on 2 of 24 images (counted as F1 0)" in page.text
    assert "they differ on 2 scores, of which the challenge profile leaves out 2" in page.text


def test_timing_says_once_what_is_paid_once(run, page):
    row = pd.read_csv(run / "report/tables/timing.csv").set_index("method").loc["alpha"]
    assert row["seconds_load"] == 2.5
    assert row["seconds_network"] == 1.25
    assert row["seconds_per_case"] == pytest.approx(0.004 + 0.002 + 1.25 + 0.11 + 0.01)
    assert "interpreter and libraries included" in page.text


def test_provenance_is_complete_and_without_folders_of_the_machine(run, page):
    for part in ("cd" * 32, "ab" * 32, "BSD-3-Clause", "Omnipose images", "c0ffee", "Some CPU",
                 "gray_max", "numpy 2.0.2"):  # fmt: skip
        assert part in page.text
    assert str(run.parent) not in page.source
    assert "…/data/manifest.csv" in page.text
    assert "the word “omnipose” occurs with 12 of 24 images" in page.text


def test_figures_have_the_printed_width_and_real_text(run, page):
    names = ("f1_by_modality", "seen_unseen")
    widths = [(f"{name}{end}", mm) for name in names for end, mm in (("", 180), ("_1column", 88))]
    for name, width_mm in widths:
        svg = (run / f"report/figures/{name}.svg").read_text()
        assert svg_width_mm(svg) == pytest.approx(width_mm, abs=0.2)
        assert ">Brightfield</text>" in svg
        assert "'DejaVu Sans', Verdana" in svg
        sizes = {float(s) for s in re.findall(r"font(?:-size)?: (?:[\w.]+ )*?([\d.]+)px", svg)}
        assert sizes
        assert min(sizes) >= 6


def test_every_picture_has_words_for_who_does_not_see_it(page):
    panes = re.findall(r'<svg viewBox="0 0 \d+ \d+" role="img" aria-label="([^"]+)"', page.source)
    # Four modalities of truth and two methods, two best and two worst of two methods.
    assert len(panes) == 4 * 3 + 2 * 4
    assert any("correct" in text and "missed" in text for text in panes)
    assert (
        len(re.findall(r'class="(?:wide|narrow) paper" role="img" aria-label="', page.source)) == 14
    )


@pytest.mark.slow
def test_same_run_gives_the_same_bytes(make_run):
    path = make_run(modalities=("DIC",), per_modality=2, thresholds=(0.5, 0.7))
    made = []
    for _ in range(2):
        build_report(path)
        made.append({p: p.read_bytes() for p in (path / "report").rglob("*") if p.is_file()})
    assert made[0] == made[1]


def test_partial_guessed_and_oracle_runs_carry_a_banner(make_run):
    path = make_run(
        modalities=("DIC", None), per_modality=1, thresholds=(0.5,), guessed=True,
        head={"status": "partial", "limit": 2},
    )  # fmt: skip
    info = json.loads((path / "run.json").read_text())
    info["methods"][0]["parameters"] = {"diameter": "truth_median"}
    (path / "run.json").write_text(json.dumps(info))
    text = Page(build_report(path)).text
    assert "Partial run. The run was limited to 2 cases" in text
    assert "The modality of 1 of 2 images was guessed" in text
    assert "1 of 2 images has no modality in the manifest" in text
    assert "Alpha net used the truth to segment, such as a diameter taken from it" in text


def test_complete_run_carries_none(page):
    assert 'class="banner"' not in page.source


@pytest.mark.slow
def test_unknown_modality_is_a_group_of_its_own(make_run):
    page = Page(build_report(make_run(modalities=(None,), per_modality=2, thresholds=(0.5,))))
    assert "Unknown modality" in page.headings
    assert "Threshold sweep" not in page.headings


def test_one_method_on_one_image(make_run):
    path = make_run(
        methods={"solo": "Solo"}, modalities=("DIC",), per_modality=1, thresholds=(0.5,)
    )
    page = Page(build_report(path))
    assert "nothing to compare it with" in page.text
    assert "Threshold sweep" not in page.headings
    assert "Every method gave a mask for every image." in page.text


@pytest.mark.slow
def test_method_that_fails_everywhere(make_run):
    cases = [f"m0_{i:02d}" for i in range(3)]
    path = make_run(
        modalities=("DIC",), per_modality=3, thresholds=(0.5, 0.7),
        statuses={("beta", case): "oom" for case in cases},
    )  # fmt: skip
    page = Page(build_report(path))
    rows = pd.read_csv(path / "report/tables/accuracy.csv")
    beta = rows[(rows["method"] == "beta") & (rows["modality"] == "All")].set_index("profile")
    assert beta.loc["strict", "median_f1"] == 0
    assert np.isnan(beta.loc["challenge", "median_f1"])
    assert "Beta watershed failed on 3 of 3 images" in page.text
    assert "no mask: oom" in page.text
    assert "No image to show." in page.text


@pytest.mark.slow
def test_every_method_fails_everywhere(make_run):
    path = make_run(
        modalities=("DIC",), per_modality=1, thresholds=(0.5, 0.7),
        statuses={(m, "m0_00"): "error" for m in ("alpha", "beta")},
    )  # fmt: skip
    assert "are level, with a median F1 at IoU ≥ 0.5 of 0.000" in Page(build_report(path)).text


def test_images_without_cells(make_run):
    path = make_run(
        modalities=("DIC",), per_modality=1, thresholds=(0.5,), empty_truth=["m0_00"],
        methods={"alpha": "Alpha"},
    )  # fmt: skip
    page = Page(build_report(path))
    rows = pd.read_csv(path / "report/tables/profile_differences.csv")
    # Neither side has a cell: strict calls that right, the official script 0.
    assert rows[["median_strict", "median_challenge"]].to_numpy().tolist() == [[1.0, 0.0]]
    assert rows["reasons"].tolist() == ["1 without cells on either side"]
    assert "F1 1.00" in page.text


@pytest.mark.slow
def test_no_picture_allowed(make_run):
    path = make_run(
        modalities=("DIC", "Fluorescent"), per_modality=2, thresholds=(0.5,),
        report={"panel_licences": ["MIT"], "published": False},
    )  # fmt: skip
    page = Page(build_report(path))
    assert "data:image" not in page.source
    assert page.text.count("No image of this modality is shown") == 2
    assert "Only images whose licence matches “MIT” are shown: 0 of 4." in page.text
    assert "published" not in {p.stem for p in (path / "report/tables").iterdir()}


@pytest.mark.slow
def test_only_allowed_pixels_are_shown(make_run):
    path = make_run(
        modalities=("DIC",), per_modality=4, thresholds=(0.5,), report={"panel_licences": ["cc0"]}
    )
    labels = re.findall(r'aria-label="DIC image (m0_\d+)', Page(build_report(path)).source)
    assert labels
    assert set(labels) <= {"m0_00", "m0_02"}


@pytest.mark.slow
def test_scores_that_are_not_numbers(make_run):
    path = make_run(modalities=("DIC", "Fluorescent"), per_modality=2, thresholds=(0.5, 0.7))
    scores = pd.read_csv(path / "scores.csv")
    scores.loc[scores["modality"] == "DIC", ["f1", "tp", "fp", "fn"]] = np.nan
    scores.to_csv(path / "scores.csv", index=False)
    page = Page(build_report(path))
    assert "of 0 images" in page.text
    assert "2 of 4 images have no F1 for any method" in page.text
    assert "4 (2 scored)" in page.text
    assert ">nan<" not in page.source.lower()


@pytest.mark.slow
def test_mask_that_was_made_but_not_scored(make_run):
    path = make_run(
        modalities=("DIC",), per_modality=1, thresholds=(0.5,),
        statuses={("beta", "m0_00"): "error"},
    )  # fmt: skip
    ledger = pd.read_csv(path / "ledger.csv")
    ledger.loc[ledger["method"] == "beta", ["status", "message"]] = ["ok", None]
    ledger.to_csv(path / "ledger.csv", index=False)
    assert "a mask was made, but it is gone or cannot be scored" in Page(build_report(path)).text


@pytest.mark.parametrize("profile", ["challenge", "strict"])
@pytest.mark.slow
def test_one_profile_and_no_threshold_of_a_half(make_run, profile):
    path = make_run(modalities=("DIC", "Fluorescent"), per_modality=1, thresholds=(0.7, 0.9))
    scores = pd.read_csv(path / "scores.csv")
    scores[scores["profile"] == profile].to_csv(path / "scores.csv", index=False)
    page = Page(build_report(path))
    assert "median F1 at IoU ≥ 0.7" in page.text
    assert f"Profile {profile}" in page.text
    assert "Two profiles, and where they differ" not in page.headings


@pytest.mark.slow
def test_image_that_changed_or_went_is_told_not_shown(make_run):
    path = make_run(modalities=("DIC", "Fluorescent"), per_modality=1, thresholds=(0.5,))
    data = path.parent / "data"
    (data / "images/m0_00.tif").unlink()
    image = data / "images/m1_00.tif"
    image.write_bytes(image.read_bytes() + b"\0")
    text = Page(build_report(path)).text
    assert "m0_00 cannot be shown: the file is not on this machine." in text
    assert "m1_00 cannot be shown: the image file is not the one that was segmented." in text


def test_a_label_of_another_size_is_told_not_shown(make_run):
    path = make_run(modalities=("DIC",), per_modality=1, thresholds=(0.5,))
    label = next((path.parent / "data/labels").glob("m0_00*"))
    write_label(label, np.pad(read_label(label), ((0, 9), (0, 0))))
    tiles = case_tiles(load_run(path), "m0_00", ["alpha"])
    assert (tiles.picture, tiles.problem) == (None, "image and label differ in size")


@pytest.mark.slow
def test_run_that_was_moved_with_its_data(make_run, tmp_path):
    path = make_run(modalities=("DIC",), per_modality=1, thresholds=(0.5,))
    (tmp_path / "data").rename(path / "data")
    assert "data:image/jpeg" in build_report(path).read_text()


@pytest.mark.slow
def test_older_report_is_replaced_and_stays_when_the_new_one_fails(make_run):
    path = make_run(modalities=("DIC",), per_modality=1, thresholds=(0.5,))
    build_report(path)
    (path / "report/tables/accuracy.csv").unlink()
    build_report(path)
    assert (path / "report/tables/accuracy.csv").is_file()
    older = (path / "report/index.html").read_text()
    record = json.loads((path / "run.json").read_text())
    record["config"]["report"] = {"panel_licences": ["("]}
    (path / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunDirectoryError, match="not a regular expression"):
        build_report(path)
    assert (path / "report/index.html").read_text() == older
    assert not list(path.glob(".report-*"))


@pytest.mark.slow
def test_a_report_of_somebody_else_is_not_replaced(make_run):
    path = make_run(modalities=("DIC",), per_modality=1, thresholds=(0.5,))
    (path / "report/tables").mkdir(parents=True)
    (path / "report/tables/mine.csv").write_text("mine")
    with pytest.raises(ForeignFilesError, match=r"mine\.csv.*--overwrite"):
        build_report(path)
    assert (path / "report/tables/mine.csv").read_text() == "mine"
    build_report(path, overwrite=True)
    assert not (path / "report/tables/mine.csv").exists()


@pytest.mark.parametrize("name", ["run.json", "scores.csv", "ledger.csv", "manifest.csv"])
def test_directory_that_is_no_finished_run(make_run, name):
    path = make_run(modalities=("DIC",), per_modality=1, thresholds=(0.5,))
    (path / name).unlink()
    with pytest.raises(RunDirectoryError, match=re.escape(name)):
        build_report(path)


def test_broken_tables_are_refused(make_run):
    path = make_run(modalities=("DIC",), per_modality=1, thresholds=(0.5,))
    scores = pd.read_csv(path / "scores.csv")
    scores.iloc[1:].to_csv(path / "scores.csv", index=False)
    with pytest.raises(RunDirectoryError, match="no row for method"):
        build_report(path)
    (path / "run.json").write_text("{")
    with pytest.raises(RunDirectoryError, match="cannot read"):
        build_report(path)


@pytest.mark.slow
def test_names_that_look_like_missing_values_are_kept(make_run):
    path = make_run(
        methods={"NA": "NA", "null": "null"}, modalities=("DIC",), per_modality=1,
        thresholds=(0.5,),
    )  # fmt: skip
    table = build_report(path).parent / "tables/accuracy.csv"
    assert set(pd.read_csv(table, keep_default_na=False)["method"]) == {"NA", "null"}


@pytest.mark.slow
def test_figures_for_print_are_written_on_request(make_run):
    path = make_run(modalities=("DIC",), per_modality=1, thresholds=(0.5,))
    page = Page(build_report(path, for_print=True))
    folder = path / "report/figures"
    names = {file.stem for file in folder.glob("*.svg")}
    assert {"f1_by_modality", "f1_by_modality_1column", "examples"} <= names
    for suffix in ("png", "pdf"):
        assert {file.stem for file in folder.glob(f"*.{suffix}")} == names
        assert {f"figures/{name}.{suffix}" for name in names} <= set(page.links)
    for end, width_mm in (("", 180), ("_1column", 88)):
        with Image.open(folder / f"f1_by_modality{end}.png") as image:
            assert image.width / 300 * 25.4 == pytest.approx(width_mm, abs=0.2)
        assert (folder / f"f1_by_modality{end}.pdf").read_bytes()[:5] == b"%PDF-"
    assert "--for-print" not in page.text
    again = Page(build_report(path))
    assert {file.suffix for file in folder.iterdir()} == {".svg"}
    assert "cellharness report RUN_DIR --for-print" in again.text


def test_a_large_table_has_a_page(make_run):
    """Seven methods, 422 cases, ten thresholds; the files behind it are not there."""
    path = make_run(modalities=("DIC",), per_modality=1, thresholds=(0.5,))
    methods = [f"method-{i}" for i in range(7)]
    thresholds = np.linspace(0.5, 0.95, 10).round(2)
    cases = [f"case-{i:03d}" for i in range(422)]
    grid = pd.MultiIndex.from_product(
        [methods, ["challenge", "strict"], cases, thresholds],
        names=["method", "profile", "case", "threshold"],
    )
    scores = grid.to_frame(index=False)
    number = scores["case"].str[-3:].astype(int)
    kinds = np.array(["Brightfield", "Fluorescent", "Phase-contrast", "DIC"])
    rng = np.random.default_rng(0)
    scores = scores.assign(
        modality=kinds[number % 4], modality_source="given", split="test", status="ok",
        experiment="e" + (number % 20).astype(str), seen=number % 2 == 0,
        f1=rng.random(len(scores)).round(4), precision=0.5, recall=0.5, tp=1, fp=1, fn=1,
    )  # fmt: skip
    scores.to_csv(path / "scores.csv", index=False)
    manifest = scores.drop_duplicates("case")[["case", "modality", "experiment", "split"]]
    manifest.assign(image="images/none.png", label="", sha256="").to_csv(
        path / "manifest.csv", index=False
    )
    (path / "run.json").write_text("{}")
    page = Page(build_report(path))
    assert "7 methods on 422 images" in page.text
    assert len(page.source.encode()) < 8_000_000
