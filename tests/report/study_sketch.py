"""Forgetting studies of chosen scores: the tables of a run, without images and masks."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from run_maker import ledger_row, run_head

LABELS = {"plain": "Plain", "replay": "Replay", "slow": "Slow encoder", "mix-50": "Half mixed"}
#: F1 that a protocol costs the weights before, and those after.
PROTOCOLS = {"truth": (0.0, 0.0), "estimate": (0.02, 0.02), "fixed": (0.0, 0.15)}
LAST = 4

Change = float | Sequence[float] | np.ndarray


def sketch_study(
    folder: Path,
    changes: Mapping[str, tuple[Change, Change]],
    *,
    unseen: int = 10,
    seen: int = 10,
    modalities: Sequence[str] = ("DIC",),
    experiments: tuple[str, str] = ("old", "new"),
    before: float = 0.6,
    stages: Sequence[int] = (LAST,),
    protocols: Mapping[str, tuple[float, float]] = PROTOCOLS,
    thresholds: Sequence[float] = (0.5,),
    profile: str = "strict",
    statuses: Mapping[tuple[str, str], str] | None = None,
    unscored: Collection[str] = (),
    teams: Mapping[str, str] | None = None,
    report: Mapping[str, Any] | None = None,
    **plan: Any,
) -> Path:
    """Write a run directory in which remedies change F1 by given amounts.

    Parameters
    ----------
    changes
        By remedy, the first being plain fine-tuning: change on unseen and on seen cases, for each
        of them or in the mean.
    unseen, seen
        How many cases; they are named u00, u01, ... and s00, s01, ..., modalities in turn.
    stages
        Earlier ones than the last have their share of the change.
    statuses
        Of pairs of method and case that have no mask.
    unscored
        Methods of the plan that are not in the score table.
    teams
        Status of all masks of each.
    """
    run = folder / "run"
    run.mkdir(parents=True)
    parts = [("u", unseen, experiments[0]), ("s", seen, experiments[1])]
    cases = [
        (f"{part}{i:02}", modalities[i % len(modalities)], experiment)
        for part, n, experiment in parts
        for i in range(n)
    ]
    by = {
        name: np.concatenate([_spread(lost, unseen), _spread(gained, seen)])
        for name, (lost, gained) in changes.items()
    }
    methods = _methods(list(changes), stages, list(protocols))
    rows, ledger = [], []
    for entry in [*methods, *({"method": team} for team in teams or {})]:
        method = entry["method"]
        if method in unscored:
            continue
        f1 = np.full(len(cases), before)
        if entry.get("stage"):
            f1 += by[entry["remedy"]] * entry["stage"] / max(stages)
        if "protocol" in entry:
            f1 -= protocols[entry["protocol"]][entry["stage"] > 0]
        for (case, modality, experiment), value in zip(cases, f1, strict=True):
            status = (teams or {}).get(method) or (statuses or {}).get((method, case), "ok")
            ledger.append(ledger_row(method, case, status, first=False))
            for threshold in thresholds:
                there = 0.0 if status != "ok" else np.clip(value - (threshold - 0.5) / 5, 0, 1)
                rows.append(
                    {
                        "method": method, "profile": profile, "threshold": threshold, "case": case,
                        "modality": modality, "experiment": experiment, "seen": False,
                        "status": status, "f1": there,
                    }
                )  # fmt: skip
    pd.DataFrame(rows).to_csv(run / "scores.csv", index=False)
    pd.DataFrame(ledger).to_csv(run / "ledger.csv", index=False)
    manifest = pd.DataFrame(cases, columns=["case", "modality", "experiment"])
    manifest.assign(image="gone.tif", label="gone.tif").to_csv(run / "manifest.csv", index=False)
    names = dict.fromkeys(row["method"] for row in rows)
    info = run_head({name: name for name in names}, folder / "data", len(cases))
    info["config"]["report"] = {"unit": "image", **(report or {})}
    (run / "run.json").write_text(json.dumps(info), encoding="utf-8")
    told = {
        "name": "sketch", "title": "A sketch", "plain": next(iter(changes)), "main": "truth",
        "published": {"before": "estimate", "after": "fixed"} if "fixed" in protocols else None,
        "protocols": [{"name": name, "label": f"By {name}"} for name in protocols],
        "remedies": [_remedy(name, stages) for name in changes],
        "methods": methods, "teams": list(teams or {}), "replayed": {},
        "seen": [[modality, experiments[1]] for modality in modalities] if seen else [],
    }  # fmt: skip
    (run / "study.json").write_text(json.dumps(told | plan), encoding="utf-8")
    return run


def _spread(change: Change, n: int) -> np.ndarray:
    """Changes of n cases about a mean, or those given."""
    if isinstance(change, float | int):
        return change + (np.linspace(-0.03, 0.03, n) if n > 1 else np.zeros(n))
    assert len(change) == n
    return np.asarray(change, float)


def _methods(
    remedies: Sequence[str], stages: Sequence[int], protocols: Sequence[str]
) -> list[dict[str, Any]]:
    """Before and after plain fine-tuning under all protocols, the rest under the first."""
    weights = [("before", "pre-trained", 0, True)]
    for name in remedies:
        own = stages[-1:] if name.startswith("mix-") else stages
        weights += [(f"{name}-{s}", name, s, name == remedies[0] and s == max(own)) for s in own]
    return [
        {"method": f"{stem}.{protocol}", "remedy": name, "stage": stage, "protocol": protocol}
        for stem, name, stage, everywhere in weights
        for protocol in (protocols if everywhere else protocols[:1])
    ]


def _remedy(name: str, stages: Sequence[int]) -> dict[str, Any]:
    mixed = name.startswith("mix-")
    return {
        "name": name, "label": LABELS.get(name, name), "training": "plain" if mixed else name,
        "stages": list(stages[-1:] if mixed else stages),
    }  # fmt: skip
