"""How the time of a whole ``cellharness run`` grows: with images, with methods, with workers.

Images are drawn, 256 x 256 px with 64 cells, and otsu-watershed segments them, so that what the
comparison itself costs is seen: starting, reading, scoring, tests, report. For the workers each
case sleeps a quarter of a second in place of a network, which leaves the processor alone.
"""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile
import yaml

from drawn_case import draw_case
from recording import PASSED, compared, grows


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    """Give the path of a manifest with so many cases; modalities and experiments in turn."""
    folder = tmp_path_factory.mktemp("drawn")
    rng = np.random.default_rng(0)
    lines = []
    for number in range(256):
        image, labels = draw_case(rng, (256, 256), cells=64, radius=11)
        tifffile.imwrite(folder / f"c{number}.tif", image)
        tifffile.imwrite(folder / f"c{number}_label.tiff", labels)
        modality = ("Brightfield", "Fluorescent", "Phase-contrast", "DIC")[number % 4]
        lines.append(
            f"c{number},c{number}.tif,c{number}_label.tiff,{modality},e{number // 4 % 8},test,"
        )

    def made(count):
        path = folder / f"manifest-{count}.csv"
        head = "case,image,label,modality,experiment,split,sha256"
        path.write_text("\n".join([head, *lines[:count]]) + "\n", encoding="utf-8")
        return path

    return made


def run(folder, manifest, methods, **more):
    """Seconds that a run takes, its start and its report included."""
    config = {"name": "grows", "dataset": {"manifest": str(manifest)}, "methods": methods, **more}
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    out = folder / f"run-{time.monotonic_ns()}"
    command = [sys.executable, "-m", "cellharness", "run", str(file), "--out", str(out)]
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begun
    assert done.returncode == 0, done.stdout + done.stderr
    return seconds


def otsu(count):
    return [
        {"name": f"otsu-{n}", "method": "otsu-watershed", "parameters": {"min_size": 10 + n}}
        for n in range(count)
    ]


@pytest.mark.timeout(900)
def test_with_images(benchmark, manifests, tmp_path):
    seconds = {count: run(tmp_path, manifests(count), otsu(2)) for count in (16, 64, 256)}
    benchmark.pedantic(len, args=("",), rounds=1)
    what = "a run of two classical methods, report included"
    assert grows(benchmark, "growth", what, "images", seconds) < 1


@pytest.mark.timeout(900)
def test_with_methods(benchmark, manifests, tmp_path):
    seconds = {count: run(tmp_path, manifests(16), otsu(count)) for count in (1, 2, 4, 8)}
    benchmark.pedantic(len, args=("",), rounds=1)
    what = "a run on 16 images, report included"
    assert grows(benchmark, "growth", what, "methods", seconds) < 1.2


@pytest.mark.timeout(900)
def test_with_workers(benchmark, manifests, tmp_path):
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    slow = [{"name": "slow", "method": "dummy-slow", "parameters": {"seconds": 0.25}}]
    manifest = manifests(256)
    seconds = {
        count: run(tmp_path, manifest, slow, cluster={"workers": count}) for count in (1, 2, 4)
    }
    benchmark.pedantic(len, args=("",), rounds=1)
    for count in (2, 4):
        compared(
            benchmark, "workers", f"256 cases of 0.25 s, {count} workers on this machine",
            reference="one worker", reference_s=seconds[1], ours_s=seconds[count], clock=PASSED,
        )  # fmt: skip
    assert seconds[2] < seconds[1]
