"""Pictures and outlines: which cases have them, what they show, and what becomes of bad files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from explorer_reader import explore
from PIL import Image
from run_maker import SIDE

from cellharness.data.images import read_label, write_label
from cellharness.report import build_report
from cellharness.report.explorer import pictures
from cellharness.report.explorer.chains import write_outlines
from cellharness.report.explorer.data import script_text
from cellharness.report.outlines import Window, compare


@pytest.fixture
def run(make_run) -> Path:
    return make_run(per_modality=2, modalities=("Brightfield", "Fluorescent"))


def data_of(run: Path) -> Path:
    return run.parent / "data"


def names(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir()}


def test_every_case_has_picture_thumbnail_and_outlines(run):
    explorer = explore(run)
    shown = {case["picture"] for case in explorer.cases.values()}
    assert len(shown) == 4
    for folder in ("pictures", "thumbnails", "outlines"):
        assert names(explorer.folder / folder) == shown
    case = explorer.cases["m0_00"]
    assert (case["size"], case["of"], case["at"]) == ([SIDE, SIDE], [SIDE, SIDE], [0, 0])
    drawn = np.asarray(Image.open(explorer.folder / f"pictures/{case['picture']}.webp"), float)
    given = np.asarray(Image.open(data_of(run) / "images/m0_00.png"), float)
    assert np.corrcoef(drawn.ravel(), given.ravel())[0, 1] > 0.9


def test_outlines_are_those_of_the_masks(run):
    explorer = explore(run)
    found = explorer.outlines(explorer.cases["m1_01"]["picture"])
    assert found["grid"] == [SIDE, SIDE]
    truth = read_label(data_of(run) / "labels/m1_01_label.tiff")
    masks = [read_label(run / f"predictions/{m}/m1_01_label.tiff") for m in ("alpha", "beta")]
    assert found["truth"]["cells"] == write_outlines(truth)[0]
    cells = [method["cells"] for method in found["methods"]]
    assert cells == [write_outlines(mask)[0] for mask in masks]


@pytest.mark.parametrize("thresholds", [(0.5, 0.6, 0.7, 0.8, 0.9), (0.3, 0.5, 0.75), (0.65,)])
def test_cells_are_matched_as_they_are_scored(make_run, thresholds):
    """Levels say at every threshold what the score table and the report's own panels say."""
    run = make_run(per_modality=2, modalities=("DIC",), thresholds=thresholds)
    explorer = explore(run)
    scores = pd.read_csv(run / "scores.csv").query("profile == 'strict'")
    scores = scores.set_index(["case", "method", "threshold"])
    for case in ("m0_00", "m0_01"):
        found = explorer.outlines(explorer.cases[case]["picture"])
        truth = read_label(data_of(run) / f"labels/{case}_label.tiff")
        for method, made in zip(("alpha", "beta"), found["methods"], strict=True):
            rows = scores.loc[case, method]
            assert made["tp"] == rows["tp"].tolist()
            assert {made["n"]} == set(rows["n_pred"])
            assert {found["truth"]["n"]} == set(rows["n_true"])
            mask = read_label(run / f"predictions/{method}/{case}_label.tiff")
            for place, threshold in enumerate(thresholds):
                window = Window(0, SIDE, 0, SIDE)
                panel = compare(truth, mask, threshold, window)
                own = levels(made["levels"])
                true = levels(made["truth"])
                assert (own > place).sum() == len(panel["correct"])
                assert ((own >= 0) & (own <= place)).sum() == len(panel["wrong"])
                assert (true > place).sum() == len(panel["truth"])
                assert ((true >= 0) & (true <= place)).sum() == len(panel["missed"])
                assert (own < 0).sum() + (true < 0).sum() == len(panel["excluded"])


def levels(text: str) -> np.ndarray:
    return np.array([ord(letter) - 48 for letter in text])


def test_pictures_follow_the_licences(make_run):
    run = make_run(per_modality=2, report={"panel_licences": ["^CC0"]})
    explorer = explore(run)
    kept = {name: case.get("picture") for name, case in explorer.cases.items()}
    assert {name for name, picture in kept.items() if picture} == {f"m{m}_00" for m in range(4)}
    assert explorer.cases["m0_01"]["withheld"]
    assert explorer.cases["m0_01"]["licence"] == "CC BY-NC-ND 4.0"
    for folder in ("pictures", "thumbnails", "outlines"):
        assert len(names(explorer.folder / folder)) == 4
    assert "Only images whose licence matches" in explorer.page.read_text(encoding="utf-8")


def test_a_method_without_a_mask_has_no_outline(make_run):
    run = make_run(
        per_modality=1,
        modalities=("DIC",),
        statuses={("alpha", "m0_00"): "error", ("beta", "m0_00"): "empty"},
    )
    explorer = explore(run)
    found = explorer.outlines(explorer.cases["m0_00"]["picture"])
    assert found["methods"][0] is None
    empty = found["methods"][1]
    assert (empty["cells"], empty["n"], set(empty["tp"])) == ("", 0, {0})
    assert set(empty["truth"]) <= {"0", "/"}


