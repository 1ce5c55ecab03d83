"""A method's process against what goes wrong in it, while loading and afterwards."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from cellharness.data.manifest import Case
from cellharness.files import hash_file
from cellharness.running.process import MethodProcess, WorkerStartError
from cellharness.running.worker import MethodSpec, Task
from cellharness.vocabulary import NOT_LOADED

# Counts how often it was loaded, and does what the word for that load, or for the case, says.
SCRIPTED = """
    import os, signal, threading, time
    from pathlib import Path
    from cellharness.methods.base import BaseSegmenter, MethodInfo, Parameters

    meeting = threading.Barrier(3)

    def act(word):
        if word == "meet":
            meeting.wait(20)
        if word == "memory":
            raise MemoryError("too much")
        if word == "cuda memory":
            raise RuntimeError("CUDA error: out of memory")
        if word == "cuda":
            raise RuntimeError("CUDA error: device-side assert triggered")
        if word == "wrong":
            raise ValueError("no such thing")
        if word == "die":
            os._exit(3)
        if word == "hang":
            time.sleep(60)
        if word == "nap":
            time.sleep(3)
        if word == "short nap":
            time.sleep(0.5)
        if word == "leave":
            raise SystemExit(1)
        if word == "killed":
            os.kill(os.getpid(), signal.SIGKILL)

    class OwnParameters(Parameters):
        folder: Path
        loads: tuple[str, ...] = ()
        replicas: bool = True

    class Scripted(BaseSegmenter):
        info = MethodInfo(summary="Does as told.", licence="MIT")
        Parameters = OwnParameters

        def load(self):
            count = len(list(self.parameters.folder.iterdir()))
            (self.parameters.folder / f"{count}").touch()
            act(self.parameters.loads[count] if count < len(self.parameters.loads) else "")

        def replica(self):
            return self.own_copy() if self.parameters.replicas else None

        def begin_case(self, case):
            act(case.experiment)
            self._details = {"pid": os.getpid(), "case": case.case}

        def segment(self, image):
            return (image > 0).astype("uint8")
