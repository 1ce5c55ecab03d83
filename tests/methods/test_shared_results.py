"""Results of one method that others of the run use again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cellharness.methods.shared_results import SharedBy, SharedResults
from cellharness.methods.timing import PhaseTimer


@pytest.fixture
def opened(tmp_path):
    path = tmp_path / "shared_results.jsonl"

    def opened(method="first", versions=None, *, timed=True):
        return SharedResults(SharedBy(str(path), method), versions or {"p": "1"}, timed=timed)

    opened.path = path
    return opened


def find(results, key, value, timer=None):
    """Find under a key; gives the result, the method it is from and whether it was computed."""
    timer = timer or PhaseTimer()
    computed = []

    def compute():
        computed.append(key)
        with timer.phase("postprocess"):
            pass
        return {"px": value}

    result, method = results.find("diameter", "case", {"image": key}, timer, compute)
    return result["px"], method, bool(computed)


def test_a_result_is_computed_once_and_is_the_same_to_the_bit(opened):
    value = float(np.nextafter(30.1, 31))
    first = opened()
    assert find(first, "a", value) == (value, "", True)
    assert find(first, "a", 9.0) == (value, "first", False)
    later = opened("second")
    assert find(later, "a", 9.0) == (value, "first", False)
    assert find(later, "b", 7.0) == (7.0, "", True)
    assert find(opened("third"), "b", 9.0) == (7.0, "second", False)


def test_other_versions_find_their_own(opened):
    find(opened(), "a", 1.0)
    assert find(opened(versions={"p": "2"}), "a", 2.0) == (2.0, "", True)


def test_seconds_are_counted_in_full_and_marked_as_reused(opened):
    first, second = PhaseTimer(), PhaseTimer()
    find(opened(), "a", 1.0, first)
    assert first.reused == 0
    find(opened("second"), "a", 1.0, second)
    (line,) = map(json.loads, opened.path.read_text().splitlines())
    assert second.seconds == line["seconds"]
    assert set(line["seconds"]) == {"network", "postprocess"}
    assert second.reused == pytest.approx(sum(line["seconds"].values()))


def test_a_result_without_a_time_is_not_used_where_times_are_measured(opened):
    find(opened(timed=False), "a", 1.0)
    assert find(opened("beside", timed=False), "a", 2.0) == (1.0, "first", False)
    assert find(opened("measured"), "a", 3.0) == (3.0, "", True)
    assert find(opened("later"), "a", 4.0) == (3.0, "measured", False)


def test_what_fails_is_not_kept(opened):
    def fail():
        raise ValueError("no cells")

    with pytest.raises(ValueError, match="no cells"):
        opened().find("diameter", "case", {"image": "a"}, PhaseTimer(), fail)
    assert not opened.path.exists()


def test_a_line_that_was_cut_or_changed_is_computed_again(opened):
    find(opened(), "a", 1.0)
    find(opened(), "b", 2.0)
    whole = opened.path.read_bytes()
    opened.path.write_bytes(whole.replace(b'"px": 1.0', b'"px": 1.5')[:-20] + b"")
    later = opened("later")
    assert find(later, "a", 3.0) == (3.0, "", True)
    assert find(later, "b", 4.0) == (4.0, "", True)
    # Nor do new lines go on with the one that was cut off.
    last = opened("last")
    assert find(last, "a", 5.0) == (3.0, "later", False)
    assert find(last, "b", 5.0) == (4.0, "later", False)
    opened.path.write_bytes(b'[]\n3\n{"key": 1}\n\xff\n' + whole)
    assert find(opened(), "a", 5.0) == (1.0, "first", False)