def test_bad_files_are_told_and_the_rest_goes_on(run):
    (run / "predictions/alpha/m0_00_label.tiff").write_bytes(b"no tiff")
    write_label(run / "predictions/beta/m0_00_label.tiff", np.zeros((5, 5), np.uint8))
    (data_of(run) / "images/m0_01.png").write_bytes(b"no png")
    (data_of(run) / "labels/m1_00_label.tiff").unlink()
    explorer = explore(run)
    assert explorer.cases["m0_01"]["why"] == "the image file is not the one that was segmented"
    assert "m1_00_label.tiff" in explorer.cases["m1_00"]["why"]
    assert explorer.cases["m1_01"]["picture"]
    found = explorer.outlines(explorer.cases["m0_00"]["picture"])
    broken, small = found["methods"]
    assert set(broken) == {"problem"}
    assert small == {"problem": "the mask has not the size of the image"}


@pytest.mark.slow
def test_processes_draw_the_same(run, monkeypatch):
    def contents(report: Path) -> dict[str, bytes]:
        files = (report / "explore").rglob("*.*")
        return {path.name + path.parent.name: path.read_bytes() for path in files}

    alone = contents(explore(run).page.parent)
    monkeypatch.setattr(pictures, "_MANY_MASKS", 0)
    monkeypatch.setattr("cellharness.report.explorer.build.cores", lambda: 2)
    assert contents(explore(run).page.parent) == alone


def test_nothing_is_loaded_from_elsewhere(run):
    explorer = explore(run)
    page = explorer.page.read_text(encoding="utf-8")
    loaded = re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=\"([^\"]+)\"", page)
    assert loaded == [
        "explore/explore.css", "explore/d3.min.js", "explore/data.js", "explore/explore.js",
    ]  # fmt: skip
    for file in ("explore.js", "explore.css"):
        text = (explorer.folder / file).read_text(encoding="utf-8")
        assert not re.search(r"https?://(?!www\.w3\.org/)|@import|url\((?!#)|fetch\(|XMLHttp", text)


def test_no_path_of_the_machine_is_told(run):
    explorer = explore(run)
    for path in [explorer.page, *explorer.folder.rglob("*.js")]:
        assert str(run.parent) not in path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_an_older_explorer_is_replaced(run):
    report = build_report(run).parent
    assert 'href="explore.html"' in (report / "index.html").read_text(encoding="utf-8")
    (report / "explore/pictures/old.webp").write_bytes(b"old")
    build_report(run, overwrite=True)
    assert names(report / "explore/pictures") == names(report / "explore/outlines")


def test_the_library_carries_its_licence(run):
    text = (explore(run).folder / "d3.min.js").read_text(encoding="utf-8")
    assert "Permission to use, copy, modify, and/or distribute this software" in text
    assert "sourceMappingURL" not in text
    assert len(text) < 1_200_000


def test_picture_and_outlines_show_the_same_part(tmp_path):
    crowd = np.zeros((1600, 2000), np.uint16)
    for number, (i, j) in enumerate(np.ndindex(30, 30), start=1):
        crowd[700 + 24 * i : 716 + 24 * i, 1100 + 24 * j : 1116 + 24 * j] = number
    image, label = tmp_path / "image.png", tmp_path / "truth.tiff"
    Image.fromarray(np.where(crowd, 220, 20).astype(np.uint8)).save(image)
    write_label(label, crowd)
    for name in pictures.FOLDERS:
        (tmp_path / name).mkdir()
    side = 480
    told = pictures.draw_case(
        pictures.CaseFiles("0000", image, label, "", (label,), (0.5,), tmp_path, side)
    )
    assert told["size"] == [640, 640], "forty diameters of 16 px"
    assert told["of"] == [2000, 1600]
    left, top = told["at"]
    window = crowd[top : top + 640, left : left + 640]
    drawn = np.asarray(Image.open(tmp_path / "pictures/0000.webp").convert("L"))
    assert drawn.shape == (640, 640)
    assert drawn[window > 0].mean() - drawn[window == 0].mean() > 150
    shown = np.asarray(
        Image.open(tmp_path / "pictures/0000.webp").convert("L").resize((side, side))
    )
    taken = ((np.arange(side) + 0.5) * 640 / side).astype(int)
    sampled = window[taken[:, None], taken]
    assert shown[sampled > 0].mean() - shown[sampled == 0].mean() > 130
    text = (tmp_path / "outlines/0000.js").read_text(encoding="ascii")
    written, _ = write_outlines(sampled)
    assert text.count(script_text(written)) == 2, "of the truth and of the method"