"""


@pytest.fixture
def scripted(installed, tmp_path):
    """Make the process of a method that follows a script; gives it and its number of loads."""
    installed(SCRIPTED, {"cellharness.methods": {"scripted": "Scripted"}})
    image, folder = tmp_path / "image.npy", tmp_path / "loads"
    np.save(image, np.ones((8, 8), np.uint8))
    folder.mkdir()
    made = []

    def make(*loads, timeout_s=30.0, load_timeout_s=60.0, memory_gb=None, at_once=1, replicas=True):
        parameters = {"folder": str(folder), "loads": loads, "replicas": replicas}
        spec = MethodSpec("scripted", parameters, None, 0, at_once=at_once)
        made.append(MethodProcess(spec, timeout_s, load_timeout_s, memory_gb))
        return made[-1]

    def task(word, name="m"):
        case = Case(name, image, None, None, "", word or "fine", "test", "")
        return Task(case, tmp_path / f"{name}.tif")

    make.loads = lambda: len(list(folder.iterdir()))
    make.task = task
    yield make
    for process in made:
        process.stop()


def statuses(process, scripted, *words):
    return [process.segment(scripted.task(word)).status for word in words]


@pytest.mark.parametrize(
    ("word", "limits", "status", "message"),
    [
        ("memory", {}, "oom", "MemoryError: too much"),
        ("cuda memory", {}, "oom", "CUDA error: out of memory"),
        ("hang", {"load_timeout_s": 4.0}, "timeout", "within 4 s"),
        ("wrong", {}, "error", "ValueError: no such thing"),
        ("die", {}, "error", "exit code 3"),
    ],
)
def test_a_failure_while_loading_keeps_its_own_status(scripted, word, limits, status, message):
    process = scripted(word, **limits)
    with pytest.raises(WorkerStartError, match=f"^{NOT_LOADED}: ") as failure:
        process.start()
    assert failure.value.outcome.status == status
    assert message in failure.value.outcome.message
    assert failure.value.outcome.seconds["load"] > 0


def test_a_method_that_never_loaded_is_not_tried_again(scripted):
    process = scripted("memory")
    outcomes = [process.segment(scripted.task("")) for _ in range(3)]
    assert [outcome.status for outcome in outcomes] == ["oom"] * 3
    assert scripted.loads() == 1
    # The time was spent once.
    assert outcomes[0].seconds["load"] > 0
    assert not outcomes[1].seconds


@pytest.mark.slow
def test_one_failed_reload_costs_one_case(scripted):
    process = scripted("", "hang", load_timeout_s=15.0, timeout_s=2.0)
    assert statuses(process, scripted, "", "hang", "", "", "") == [
        *("ok", "timeout", "timeout", "ok", "ok")
    ]
    assert scripted.loads() == 3


@pytest.mark.slow
def test_two_failed_reloads_in_a_row_end_the_method(scripted):
    process = scripted("", "wrong", "memory")
    assert statuses(process, scripted, "", "die", "", "", "", "") == [
        *("ok", "error", "error", "oom", "oom", "oom")
    ]
    assert scripted.loads() == 3


@pytest.mark.slow
def test_failed_reloads_are_counted_only_in_a_row(scripted):
    process = scripted("", "wrong", "", "wrong", "")
    found = statuses(process, scripted, "die", "", "", "die", "", "")
    assert found == ["error", "error", "ok", "error", "error", "ok"]


@pytest.mark.parametrize(
    ("word", "status", "loads"),
    [("memory", "oom", 2), ("cuda memory", "oom", 2), ("cuda", "error", 2), ("wrong", "error", 1)],
)
def test_a_process_that_may_be_unsound_is_not_used_again(scripted, word, status, loads):
    process = scripted()
    first, second, third = (process.segment(scripted.task(w)) for w in ("", word, ""))
    assert (first.status, second.status, third.status) == ("ok", status, "ok")
    assert scripted.loads() == loads
    assert (first.details["pid"] != third.details["pid"]) == (loads == 2)
    assert ("load" in third.seconds) == (loads == 2)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_the_system_ends_the_worker_first_when_memory_runs_out(scripted):
    process = scripted()
    pid = process.segment(scripted.task("")).details["pid"]
    assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "1000"
    assert Path("/proc/self/oom_score_adj").read_text().strip() != "1000"
    process.stop()
    assert not psutil.pid_exists(pid)


def at_once(process, scripted, *words):
    """Outcomes of cases named 0, 1, ... in the order in which they came."""
    tasks = [scripted.task(word, str(number)) for number, word in enumerate(words)]
    outcomes = {}
    for task, outcome in process.segment_each(tasks):
        assert task.case.case not in outcomes
        outcomes[task.case.case] = outcome
        # A mask is there if and only if the outcome says so, at once and not at the end.
        assert task.prediction.is_file() == (outcome.status == "ok")
        if outcome.status == "ok":
            assert outcome.details["case"] == task.case.case
            assert outcome.prediction_sha256 == hash_file(task.prediction)
    assert sorted(outcomes, key=int) == [task.case.case for task in tasks]
    return outcomes


def in_turn(outcomes):
    return [outcomes[name].status for name in sorted(outcomes, key=int)]


def test_cases_are_segmented_at_the_same_time(scripted):
    process = scripted(at_once=3)
    # Each waits until three are there; one after another they would fail.
    outcomes = at_once(process, scripted, *["meet"] * 6)
    assert in_turn(outcomes) == ["ok"] * 6
    assert scripted.loads() == 1
    assert len({outcome.details["pid"] for outcome in outcomes.values()}) == 1


def test_a_case_that_takes_long_keeps_no_other_waiting(scripted):
    words = ["nap", *[""] * 5]
    names = list(at_once(scripted(at_once=2), scripted, *words))
    assert names[-1] == "0"


def test_cases_at_once_are_no_measure_of_time_and_memory(scripted):
    outcomes = at_once(scripted(at_once=2), scripted, "", "")
    for outcome in outcomes.values():
        assert math.isnan(outcome.seconds["total"])
        assert math.isnan(outcome.seconds["network"])
        assert outcome.peak_host_mb is None
        assert outcome.details["cases_at_once"] == 2
        assert outcome.details["seconds"]["total"] > 0
    # Loading was before them, and is measured.
    loads = [outcome.seconds["load"] for outcome in outcomes.values() if "load" in outcome.seconds]
    assert len(loads) == 1
    assert loads[0] > 0


def test_a_method_without_replicas_segments_one_case_after_another(scripted):
    outcomes = at_once(scripted(at_once=3, replicas=False), scripted, "", "", "")
    assert list(outcomes) == ["0", "1", "2"]
    assert all(outcome.seconds["total"] > 0 for outcome in outcomes.values())
    assert not any("cases_at_once" in outcome.details for outcome in outcomes.values())


def test_a_case_that_raises_costs_no_other_and_no_restart(scripted):
    outcomes = at_once(scripted(at_once=3), scripted, "", "wrong", "", "")
    assert in_turn(outcomes) == ["ok", "error", "ok", "ok"]
    assert outcomes["1"].message.startswith("ValueError: no such thing")
    assert scripted.loads() == 1


@pytest.mark.parametrize(
    ("word", "status", "message"),
    [
        ("die", "error", "exit code 3"),
        ("leave", "error", "exit code"),
        ("killed", "oom", "killed from outside"),
        ("memory", "oom", "MemoryError"),
        ("cuda", "error", "device-side assert"),
        pytest.param("hang", "timeout", "within 4 s", marks=pytest.mark.slow),
    ],
)
def test_of_cases_at_once_only_the_guilty_one_fails(scripted, word, status, message):
    words = ["", "short nap", word, "short nap", "", ""]
    outcomes = at_once(scripted(at_once=3, timeout_s=4.0), scripted, *words)
    assert in_turn(outcomes) == ["ok", "ok", status, "ok", "ok", "ok"]
    assert message in outcomes["2"].message
    # What one after another gives, message and all.
    alone = scripted(timeout_s=4.0).segment(scripted.task(word, "2"))
    assert (alone.status, alone.message) == (outcomes["2"].status, outcomes["2"].message)


def test_after_memory_ran_out_there_are_half_as_many_at_once(scripted):
    process = scripted(at_once=4)
    outcomes = at_once(process, scripted, "", "memory", *[""] * 8)
    assert in_turn(outcomes).count("ok") == 9
    assert process.spec.at_once == 2
    assert outcomes["9"].details["cases_at_once"] == 2


def test_a_method_that_does_not_load_fails_every_case_of_many(scripted):
    outcomes = at_once(scripted("memory", at_once=3), scripted, "", "", "")
    assert in_turn(outcomes) == ["oom"] * 3
    assert scripted.loads() == 1


def test_who_stops_asking_ends_the_process(scripted):
    process = scripted(at_once=2)
    tasks = (scripted.task("" if n == 0 else "hang", str(n)) for n in range(4))
    asking = process.segment_each(tasks)
    task, outcome = next(asking)
    assert (task.case.case, outcome.status) == ("0", "ok")
    pid = outcome.details["pid"]
    asking.close()
    process.stop()
    assert not psutil.pid_exists(pid)
