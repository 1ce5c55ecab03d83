"""How long the statistics of a full-size forgetting study take.

Run with ``OMP_NUM_THREADS=1 pytest tests/benchmarks/test_forgetting_speed.py -o addopts= -rP``.
Times are processor time of this process, all of its threads added, so more than one core or other
work on the machine cannot make them look better. The study has 7 trainings, 422 cases of the
paper's four modalities in 60 experiments, 25 checkpoints and stage 0; at the last checkpoint there
are five more protocols for the decomposition. F1 has the four decimals of the official script, and
one case in a hundred was not scored. Timed are all tables that a report of the study needs, from
the long table of scores on; images are not read.

Cells are measured on images in memory, whose drawing is not timed.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cellharness.report.study.sentences import cause_words, change_words
from cellharness.scoring.cell_properties import PROPERTIES, measure_cells
from cellharness.statistics.cells import recall_by_property
from cellharness.statistics.change import change
from cellharness.statistics.decomposition import decompose, robustness
from cellharness.statistics.forgetting import accuracy_frame, forgetting_measures
from cellharness.statistics.learning_curves import curves
from cellharness.statistics.plasticity import compare_with_plain
from cellharness.statistics.staged_scores import read_scores
from recording import grows, measured

CASES, TRAININGS, CHECKPOINTS = 422, 7, 25
SIZES = {"Brightfield": 120, "Fluorescent": 122, "Phase-contrast": 120, "DIC": 60}
REQUIRED_SECONDS = 10


def of_one(study):
    """The loss of one training is taken apart, as in a report."""
    return replace(study, remedies=study.remedies[:1])


MEASURES = {
    "accuracy": lambda s: accuracy_frame(s, "fixed"),
    "change": lambda s: change(s, "fixed", "size"),
    "forgetting": lambda s: forgetting_measures(s, "fixed", "size"),
    "curves": lambda s: curves(s, "fixed", "size"),
    "comparison": lambda s: compare_with_plain(s, "t0", "fixed", "size"),
    "decomposition": lambda s: decompose(of_one(s), "fixed", "size"),
    "robustness, 2 thresholds": lambda s: robustness(
        {0.5: of_one(s), 0.7: of_one(s)}, "t0", "fixed", "size"
    ),
}


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    about = pd.DataFrame(
        {
            "case": [f"cell_{i:05}" for i in range(CASES)],
            "modality": np.repeat(list(SIZES), list(SIZES.values())),
            "experiment": [f"e{i % 15:02}" for i in range(CASES)],
            "seen": np.arange(CASES) % 15 < 8,
        }
    )
    ground = rng.beta(4, 2, CASES)
    drift = np.where(about["seen"], 0.005, -0.008)
    blocks = []
    for training in range(TRAININGS):
        for stage in range(CHECKPOINTS + 1):
            protocols = ["fixed"] if 0 < stage < CHECKPOINTS else ["fixed", "size", *"abcd"]
            for number, protocol in enumerate(protocols):
                f1 = ground + drift * stage * (1 - training / 10) + 0.02 * number * (stage > 0)
                f1 = (f1 + rng.normal(0, 0.1, CASES)).clip(0, 1).round(4)
                f1[rng.random(CASES) < 0.01] = np.nan
                block = about.assign(remedy=f"t{training}", stage=10 * stage, f1=f1)
                blocks.append(block.assign(protocol=protocol))
    return pd.concat(blocks, ignore_index=True)


@pytest.mark.benchmark(timer=time.process_time)
def test_all_statistics_of_a_full_study(benchmark, scores):
    tables = {}

    def everything():
        study = read_scores(scores)
        for name, measure in MEASURES.items():
            tables[name] = measure(study)
        tables["words"] = change_words(tables["change"], "t0", {})
        cause_words(tables["decomposition"], "fixed", {})

    benchmark.pedantic(everything, rounds=3, warmup_rounds=1)
    assert tables["curves"].shape[0] == TRAININGS * (CHECKPOINTS + 1) * 15
    assert (tables["curves"]["unit"] == "experiment").all()
    assert "lost F1" in tables["words"]
    seconds = benchmark.stats.stats.max
    size = f"{TRAININGS} trainings, {CASES} cases, {CHECKPOINTS} checkpoints"
    what = f"all of a forgetting study: {size}"
    measured(benchmark, "statistics", what, seconds, "s", most=REQUIRED_SECONDS)
    assert seconds < REQUIRED_SECONDS, benchmark.extra_info


@pytest.mark.benchmark(timer=time.process_time)
def test_each_measure_alone(benchmark, scores):
    """Where the time goes; each from the table of scores as it was read."""
    study = benchmark.pedantic(read_scores, (scores,), rounds=3, warmup_rounds=1)
    seconds = {}
    for name, measure in MEASURES.items():
        start = time.process_time()
        measure(study)
        seconds[name] = time.process_time() - start
    benchmark.extra_info["rows"] = len(scores)
    benchmark.extra_info["seconds"] = {name: round(value, 3) for name, value in seconds.items()}
    assert sum(seconds.values()) < REQUIRED_SECONDS, benchmark.extra_info


@pytest.mark.benchmark(timer=time.process_time)
def test_recall_of_many_cells(benchmark):
    rng = np.random.default_rng(0)
    count = 170_000
    table = pd.DataFrame(
        {
            "case": [f"c{i % CASES:03}" for i in range(count)],
            "cell": np.arange(count),
            "area": rng.lognormal(5, 1, count).round(),
            "contrast": rng.random(count),
            "density": rng.random(count),
            "found_before": rng.random(count) < 0.8,
            "found_after": rng.random(count) < 0.6,
        }
    )
    about = pd.DataFrame({"case": table["case"].unique()}).assign(
        modality="DIC", experiment=lambda cases: cases["case"].str[-1:], seen=False
    )
    given = (table, about, PROPERTIES)
    frame = benchmark.pedantic(recall_by_property, given, rounds=3, warmup_rounds=1)
    assert frame["n"].sum() == 3 * count
    assert benchmark.stats.stats.max < 2


@pytest.mark.benchmark(timer=time.process_time)
def test_measuring_cells_is_linear_in_pixels(benchmark):
    """The same density of cells, discs of radius 9 on a grid of 24, from 512 to 2048 a side."""
    seconds = {}
    for side in (512, 1024, 2048):
        y, x = np.indices((side, side)) % 24 - 12
        rows, columns = np.indices((side, side)) // 24
        labels = ((rows * 100 + columns + 1) * (y**2 + x**2 <= 81)).astype(np.int32)
        image = np.random.default_rng(0).random((side, side)) + (labels > 0)
        measure_cells(image, labels)
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            measure_cells(image, labels)
            best = min(best, time.process_time() - start)
        seconds[side] = best
    benchmark.pedantic(measure_cells, (image, labels), rounds=1)
    slope = grows(
        benchmark, "growth", "measuring cells, as many a pixel", "pixels",
        {side**2: value for side, value in seconds.items()},
    )  # fmt: skip
    # 1 is linear and 2 quadratic; leaving the processor's cache makes it a little more than 1.
    assert slope < 1.3, benchmark.extra_info
