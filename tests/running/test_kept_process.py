"""Methods that follow each other in one process, beside methods with a process each."""

from __future__ import annotations

import signal
import textwrap
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

from cellharness.config.run import LimitsConfig, load_config
from cellharness.data.manifest import Case
from cellharness.run_directory import details_of
from cellharness.running import run
from cellharness.running.forking import _has_opened
from cellharness.running.in_turn import Wanted, in_turn
from cellharness.running.kept_process import KeptProcess
from cellharness.running.worker import MethodSpec

# Each import of what it needs leaves a line; it takes a moment, and memory.
NEEDED = """
    import os, time
    from pathlib import Path
    import numpy as np

    with (Path(__file__).parent / "imports").open("a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(1)
    held = np.ones(100 * 2**20, np.float32)
"""

METHOD = """
    import os, signal, sys, time
    from cellharness.methods.base import BaseSegmenter, MethodInfo

    seen = []

    class Sharing(BaseSegmenter):
        info = MethodInfo(summary="Does as told.", licence="MIT")
        imports = ("needed", "missing_package")

        def load(self):
            import needed
            seen.append(self)

        def begin_case(self, case):
            word = case.experiment
            if word == "nap":
                time.sleep(0.5)
            if word == "hang":
                time.sleep(60)
            if word.startswith("exit"):
                os._exit(int(word.removeprefix("exit")))
            if word.startswith("signal"):
                os.kill(os.getpid(), int(word.removeprefix("signal")))
            self._details = {"pid": os.getpid(), "parent": os.getppid(), "loaded": len(seen)}

        def segment(self, image):
            return (image > 0).astype("uint8")

    class Other(Sharing):
        imports = ("needed",)

    class Alone(Sharing):
        imports = ()
"""


@pytest.fixture
def sharing(installed, tmp_path):
    """Run a method on cases, each a word that says what happens; gives (statuses, details)."""
    entry = {"sharing": "Sharing", "other": "Other", "alone": "Alone"}
    place = installed(METHOD, {"cellharness.methods": entry}).parent
    (place / "needed.py").write_text(textwrap.dedent(NEEDED))
    image = tmp_path / "image.npy"
    np.save(image, np.ones((8, 8), np.uint8))

    def wanted(number, word):
        case = Case(f"c{number}", image, None, None, "", word, "test", "")
        return Wanted(case, "", "", tmp_path / f"c{number}.tif", "")

    def segment(kept, *words, method="sharing", timeout_s=30.0, memory_gb=None, **more):
        limits = LimitsConfig(memory_gb=memory_gb)
        each = [wanted(number, word) for number, word in enumerate(words)]
        spec = MethodSpec(method, {}, None, 0, **more)
        return [outcome for _, outcome in in_turn(spec, each, timeout_s, limits, kept)]

    segment.place = place
    segment.imports = lambda: (place / "imports").read_text().split()
    with closing(KeptProcess()) as segment.kept:
        yield segment


def test_what_is_needed_is_imported_once_and_each_method_has_a_process(sharing):
    first = sharing(sharing.kept, "fine", "fine")
    second = sharing(sharing.kept, "fine")
    third = sharing(sharing.kept, "fine", at_once=2)
    outcomes = [*first, *second, *third]
    assert [outcome.status for outcome in outcomes] == ["ok"] * 4
    assert len(sharing.imports()) == 1
    pids = [outcome.details["pid"] for outcome in outcomes]
    assert pids[0] == pids[1]
    assert len(set(pids)) == 3
    assert {outcome.details["parent"] for outcome in outcomes} == {int(sharing.imports()[0])}
    # What one method left in its modules the next does not see.
    assert {outcome.details["loaded"] for outcome in outcomes} == {1}
    sharing.kept.close()
    assert not any(psutil.pid_exists(pid) for pid in (*pids, int(sharing.imports()[0])))


def test_the_time_of_imports_counts_for_each_and_was_spent_once(sharing):
    first, second = (sharing(sharing.kept, "fine")[0] for _ in range(2))
    assert "reused_seconds" not in first.details
    for outcome in (first, second):
        assert outcome.seconds["load"] >= 1
        assert outcome.seconds["total"] >= outcome.seconds["load"]
        assert outcome.seconds["first"] < 1
    assert second.details["reused_seconds"] == pytest.approx(second.seconds["reused"], abs=1e-3)
    assert second.seconds["reused"] >= 1
    assert first.seconds["phases"] >= 1 > second.seconds["phases"]


def test_memory_is_that_of_a_process_of_its_own(sharing):
    (alone,) = sharing(None, "fine")
    first, second = (sharing(sharing.kept, "fine")[0] for _ in range(2))
    for outcome in (first, second):
        assert outcome.peak_host_mb == pytest.approx(alone.peak_host_mb, rel=0.05)
    assert alone.peak_host_mb > 400
    # Nor does the process that was forked count twice against a limit.
    limit = 1.3 * alone.peak_host_mb / 1024
    assert sharing(sharing.kept, "nap", memory_gb=limit)[0].status == "ok"
    tight = sharing(sharing.kept, "nap", memory_gb=0.3)[0]
    assert tight.status == "oom"
    assert "over the limit" in tight.message


