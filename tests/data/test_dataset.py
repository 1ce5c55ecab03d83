from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from cellharness.data.manifest import Case, Manifest, ManifestError
from cellharness.files import hash_file

HEADER = "case,image,label,modality,experiment,split,sha256"


def row(case="a", image="images/a.png", label="labels/a_label.tiff", modality="DIC",
        experiment="e1", split="test", sha256=""):  # fmt: skip
    return ",".join([case, image, label, modality, experiment, split, sha256])


def manifest_file(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_reads_a_row(tmp_path):
    manifest = Manifest.read(manifest_file(tmp_path, row(sha256="A" * 64)))
    (case,) = manifest.cases
    root = tmp_path.resolve()
    assert case == Case(
        "a", root / "images/a.png", root / "labels/a_label.tiff", "DIC", "given", "e1", "test",
        "a" * 64,
    )  # fmt: skip
    assert manifest.root == root
    assert manifest.path == tmp_path / "manifest.csv"


def test_label_modality_and_hash_may_be_empty(tmp_path):
    (case,) = Manifest.read(manifest_file(tmp_path, row(label="", modality=""))).cases
    assert (case.label, case.modality, case.modality_source, case.sha256) == (None, None, "", "")


def test_case_names_are_text(tmp_path):
    cases = Manifest.read(manifest_file(tmp_path, row("007"), row("NA"), row("1e5"))).cases
    assert [case.case for case in cases] == ["007", "NA", "1e5"]


def test_optional_columns(tmp_path):
    header = f"{HEADER},modality_source,licence,source,stain"
    path = manifest_file(
        tmp_path,
        row("a") + ',guessed,CC0,"here, there",HE',
        row("b") + ",,,,",
        row("c", modality="") + ",,,,",
        header=header,
    )
    a, b, c = Manifest.read(path).cases
    assert (a.modality_source, a.licence, a.source) == ("guessed", "CC0", "here, there")
    assert a.extra == (("stain", "HE"),)
    assert (b.modality_source, c.modality_source) == ("given", "")


def test_root_may_be_elsewhere(tmp_path):
    path = manifest_file(tmp_path, row())
    manifest = Manifest.read(path, root=tmp_path / "data")
    assert manifest.cases[0].image == (tmp_path / "data" / "images" / "a.png").resolve()


@pytest.mark.parametrize(
    "path",
    ["../a.png", "images/../../a.png", "/etc/passwd", "C:\\a.png", "\\\\host\\a.png", "C:/a.png"],
)
@pytest.mark.parametrize("column", ["image", "label"])
def test_paths_out_of_the_root_are_refused(tmp_path, column, path):
    file = manifest_file(tmp_path, row("fine"), row(**{column: path}))
    with pytest.raises(ManifestError, match=r"line 3.*(absolute|leads out)"):
        Manifest.read(file)


def test_links_out_of_the_root_are_refused(tmp_path):
    (tmp_path / "outside").mkdir()
    root = tmp_path / "root"
    root.mkdir()
    (root / "images").symlink_to(tmp_path / "outside")
    with pytest.raises(ManifestError, match="leads out"):
        Manifest.read(manifest_file(root, row()))


def test_dots_that_stay_inside_are_fine(tmp_path):
    (case,) = Manifest.read(manifest_file(tmp_path, row(image="images/../a.png"))).cases
    assert case.image.resolve() == (tmp_path / "a.png").resolve()


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        (["a"], "label", "no column 'image' and no column 'case'"),
        ([row()], HEADER + ",case", "more than once"),
        ([row(), row()], HEADER, "Duplicate case names: a"),
        ([row("../a")], HEADER, r"line 2: Case name '\.\./a'"),
        ([row(".a")], HEADER, "not start with a dot"),
        ([row("a b")], HEADER, "letters, digits"),
        ([row(modality="dik")], HEADER, "'dik'; did you mean 'DIC'"),
        ([row(modality="Phase kontrast")], HEADER, "did you mean 'Phase-contrast'"),
        ([row(modality="xyz")], HEADER, "valid are Brightfield, Fluorescent"),
        ([row(sha256="abc")], HEADER, "64 lower-case hex"),
        ([row(split="")], HEADER, "column 'split' is empty"),
        ([row(image="")], HEADER, "no image is of its name"),
        ([row() + ",surplus"], HEADER, "number of fields"),
        (["a,b"], HEADER, "number of fields"),
        ([row() + ",told"], HEADER + ",modality_source", "'given' or 'guessed'"),
        ([row(modality="") + ",given"], HEADER + ",modality_source", "does not go with"),
    ],
)
def test_bad_manifests_are_refused(tmp_path, rows, header, words):
    with pytest.raises(ManifestError, match=words):
        Manifest.read(manifest_file(tmp_path, *rows, header=header))


