"""The long score table of a run: one row a method, profile, case and threshold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from cellharness.config.run import ScoringConfig
from cellharness.data.manifest import Manifest
from cellharness.files import whole_file
from cellharness.run_directory import SCORE_COLUMNS, RunDirectory
from cellharness.running.observer import Observer
from cellharness.scoring.files import Job, score_files
from cellharness.vocabulary import SEGMENTED


def score_run(
    run: RunDirectory,
    manifest: Manifest,
    ledger: pd.DataFrame,
    methods: list[str],
    scoring: ScoringConfig,
    observer: Observer,
) -> tuple[dict[tuple[str, str], str], list[str]]:
    """Score all masks of a run and write ``scores.csv``, columns `SCORE_COLUMNS`.

    Parameters
    ----------
    run : RunDirectory
        With predictions.
    manifest : Manifest
        Every case of it gets its rows, whatever became of it.
    ledger : DataFrame
        Columns ``method``, ``case`` and ``status`` at least.
    methods : list of str
        Names, in the order of the configuration.
    scoring : ScoringConfig
        Profiles, thresholds and number of processes.
    observer : Observer
        Told of progress.

    Returns
    -------
    unscored : dict of (str, str) to str
        Method and case to the reason why a mask could not be scored.
    remarks : list of str
        What is odd about the ids of truths and masks, each once.
    """
    statuses = ledger.set_index(["method", "case"])["status"].to_dict()
    observer.scoring_started(len(methods) * len(manifest.cases))
    rows: list[dict[str, Any]] = []
    unscored: dict[tuple[str, str], str] = {}
    remarks: dict[str, None] = {}
    # All methods at once: to start processes for each would take longer than to score.
    jobs = [(method, job) for method in methods for job in _jobs(run, method, manifest, statuses)]
    scored = score_files(
        [job for _, job in jobs],
        scoring.profiles,
        scoring.thresholds,
        scoring.workers,
        progress=lambda _done, _total: observer.pair_scored(),
    )
    for (method, _), result in zip(jobs, scored, strict=True):
        case = manifest[result.case]
        about = {
            "method": method,
            "modality": case.modality or "",
            "modality_source": case.modality_source,
            "experiment": case.experiment,
            "split": case.split,
            "seen": manifest.seen(case),
        }
        rows += [{**about, **row} for row in result.rows]
        if result.message and statuses.get((method, case.case)) in SEGMENTED:
            unscored[method, case.case] = result.message
        for remark in result.remarks:
            # A truth is the same for every method.
            whose = "" if remark.startswith("truth") else f"{method}, "
            remarks[f"{whose}{case.case}: {remark}"] = None
    with whole_file(run.scores) as partial:
        pd.DataFrame(rows, columns=list(SCORE_COLUMNS)).to_csv(partial, index=False)
    return unscored, list(remarks)


def _jobs(
    run: RunDirectory, method: str, manifest: Manifest, statuses: dict[Any, str]
) -> Iterator[Job]:
    for case in manifest.cases:
        mask = run.prediction(method, case.case)
        status = statuses.get((method, case.case), "missing")
        yield Job(case.case, case.label, mask if mask.is_file() else None, status)
