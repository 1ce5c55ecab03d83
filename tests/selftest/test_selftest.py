"""The self test tells right from wrong, one part's end is no other's, and its table is true."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import gpu_table
from cellharness.cli import main
from cellharness.errors import UsageError
from cellharness.methods.self_check import SelfCheck
from cellharness.selftest import (
    Part,
    Result,
    Seen,
    gpu_tests,
    plan,
    read_results,
    run,
    write_results,
)
from cellharness.selftest.images import QUICK, embedded
from cellharness.selftest.prediction import check_of, compared, try_prediction
from cellharness.selftest.session import in_child

METHODS = """
    import os, time
    import numpy as np
    from cellharness.methods.base import BaseSegmenter, MethodInfo, Parameters
    from cellharness.methods.self_check import SelfCheck

    class Base(BaseSegmenter):
        info = MethodInfo(summary="For a test.", licence="MIT", limits="None.")
        self_check = "throwaway:NOTHING_FOUND"

        def segment(self, image):
            return np.zeros(image.shape, np.uint8)

    class Derived(Base):
        pass

    class Dies(Base):
        self_check = "throwaway:NOTHING_FOUND"

        def segment(self, image):
            os._exit(7)

    class Hangs(Base):
        self_check = "throwaway:NOTHING_FOUND"

        def segment(self, image):
            time.sleep(600)

    class Raises(Base):
        self_check = "throwaway:NOTHING_FOUND"

        def segment(self, image):
            raise ValueError("broken on purpose")

    class Wrong(Base):
        self_check = "throwaway:MUCH_FOUND"

    class Unlike(Base):
        self_check = "throwaway:UNLIKE"

    class Choice(Parameters):
        device: str = "cpu"

    class Timed(Base):
        Parameters = Choice
        self_check = "throwaway:TIMED"

    def nothing(parameters, device, *, exact):
        return lambda image: np.zeros(image.shape, np.uint8)

    def library(parameters, device, *, exact):
        return lambda image: np.ones(image.shape, np.uint8)

    NOTHING_FOUND = SelfCheck({}, f1=0.0)
    MUCH_FOUND = SelfCheck({}, f1=0.5)
    TIMED = SelfCheck({}, f1=0.0, library="throwaway:nothing")
    UNLIKE = SelfCheck({}, f1=0.0, library="throwaway:library")
