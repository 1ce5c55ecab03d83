from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellharness.data import challenge
from cellharness.data.challenge import ChallengeError, PartCount, import_challenge
from cellharness.data.manifest import Manifest
from cellharness.errors import UsageError
from cellharness.files import hash_file

# A challenge in small: part folder -> names of images.
IMAGES = {
    "Training-labeled": ["cell_00001.png", "cell_00002.tif"],
    "Tuning": ["cell_00001.tiff"],
    "Testing/Public": ["OpenTest_001.png", "OpenTest_002.tif"],
    "Testing/Hidden": ["TestHidden_001.tif", "TestHidden_002.tif"],
}


def put(path: Path, value: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        path.write_bytes(b"only its bytes matter here" + bytes([value]))
    else:
        tifffile.imwrite(path, np.full((4, 4), value, np.uint8))


def make_tree(root: Path) -> Path:
    for part, names in IMAGES.items():
        for value, name in enumerate(names):
            put(root / part / "images" / name, value)
            if part != "Testing/Hidden":
                put(root / part / "labels" / f"{Path(name).stem}_label.tiff")
    for name in ("TestHidden_001", "TestHidden_002"):
        put(root / "Testing/Hidden/osilab_seg" / f"{name}_label.tiff")
    put(root / "Testing/Public/1st_osilab_seg/OpenTest_001_label.tiff")
    put(root / "Testing/Public/WSI/slide_1.tiff")
    put(root / "Testing/Public/WSI-labels/slide_1_label.tiff")
    put(root / "Testing/Public/osilab_seg_WSI/slide_1_label.tiff")
    return root


@pytest.fixture
def few(monkeypatch):
    """Let the small tree have the counts that are expected."""
    counts = dict(zip(challenge.PARTS, [2, 1, 2, 1, 2], strict=True))
    parts = {
        name: challenge.Part(part.split, part.experiment, counts[name], part.prefix)
        for name, part in challenge.PARTS.items()
    }
    monkeypatch.setattr(challenge, "PARTS", parts)


def row(result, name):
    case = result.manifest[name]
    root = result.manifest.root
    return (
        case.image.relative_to(root).as_posix(),
        case.label.relative_to(root).as_posix() if case.label else None,
        case.split,
        dict(case.extra)["winner_mask"],
    )


def test_whole_tree(tmp_path, few):
    root = make_tree(tmp_path / "data")
    steps = []
    result = import_challenge(root, root / "manifest.csv", progress=lambda *n: steps.append(n))
    assert result.problems == ()
    assert steps[-1] == (8, 8)
    assert [c.case for c in result.manifest.cases] == [
        "cell_00001", "cell_00002", "tuning_cell_00001", "OpenTest_001", "OpenTest_002",
        "slide_1", "TestHidden_001", "TestHidden_002",
    ]  # fmt: skip
    assert row(result, "tuning_cell_00001") == (
        "Tuning/images/cell_00001.tiff", "Tuning/labels/cell_00001_label.tiff", "tuning", "",
    )  # fmt: skip
    assert row(result, "OpenTest_001")[3] == (
        "Testing/Public/1st_osilab_seg/OpenTest_001_label.tiff"
    )
    assert row(result, "slide_1") == (
        "Testing/Public/WSI/slide_1.tiff",
        "Testing/Public/WSI-labels/slide_1_label.tiff",
        "test",
        "Testing/Public/osilab_seg_WSI/slide_1_label.tiff",
    )
    assert row(result, "TestHidden_002")[1:] == (
        None, "hidden", "Testing/Hidden/osilab_seg/TestHidden_002_label.tiff",
    )  # fmt: skip
    assert result.found["testing-public"] == PartCount(images=2, labels=2, winner_masks=1)
    case = result.manifest["cell_00002"]
    assert case.sha256 == hash_file(case.image)
    assert (case.modality, case.modality_source) == (None, "")
    assert case.licence == "CC BY-NC-ND 4.0"


def test_the_written_manifest_reads_back(tmp_path, few):
    root = make_tree(tmp_path / "data")
    made = import_challenge(root, tmp_path / "elsewhere" / "m.csv").manifest
    read = Manifest.read(tmp_path / "elsewhere" / "m.csv", root=root)
    assert read.cases == made.cases
    assert read.seen("cell_00001")
    assert not read.seen("OpenTest_001")


def test_nested_folders_and_litter_are_tolerated(tmp_path, few):
    flat = make_tree(tmp_path / "flat")
    for part in ("Training-labeled", "Tuning", "Testing"):
        (tmp_path / "nested" / part).mkdir(parents=True)
        (flat / part).rename(tmp_path / "nested" / part / part)
    hidden = tmp_path / "nested/Testing/Testing/Hidden"
    (hidden / "osilab_seg").rename(hidden / "tmp")
    (hidden / "osilab_seg").mkdir()
    (hidden / "tmp").rename(hidden / "osilab_seg" / "osilab_seg")
    (tmp_path / "nested/Tuning/Tuning/images/Thumbs.db").write_bytes(b"")
    put(tmp_path / "nested/__MACOSX/Tuning/images/cell_00001.tiff")
    result = import_challenge(tmp_path / "nested", tmp_path / "m.csv")
    assert result.problems == ()
    assert len(result.manifest) == 8
    assert row(result, "TestHidden_001")[3].endswith(
        "osilab_seg/osilab_seg/TestHidden_001_label.tiff"
    )


def test_what_is_passed_over_is_counted_with_the_reason(tmp_path, few):
    root = make_tree(tmp_path / "data")
    (root / "Tuning/images/notes.txt").write_text("x")
    (root / "Tuning/images/odd.gif").write_bytes(b"x")
    put(root / "extra/photo.tiff")
    problems = import_challenge(root, tmp_path / "m.csv").problems
    assert "1 file passed over, not understood: Tuning/images/*.gif" in problems
    assert "1 file passed over, not understood: Tuning/images/*.txt" in problems
    folder = "1 file passed over, in a folder that is no part of the challenge: extra"
    assert folder in problems


def test_a_single_part_may_be_given(tmp_path, few):
    root = make_tree(tmp_path / "data")
    result = import_challenge(root / "Tuning", tmp_path / "m.csv", {"tuning": "test"})
    assert [(c.case, c.split) for c in result.manifest.cases] == [("tuning_cell_00001", "test")]
    assert result.problems == ()


def test_slides_in_the_folder_of_the_others(tmp_path, few):
    root = make_tree(tmp_path / "data")
    public = root / "Testing/Public"
    (public / "WSI-labels/slide_1_label.tiff").rename(public / "labels/slide_1_label.tiff")
    result = import_challenge(root, tmp_path / "m.csv")
    assert result.problems == ()
    assert row(result, "slide_1")[1] == "Testing/Public/labels/slide_1_label.tiff"


def test_missing_partners_are_recorded(tmp_path, few):
    root = make_tree(tmp_path / "data")
    (root / "Training-labeled/labels/cell_00002_label.tiff").unlink()
    (root / "Tuning/images/cell_00001.tiff").unlink()
    (root / "Tuning/images/notes.txt").write_text("?")
    put(root / "Testing/Public/odd/x.tif")
    result = import_challenge(root, tmp_path / "m.csv")
    assert row(result, "cell_00002")[1] is None
    text = "\n".join(result.problems)
    assert "training: cell_00002.tif has no label; its row has an empty one" in text
    assert "tuning: label cell_00001_label.tiff has no image" in text
    assert "tuning: 0 images, expected 1" in text
    assert "Tuning/images/*.txt" in text
    assert "Testing/Public/odd/*.tif" in text
    assert len(result.problems) == 5


def test_dotted_names_do_not_collide(tmp_path, few):
    root = make_tree(tmp_path / "data")
    for name in ("cell.v1", "cell.v2"):
        put(root / f"Tuning/images/{name}.tif")
        put(root / f"Tuning/labels/{name}_label.tiff")
    result = import_challenge(root, tmp_path / "m.csv", {"tuning": "tuning"})
    assert row(result, "tuning_cell.v1")[1] == "Tuning/labels/cell.v1_label.tiff"
    assert row(result, "tuning_cell.v2")[1] == "Tuning/labels/cell.v2_label.tiff"


def test_ambiguous_partners_are_left_empty_and_named(tmp_path, few):
    root = make_tree(tmp_path / "data")
    put(root / "Training-labeled/images/cell_00001.tif")
    put(root / "Training-labeled/labels/cell_00002_label.tif")
    result = import_challenge(root, tmp_path / "m.csv", {"training": "train"})
    assert row(result, "cell_00001-png")[1] is None
    assert row(result, "cell_00001-tif")[1] is None
    assert row(result, "cell_00002")[1] is None
    text = "\n".join(result.problems)
    assert "label of cell_00002.tif is ambiguous" in text
    assert "cell_00001.tif became case cell_00001-tif" in text
    assert "has no image" not in text


def test_names_a_manifest_cannot_hold_are_altered(tmp_path, few):
    root = make_tree(tmp_path / "data")
    put(root / "Tuning/images/a b.tif")
    put(root / "Tuning/images/a_b.tif")
    for stem in ("a b", "a_b"):
        put(root / f"Tuning/labels/{stem}_label.tiff")
    result = import_challenge(root, tmp_path / "m.csv", {"tuning": "tuning"})
    assert row(result, "tuning_a_b")[1] == "Tuning/labels/a b_label.tiff"
    assert row(result, "tuning_a_b-2")[1] == "Tuning/labels/a_b_label.tiff"
    assert "a b.tif became case tuning_a_b" in "\n".join(result.problems)


def test_wrong_folders_and_parts(tmp_path):
    (tmp_path / "holidays").mkdir()
    with pytest.raises(ChallengeError, match=r"Training-labeled/images.*the folder holds holidays"):
        import_challenge(tmp_path, tmp_path / "m.csv")
    with pytest.raises(ChallengeError, match="no such folder"):
        import_challenge(tmp_path / "absent", tmp_path / "m.csv")
    with pytest.raises(UsageError, match=r"'tunning'. Did you mean 'tuning'"):
        import_challenge(tmp_path, tmp_path / "m.csv", {"tunning": "t"})


def test_what_was_filled_in_by_hand_stays_when_imported_again(tmp_path, few):
    root = make_tree(tmp_path / "data")
    path = root / "manifest.csv"
    import_challenge(root, path)
    rows = Manifest.read(path).cases
    by_hand = [
        replace(rows[0], modality="DIC", modality_source="given", experiment="mine", split="test",
                extra=(*rows[0].extra, ("magnification", "20x"))),
        *rows[1:],
        replace(rows[1], case="my-own", image=root / "own.png", extra=()),
    ]  # fmt: skip
    put(root / "own.png", 9)
    Manifest(tuple(by_hand), root).write(path)
    put(root / "Tuning/images/cell_00009.png")
    result = import_challenge(root, path)
    case = result.manifest[rows[0].case]
    assert (case.modality, case.experiment, case.split) == ("DIC", "mine", "test")
    assert dict(case.extra) == {**dict(rows[0].extra), "magnification": "20x"}
    assert {c.case for c in result.manifest.cases} == {
        *(c.case for c in rows), "my-own", "tuning_cell_00009",
    }  # fmt: skip
    (root / "own.png").unlink()
    shutil.move(root / "Training-labeled", tmp_path / "away")
    result = import_challenge(root, path)
    # What is away for now is named and stays.
    assert result.manifest[rows[0].case].modality == "DIC"
    assert any("3 cases of the manifest have no image in the folder" in p for p in result.problems)


def test_cases_are_told_by_their_images(tmp_path, few):
    root = make_tree(tmp_path / "data")
    path = root / "manifest.csv"
    folder = root / "Training-labeled/images"
    import_challenge(root, path)
    first = Manifest.read(path)["cell_00002"]
    put(folder / "cell_00002.png")
    put(folder / "cell 00002.png")
    result = import_challenge(root, path).manifest
    assert result["cell_00002"].image == first.image
    names = {case.case: case.image.name for case in result.cases if "00002" in case.case}
    assert len(names) == len(set(names.values())) == 3
    (root / "Training-labeled/labels/cell_00001_label.tiff").unlink()
    assert import_challenge(root, path).manifest["cell_00001"].label is None


def test_a_label_of_ones_own_stays_named_where_it_is_away_and_another_image_is_told(tmp_path, few):
    root = make_tree(tmp_path / "data")
    path, own = root / "manifest.csv", root / "mine/own.png"
    import_challenge(root, path)
    rows = Manifest.read(path).cases
    put(own, 3)
    Manifest((replace(rows[0], label=own), *rows[1:]), root).write(path)
    assert import_challenge(root, path).manifest[rows[0].case].label == own
    (root / "mine").rename(tmp_path / "away")
    put(rows[1].image, 99)
    result = import_challenge(root, path)
    assert result.manifest[rows[0].case].label == own
    told = [problem for problem in result.problems if problem.startswith(rows[0].case)]
    assert told == [f"{rows[0].case}: its label {own} is not there; the manifest still names it"]
    assert result.manifest[rows[1].case].sha256 != rows[1].sha256
    assert any(
        problem.startswith(f"{rows[1].case}: ") and "is not the image that was listed" in problem
        for problem in result.problems
    )


@pytest.mark.parametrize("text", ["my shopping list\n", "case,image\na,b\n"])
def test_another_file_in_the_place_of_the_manifest_is_not_replaced(tmp_path, few, text):
    root = make_tree(tmp_path / "data")
    path = tmp_path / "notes.csv"
    path.write_text(text)
    with pytest.raises(ChallengeError, match=r"notes\.csv exists and (is no manifest|names none)"):
        import_challenge(root, path)
    assert path.read_text() == text


def test_what_was_empty_in_a_manifest_is_filled_up(tmp_path, few):
    root = make_tree(tmp_path / "data")
    path, mask = root / "manifest.csv", "1st_osilab_seg/OpenTest_001_label.tiff"
    (root / "Testing/Public" / mask).rename(tmp_path / "away.tiff")
    assert dict(import_challenge(root, path).manifest["OpenTest_001"].extra)["winner_mask"] == ""
    (tmp_path / "away.tiff").rename(root / "Testing/Public" / mask)
    found = dict(import_challenge(root, path).manifest["OpenTest_001"].extra)["winner_mask"]
    assert found.endswith(mask)


def test_a_manifest_of_other_images_is_not_replaced(tmp_path, few):
    root = make_tree(tmp_path / "data")
    path = tmp_path / "mine.csv"
    path.write_text("case,image,label,modality,experiment,split,sha256\nc1,a.png,,DIC,e,test,\n")
    kept = path.read_bytes()
    hashed = []
    with pytest.raises(ChallengeError, match=r"mine\.csv exists and names none of the images"):
        import_challenge(root, path, progress=lambda *done: hashed.append(done))
    assert path.read_bytes() == kept
    assert hashed == []
