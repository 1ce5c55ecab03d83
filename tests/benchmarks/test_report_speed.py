"""How long the report of the paper's size takes: 28 methods on 422 images, five thresholds.

Run with ``OMP_NUM_THREADS=1 pytest tests/benchmarks/test_report_speed.py -o addopts= -rP``. The run
directory is simulated: invented scores, and phantom masks of 96 x 96 px under the name of every
case, of which the report reads those that it shows. The report is built in a process of its own, so
that its peak of memory is nobody else's. The bounds are on wall-clock time and resident memory.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from simulated_run import Simulation, simulate_run

REQUIRED_SECONDS, REQUIRED_MB = 60, 2048
#: The page shall open quickly; it holds all figures and tables.
REQUIRED_PAGE_MB = 8

_BUILD = """
import json, resource, sys, time
from pathlib import Path
start, used = time.perf_counter(), time.process_time()
from harness.report import build_report
page = build_report(Path(sys.argv[1]))
scale = 1024 if sys.platform != "darwin" else 1024**2
print(json.dumps({
    "wall_s": time.perf_counter() - start,
    "processor_s": time.process_time() - used,
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale,
    "page_mb": page.stat().st_size / 1e6,
}))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return simulate_run(tmp_path_factory.mktemp("paper"), Simulation(failures=0.02))


def build(run) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, str(run)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.benchmark
def test_report_of_the_papers_size(benchmark, run):
    found = benchmark.pedantic(build, (run,), rounds=1)
    benchmark.extra_info |= {name: round(value, 1) for name, value in found.items()}
    for name in ("ranking_accuracy", "ranking_significance", "ranking_stability", "examples"):
        assert (run / f"report/figures/{name}.pdf").stat().st_size > 10_000
    assert found["wall_s"] < REQUIRED_SECONDS, benchmark.extra_info
    assert found["peak_mb"] < REQUIRED_MB, benchmark.extra_info
    assert found["page_mb"] < REQUIRED_PAGE_MB, benchmark.extra_info
