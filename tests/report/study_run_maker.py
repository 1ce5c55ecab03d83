"""A forgetting study on disk: cells that weights find or miss by how well they know a domain."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from PIL import Image
from run_maker import ledger_row, picture, run_head, score_rows

from cellharness.data.images import write_label
from cellharness.files import hash_file
from cellharness.run_directory import SCORE_COLUMNS

SIDE = 130
PROTOCOLS = {
    "truth": "True diameter",
    "estimate": "Estimated diameter",
    "training_mean": "Training mean diameter",
}
#: Share of the loss and of the gain of plain fine-tuning that each remedy has.
REMEDIES: dict[str, tuple[str, float, float]] = {
    "plain": ("Plain fine-tuning", 1.0, 1.0),
    "replay": ("Replay of old data", 0.25, 0.95),
}
#: How much harder a protocol is, on domains that the training had not, and that it had.
_HARDER = {"truth": (0.0, 0.0), "estimate": (0.04, 0.03), "training_mean": (0.22, 0.0)}
_BEFORE = {False: 0.15, True: 0.45}
_LOST, _GAINED = 0.4, 0.35


class StudyRunMaker:
    """Write study directories; everything that a test may want to bend is an argument."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self,
        modalities: Sequence[str] = ("Brightfield", "Fluorescent"),
        unseen: int = 4,
        seen: int = 4,
        remedies: Mapping[str, tuple[str, float, float]] = REMEDIES,
        stages: Sequence[int] = (2, 4),
        mixes: Sequence[int] = (50,),
        protocols: Sequence[str] = tuple(PROTOCOLS),
        teams: Sequence[str] = (),
        failed: Mapping[str, str] | None = None,
        thresholds: Sequence[float] = (0.5, 0.75),
        report: Mapping[str, Any] | None = None,
        **plan: Any,
    ) -> Path:
        run, data = self.folder / "run", self.folder / "data"
        for sub in ("images", "labels"):
            (data / sub).mkdir(parents=True, exist_ok=True)
        listed = _methods(remedies, stages, mixes, protocols)
        made = [*listed, *({"method": team} for team in teams)]
        cases, scores, ledger = [], [], []
        for m, modality in enumerate(modalities):
            for i in range(unseen + seen):
                is_seen = i >= unseen
                rng = np.random.default_rng(1000 * m + i)
                truth, luck = _cells(rng)
                case = f"m{m}_{i:02d}"
                row = _write_case(data, case, modality, truth, rng)
                row["experiment"] = f"{modality[:2].lower()}-{'new' if is_seen else 'old'}"
                row["licence"] = "CC0"
                cases.append(row)
                shift = rng.normal(0, 0.06)
                for method in made:
                    name = method["method"]
                    status = (failed or {}).get(name, "ok")
                    miss = _miss(method, remedies, max(stages), seen=is_seen, place=m) + shift
                    mask = _predict(truth, luck, miss)
                    if status == "ok":
                        write_label(run / "predictions" / name / f"{case}_label.tiff", mask)
                    common = {
                        "method": name, "case": case, "modality": modality, "seen": not is_seen,
                        "modality_source": "given", "experiment": row["experiment"],
                        "split": "test", "status": status,
                    }  # fmt: skip
                    rows = score_rows(common, truth, mask, thresholds)
                    scores += [r for r in rows if r["profile"] == "strict"]
                    ledger.append(ledger_row(name, case, status, first=False))
        pd.DataFrame(scores, columns=list(SCORE_COLUMNS)).to_csv(run / "scores.csv", index=False)
        pd.DataFrame(ledger).to_csv(run / "ledger.csv", index=False)
        pd.DataFrame(cases).to_csv(run / "manifest.csv", index=False)
        info = run_head({m["method"]: m["method"] for m in made}, data, len(cases))
        info["config"]["report"] = {"unit": "image", **(report or {})}
        (run / "run.json").write_text(json.dumps(info), encoding="utf-8")
        told = _plan(listed, remedies, stages, mixes, protocols, modalities, teams)
        (run / "study.json").write_text(json.dumps(told | plan), encoding="utf-8")
        return run


