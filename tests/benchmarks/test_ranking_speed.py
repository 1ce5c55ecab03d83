"""How long 1000 bootstrap rankings of 28 methods on 422 cases take, the paper's numbers.

Run with ``OMP_NUM_THREADS=1 pytest tests/benchmarks/test_ranking_speed.py -o addopts= -rP``. Times
are processor time of this process, all of its threads added, so more than one core or other work
on the machine cannot make them look better. The F1 values are simulated with the four decimals of
the official script, so there are ties and equal values, and one in a hundred is missing.
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from cellharness.statistics.rank_bootstrap import bootstrap_ranks
from cellharness.statistics.ranking import compare_schemes
from cellharness.statistics.schemes import SCHEMES
from recording import measured

CASES, METHODS, SAMPLES = 422, 28, 1000
PAPER = SCHEMES[:5]
REQUIRED_SECONDS = {"the five of the paper": 5, "test-based": 60}


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    values = rng.beta(4, 2, (CASES, 1)) + rng.normal(0, 0.15, (CASES, METHODS))
    values = (values - np.linspace(0, 0.4, METHODS)).clip(0, 1).round(4)
    values[rng.random(values.shape) < 0.01] = np.nan
    case, method = np.indices(values.shape)
    return pd.DataFrame(
        {"case": case.ravel(), "method": method.ravel(), "value": values.ravel()}
    ).astype({"method": str})


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize(
    ("name", "schemes"),
    [("the five of the paper", PAPER), ("test-based", ("test-based",))],
    ids=["five schemes", "test-based"],
)
def test_bootstrap(benchmark, scores, name, schemes):
    found = benchmark.pedantic(
        bootstrap_ranks,
        (scores, schemes),
        {"missing": 0, "samples": SAMPLES, "seed": 1},
        rounds=3,
        warmup_rounds=1,
    )
    assert all(found.ranks[scheme].shape == (SAMPLES, METHODS) for scheme in schemes)
    assert found.taus()["tau"].notna().all()
    seconds = benchmark.stats.stats.max
    what = f"{SAMPLES} bootstrap rankings of {METHODS} methods on {CASES} cases, {name}"
    measured(benchmark, "statistics", what, seconds, "s", most=REQUIRED_SECONDS[name])
    assert seconds < REQUIRED_SECONDS[name], benchmark.extra_info


@pytest.mark.benchmark(timer=time.process_time)
def test_each_scheme_alone(benchmark, scores):
    """Where the time goes, and what intervals, taus and frequencies add."""
    seconds = {}
    for scheme in SCHEMES:
        start = time.process_time()
        found = bootstrap_ranks(scores, (scheme,), missing=0, samples=SAMPLES, seed=1)
        seconds[scheme] = time.process_time() - start
    start = time.process_time()
    found.intervals(), found.taus(), found.frequencies()
    seconds["tables of one scheme"] = time.process_time() - start
    benchmark.pedantic(compare_schemes, (scores,), {"missing": 0}, rounds=5, warmup_rounds=1)
    benchmark.extra_info["seconds"] = {name: round(value, 3) for name, value in seconds.items()}
    assert sum(seconds.values()) < sum(REQUIRED_SECONDS.values()), benchmark.extra_info
