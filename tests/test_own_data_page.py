"""docs/your-own-data.md does what it says, block by block."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from cellharness.cli import main

PAGE = Path(__file__).resolve().parent.parent / "docs" / "your-own-data.md"


@pytest.mark.slow
def test_every_block_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = np.kron(np.arange(12).reshape(3, 4), np.pad(np.ones((20, 20)), 6)).astype(np.uint16)
    for name in ("plate1_a", "plate1_b", "plate2_a"):
        image = (rng.normal(20, 3, labels.shape) + 150 * (labels > 0)).clip(0, 255)
        for folder, ending, data in (
            ("photos", "", image.astype(np.uint8)),
            ("labels", "_label", labels),
        ):
            path = tmp_path / folder / f"{name}{ending}.tif"
            path.parent.mkdir(exist_ok=True)
            tifffile.imwrite(path, data)
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert [kind for kind, _ in blocks].count("sh") == 4
    for kind, text in blocks:
        if kind != "sh":
            path = tmp_path / text.split("\n", 1)[0].removeprefix("# ")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        if kind == "toml":
            options = ["--quiet", "--no-deps", "--no-build-isolation", "--target", "site"]
            command = [sys.executable, "-m", "pip", "install", *options, "./plugin"]
            subprocess.run(command, check=True)
            monkeypatch.syspath_prepend(tmp_path / "site")
        for line in text.splitlines() if kind == "sh" else ():
            with pytest.raises(SystemExit) as stopped:
                main(shlex.split(line)[1:])
            assert stopped.value.code == 0, line
    scores = pd.read_csv("runs/own/scores.csv")
    assert set(scores["method"]) == {"otsu", "elsewhere", "brightest"}
    assert set(scores["experiment"]) == {"plate1", "plate2"}
    assert Path("runs/own/report/index.html").is_file()
