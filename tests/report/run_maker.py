"""A small, complete run directory, made by the contract: images, labels, masks, tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from PIL import Image

from cellharness.data.images import write_label
from cellharness.files import hash_file
from cellharness.run_directory import SCORE_COLUMNS
from cellharness.scoring import score_pair
from cellharness.vocabulary import METRICS, MODALITIES

SIDE = 200
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


def discs(centres: Sequence[tuple[int, int]], radius: int) -> np.ndarray:
    """Label image with one disc a centre."""
    y, x = np.indices((SIDE, SIDE))
    labels = np.zeros((SIDE, SIDE), np.uint16)
    for i, (cy, cx) in enumerate(centres, start=1):
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = i
    return labels


def centres(rng: np.random.Generator) -> list[tuple[int, int]]:
    grid = [(y, x) for y in range(20, SIDE - 10, 40) for x in range(20, SIDE - 10, 40)]
    kept = rng.permutation(len(grid))[: int(rng.integers(9, 18))]
    return [tuple(np.array(grid[i]) + rng.integers(-5, 6, 2)) for i in kept]


def predict(method: int, truth: Sequence[tuple[int, int]], rng: np.random.Generator) -> np.ndarray:
    """Shifted, missed and invented discs, more of them for later methods."""
    spoil = 2 + 3 * method
    kept = [c for c in truth if rng.random() > 0.07 * (method + 1)]
    moved = [tuple(np.array(c) + rng.integers(-spoil, spoil + 1, 2)) for c in kept]
    invented = [tuple(rng.integers(25, SIDE - 25, 2)) for _ in range(method)]
    return discs([*moved, *invented], 13 - method)


class RunMaker:
    """Write run directories; everything that a test may want to bend is an argument."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self,
        methods: Mapping[str, str] | None = None,
        modalities: Sequence[str | None] = MODALITIES,
        per_modality: int = 6,
        statuses: Mapping[tuple[str, str], str] | None = None,
        thresholds: Sequence[float] = THRESHOLDS,
        empty_truth: Sequence[str] = (),
        guessed: bool = False,
        licences: Sequence[str] = ("CC0", "CC BY-NC-ND 4.0"),
        head: Mapping[str, Any] | None = None,
        report: Mapping[str, Any] | None = None,
    ) -> Path:
        methods = methods or {"alpha": "Alpha net", "beta": "Beta watershed"}
        statuses = statuses or {}
        run = self.folder / "run"
        data = self.folder / "data"
        for sub in ("images", "labels"):
            (data / sub).mkdir(parents=True, exist_ok=True)
        cases, scores, ledger = [], [], []
        for m, modality in enumerate(modalities):
            for i in range(per_modality):
                rng = np.random.default_rng(100 * m + i)
                name = f"m{m}_{i:02d}"
                spots = [] if name in empty_truth else centres(rng)
                truth = discs(spots, 14)
                image = picture(modality, truth, rng)
                path = data / "images" / f"{name}.{'png' if image.ndim == 3 else 'tif'}"
                if image.ndim == 3:
                    Image.fromarray(image).save(path)
                else:
                    tifffile.imwrite(path, image)
                write_label(data / "labels" / f"{name}_label.tiff", truth)
                seen = i % 2 == 0
                experiment = f"exp-{m}-{'seen' if seen else 'omnipose'}"
                cases.append(
                    {
                        "case": name,
                        "image": f"images/{path.name}",
                        "label": f"labels/{name}_label.tiff",
                        "modality": modality or "",
                        "experiment": experiment,
                        "split": "test",
                        "sha256": hash_file(path),
                        "modality_source": ("guessed" if guessed else "given") if modality else "",
                        "licence": licences[i % len(licences)],
                        "source": "made for a test",
                    }
                )
                for k, method in enumerate(methods):
                    status = statuses.get((method, name), "ok")
                    mask = predict(k, spots, rng)
                    if status == "empty":
                        mask[:] = 0
                    if status in ("ok", "empty"):
                        write_label(run / "predictions" / method / f"{name}_label.tiff", mask)
                    common = {
                        "method": method,
                        "case": name,
                        "modality": modality or "",
                        "modality_source": cases[-1]["modality_source"],
                        "experiment": experiment,
                        "split": "test",
                        "seen": seen,
                        "status": status,
                    }
                    scores += score_rows(common, truth, mask, thresholds)
                    ledger.append(ledger_row(method, name, status, first=not (m or i)))
        run.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(scores, columns=list(SCORE_COLUMNS)).to_csv(run / "scores.csv", index=False)
        pd.DataFrame(ledger).to_csv(run / "ledger.csv", index=False)
        pd.DataFrame(cases).to_csv(run / "manifest.csv", index=False)
        info = run_head(methods, data, len(cases))
        info["config"]["report"] = {"unit": "image", **(report or {})}
        info.update(head or {})
        (run / "run.json").write_text(json.dumps(info), encoding="utf-8")
        return run


