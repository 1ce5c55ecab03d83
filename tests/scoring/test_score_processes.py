"""Worker processes that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from cellharness.scoring.processes import run_in_processes


def square_or_die(number):
    if number < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def lost(number):
    return f"lost {number}"


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_own_item_only():
    items = [1, -2, 3, 4]
    results = dict(run_in_processes(square_or_die, items, 2, lost))
    assert results == {0: 1, 1: "lost -2", 2: 9, 3: 16}


@pytest.mark.slow
def test_a_script_without_guard_is_told_what_to_do(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from cellharness.scoring import Job, score_files\n"
        "jobs = [Job(name, Path('a.tif'), None) for name in 'ab']\n"
        "list(score_files(jobs, workers=2))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "Worker processes cannot be started" in last
    assert "__main__" in last
