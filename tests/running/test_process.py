"""A method's process against what goes wrong in it, while loading and afterwards."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from cellharness.data.manifest import Case
from cellharness.running.process import MethodProcess, WorkerStartError
from cellharness.running.worker import MethodSpec, Task

# Counts how often it was loaded, and does what the word for that load, or for the case, says.
SCRIPTED = """
    import os, time
    from pathlib import Path
    from cellharness.methods.base import BaseSegmenter, MethodInfo, Parameters

    def act(word):
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

    class OwnParameters(Parameters):
        folder: Path
        loads: tuple[str, ...] = ()

    class Scripted(BaseSegmenter):
        info = MethodInfo(summary="Does as told.", licence="MIT")
        Parameters = OwnParameters

        def load(self):
            count = len(list(self.parameters.folder.iterdir()))
            (self.parameters.folder / f"{count}").touch()
            act(self.parameters.loads[count] if count < len(self.parameters.loads) else "")

        def begin_case(self, case):
            act(case.experiment)

        def segment(self, image):
            return (image > 0).astype("uint8")

        def details(self):
            return {"pid": os.getpid()}
"""


@pytest.fixture
def scripted(installed, tmp_path):
    """Make the process of a method that follows a script; gives it and its number of loads."""
    installed(SCRIPTED, {"cellharness.methods": {"scripted": "Scripted"}})
    image, folder = tmp_path / "image.npy", tmp_path / "loads"
    np.save(image, np.ones((8, 8), np.uint8))
    folder.mkdir()
    made = []

    def make(*loads, timeout_s=30.0, load_timeout_s=60.0, memory_gb=None):
        spec = MethodSpec("scripted", {"folder": str(folder), "loads": loads}, None, 0)
        made.append(MethodProcess(spec, timeout_s, load_timeout_s, memory_gb))
        return made[-1]

    def task(word):
        return Task(
            Case("c", image, None, None, "", word or "fine", "test", ""), tmp_path / "m.tif"
        )

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
    with pytest.raises(WorkerStartError, match="did not load") as failure:
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
