"""Many files: what becomes of missing, failed, unreadable and unlabelled cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tifffile

from cellharness.data.images import write_label
from cellharness.scoring import STATUSES, Job, ScoringError, score_files
from cellharness.scoring import files as files_module
from cellharness.vocabulary import METRICS

RATIOS = ("precision", "recall", "f1", "dice", "sq", "rq", "pq", "ap", "aji")
FAILED = ("error", "oom", "timeout", "unsupported", "missing")


def cells(*lefts, dtype=np.uint16):
    labels = np.zeros((30, 60), dtype)
    for number, left in enumerate(lefts, start=1):
        labels[10:16, left : left + 6] = number
    return labels


@pytest.fixture
def saved(tmp_path):
    def save(name, labels):
        write_label(tmp_path / f"{name}.tiff", labels)
        return tmp_path / f"{name}.tiff"

    return save


@pytest.fixture
def gt(saved):
    # Three cells, of which the first is at the border.
    return saved("gt", cells(0, 20, 40))


def only(jobs, **options):
    (result,) = score_files(jobs, **options)
    return result


def by_profile(result):
    return {row["profile"]: row for row in result.rows}


def test_rows_come_by_profile_and_threshold_and_in_order(gt, saved):
    pred = saved("pred", cells(20, 40))
    reported = []
    results = list(
        score_files(
            [Job(name, gt, pred, "ok") for name in "cab"],
            ("strict", "challenge"),
            (0.5, 0.9),
            progress=lambda done, total: reported.append((done, total)),
        )
    )
    assert [result.case for result in results] == ["c", "a", "b"]
    assert reported == [(1, 3), (2, 3), (3, 3)]
    rows = results[0].rows
    assert [(row["profile"], row["threshold"]) for row in rows] == [
        ("strict", 0.5),
        ("strict", 0.9),
        ("challenge", 0.5),
        ("challenge", 0.9),
    ]
    for row in rows:
        assert list(row) == ["profile", "case", "threshold", "status", *METRICS, "remarks"]
        assert (row["status"], row["tp"], row["n_true"], row["f1"]) == ("ok", 2, 2, 1.0)
    assert results[0].message == ""


def test_each_file_is_read_once(gt, saved, monkeypatch):
    read = []
    real = files_module.read_label
    monkeypatch.setattr(files_module, "read_label", lambda path: read.append(path) or real(path))
    pred = saved("pred", cells(20))
    only([Job("a", gt, pred)], profiles=("challenge", "strict"), thresholds=(0.5, 0.7, 0.9))
    assert read == [gt, pred]


@pytest.mark.parametrize("status", FAILED)
def test_failed_cases_count_against_the_method_in_strict(gt, saved, status):
    # The file that an earlier try left behind must not be scored.
    stale = saved("stale", cells(20, 40))
    result = only([Job("a", gt, stale, status)])
    rows = by_profile(result)
    strict, challenge = rows["strict"], rows["challenge"]
    assert strict["status"] == challenge["status"] == status
    counts = {name: strict[name] for name in ("n_true", "n_pred", "tp", "fp", "fn")}
    assert counts == {"n_true": 2, "n_pred": 0, "tp": 0, "fp": 0, "fn": 2}
    assert [strict[name] for name in RATIOS] == [0.0] * 9
    assert all(math.isnan(challenge[name]) for name in METRICS)
    assert result.message == f"the run recorded {status!r}"


@pytest.mark.parametrize("status", [None, "ok", "empty"])
def test_a_prediction_that_is_not_there_is_missing(gt, tmp_path, status):
    for pred, message in ((None, "no prediction"), (tmp_path / "gone.tiff", "gone.tiff")):
        result = only([Job("a", gt, pred, status)])
        assert {row["status"] for row in result.rows} == {"missing"}
        assert by_profile(result)["strict"]["fn"] == 2
        assert message in result.message


@pytest.mark.parametrize("status", [None, "ok", "empty"])
def test_the_file_tells_whether_a_prediction_is_empty(gt, saved, status):
    empty = by_profile(only([Job("a", gt, saved("empty", cells()), status)]))
    assert {row["status"] for row in empty.values()} == {"empty"}
    # The official script forgets the missed cells, strict does not.
    assert (empty["challenge"]["fn"], empty["strict"]["fn"]) == (0, 2)
    assert empty["challenge"]["f1"] == empty["strict"]["f1"] == 0.0
    some = only([Job("a", gt, saved("some", cells(20)), status)])
    assert {row["status"] for row in some.rows} == {"ok"}


def test_a_prediction_with_border_cells_only_is_not_empty(gt, saved):
    result = only([Job("a", gt, saved("pred", cells(0)))], profiles="strict")
    assert (result.rows[0]["status"], result.rows[0]["n_pred"]) == ("ok", 0)


def truncated(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def test_an_unreadable_prediction_is_an_error_of_its_case_only(gt, saved, tmp_path):
    good = saved("good", cells(20, 40))
    broken = saved("broken", np.random.default_rng(0).integers(0, 99, (30, 60)).astype(np.uint16))
    truncated(broken)
    floats = tmp_path / "floats.tiff"
    tifffile.imwrite(floats, np.full((30, 60), 0.5, np.float32))
    stack = tmp_path / "stack.npy"
    np.save(stack, np.zeros((7, 30, 60), np.uint16))
    shape = saved("shape", np.zeros((30, 61), np.uint8))
    jobs = [Job(p.stem, gt, p, "ok") for p in (broken, floats, good, stack, shape)]
    results = {result.case: result for result in score_files(jobs)}
    assert by_profile(results["good"])["strict"]["f1"] == 1.0
    for name, reason in {
        "broken": "broken.tiff",
        "floats": "float32",
        "stack": r"(7, 30, 60)",
        "shape": "pred has shape (30, 61)",
    }.items():
        rows = by_profile(results[name])
        assert rows["strict"]["status"] == rows["challenge"]["status"] == "error"
        assert (rows["strict"]["n_true"], rows["strict"]["fn"], rows["strict"]["f1"]) == (2, 2, 0.0)
        assert math.isnan(rows["challenge"]["f1"])
        assert reason in results[name].message


def test_an_unreadable_truth_is_an_error_with_unknown_counts(saved, tmp_path):
    result = only([Job("a", tmp_path / "gone.tiff", saved("pred", cells(20)))])
    strict = by_profile(result)["strict"]
    assert (strict["status"], strict["f1"], strict["tp"]) == ("error", 0.0, 0)
    assert math.isnan(strict["n_true"])
    assert math.isnan(strict["fn"])
    assert "gone.tiff" in result.message


@pytest.mark.parametrize(("status", "expected"), [("ok", "ok"), ("oom", "oom"), (None, "missing")])
def test_a_case_without_truth_keeps_its_rows(saved, status, expected):
    pred = saved("pred", cells(20)) if status == "ok" else None
    result = only([Job("a", None, pred, status)])
    assert len(result.rows) == 2
    for row in result.rows:
        assert row["status"] == expected
        assert all(math.isnan(row[name]) for name in METRICS)
    assert "no truth" in result.message


def test_one_profile_may_fail_alone(tmp_path):
    labels = cells(20, 40, dtype=np.uint32)
    labels[labels > 0] += np.uint32(3_000_000_000)
    path = tmp_path / "huge.npy"
    np.save(path, labels)
    result = only([Job("a", path, path)])
    rows = by_profile(result)
    assert (rows["strict"]["status"], rows["strict"]["f1"]) == ("ok", 1.0)
    assert rows["challenge"]["status"] == "error"
    assert math.isnan(rows["challenge"]["f1"])
    assert result.message.startswith("challenge: The official script fails")


def test_strict_options_reach_the_scores(gt, saved):
    pred = saved("pred", cells(0, 20, 40))
    whole = only([Job("a", gt, pred)], profiles="strict", border=0)
    assert whole.rows[0]["n_true"] == 3
    failed = only([Job("a", gt, pred, "oom")], profiles="strict", border=0)
    assert failed.rows[0]["fn"] == 3
    empty = saved("empty", cells())
    none = only([Job("a", empty, empty)], profiles=("challenge", "strict"), both_empty="nan")
    assert math.isnan(by_profile(none)["strict"]["f1"])
    assert by_profile(none)["challenge"]["f1"] == 0.0


def test_a_case_whose_worker_died_is_an_error(gt, monkeypatch):
    def second_worker_dies(task, jobs, workers, lost):
        assert workers == 2
        yield 1, lost(jobs[1])
        yield 0, task(jobs[0])

    monkeypatch.setattr(files_module, "run_in_processes", second_worker_dies)
    first, second = score_files([Job("a", gt, gt), Job("b", gt, gt)], workers=2)
    assert by_profile(first)["strict"]["f1"] == 1.0
    rows = by_profile(second)
    assert rows["strict"]["status"] == rows["challenge"]["status"] == "error"
    assert (rows["strict"]["f1"], second.case) == (0.0, "b")
    assert math.isnan(rows["strict"]["fn"])
    assert "worker process died" in second.message


@pytest.mark.parametrize(
    ("job_status", "options", "message"),
    [
        ("lost", {}, f"a: unknown status 'lost'; valid are {', '.join(STATUSES)}"),
        (None, {"workers": 0}, "workers must be a whole number, 1 or more, not 0"),
        (None, {"workers": 1.5}, "not 1.5"),
        (
            None,
            {"profiles": ("strict", "exact")},
            "unknown score profile 'exact'. Valid: challenge, strict",
        ),
        (None, {"thresholds": 2}, "2.0 is not in"),
        (None, {"both_empty": "maybe"}, "'maybe'"),
    ],
)
def test_bad_options_are_refused_at_the_call(gt, job_status, options, message):
    with pytest.raises(ScoringError, match=message):
        score_files([Job("a", gt, gt, job_status)], **options)


def test_no_jobs_give_no_scores():
    assert list(score_files([], workers=2)) == []