"""
NAMES = ("base", "derived", "dies", "hangs", "raises", "wrong", "unlike", "timed")


@pytest.fixture
def throwaway(installed):
    points = {name: name.capitalize() for name in NAMES}
    return installed(METHODS, {"cellharness.methods": points})


@pytest.fixture
def part(tmp_path):
    return Part("method", "base", "cpu", folder=str(tmp_path))


def test_the_embedded_images_are_one_a_modality_and_need_no_imagecodecs(tmp_path):
    cases = embedded(tmp_path)
    assert len(cases) == len(QUICK)
    assert len({case.modality for case in cases}) == len(QUICK)
    assert {case.image.suffix for case in cases} == {".tif"}


@pytest.mark.parametrize(
    ("name", "status"), [("base", "passed"), ("wrong", "failed"), ("unlike", "failed")]
)
def test_other_cells_than_expected_or_than_the_librarys_fail(throwaway, part, name, status):
    result = try_prediction(replace(part, name=name))
    assert result.status == status
    assert not result.measured
    if name == "unlike":
        assert "cells of the library" in result.message


def test_what_is_measured_is_compared_with_the_library_and_the_cpu(throwaway, part):
    result = try_prediction(replace(part, name="timed", measured=True))
    assert result.status == "passed"
    assert [each.what for each in result.seen] == [
        "mean F1 on the embedded images",
        "cells of the library",
        "cells of the CPU's masks",
        "cells on the CPU and here",
    ]
    measured = result.measured
    assert measured["images_per_s"] == pytest.approx(1 / measured["s_per_image"])
    assert measured["times_the_library"] > 0
    assert measured["cpu_s_per_image"] > 0
    assert "allocator_peak_mb" in measured


def test_masks_of_two_devices_are_compared():
    one = np.zeros((40, 40), np.uint32)
    one[10:20, 10:20] = 1
    other = np.roll(one, 15, axis=0)
    assert compared([one], [one], 0.9)[0].ok
    found = compared([one, one], [one, other], 0.9)[0]
    assert not found.ok
    assert "equal on 1 of 2" in found.value


def test_a_part_that_dies_or_raises_costs_no_other(throwaway, part, tmp_path):
    told = []
    parts = [replace(part, name=name) for name in ("dies", "raises", "base")]
    results = run(parts, None, told.append)
    assert [result.status for result in results] == ["error", "error", "passed"]
    assert "code 7" in results[0].message
    assert "broken on purpose" in results[1].message
    assert told == results


def test_a_part_that_hangs_is_ended(throwaway, part, tmp_path):
    result = in_child(replace(part, name="hangs"), tmp_path, 15)
    assert (result.status, result.part) == ("timeout", "method hangs")


def test_what_has_no_time_left_is_skipped(throwaway, part, monkeypatch):
    clock = iter([0.0, 100.0])
    monkeypatch.setattr("cellharness.selftest.session.time.monotonic", lambda: next(clock))
    (result,) = run([part], 1, [].append)
    assert result.status == "skipped"
    with pytest.raises(UsageError, match="minutes must be above 0, not 0"):
        run([part], 0, [].append)


def test_a_check_is_not_inherited_and_what_is_not_ready_says_why(throwaway):
    parts, skipped = plan("cpu", measured=False, only=["base", "derived", "container"])
    assert [each.name for each in parts] == ["base"]
    assert {each.part: each.message for each in skipped} == {
        "method derived": "it brings no self check",
        "method container": "it brings no self check",
    }
    with pytest.raises(UsageError, match="base"):
        plan("cpu", measured=False, only=["bas"])


def test_of_a_gpu_only_what_can_run_on_one_is_measured():
    parts, _ = plan("cpu", measured=True, only=["otsu-watershed", "kit-ge", "tests"])
    check = check_of("kit-ge")
    trainings = [("training", "kit-ge", n) for n in range(len(check.trainings))]
    found = [(each.kind, each.name, each.number) for each in parts if each.kind != "tests"]
    assert found in (trainings, [])
    assert parts[0].kind == "tests"


def test_without_a_gpu_the_gpu_test_is_refused(capsys, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as stop:
        main(["selftest", "--gpu"])
    assert stop.value.code == 2
    assert "no CUDA GPU" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", [["--device", "cpu"], ["--gpu", "--device", "tpu"], ["--images", "m.csv"]], ids=str
)
def test_options_that_mean_nothing_are_refused(wrong):
    with pytest.raises(SystemExit) as stop:
        main(["selftest", *wrong])
    assert stop.value.code == 2


def test_the_command_says_and_writes_what_it_found(throwaway, tmp_path, capsys):
    arguments = ["selftest", "--only", "otsu-watershed", "--out", str(tmp_path / "out")]
    main_ends(arguments, 0)
    assert "1 passed, 0 failed" in capsys.readouterr().out
    content = read_results(tmp_path / "out" / "selftest.json")
    assert not content["rehearsal"]
    assert content["parts"][0]["status"] == "passed"
    assert "otsu-watershed | passed" in (tmp_path / "out" / "selftest.md").read_text()
    main_ends(["selftest", "--only", "wrong"], 1)


def main_ends(arguments, code):
    try:
        main(arguments)
    except SystemExit as stop:
        assert (stop.code or 0) == code  # noqa: PT017


XML = """<testsuites><testsuite>
<testcase classname="tests.a" name="good" time="1.25"/>
<testcase classname="tests.a" name="bad"><failure message="assert 1 == 2&#10;more"/></testcase>
<testcase classname="tests.a" name="off"><skipped message="needs x"/></testcase>
</testsuite></testsuites>"""


def test_results_of_pytest_are_read(tmp_path):
    (tmp_path / "tests.xml").write_text(XML)
    good, bad, off = gpu_tests.read_junit(tmp_path / "tests.xml")
    assert (good.what, good.value, good.ok) == ("a: good", "passed in 1.2 s", True)
    assert (bad.value, bad.ok) == ("failed: assert 1 == 2", False)
    assert (off.value, off.ok) == ("skipped: needs x", True)


def test_files_with_gpu_tests_are_found_without_importing_the_others():
    found = gpu_tests.files_with_gpu_tests(gpu_tests.tests_of_this_copy())
    assert {path.name for path in found} >= {"test_gpu_training.py", "test_cellpose.py"}
    assert not [path for path in found if "report" in path.parts]


@pytest.fixture
def measured(tmp_path):
    timed = {"images": 4, "rounds": 2, "images_per_s": 3.5, "driver_peak_mb": None}
    results = [
        Result("method x", "passed", "", 2.0, [Seen("cells", "equal")], timed),
        Result("method y", "skipped", "not | installed"),
    ]
    write_results(tmp_path, results, device="cuda", measured=True)
    return tmp_path / "selftest.json"


def test_the_table_has_what_was_measured_and_nothing_else(measured):
    text = measured.with_suffix(".md").read_text()
    assert "| method x | 4 images, best of 2 | 3.50 |  |" in text
    assert "| method y | skipped | 0 | not / installed |" in text
    assert "crops/s" not in text
    assert "Rehearsal" not in text


def test_a_rehearsal_is_marked_and_never_taken_into_the_page(measured, tmp_path):
    kept = tmp_path / "kept.json"
    gpu_table.keep(measured, kept)
    assert "method x" in gpu_table.block(kept)
    content = json.loads(measured.read_text())
    measured.write_text(json.dumps({**content, "rehearsal": True, "device": "cpu"}))
    with pytest.raises(UsageError, match="of no GPU"):
        gpu_table.keep(measured, kept)
    measured.write_text("{}")
    with pytest.raises(UsageError, match=r"no selftest\.json"):
        gpu_table.keep(measured, kept)


def test_parts_of_two_tests_of_one_kind_of_gpu_can_be_joined(measured, tmp_path):
    kept = tmp_path / "kept.json"
    content = json.loads(measured.read_text())
    content["environment"]["machine"]["gpus"] = [{"name": "One", "memory": "1"}]
    content["written"] = "2026-01-01T10:00:00+00:00"
    content["parts"].append({**content["parts"][0], "part": "method z"})
    measured.write_text(json.dumps(content))
    gpu_table.keep(measured, kept)
    content["written"] = "2026-01-02T10:00:00+00:00"
    for part in content["parts"]:
        part["seconds"] = 7.0
    measured.write_text(json.dumps(content))
    gpu_table.keep(measured, kept, parts=["method x"])
    seconds = {part["part"]: part["seconds"] for part in json.loads(kept.read_text())["parts"]}
    assert (seconds["method x"], seconds["method z"]) == (7.0, 2.0)
    assert "From 2026-01-01 10:00" in gpu_table.block(kept)
    assert ": method z; the rest from 2026-01-02 10:00." in gpu_table.block(kept)
    # A third test leaves the first one's day to what stays of it.
    content["written"] = "2026-01-03T10:00:00+00:00"
    content["parts"].append({**content["parts"][0], "part": "method w"})
    measured.write_text(json.dumps(content))
    gpu_table.keep(measured, kept, parts=["method x", "method w"])
    assert "From 2026-01-01 10:00" in gpu_table.block(kept)
    assert ": method z; the rest from 2026-01-03 10:00." in gpu_table.block(kept)
    assert "method w" in {part["part"] for part in json.loads(kept.read_text())["parts"]}
    with pytest.raises(UsageError, match="no part method q; there are: method x"):
        gpu_table.keep(measured, kept, parts=["method q"])
    content["environment"]["machine"]["gpus"] = [{"name": "Other", "memory": "1"}]
    measured.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="do not stand in one table"):
        gpu_table.keep(measured, kept, parts=["method x"])


def test_the_page_holds_what_is_kept():
    page = gpu_table.PAGE.read_text(encoding="utf-8")
    remedy = "make it anew with: python tests/gpu_table.py"
    assert gpu_table.with_block(page, gpu_table.block()) == page, remedy
    assert gpu_table.block() in page, remedy


def test_a_check_says_nothing_where_there_is_nothing():
    check = SelfCheck()
    assert check.parameters is None
    assert not check.trainings
