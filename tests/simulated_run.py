"""A finished run directory with invented scores and costs: as many methods and cases as wanted.

Scores are drawn, not computed; the masks beside them are a few phantom masks linked many times, so
that a directory of the paper's size is made in seconds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from skimage.draw import disk

from cellharness.data.images import write_label
from cellharness.files import hash_file

#: As many images of each modality as the paper's test set has: 422 in all.
PAPER_SIZES = {"Brightfield": 120, "Fluorescent": 122, "Phase-contrast": 120, "DIC": 60}
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
_MASKS = 8
# Cells of radius 7 px, one on so many pixels.
_PIXELS_A_CELL = 1000
_NAMES = (
    "alder", "bluebell-net", "clover", "dog rose transformer", "elm", "fern-unet", "gorse",
    "hazel (two-stage)", "iris", "juniper", "kelp", "larch-v2", "moss", "nettle", "oak", "pine",
    "quince", "reed", "sedge-large", "thyme", "ulex", "vetch", "willow", "xerophyte", "yarrow",
    "zinnia", "aspen", "birch",
)  # fmt: skip


@dataclass(frozen=True)
class Simulation:
    """What to invent.

    Attributes
    ----------
    methods
        How many.
    sizes
        Images of each modality.
    thresholds
        IoU thresholds.
    profiles
        Score profiles.
    failures
        Share of failed cases of the later half of the methods.
    gpu
        Numbers of the methods that ran on a GPU; None for all.
    pixels
        Whether the ledger says how large images are, as newer ones do.
    seed
        Of all that is drawn.
    side
        Height and width of the images in pixels; ``pixels`` in the ledger is invented.
    labels
        Number of a method to its label, in place of an invented one.
    """

    methods: int = 28
    sizes: Mapping[str, int] = field(default_factory=lambda: PAPER_SIZES)
    thresholds: tuple[float, ...] = THRESHOLDS
    profiles: tuple[str, ...] = ("strict", "challenge")
    failures: float = 0.02
    gpu: Collection[int] | None = None
    pixels: bool = True
    seed: int = 0
    side: int = 96
    labels: Mapping[int, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Names of the methods."""
        return [f"m{i:02d}" for i in range(self.methods)]

    def label(self, i: int) -> str:
        """How the report spells method `i`."""
        return self.labels.get(i, _NAMES[i % len(_NAMES)])


