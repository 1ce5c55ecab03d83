"""Build the explorer of a run, and read what its page was given, as its scripts do."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from cellharness.report.comparison import load_comparison
from cellharness.report.explorer import build_explorer


class Explorer:
    """Folder of a report with an explorer."""

    def __init__(self, report: Path) -> None:
        self.folder = report / "explore"
        self.page = report / "explore.html"
        text = (self.folder / "data.js").read_text(encoding="ascii")
        self.data: dict[str, Any] = json.loads(
            text.removeprefix("window.EXPLORER_DATA=").removesuffix(";\n")
        )

    def floats(self, name: str, *shape: int) -> np.ndarray:
        return np.frombuffer(base64.b64decode(self.data[name]), "<f4").reshape(shape)

    def tests(self, *shape: int) -> np.ndarray:
        """Shape (profiles, thresholds, groups, pairs): p, p adjusted, ends, units on the fourth."""
        packed = base64.b64decode(self.data["tests"]["numbers"])
        return np.frombuffer(packed, "<f4").reshape(*shape[:3], 5, shape[3])

    def outcomes(self, *shape: int) -> np.ndarray:
        tests = self.data["tests"]
        places = np.frombuffer(base64.b64decode(tests["outcomes"]), "u1").reshape(shape)
        return np.array(tests["words"], object)[places]

    def codes(self, name: str, *shape: int) -> np.ndarray:
        return np.frombuffer(base64.b64decode(self.data[name]), "u1").reshape(shape)

    def outlines(self, picture: str) -> dict[str, Any]:
        text = (self.folder / "outlines" / f"{picture}.js").read_text(encoding="ascii")
        body = text.removeprefix("explorer.outlines.arrived(").removesuffix(");\n")
        name, found = json.loads(f"[{body}]")
        assert name == picture
        return found

    @property
    def cases(self) -> dict[str, dict[str, Any]]:
        return {case["name"]: case for case in self.data["cases"]}


def explore(run: Path) -> Explorer:
    """Build the explorer alone, in the folder of the report, which is emptied."""
    report = run / "report"
    shutil.rmtree(report, ignore_errors=True)
    report.mkdir()
    build_explorer(load_comparison(run), report)
    return Explorer(report)