def test_absent_and_binary_manifests(tmp_path):
    with pytest.raises(ManifestError, match="no such manifest"):
        Manifest.read(tmp_path / "absent.csv")
    (tmp_path / "m.csv").write_bytes(b"\x00\xff\x00\x01\x02")
    with pytest.raises(ManifestError, match="UTF-8"):
        Manifest.read(tmp_path / "m.csv")


def test_write_and_read_back(tmp_path):
    header = f"{HEADER},licence,stain"
    path = manifest_file(
        tmp_path,
        row("a", split="train") + ",CC0,HE",
        row("b", modality="", label="") + ",,",
        header=header,
    )
    manifest = Manifest.read(path)
    written = manifest.write(tmp_path / "copy.csv")
    assert written.path == tmp_path / "copy.csv"
    assert Manifest.read(tmp_path / "copy.csv").cases == manifest.cases
    text = (tmp_path / "copy.csv").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy.csv", "manifest.csv"]


def test_cases_outside_the_root_are_written_absolute_and_refused_on_reading(tmp_path):
    case = Case("a", tmp_path / "root" / ".." / "a.png", None, None, "", "e", "test", "")
    Manifest((case,), tmp_path / "root").write(tmp_path / "m.csv")
    with pytest.raises(ManifestError, match="absolute"):
        Manifest.read(tmp_path / "m.csv")


def build(tmp_path: Path) -> Manifest:
    return Manifest.read(
        manifest_file(
            tmp_path,
            row("t1", experiment="e1", split="train"),
            row("a1", experiment="e1"),
            row("a2", experiment="e1"),
            row("a3", experiment="e1"),
            row("b1", experiment="e2", modality="Fluorescent"),
            row("c1", experiment="e3", modality=""),
        )
    )


def names(manifest: Manifest) -> list[str]:
    return [case.case for case in manifest.cases]


def test_select(tmp_path):
    manifest = build(tmp_path)
    assert names(manifest.select(splits=["test"])) == ["a1", "a2", "a3", "b1", "c1"]
    assert names(manifest.select(modalities=["DIC"], splits="test")) == ["a1", "a2", "a3"]
    assert names(manifest.select(modalities=[""])) == ["c1"]
    assert names(manifest.select(experiments=["e2", "e3"])) == ["b1", "c1"]
    assert names(manifest.select()) == names(manifest)


def test_limit_keeps_modalities_in_balance(tmp_path):
    manifest = build(tmp_path)
    assert names(manifest.select(splits=["test"], limit=3)) == ["a1", "b1", "c1"]
    assert names(manifest.select(splits=["test"], limit=4)) == ["a1", "a2", "b1", "c1"]
    assert len(manifest.select(limit=99)) == 6
    with pytest.raises(ValueError, match="at least 1"):
        manifest.select(limit=0)


def test_per_experiment_keeps_the_first_of_each(tmp_path):
    manifest = build(tmp_path)
    assert names(manifest.select(splits=["test"], per_experiment=1)) == ["a1", "b1", "c1"]
    assert names(manifest.select(splits=["test"], per_experiment=2)) == ["a1", "a2", "b1", "c1"]
    with pytest.raises(ValueError, match="per_experiment must be at least 1, not 0"):
        manifest.select(per_experiment=0)


