"""Run the tests of a checkout that are marked ``gpu``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from cellharness.selftest.part import Part, Result, Seen

#: Set where a GPU must be there: what would skip for want of one then fails.
REQUIRE_GPU = "CELLHARNESS_REQUIRE_GPU"


def tests_of_this_copy() -> Path | None:
    """Folder of the tests beside the source; None for an installed copy, which has none."""
    folder = Path(__file__).resolve().parents[3] / "tests"
    return folder if (folder / "conftest.py").is_file() else None


def files_with_gpu_tests(folder: Path) -> list[Path]:
    """Files in which some test is marked; others may need packages that a GPU machine lacks."""
    found = folder.rglob("test_*.py")
    return sorted(path for path in found if _MARK in path.read_text(encoding="utf-8"))


def try_tests(part: Part) -> Result:
    """Run them with pytest, one line of the result each."""
    out = Path(part.folder) / "tests.xml"
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu"]
    command += ["-o", "addopts=--strict-markers", f"--junit-xml={out}"]
    command += map(str, files_with_gpu_tests(Path(part.name)))
    environment = dict(os.environ)
    if part.device == "cuda":
        environment[REQUIRE_GPU] = "1"
    done = subprocess.run(
        command,
        cwd=Path(part.name).parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if not out.is_file():
        return Result(part.title, "error", f"pytest wrote nothing: {done.stdout[-2000:]}")
    seen = read_junit(out)
    counts = {word: sum(each.value.startswith(word) for each in seen) for word in _WORDS}
    result = Result.judged(part, seen, dict(counts))
    if done.returncode not in (0, 1, 5):
        result.status, result.message = "error", done.stdout[-2000:]
    elif part.device == "cuda" and not counts["passed"]:
        result.status, result.message = "failed", "no test passed"
    return result


_MARK = "pytest.mark.gpu"
_WORDS = ("passed", "failed", "skipped")


def read_junit(path: Path) -> list[Seen]:
    """Read what became of each test; one that skips is told and is no failure."""
    found = []
    for case in ET.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}: {case.get('name')}"
        bad = [each for kind in ("failure", "error") for each in case.iter(kind)]
        skipped = next(case.iter("skipped"), None)
        if bad:
            lines = (bad[0].get("message") or bad[0].text or "").strip().splitlines()
            found.append(Seen(name, f"failed: {lines[0] if lines else ''}", "passed", ok=False))
        elif skipped is not None:
            found.append(Seen(name, f"skipped: {skipped.get('message')}"))
        else:
            found.append(Seen(name, f"passed in {float(case.get('time', 0)):.1f} s"))
    return found
