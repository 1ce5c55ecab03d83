"""A run of four Cellpose methods that share their imports, beside one that does not, by turns.

Run with ``pytest tests/benchmarks/test_shared_imports_speed.py -o addopts= -rP``. Embedded images,
so that nearly all of the time is the start of processes.
"""

from __future__ import annotations

import resource
import time

import pandas as pd
import pytest
import yaml

from cellharness.config.run import load_config
from cellharness.running import run
from recording import PASSED, PROCESSOR, compared

ROUNDS = 2
CONFIG = {
    "name": "start",
    "dataset": {"phantom": {"size": 128, "per_experiment": 1}},
    "scoring": {"workers": 1},
    "methods": [
        {
            "name": f"diameter-{diameter}",
            "method": "cellpose",
            "parameters": {"weights": "cyto", "diameter": diameter},
        }
        for diameter in (15, 20, 25, 30)
    ],
}


def timed(config, folder):
    """Seconds that passed, processor seconds of all processes, and the masks' SHA256."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    run.run_comparison(config, folder, limit=2)
    passed = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return passed, used, pd.read_csv(folder / "ledger.csv")["prediction_sha256"].tolist()


@pytest.mark.benchmark
def test_four_methods_start_sooner_together(benchmark, cyto, tmp_path, monkeypatch):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    config = load_config(path)

    def by_turns():
        found = {"shared": [], "apart": []}
        for number in range(ROUNDS):
            found["shared"].append(timed(config, tmp_path / f"shared-{number}"))
            with monkeypatch.context() as patch:
                patch.setattr(run, "_sharing", lambda _: set())
                found["apart"].append(timed(config, tmp_path / f"apart-{number}"))
        return found

    found = benchmark.pedantic(by_turns, rounds=1)
    masks = [masks for each in found.values() for *_, masks in each]
    assert all(each == masks[0] for each in masks)
    for clock, place in ((PASSED, 0), (PROCESSOR, 1)):
        least = {way: min(each[place] for each in found[way]) for way in found}
        compared(
            benchmark, "shared imports", "four Cellpose methods on two embedded images of 128 px",
            reference="each method imports for itself", reference_s=least["apart"],
            ours_s=least["shared"], clock=clock,
        )  # fmt: skip
        assert least["apart"] / least["shared"] > 1.2
