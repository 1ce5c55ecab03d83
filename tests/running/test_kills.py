"""A run with a training, killed with -9 at random moments: nothing is lost, nothing is repeated."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import pandas as pd
import pytest

pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("lightning_fabric", reason="needs lightning-fabric")

from damage_maker import TRAINING, configure, make_data, trained_method

from cellharness.files import hash_file
from cellharness.run_directory import RunDirectory, TrainingRecord
from cellharness.running.run import run_comparison

#: How often to kill; the long way is 100.
KILLS = int(os.environ.get("CELLHARNESS_KILLS", "10"))
CASES = 8


def _recorded(run):
    """Rows of the ledger as they are on disk, by case."""
    if not run.database.is_file() or run.database.stat().st_size == 0:
        return {}
    with sqlite3.connect(run.database, timeout=30) as connection:
        try:
            columns = '"case", identity, status, prediction_sha256, finished, seconds_total'
            rows = connection.execute(f"SELECT {columns} FROM cases").fetchall()
        except sqlite3.OperationalError:
            return {}  # killed before the table was made
    return {row[0]: row[1:] for row in rows}


def _epochs(run):
    log = run.training("grey").epochs
    return pd.read_csv(log)["epoch"].tolist() if log.is_file() and log.stat().st_size else []


#: What a kill waits for before its random moment; on a slow machine most would hit the start else.
MOMENTS = ("start", "epoch", "case", "case", "table", "report")


def _progress(moment, run):
    """A number that rises when what a moment waits for happens."""
    if moment == "epoch":
        return len(_epochs(run))
    if moment == "case":
        return len(list(run.path.glob("predictions/*/*.tiff")))
    if moment == "table":
        return sum(path.stat().st_mtime_ns for path in run.path.glob("scores.csv"))
    return len(list(run.path.glob(".report.*/*")))


def _wait_for(moment, run, process):
    before = _progress(moment, run)
    while moment != "start" and process.poll() is None and _progress(moment, run) <= before:
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_random_kills_lose_no_finished_case_and_repeat_none(tmp_path):
    base = tmp_path
    make_data(base / "data", CASES)
    training = {**TRAINING, "parameters": {**TRAINING["parameters"], "epochs": 6, "nap": 0.15}}
    method = trained_method(base, seconds=0.25)
    config = configure(base / "data", [training], [method])
    run_comparison(config, base / "whole")
    whole = RunDirectory(base / "whole")
    weights = hash_file(whole.training("grey").checkpoint("last"))
    scores = whole.scores.read_bytes()
    calls = base / "calls.txt"

    rng = random.Random(int(os.environ.get("CELLHARNESS_KILLS_SEED", "0")))
    command = [sys.executable, "-m", "cellharness", "run", str(base / "data" / "config.yaml")]
    kills = rounds = 0
    moments = Counter()
    while kills < KILLS:
        rounds += 1
        run = RunDirectory(base / f"run-{rounds}")
        calls.unlink(missing_ok=True)
        known, in_hand = {}, 0
        while True:
            output = base / "output.txt"
            with output.open("w") as file:
                process = subprocess.Popen(
                    [*command, "--out", str(run.path), "--resume"], stdout=file, stderr=file
                )
                if kills < KILLS:
                    _wait_for(rng.choice(MOMENTS), run, process)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(rng.uniform(0, 2))
                    process.send_signal(signal.SIGKILL)
                code = process.wait(1200)
            if code != -signal.SIGKILL:
                assert code == 0, output.read_text()
                break
            kills += 1
            in_hand += 1
            now = _recorded(run)
            record = TrainingRecord.find(run.training("grey").record)
            stage = "training" if record is None or record.status != "ok" else "predicting"
            moments[stage if len(now) < CASES else "scoring or reporting"] += 1
            print(kills, rounds, dict(moments), flush=True)  # noqa: T201
            # What was recorded stays as it is, and its mask with it.
            assert {case: now.get(case) for case in known} == known
            for case, (_, status, sha256, *_) in now.items():
                assert status == "ok"
                assert hash_file(run.prediction("t", case)) == sha256
            known = now
        finished = _recorded(run)
        assert {case: finished[case] for case in known} == known
        assert len(finished) == CASES
        # A case is begun again only if a kill came while it was made.
        called = Counter(calls.read_text().split())
        assert set(called) == set(finished)
        assert sum(called.values()) - CASES <= in_hand
        assert _epochs(run) == [1, 2, 3, 4, 5, 6]
        assert hash_file(run.training("grey").checkpoint("last")) == weights
        assert run.scores.read_bytes() == scores
        assert (run.report / "index.html").is_file()
        assert not list(run.path.rglob(".*.tmp"))
        assert not list(run.path.rglob("*.replaced-*"))
    print(f"{kills} kills in {rounds} runs: {dict(moments)}")  # noqa: T201
