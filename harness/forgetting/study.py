"""A forgetting study from its configuration to ``study.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.dataset import Case, Manifest
from harness.files import write_atomic
from harness.forgetting.config import BEFORE, PLAIN, ForgettingConfig
from harness.forgetting.expansion import Evaluation, expand
from harness.observer import Observer
from harness.result import RunResult
from harness.run import read_cases, run_comparison
from harness.statistics.staged_scores import PRETRAINED
from harness.training.observer import TrainingObserver
from harness.training.record import TrainingRecord
from harness.training.references import training_folder

FILE_NAME = "study.json"


def run_study(
    study: ForgettingConfig,
    folder: Path,
    *,
    limit: int | None = None,
    resume: bool = False,
    retry_failed: bool = False,
    observer: Observer | None = None,
    training_observer: TrainingObserver | None = None,
) -> RunResult:
    """Train, predict and score all that a study asks for.

    Parameters
    ----------
    study : ForgettingConfig
    folder : Path
        Run directory; ``study.json`` says what its methods stand for.
    limit, resume, retry_failed, observer, training_observer
        As for :func:`harness.run.run_comparison`.

    Returns
    -------
    RunResult

    Raises
    ------
    UsageError
        The configuration or data cannot be used.
    """
    config, evaluations = expand(study)
    result = run_comparison(
        config,
        folder,
        limit=limit,
        resume=resume,
        retry_failed=retry_failed,
        observer=observer,
        training_observer=training_observer,
    )
    content = describe(study, evaluations, folder, read_cases(config, folder))
    write_atomic(folder / FILE_NAME, json.dumps(content, indent=1).encode())
    return result


def describe(
    study: ForgettingConfig, evaluations: list[Evaluation], folder: Path, manifest: Manifest
) -> Mapping[str, Any]:
    """Say what the methods of a run stand for, and what was trained on what."""
    cases = {case.case: case for case in manifest.cases}
    records = {
        name: TrainingRecord.read(training_folder(folder, name))
        for name in (PLAIN, *(remedy.name for remedy in study.remedies if remedy.of is None))
    }
    plain = records[PLAIN]
    learned = [*plain.train, *plain.validation] if plain else []
    return {
        "name": study.name,
        "title": study.title or study.name,
        "before": study.before.label,
        "plain": PLAIN,
        "main": study.main,
        "published": study.published.model_dump(),
        "protocols": [
            {"name": protocol.name, "label": protocol.display} for protocol in study.protocols
        ],
        "remedies": [
            {
                "name": PLAIN,
                "label": study.finetuning.label,
                "training": PLAIN,
                "stages": study.stages_of(PLAIN),
                "modalities": study.finetuning.modalities,
            },
            *(
                {
                    "name": remedy.name,
                    "label": remedy.display,
                    "training": remedy.of or remedy.name,
                    "stages": study.stages_of(remedy.name),
                    "modalities": remedy.modalities or study.finetuning.modalities,
                }
                for remedy in study.remedies
            ),
        ],
        "methods": [
            {**asdict(item), "remedy": PRETRAINED if item.remedy == BEFORE else item.remedy}
            for item in evaluations
        ],
        "seen": _experiments([cases[name] for name in learned if name in cases]),
        "replayed": _met_again(records, learned, cases),
        "teams": [team.name for team in study.teams],
        "config": study.model_dump(mode="json", exclude_none=True),
    }


def _met_again(
    records: Mapping[str, TrainingRecord | None], learned: list[str], cases: Mapping[str, Case]
) -> dict[str, list[list[str]]]:
    """Experiments that a remedy met in its training, by replay or else, and the plain one not."""
    own = _experiments([cases[name] for name in learned if name in cases])
    met: dict[str, list[list[str]]] = {}
    for name, record in records.items():
        if name == PLAIN or record is None:
            continue
        used = (*record.train, *record.validation, *record.replay)
        others = _experiments([cases[case] for case in used if case in cases])
        again = [pair for pair in others if pair not in own]
        if again:
            met[name] = again
    return met


def _experiments(cases: list[Case]) -> list[list[str]]:
    """Modality and experiment of some cases, each pair once."""
    found = {(case.modality or "", case.experiment or "") for case in cases}
    return [list(pair) for pair in sorted(found)]