def test_select_refuses_values_that_occur_nowhere(tmp_path):
    manifest = build(tmp_path)
    with pytest.raises(ManifestError, match=r"split 'tset'.*'test', 'train'"):
        manifest.select(splits=["tset"])
    with pytest.raises(ManifestError, match="No case is left"):
        manifest.select(splits=["train"], experiments=["e2"])


def test_seen_is_kept_through_selection_and_file(tmp_path):
    manifest = build(tmp_path)
    assert [manifest.seen(case) for case in manifest.cases] == [True] * 4 + [False] * 2
    test = manifest.select(splits=["test"])
    assert test.seen("a1")
    assert not test.seen("b1")
    test.write(tmp_path / "test.csv")
    again = Manifest.read(tmp_path / "test.csv")
    assert again.seen("a1")
    assert not again.seen("b1")


def manifest_of(tmp_path, text):
    (tmp_path / "manifest.csv").write_text(text)
    return Manifest.read(tmp_path / "manifest.csv")


def test_an_experiment_that_is_not_named_is_neither_seen_nor_unseen(tmp_path):
    manifest = manifest_of(
        tmp_path,
        "case,image,modality,experiment,split\n"
        "a,a.tif,DIC,,train\nb,b.tif,DIC,,test\nc,c.tif,DIC,e1,test\n",
    )
    assert [manifest.seen(name) for name in "abc"] == [True, None, False]
    manifest.select(splits=["test"]).write(tmp_path / "test.csv")
    again = Manifest.read(tmp_path / "test.csv")
    assert [again.seen(name) for name in "bc"] == [None, False]
    # Where nothing was learned from, nothing was seen.
    manifest = manifest_of(tmp_path, "case,image,experiment,split\na,a.tif,,test\n")
    assert manifest.seen("a") is False


def test_experiments_of_one_name_belong_to_their_modalities(tmp_path):
    manifest = manifest_of(
        tmp_path,
        "case,image,modality,experiment,split\n"
        "a,a.tif,DIC,e1,train\nb,b.tif,Fluorescent,e1,test\nc,c.tif,,e1,test\n",
    )
    assert [manifest.seen(name) for name in "abc"] == [True, False, True]


def test_seen_is_read_as_spreadsheets_write_it_and_refused_where_it_says_nothing(tmp_path):
    text = "case,image,experiment,split,seen\na,a.tif,e1,test,{}\n"
    assert manifest_of(tmp_path, text.format("TRUE")).seen("a")
    assert not manifest_of(tmp_path, text.format("FALSE")).seen("a")
    with pytest.raises(ManifestError, match="line 2: seen 'yes' is not valid; valid are true"):
        manifest_of(tmp_path, text.format("yes"))


def test_frame_and_lookup(tmp_path):
    manifest = build(tmp_path)
    frame = manifest.frame()
    assert list(frame["case"]) == names(manifest)
    assert list(frame["seen"]) == [True] * 4 + [False] * 2
    assert list(frame["modality"].isna()) == [False] * 5 + [True]
    assert manifest["b1"].experiment == "e2"
    with pytest.raises(ManifestError, match=r"unknown case 'b11'\. Did you mean 'b1'"):
        manifest["b11"]


def test_hash_file(tmp_path):
    (tmp_path / "a").write_bytes(b"cells")
    assert hash_file(tmp_path / "a") == hashlib.sha256(b"cells").hexdigest()


def test_reads_the_real_manifest_unmodified(realdata):
    manifest = realdata
    assert len(manifest) == 130
    assert {case.modality_source for case in manifest.cases} == {"given"}
    assert all(case.image.is_file() and case.label.is_file() for case in manifest.cases)
    assert dict(manifest["cell_00001"].extra)["n_cells"] == "11"
    unseen = {c.experiment for c in manifest.select(splits="test").cases if not manifest.seen(c)}
    assert "bbbc009-rbc" in unseen
    assert "usiigaci" not in unseen


def test_an_experiment_is_not_called_as_all_of_them_are(tmp_path):
    with pytest.raises(ManifestError, match="experiment 'All' is what tables call all of them"):
        manifest_of(tmp_path, "case,image,experiment\na,a.tif,All\n")
