"""Reports rebuilt from kept run directories equal the kept ones; see frozen.py."""

from __future__ import annotations

import pytest

import frozen


@pytest.mark.slow
@pytest.mark.parametrize("name", frozen.NAMES)
def test_a_rebuilt_report_equals_the_kept_one(name, tmp_path):
    try:
        run = frozen.prepare(name, tmp_path)
    except frozen.MissingImagesError as error:
        pytest.skip(str(error))
    found = list(frozen.differences(frozen.expected(name), frozen.build(run)))
    assert not found, "\n".join(found)


def test_only_last_digits_of_numbers_may_differ():
    kept = {"tables/a.csv": "case,f1\nx,0.30000000000000004\n", "index.txt": "0.30\n"}
    assert not list(frozen.differences(kept, {**kept, "tables/a.csv": "case,f1\nx,0.3\n"}))
    for change in (
        {"tables/a.csv": "case,f1\nx,0.3001\n"},
        {"tables/a.csv": "case,f1\ny,0.30000000000000004\n"},
        {"index.txt": "0.31\n"},
        {"tables/b.csv": "new\n"},
    ):
        assert list(frozen.differences(kept, {**kept, **change}))
    page_only = {"index.txt": kept["index.txt"]}
    assert list(frozen.differences(kept, page_only)) == ["tables/a.csv: gone"]


def test_text_of_a_page_has_no_drawings_and_no_code():
    page = "<head><title>t</title></head><p>One  <b>two</b></p><svg><text>no</text></svg><script>x"
    assert frozen.text_of(page) == "One\ntwo\n"
