"""Tables as all kinds of programs save them are read alike, or refused with cause and remedy."""

from __future__ import annotations

import builtins

import numpy as np
import pandas as pd
import pytest

from cellharness.comparing import ScoreChoice, SourceError, compare_sources, read_source
from cellharness.data.manifest import Manifest, ManifestError
from cellharness.scoring.validation import check_thresholds
from cellharness.tables import TableError, number_of, read_brought

CASES = ["cell_1", "NA", "nan", "None", "null", "007", "Zellkörper", "a b"]
VALUES = [0.7231, 0.5, 1.0, 0.0, 0.25, 0.125, 0.9, 0.3333]


def plain(value):
    return str(value)


def german(value):
    return str(value).replace(".", ",")


def table(separator=",", *, head=("case", "f1"), number=plain, eol="\n", tail="", quote=""):
    lines = [
        separator.join((f"{quote}{case}{quote}", f"{quote}{number(value)}{quote}")) + tail
        for case, value in zip(CASES, VALUES, strict=True)
    ]
    return eol.join([separator.join(head), *lines]) + eol


# By the program that saves so.
DIALECTS = {
    "plain": table().encode(),
    "Windows": table(eol="\r\n").encode(),
    "old Mac": table(eol="\r").encode(),
    "German Excel": table(";", number=german, eol="\r\n").encode("utf-8-sig"),
    "semicolons": table(";").encode(),
    "tabs": table("\t").encode(),
    "bars": table("|").encode(),
    "Unicode text": table("\t", eol="\r\n").encode("utf-16"),
    "Unicode text, big end first": b"\xfe\xff" + table("\t").encode("utf-16-be"),
    "UTF-16 without mark": table().encode("utf-16-le"),
    "UTF-32": table().encode("utf-32"),
    "Excel ANSI": table(";", number=german).encode("cp1252"),
    "separator told": f"sep=;\n{table(';')}".encode(),
    "comma at the end": table(tail=",").encode(),
    "commas at the end": table(tail=",,,").encode(),
    "comma at the end, header too": table(tail=",", head=("case", "f1", "")).encode(),
    "quoted": table(quote='"').encode(),
    "quoted decimal comma": table(number=german, quote='"').encode(),
    "blanks": table(", ", head=(" case ", " f1")).encode(),
    "hard blanks": table(head=("case\u00a0", "f1")).encode(),
    "upper case": table(head=("Case", "F1")).encode(),
    "all upper case": table(head=("CASE", "F1")).encode(),
    "empty lines": b"\n" + table(eol="\n\n").encode() + b"\n,\n",
    "no line end": table().rstrip("\n").encode(),
}


@pytest.mark.parametrize("data", DIALECTS.values(), ids=DIALECTS)
def test_one_table_in_all_dialects(tmp_path, data):
    path = tmp_path / "mine.csv"
    path.write_bytes(data)
    found = read_source(path, ScoreChoice())
    assert found["case"].tolist() == CASES
    assert found["value"].tolist() == VALUES
    assert len(found.attrs["warnings"]) == (data == DIALECTS["Excel ANSI"])


def test_pandas_row_numbers_are_passed_over(tmp_path):
    pd.DataFrame({"case": CASES, "f1": VALUES}).to_csv(tmp_path / "mine.csv")
    found = read_source(tmp_path / "mine.csv", ScoreChoice())
    assert found["case"].tolist() == CASES
    assert "a column without a name" in found.attrs["warnings"][0]