@pytest.mark.parametrize(
    ("word", "status", "message"),
    [
        ("exit3", "error", "exit code 3"),
        ("exit0", "error", "exit code 0"),
        (f"signal{int(signal.SIGSEGV)}", "error", "SIGSEGV"),
        (f"signal{int(signal.SIGKILL)}", "oom", "killed from outside"),
        ("hang", "timeout", "within 3 s"),
    ],
)
def test_a_death_costs_its_case_alone_and_is_told_as_ever(sharing, word, status, message):
    assert sharing(sharing.kept, "fine")[0].status == "ok"
    outcomes = sharing(sharing.kept, "fine", word, "fine", timeout_s=3.0)
    assert [outcome.status for outcome in outcomes] == ["ok", status, "ok"]
    assert message in outcomes[1].message
    assert outcomes[0].details["pid"] != outcomes[2].details["pid"]
    assert len(sharing.imports()) == 2
    assert sharing(sharing.kept, "fine")[0].status == "ok"
    assert len(sharing.imports()) == 2


def test_a_method_that_needs_something_else_gets_another_process(sharing):
    sharing(sharing.kept, "fine")
    sharing(sharing.kept, "fine", method="other")
    assert len(sharing.imports()) == 2
    assert not psutil.pid_exists(int(sharing.imports()[0]))
    # One that says nothing of its imports is neither forked nor kept.
    (alone,) = sharing(None, "fine", method="alone")
    assert alone.details["pid"] == int(sharing.imports()[2])


def test_a_kept_process_that_died_is_not_used(sharing):
    sharing(sharing.kept, "fine")
    kept = psutil.Process(int(sharing.imports()[0]))
    kept.kill()
    kept.wait(10)
    assert sharing(sharing.kept, "fine")[0].status == "ok"
    assert len(sharing.imports()) == 2


def test_a_process_that_opened_a_gpu_is_told_from_others():
    assert not _has_opened("/dev/nvidia")
    with Path("/dev/full").open("wb"):
        assert _has_opened("/dev/full")
    assert not _has_opened("/dev/full")


def test_nothing_is_forked_where_it_would_be_measured_wrongly(sharing):
    needed = sharing.place / "needed.py"
    needed.write_text(
        needed.read_text()
        + "import cellharness.running.forking as forking\n"
        + "forking._has_opened = lambda start: start == '/dev/nvidia'\n"
    )
    first, second = (sharing(sharing.kept, "fine")[0] for _ in range(2))
    assert [first.status, second.status] == ["ok", "ok"]
    assert "reused_seconds" not in second.details
    assert sharing.imports() == [str(each.details["pid"]) for each in (first, second)]


METHODS = [
    {"name": "estimate", "method": "cellpose", "parameters": {"diameter": "estimate"}},
    {"name": "none", "method": "dummy-empty"},
    {"name": "twenty", "method": "cellpose", "parameters": {"diameter": 20}},
    {"name": "tuned", "method": "cellpose2", "parameters": {"diameter": 30}},
    {"name": "again", "method": "cellpose2", "parameters": {"flow_threshold": 0}},
]


def cellpose_run(tmp_path, name, **more):
    methods = [
        {**each, "parameters": {"weights": "cyto", **each["parameters"]}}
        if "parameters" in each
        else each
        for each in METHODS
    ]
    config = {
        "name": "try",
        "dataset": {"phantom": {"size": 128, "per_experiment": 1}},
        "scoring": {"workers": 1, "thresholds": [0.5]},
        "methods": methods,
        **more,
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    run.run_comparison(load_config(path), tmp_path / name, limit=2)
    return pd.read_csv(tmp_path / name / "ledger.csv", keep_default_na=False)


@pytest.mark.slow
def test_cellpose_is_the_same_to_the_bit_and_measured_alike(cyto, tmp_path, monkeypatch):
    shared = cellpose_run(tmp_path, "shared")
    with monkeypatch.context() as patch:
        patch.setattr(run, "_sharing", lambda _: set())
        apart = cellpose_run(tmp_path, "apart")
    same = ["method", "case", "identity", "status", "message", "prediction_sha256", "pixels"]
    pd.testing.assert_frame_equal(shared[same], apart[same])
    scores = [(tmp_path / each / "scores.csv").read_bytes() for each in ("shared", "apart")]
    assert scores[0] == scores[1]
    reused = [details_of(text).get("reused_seconds", 0) for text in shared["details"]]
    # Of all but the first, also of one that comes after a method of another kind.
    assert [each > 0 for each in reused] == [False] * 4 + [True, False] * 3
    memory = shared["peak_host_mb"].astype(float) / apart["peak_host_mb"].astype(float)
    assert memory.between(0.92, 1.08).all(), memory.tolist()