def picture(modality: str | None, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    cells = (truth > 0).astype(float)
    noise = rng.normal(0, 0.05, truth.shape)
    if modality == "Brightfield":
        stain = np.array([0.35, 0.6, 0.2])
        light = 0.92 - cells[..., None] * stain + noise[..., None]
        return (np.clip(light, 0, 1) * 255).astype(np.uint8)
    level = 900 + 5000 * cells if modality == "Fluorescent" else 30000 + 6000 * cells
    return np.clip(level + 4000 * noise, 0, 65535).astype(np.uint16)


def score_rows(
    common: Mapping[str, Any], truth: np.ndarray, mask: np.ndarray, thresholds: Sequence[float]
) -> list[dict[str, Any]]:
    rows = []
    failed = common["status"] not in ("ok", "empty")
    for profile in ("challenge", "strict"):
        for score in score_pair(truth, mask, profile, tuple(thresholds)):
            values = {name: getattr(score, name) for name in METRICS}
            if failed and profile == "challenge":
                values = dict.fromkeys(METRICS, np.nan)
            elif failed:
                n_true = score.n_true
                values = {**dict.fromkeys(METRICS, 0.0), "n_true": n_true, "fn": n_true}
            rows.append({**common, "profile": profile, "threshold": score.threshold, **values})
    return rows


def ledger_row(method: str, case: str, status: str, first: bool) -> dict[str, Any]:
    seconds = {
        "read": 0.004,
        "preprocess": 0.002,
        "network": 1.25,
        "postprocess": 0.11,
        "write": 0.01,
    }
    start = {"load": 2.5 if first else 0.0, "warmup": 0.4 if first else 0.0}
    parts = {f"seconds_{k}": v for k, v in {**start, **seconds}.items()}
    return {
        "method": method,
        "case": case,
        "identity": "0" * 64,
        "status": status,
        "message": "" if status in ("ok", "empty") else f"ValueError: bad <tile> & 100 % in {case}",
        **parts,
        "seconds_total": sum(parts.values()),
        "peak_host_mb": 812.5,
        "peak_gpu_mb": "",
        "details": "{}",
        "finished": "2024-05-01T10:00:00+00:00",
    }


def run_head(methods: Mapping[str, str], data: Path, n_cases: int) -> dict[str, Any]:
    return {
        "name": "synthetic",
        "title": "Discs of four modalities",
        "created": "2024-05-01T09:00:00+00:00",
        "finished": "2024-05-01T10:00:00+00:00",
        "status": "complete",
        "limit": None,
        "seed": 0,
        "config": {
            "name": "synthetic",
            "dataset": {"manifest": str(data / "manifest.csv")},
            "report": {"unit": "image"},
        },
        "versions": {"numpy": "2.0.2", "pandas": "2.2.0"},
        "python": "3.11.9",
        "platform": "Linux",
        "machine": {"cpu": "Some CPU", "cores": 2, "memory_gb": 16, "gpus": []},
        "git": {"commit": "c0ffee" * 6 + "c0ff", "dirty": True},
        "dataset": {
            "manifest": str(data / "manifest.csv"),
            "sha256": "ab" * 32,
            "root": str(data),
            "n_cases": n_cases,
        },
        "methods": [
            {
                "name": name,
                "label": label,
                "adapter": name,
                "input": "gray_max",
                "parameters": {"diameter": "estimate"},
                "weights": [
                    {
                        "name": "cyto",
                        "sha256": {"network": "cd" * 32},
                        "source": "a package",
                        "licence": "BSD-3-Clause",
                        "training_data": ["Omnipose images"],
                    }
                ],
                "info": {
                    "summary": "Shifted discs.",
                    "citation": "Nobody, 2024",
                    "licence": "MIT",
                    "training_data": [],
                    "url": "https://example.org/method",
                },
            }
            for name, label in methods.items()
        ],
    }
