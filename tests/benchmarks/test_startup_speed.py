"""How long a command takes before it does its work.

Run with ``pytest tests/benchmarks/test_startup_speed.py -o addopts= -rP`` on a quiet machine: the
limits are on seconds that pass. The least of five runs counts; the first fills the caches. Beside
it stands the least processor time, which other work on the machine lengthens less.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from recording import measured

RUNS = 5
COMMAND = Path(sys.executable).with_name("cellharness")

PREDICT = """
import json, sys
import cellharness
class Watch:
    def noted(self, text): pass
    def method_started(self, label, total, reused): pass
    def case_finished(self, label, case, outcome): self.seconds = dict(outcome.seconds)
if __name__ == "__main__":
    watch = Watch()
    parameters = {"weights": "cyto", "diameter": 30}
    cellharness.predict("cellpose", sys.argv[1], sys.argv[2], parameters=parameters, observer=watch)
    print(json.dumps(watch.seconds))
"""


def least(command):
    """Least seconds that pass and least processor seconds, over all processes, of a command.

    What the command prints as JSON in its last line under ``network`` and ``warmup`` is taken off.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    passed, used = [], []
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begun = time.perf_counter()
        answer = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - begun
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert answer.returncode == 0, answer.stderr
        last = answer.stdout.splitlines()[-1]
        phases = json.loads(last) if last.startswith("{") else {}
        passed.append(seconds - phases.get("network", 0) - phases.get("warmup", 0))
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(passed), min(used)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    y, x = np.mgrid[:256, :256]
    cells = ((y % 40 - 20) ** 2 + (x % 40 - 20) ** 2 <= 144) * 150.0
    image = cells + np.random.default_rng(0).normal(20, 3, cells.shape)
    np.save(folder / "one.npy", image.clip(0, 255).astype(np.uint8))
    return folder


def timed(benchmark, command, what, most):
    """Least seconds that pass; both kinds of seconds stand in the table of the benchmark."""
    passed, used = benchmark.pedantic(least, args=(command,), rounds=1)
    measured(benchmark, "start-up", what, passed, "s", most=most)
    measured(benchmark, "start-up", f"{what}, processor time", used, "s")
    return passed


@pytest.mark.benchmark
@pytest.mark.parametrize(
    "args", [("--help",), ("--version",), ("methods",), ("weights", "list")], ids=" ".join
)
def test_questions_are_answered_at_once(benchmark, args):
    what = f"`cellharness {' '.join(args)}`"
    assert timed(benchmark, [COMMAND, *args], what, 0.4) < 0.4


@pytest.mark.benchmark
def test_a_classical_method_has_segmented_one_image_soon(benchmark, images, tmp_path):
    command = [COMMAND, "predict", "--method", "otsu-watershed", "--images", images]
    what = "`predict`, `otsu-watershed`, one image"
    assert timed(benchmark, [*command, "--out", tmp_path / "masks"], what, 2) < 2


@pytest.mark.benchmark
def test_cellpose_is_ready_soon(benchmark, cyto, images, tmp_path):
    script = tmp_path / "one.py"
    script.write_text(PREDICT)
    what = "`predict`, `cellpose` with `cyto`, one image, without the network's own time"
    assert timed(benchmark, [sys.executable, script, images, tmp_path / "masks"], what, 8) < 8
