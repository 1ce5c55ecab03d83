"""How long the report of the paper's size takes to build and to open: 28 methods on 422 images.

Run with ``OMP_NUM_THREADS=1 pytest tests/benchmarks/test_report_speed.py -o addopts= -rP``. The run
directory is simulated: invented scores at five thresholds, and phantom masks of 512 x 512 px with
260 cells under the name of every case and method, all of which the explorer outlines. The report is
built in a process of its own, so that its peak of memory is nobody else's; to it comes that of the
processes that it starts. The bounds are on wall-clock time and resident memory. A page is open when
Chromium has loaded it and, of the explorer, when its scripts have drawn it.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from recording import measured
from simulated_run import Simulation, simulate_run

REQUIRED_SECONDS, REQUIRED_MB = 60, 2048
REQUIRED_OPENING_SECONDS = 3
#: The page shall open quickly; it holds all figures and tables.
REQUIRED_PAGE_MB = 8

_BUILD = """
import json, os, resource, sys, time
from pathlib import Path
start, used = time.perf_counter(), time.process_time()
from cellharness.report import build_report
page = build_report(Path(sys.argv[1]), for_print=len(sys.argv) > 2)
scale = 1024 if sys.platform != "darwin" else 1024**2
def peak(who):
    return resource.getrusage(who).ru_maxrss / scale
# Four processes at most outline masks; the system tells the largest of them.
helpers = min(4, os.cpu_count() or 1)
print(json.dumps({
    "wall_s": time.perf_counter() - start,
    "processor_s": time.process_time() - used,
    "peak_mb": peak(resource.RUSAGE_SELF) + helpers * peak(resource.RUSAGE_CHILDREN),
    "page_mb": page.stat().st_size / 1e6,
}))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return simulate_run(tmp_path_factory.mktemp("paper"), Simulation(failures=0.02, side=512))


def build(run, *, for_print=False) -> dict[str, float]:
    command = [sys.executable, "-c", _BUILD, str(run), *(["print"] if for_print else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.benchmark
def test_report_of_the_papers_size(benchmark, run):
    found = benchmark.pedantic(build, (run,), rounds=1)
    what = "28 methods, 422 images of 512 px with 260 cells"
    measured(benchmark, "reports", what, found["wall_s"], "s", most=REQUIRED_SECONDS)
    peak = found["peak_mb"]
    measured(benchmark, "reports", f"{what}, peak of memory", peak, "MB", most=REQUIRED_MB)
    for name in ("accuracy_cost", "ranking_significance", "ranking_stability", "examples"):
        assert (run / f"report/figures/{name}.svg").stat().st_size > 10_000
    assert found["wall_s"] < REQUIRED_SECONDS, benchmark.extra_info
    assert found["peak_mb"] < REQUIRED_MB, benchmark.extra_info
    assert found["page_mb"] < REQUIRED_PAGE_MB, benchmark.extra_info


@pytest.mark.benchmark
def test_figures_for_print_cost_more_than_the_page(benchmark, tmp_path):
    sizes = dict.fromkeys(("Brightfield", "Fluorescent", "Phase-contrast", "DIC"), 3)
    small = simulate_run(tmp_path, Simulation(methods=3, sizes=sizes, side=200))
    page = benchmark.pedantic(build, (small,), rounds=1)["processor_s"]
    printed = build(small, for_print=True)["processor_s"]
    what = "3 methods, 12 images of 200 px, processor time"
    measured(benchmark, "reports", what, page, "s", most=6)
    measured(benchmark, "reports", f"{what}, with `--for-print`", printed, "s")
    assert printed > page


@pytest.mark.benchmark
@pytest.mark.parametrize(("name", "ready"), [("index", "body"), ("explore", "html[data-ready]")])
def test_opening_it_in_chromium(benchmark, run, chromium, name, ready):
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if not (run / "report/explore.html").is_file():
        build(run)
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )

        def opened() -> None:
            context = browser.new_context(viewport={"width": 1300, "height": 850})
            page = context.new_page()
            page.goto((run / f"report/{name}.html").as_uri(), wait_until="load")
            page.wait_for_selector(ready)
            context.close()

        benchmark.pedantic(opened, rounds=5)
        browser.close()
    what = f"{name}.html of the large one opens in Chromium"
    measured(benchmark, "reports", what, benchmark.stats["min"], "s", most=1.5)
    assert benchmark.stats["max"] < REQUIRED_OPENING_SECONDS
