"""From images to scores, the paper's way and ours, in one run on the same real images.

Run with ``pytest tests/benchmarks/test_end_to_end_speed.py -o addopts= -rP`` on a quiet machine.
The paper's way is programs after each other, each with its own start: one makes grey files of all
images; for each method one segments them with the library as it is, and one scores its label files
with the steps of the official script, at one threshold. Ours is one ``cellharness run``, which
scores both profiles at all thresholds, tests, and draws the report as well. Both must find the
same correct cells.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from recording import PASSED, compared

#: Of the test images every fifth: 8, of all four modalities.
EVERY = 5
METHODS = {
    "size-model": {"weights": "cyto", "diameter": "estimate"},
    "diameter-30": {"weights": "cyto", "diameter": 30},
}

GREY = """
import json, sys
import numpy as np, skimage.io, skimage.color, tifffile
for name, path, out in json.load(open(sys.argv[1]))["images"]:
    image = skimage.io.imread(path)
    if image.ndim == 3:
        image = skimage.color.rgb2gray(image[..., :3]) * image.max()
    tifffile.imwrite(f"{out}/{name}.tiff", image.astype(np.float32))
"""

SEGMENT = """
import json, sys
import tifffile
from cellharness_adapters.cellpose.as_library import segmenter
given = json.load(open(sys.argv[1]))
parameters = json.loads(sys.argv[2])
if parameters["diameter"] == "estimate":
    parameters["diameter"] = None
segment = segmenter(parameters, "cpu", exact=False)
for name, _, out in given["images"]:
    tifffile.imwrite(f"{sys.argv[3]}/{name}.tiff", segment(tifffile.imread(f"{out}/{name}.tiff")))
"""

SCORE = """
import json, sys
import tifffile
sys.path[:0] = sys.argv[3:]
from test_scoring_speed import as_the_reference
given = json.load(open(sys.argv[1]))
found = {
    name: as_the_reference(tifffile.imread(truth), tifffile.imread(f"{sys.argv[2]}/{name}.tiff"))
    for name, truth in given["labels"]
}
print(json.dumps(found))
"""


def program(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def the_papers_way(cases, folder: Path) -> tuple[float, dict[str, dict[str, int]]]:
    """Seconds, and correct cells by method and case."""
    grey = folder / "grey"
    grey.mkdir(parents=True)
    given = folder / "given.json"
    images = [(case.case, str(case.image), str(grey)) for case in cases]
    labels = [(case.case, str(case.label)) for case in cases]
    given.write_text(json.dumps({"images": images, "labels": labels}), encoding="utf-8")
    begun = time.perf_counter()
    program(GREY, given)
    found = {}
    for name, parameters in METHODS.items():
        masks = folder / name
        masks.mkdir()
        program(SEGMENT, given, json.dumps(parameters), masks)
        here = Path(__file__).parent
        found[name] = json.loads(program(SCORE, given, masks, here, here.parent))
    return time.perf_counter() - begun, found


def our_way(cases, folder: Path, manifest: Path) -> tuple[float, dict[str, dict[str, int]]]:
    """Give the same of ours."""
    chosen = pd.read_csv(manifest)
    chosen = chosen[chosen["case"].isin([case.case for case in cases])]
    for path in [*chosen["image"], *chosen["label"]]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(manifest.parent / path, folder / path)
    chosen.to_csv(folder / "manifest.csv", index=False)
    methods = [
        {"name": name, "method": "cellpose", "parameters": {**parameters, "precision": "float32"}}
        for name, parameters in METHODS.items()
    ]
    config = {"name": "ours", "dataset": {"manifest": "manifest.csv"}, "methods": methods}
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [sys.executable, "-m", "cellharness", "run", str(folder / "config.yaml")]
    begun = time.perf_counter()
    done = subprocess.run(
        [*command, "--out", str(folder / "run")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    assert done.returncode == 0, done.stdout + done.stderr
    rows = pd.read_csv(folder / "run" / "scores.csv")
    rows = rows[(rows["profile"] == "challenge") & (rows["threshold"] == 0.5)]
    return seconds, {
        name: dict(zip(some["case"], map(int, some["tp"]), strict=True))
        for name, some in rows.groupby("method")
    }


@pytest.mark.timeout(3600)
@pytest.mark.weights
@pytest.mark.benchmark
def test_a_comparison_takes_a_fraction_of_the_papers_way(benchmark, cyto, realdata, tmp_path):
    cases = [case for case in realdata.cases if case.split == "test"][::EVERY]
    manifest = cases[0].image.parent.parent / "manifest.csv"
    papers, theirs = the_papers_way(cases, tmp_path / "paper")
    ours, mine = benchmark.pedantic(our_way, (cases, tmp_path / "ours", manifest), rounds=1)
    compared(
        benchmark, "end to end", f"{len(cases)} real images, {len(METHODS)} ways with `cyto`",
        reference="programs after each other, the library as it is", reference_s=papers,
        ours_s=ours, clock=PASSED, least=3.5,
    )  # fmt: skip
    assert mine == theirs