# What is refused, and what the message names.
REFUSED = {
    "unquoted decimal comma": (table(number=german).encode(), "a decimal comma may split numbers"),
    "open quote": (b'case,f1\n"a,0.5\nb,0.4\n', "quotation mark may be open"),
    "empty": (b"", "it is empty; it needs a header"),
    "only blanks": (b"\n \n", "it is empty; it needs a header"),
    "one name twice": (b"case,f1,F1\na,1,0\n", "columns f1 occur more than once"),
    "short row": (b"case,f1,dice\na,0.5\n", "line 2: the number of fields differs"),
    "long row": (
        b"case,f1\na,0.5,x\n",
        r"number of fields differs.*\(3 and 2\); quote",
    ),
    "bytes": (bytes(range(256)), "no text in UTF-8, UTF-16 or Windows-1252.*CSV UTF-8"),
    "percent": (b"case,f1\na,72.5\n", "divided by 100"),
    "thousands": (b"case;f1\na;1.000,5\n", r"has f1 '1\.000,5' for case 'a'"),
    "infinity": (b"case,f1\na,inf\n", "has f1 'inf' for case 'a'"),
}


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED)
def test_what_would_be_a_guess_is_refused(tmp_path, data, message):
    path = tmp_path / "mine.csv"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=message) as caught:
        read_source(path, ScoreChoice())
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("missing", ["", "NA", "nan", "NaN", "n/a", "None", "-"])
def test_a_missing_score_is_missing_however_written(tmp_path, missing):
    (tmp_path / "mine.csv").write_text(f"case,f1\na,0.5\nb,{missing}\n")
    found = read_source(tmp_path / "mine.csv", ScoreChoice())
    assert found["value"].isna().tolist() == [False, True]


@pytest.mark.parametrize("name", ["mean", "Mean", " AVERAGE", "Mittelwert:", "std", "Total"])
def test_a_summary_row_is_warned_of_and_left_out(tmp_path, name):
    (tmp_path / "mine.csv").write_text(f"case,f1\na,0.5\nb,0.7\n{name},0.6\nmedian,0.6\n")
    found = read_source(tmp_path / "mine.csv", ScoreChoice())
    assert found["case"].tolist() == ["a", "b"]
    (warning,) = found.attrs["warnings"]
    assert f"a row called '{name.strip()}', 'median' is taken for a summary" in warning


def test_a_summary_row_of_each_method_is_left_out(tmp_path):
    rows = "".join(f"{m},a,0.5\n{m},b,0.7\n{m},mean,0.6\n" for m in "pq")
    (tmp_path / "mine.csv").write_text(f"method,case,f1\n{rows}")
    assert set(read_source(tmp_path / "mine.csv", ScoreChoice())["case"]) == {"a", "b"}


def test_a_case_that_is_only_called_so_is_kept_with_a_warning(tmp_path):
    (tmp_path / "mine.csv").write_text("case,f1\na,0.5\nmean,0.7\nb,0.6\n")
    found = read_source(tmp_path / "mine.csv", ScoreChoice())
    assert found["case"].tolist() == ["a", "mean", "b"]
    assert "is taken for a case, as cases follow" in found.attrs["warnings"][0]


@pytest.mark.parametrize("written", ["0.7", "0.70", "0,7", repr(0.1 * 7), "0.69999999999"])
def test_thresholds_are_compared_with_tolerance(tmp_path, written):
    (tmp_path / "mine.csv").write_text(f"case;threshold;f1\na;{written};0.5\na;0.9;0.1\n")
    assert read_source(tmp_path / "mine.csv", ScoreChoice(threshold=0.7))["value"].tolist() == [0.5]


def test_one_threshold_given_twice_counts_once():
    assert check_thresholds([0.5, 0.3, 0.1 + 0.2, 0.5]) == (0.5, 0.3)


@pytest.mark.parametrize("threshold", [0, -1, 1.5, float("nan"), float("inf")])
def test_a_threshold_that_is_none_is_refused(threshold):
    with pytest.raises(SourceError, match=r"threshold .* is not above 0 and at most 1"):
        ScoreChoice(threshold=threshold)


def test_numbers_that_are_none():
    for value in ("abc", "1,2,3", "1e", "inf", "0x10", "1_0", "٣"):
        with pytest.raises(ValueError, match="is no number"):
            number_of(value)