def simulate_run(folder: Path, what: Simulation, *, masks: bool = True) -> Path:
    """Write a run directory and return it; without masks there are no pictures to show."""
    run = folder / "run"
    run.mkdir(parents=True)
    rng = np.random.default_rng(what.seed)
    cases = pd.DataFrame(
        [(f"{name[0]}{i:03d}", name) for name, n in what.sizes.items() for i in range(n)],
        columns=["case", "modality"],
    )
    cases["experiment"] = [f"exp-{case[:2]}" for case in cases["case"]]
    cases["pixels"] = rng.choice([250_000, 480_000, 1_000_000, 2_400_000], len(cases))
    values = f1_values(rng, what, cases)
    failed = rng.random(values.shape) < what.failures
    failed[:, : max(1, what.methods // 2)] = False
    scores(what, cases, values, failed, rng).to_csv(run / "scores.csv", index=False)
    ledger(what, cases, failed, rng).to_csv(run / "ledger.csv", index=False)
    manifest = cases[["case", "modality", "experiment"]].assign(
        image=[f"images/{case}.png" for case in cases["case"]],
        label=[f"labels/{case}_label.tiff" for case in cases["case"]],
        split="test", licence="CC0", source="invented", modality_source="given",
        sha256="",
    )  # fmt: skip
    (run / "run.json").write_text(json.dumps(head(what, folder, len(cases))), encoding="utf-8")
    if masks:
        manifest["sha256"] = link_masks(what, folder, run, list(cases["case"]), failed)
    manifest.to_csv(run / "manifest.csv", index=False)
    return run


def f1_values(rng: np.random.Generator, what: Simulation, cases: pd.DataFrame) -> np.ndarray:
    """Draw F1 of every case and method: (cases, methods), earlier methods better on the whole."""
    ability = np.linspace(2.2, -0.6, what.methods) + rng.normal(0, 0.12, what.methods)
    groups = list(what.sizes)
    liking = rng.normal(0, 0.5, (len(groups), what.methods))
    hardness = rng.normal(0, 0.9, (len(cases), 1))
    noise = rng.normal(0, 0.7, (len(cases), what.methods))
    of_case = cases["modality"].map({name: i for i, name in enumerate(groups)}).to_numpy()
    return 1 / (1 + np.exp(-(ability + liking[of_case] - hardness + noise)))


def scores(
    what: Simulation,
    cases: pd.DataFrame,
    values: np.ndarray,
    failed: np.ndarray,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Lay the drawn values out as a score table."""
    blocks = []
    for i, method in enumerate(what.names):
        status = np.where(failed[:, i], rng.choice(["error", "timeout"], len(cases)), "ok")
        for profile in what.profiles:
            for threshold in what.thresholds:
                f1 = values[:, i] * (1 - ((threshold - 0.5) / 0.5) ** 2)
                f1 = np.where(failed[:, i], 0.0 if profile == "strict" else np.nan, f1)
                block = cases[["case", "modality", "experiment"]].assign(
                    method=method, profile=profile, threshold=threshold, status=status,
                    modality_source="given", split="test", seen=cases["pixels"] < 300_000,
                    f1=f1.round(4) if profile == "challenge" else f1,
                )  # fmt: skip
                blocks.append(block)
    return pd.concat(blocks, ignore_index=True)


def ledger(
    what: Simulation, cases: pd.DataFrame, failed: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw what every case cost: seconds by phase and peaks of memory."""
    blocks = []
    for i, method in enumerate(what.names):
        speed, memory = float(rng.lognormal(0.3, 0.9)), float(rng.lognormal(7.9, 0.6))
        network = speed * (cases["pixels"] / 1e6) ** 0.8 * rng.lognormal(0, 0.15, len(cases))
        on_gpu = what.gpu is None or i in what.gpu
        load = np.where(np.arange(len(cases)) == 0, rng.uniform(1, 9), 0.0)
        block = pd.DataFrame(
            {
                "method": method,
                "case": cases["case"],
                "identity": "0" * 64,
                "status": np.where(failed[:, i], "error", "ok"),
                "message": np.where(failed[:, i], "ValueError: invented", ""),
                "seconds_load": load,
                "seconds_warmup": load / 8,
                "seconds_read": 0.01,
                "seconds_preprocess": 0.02,
                "seconds_network": network,
                "seconds_postprocess": network / 5,
                "seconds_write": 0.01,
                "seconds_total": 0.04 + 1.2 * network + 1.125 * load,
                "peak_host_mb": 900 + memory / 3,
                "peak_gpu_mb": memory if on_gpu else np.nan,
                "details": "{}",
                "finished": "2024-05-01T10:00:00+00:00",
            }
        )
        if what.pixels:
            block["pixels"] = cases["pixels"]
        blocks.append(block)
    return pd.concat(blocks, ignore_index=True)


def head(what: Simulation, folder: Path, n_cases: int) -> dict:
    """Return what ``run.json`` holds."""
    listed = [
        {
            "name": name,
            "label": what.label(i),
            "adapter": "invented",
            "input": "native",
            "parameters": {},
            "weights": [],
            "info": {"summary": "Invented scores.", "licence": "CC0", "training_data": []},
        }
        for i, name in enumerate(what.names)
    ]
    return {
        "name": "simulated",
        "title": "Simulated methods",
        "created": "2024-05-01T09:00:00+00:00",
        "finished": "2024-05-01T10:00:00+00:00",
        "status": "complete",
        "limit": None,
        "seed": what.seed,
        "config": {"name": "simulated", "report": {"published": False, "unit": "image"}},
        "versions": {},
        "machine": {"gpus": []},
        "git": {"commit": None, "dirty": False},
        "dataset": {"root": str(folder / "data"), "n_cases": n_cases},
        "methods": listed,
    }


def link_masks(
    what: Simulation, folder: Path, run: Path, cases: list[str], failed: np.ndarray
) -> list[str]:
    """Write a few images and masks, and link them under the name of every case.

    Returns
    -------
    list of str
        Hash of the image of every case.
    """
    for name in ("images", "labels"):
        (folder / "data" / name).mkdir(parents=True)
    for method in what.names:
        (run / "predictions" / method).mkdir(parents=True)
    rng = np.random.default_rng(what.seed)
    kept = []
    for k in range(_MASKS):
        mask = np.zeros((what.side, what.side), np.uint16)
        n_cells = what.side**2 // _PIXELS_A_CELL
        for label, (y, x) in enumerate(rng.integers(12, what.side - 12, (n_cells, 2)), start=1):
            mask[disk((y, x), 7, shape=mask.shape)] = label
        label_file, picture = folder / f"mask{k}.tiff", folder / f"picture{k}.png"
        write_label(label_file, mask)
        noise = rng.normal(0, 12, mask.shape)
        Image.fromarray((60 + 120 * (mask > 0) + noise).clip(0, 255).astype(np.uint8)).save(picture)
        kept.append((label_file, picture))
    hashes = [hash_file(picture) for _, picture in kept]
    for c, case in enumerate(cases):
        truth, picture = kept[c % _MASKS]
        os.link(picture, folder / "data" / "images" / f"{case}.png")
        os.link(truth, folder / "data" / "labels" / f"{case}_label.tiff")
        for i, method in enumerate(what.names):
            if not failed[c, i]:
                mask_file, _ = kept[(c + i // 8) % _MASKS]
                os.link(mask_file, run / "predictions" / method / f"{case}_label.tiff")
    return [hashes[c % _MASKS] for c in range(len(cases))]