def _methods(
    remedies: Mapping[str, Any],
    stages: Sequence[int],
    mixes: Sequence[int],
    protocols: Sequence[str],
) -> list[dict[str, Any]]:
    """Every training at every stage under the first protocol, its last stage under the others."""
    weights = [("pre-trained", 0, True)]
    weights += [(name, s, s == max(stages)) for name in remedies for s in stages]
    weights += [(f"mix-{share}", max(stages), False) for share in mixes]
    found = []
    for remedy, stage, everywhere in weights:
        for protocol in protocols[: None if everywhere else 1]:
            name = f"before.{protocol}" if not stage else f"{remedy}-{stage}.{protocol}"
            found.append({"method": name, "remedy": remedy, "stage": stage, "protocol": protocol})
    return found


def _plan(
    methods: Sequence[Mapping[str, Any]],
    remedies: Mapping[str, tuple[str, float, float]],
    stages: Sequence[int],
    mixes: Sequence[int],
    protocols: Sequence[str],
    modalities: Sequence[str],
    teams: Sequence[str],
) -> dict[str, Any]:
    first = next(iter(remedies))
    told = [
        {"name": name, "label": label, "training": name, "stages": list(stages)}
        for name, (label, _, _) in remedies.items()
    ]
    told += [
        {"name": f"mix-{share}", "label": f"{share} % mixed", "training": first,
         "stages": [max(stages)], "mixing": share / 100}
        for share in mixes
    ]  # fmt: skip
    return {
        "name": "synthetic", "title": "Cells forgotten & <kept>", "plain": first,
        "main": protocols[0], "remedies": told, "methods": list(methods), "teams": list(teams),
        "published": {"before": "estimate", "after": "training_mean"},
        "protocols": [{"name": name, "label": label} for name, label in PROTOCOLS.items()],
        "seen": [[modality, f"{modality[:2].lower()}-new"] for modality in modalities],
        "replayed": {},
    }  # fmt: skip


def _miss(
    method: Mapping[str, Any], remedies: Mapping[str, Any], last: int, *, seen: bool, place: int
) -> float:
    """Share of the cells that some weights miss."""
    remedy = method.get("remedy")
    if remedy is None:
        return 0.1
    progress = method["stage"] / last
    if remedy.startswith("mix-"):
        remedy, progress = next(iter(remedies)), int(remedy.removeprefix("mix-")) / 100
    _, losing, gaining = remedies.get(remedy, ("", 0.0, 0.0))
    moved = -_GAINED * gaining if seen else _LOST * losing * (1 - 0.15 * place)
    harder = _HARDER[method["protocol"]][int(seen)] * (1.0 if method["stage"] else 0.1)
    return _BEFORE[seen] + moved * progress**0.6 + harder


def _cells(rng: np.random.Generator) -> tuple[np.ndarray, dict[int, float]]:
    """Discs of several sizes, and the luck of each: below the share of misses it is missed."""
    y, x = np.indices((SIDE, SIDE))
    labels = np.zeros((SIDE, SIDE), np.uint16)
    luck = {}
    for cy in range(14, SIDE - 8, 20):
        for cx in range(14, SIDE - 8, 20):
            if rng.random() < 0.15:
                continue
            label, radius = len(luck) + 1, rng.uniform(3.5, 8.5)
            ty, tx = rng.integers(-1, 2, 2)
            labels[(y - cy - ty) ** 2 + (x - cx - tx) ** 2 <= radius**2] = label
            # Large cells are found more easily.
            luck[label] = float(np.clip(rng.random() * (0.5 + radius / 9), 0, 1))
    return labels, luck


def _predict(truth: np.ndarray, luck: Mapping[int, float], miss: float) -> np.ndarray:
    mask = truth.copy()
    mask[np.isin(truth, [label for label, value in luck.items() if value < miss])] = 0
    # Of some only a part is found: wrong, and not only missed.
    for label in [label for label, value in luck.items() if miss <= value < miss + 0.06]:
        rows, columns = np.nonzero(truth == label)
        rest = rows > np.quantile(rows, 0.4)
        mask[rows[rest], columns[rest]] = 0
    return mask


def _write_case(
    data: Path, case: str, modality: str, truth: np.ndarray, rng: np.random.Generator
) -> dict[str, Any]:
    image = picture(modality, truth, rng)
    path = data / "images" / f"{case}.{'png' if image.ndim == 3 else 'tif'}"
    if image.ndim == 3:
        Image.fromarray(image).save(path)
    else:
        tifffile.imwrite(path, image)
    write_label(data / "labels" / f"{case}_label.tiff", truth)
    return {
        "case": case, "image": f"images/{path.name}", "label": f"labels/{case}_label.tiff",
        "modality": modality, "split": "test", "sha256": hash_file(path), "source": "made up",
        "modality_source": "given",
    }  # fmt: skip