def test_the_shared_case_is_compared_in_each_dialect(shared, tmp_path, monkeypatch):
    folder = shared / "cases" / "compare_csv_dialects"
    if not folder.is_dir():
        pytest.skip("needs ../shared/cases, which is not here")
    monkeypatch.chdir(tmp_path)
    source = (folder / "make.py").read_text(encoding="utf-8")
    exec(compile(source, "make.py", "exec"), {"__name__": "__main__"})
    others = {path.name for path in tmp_path.iterdir()}
    others -= {"a.csv", "a_mean_row.csv", "b_mean_row.csv", "two_trailing.csv"}
    assert len(others) == 9
    # The third column of these two holds the scores, as dice, and the second 0.1 throughout.
    f1 = read_source(tmp_path / "trailing_comma_3.csv", ScoreChoice())["value"]
    assert f1.tolist() == [0.1] * 12
    others.remove("trailing_comma_3.csv")
    for sources in [*([["a.csv", name] for name in sorted(others)]), ["two_trailing.csv"]]:
        choice = ScoreChoice("f1" if len(sources) == 2 else "dice")
        compared = compare_sources([tmp_path / name for name in sources], choice)
        (pair,) = compared.pairs.to_dict("records")
        # One case of excel_ansi.csv has another name.
        n = 11 if "excel_ansi.csv" in sources else 12
        assert pair["n_images"] == n, sources
        assert pair["estimate"] == pytest.approx(0.072, abs=0.002), sources
    rows = [tmp_path / "a_mean_row.csv", tmp_path / "b_mean_row.csv"]
    compared = compare_sources(rows, ScoreChoice())
    assert compared.pairs["n_images"].tolist() == [12]
    assert sum("a row called 'mean'" in text for text in compared.warnings) == 2


MANIFEST = "Case;Image;Label;Modality;Experiment;Split;SHA256\nNA;a.png;;DIC;e 1;test;\n"


@pytest.mark.parametrize(
    "data",
    [
        MANIFEST.encode("utf-8-sig"),
        MANIFEST.replace(";", "\t").encode("utf-16"),
        MANIFEST.replace(";", ",").replace("test;", "test,,,").encode(),
        MANIFEST.replace("\n", ";;\r\n").encode("cp1252"),
    ],
)
def test_manifests_are_read_in_all_dialects(tmp_path, data):
    (tmp_path / "m.csv").write_bytes(data)
    (case,) = Manifest.read(tmp_path / "m.csv").cases
    assert (case.case, case.experiment, case.modality) == ("NA", "e 1", "DIC")


def test_a_manifest_that_cannot_be_read_says_why(tmp_path):
    (tmp_path / "m.csv").write_bytes(b'case,image\n"a,b')
    with pytest.raises(ManifestError, match="quotation mark may be open"):
        Manifest.read(tmp_path / "m.csv")


def test_an_excel_workbook_without_its_reader_says_how_to_export(tmp_path, monkeypatch):
    (tmp_path / "m.xlsx").write_bytes(b"PK\x03\x04" + bytes(99))
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("openpyxl"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(TableError, match=r"an Excel workbook.*pip install openpyxl.*CSV UTF-8"):
        read_brought(tmp_path / "m.xlsx", ["case"])


def test_an_excel_workbook_is_read_where_its_reader_is_installed(tmp_path):
    pytest.importorskip("openpyxl", reason="needs openpyxl, which pandas reads workbooks with")
    frame = pd.DataFrame({"Case": CASES, "F1": VALUES})
    frame.to_excel(tmp_path / "m.xlsx", index=False)
    found = read_source(tmp_path / "m.xlsx", ScoreChoice())
    assert found["case"].tolist() == CASES
    np.testing.assert_allclose(found["value"], VALUES)
    with pd.ExcelWriter(tmp_path / "two.xlsx") as writer:
        frame.to_excel(writer, sheet_name="one", index=False)
        frame.to_excel(writer, sheet_name="two", index=False)
    with pytest.raises(SourceError, match=r"2 sheets that are filled \(one, two\)"):
        read_source(tmp_path / "two.xlsx", ScoreChoice())
