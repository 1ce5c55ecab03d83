"""A whole self test: which parts there are, each in a process of its own and within its time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from cellharness.errors import MissingDependencyError, UsageError, unknown_name
from cellharness.installation import unmet
from cellharness.methods.doctor import readiness
from cellharness.methods.registry import methods
from cellharness.processes import family, kill
from cellharness.selftest.gpu_tests import tests_of_this_copy
from cellharness.selftest.part import Part, Result
from cellharness.selftest.prediction import check_of, has_device

#: Seconds after which a part is ended, and the share of the time for all that one may take.
PART_S = 1800.0
_SHARE = 0.4
_TAIL = 2000


def plan(
    device: Literal["cpu", "cuda"], *, measured: bool, only: Sequence[str] = (), images: str = ""
) -> tuple[list[Part], list[Result]]:
    """Say which parts there are, and what cannot be tried and why.

    Parameters
    ----------
    device : {"cpu", "cuda"}
    measured : bool
        With comparisons between devices, timings, trainings and the tests marked ``gpu``.
    only : sequence of str
        Names of methods, and ``tests``; all where empty.
    images : str
        Path of a manifest of real images for the measured parts, or "".

    Returns
    -------
    parts : list of Part
        The tests first, then method by method: its prediction, its trainings.
    skipped : list of Result

    Raises
    ------
    UsageError
        A name in `only` is no method.
    """
    known = methods()
    for name in only:
        if name != "tests" and name not in known:
            raise unknown_name(kind="method", name=name, known=[*known, "tests"], hint="")
    parts: list[Part] = []
    skipped: list[Result] = []
    for name, method in known.items():
        if only and name not in only:
            continue
        found = readiness(name, method)
        if found is None:
            continue
        # One that is ready in an environment of its own cannot run in this process.
        if found.ok is not True or unmet(method().info.requires):
            remedy = f" -> {found.remedy}" if found.remedy else ""
            skipped.append(Result(f"method {name}", "skipped", f"{found.state}{remedy}"))
            continue
        try:
            check = check_of(name)
        except MissingDependencyError as error:
            skipped.append(Result(f"method {name}", "skipped", str(error)))
            continue
        if check is None:
            skipped.append(Result(f"method {name}", "skipped", "it brings no self check"))
            continue
        if check.parameters is not None and (not measured or has_device(name)):
            parts.append(Part("method", name, device, measured, images=images))
        if measured:
            numbers = range(len(check.trainings))
            parts += [Part("training", name, device, measured, n) for n in numbers]
    tests: list[Part] = []
    if measured and (not only or "tests" in only):
        folder = tests_of_this_copy()
        if folder is None:
            message = "an installed copy has no tests; run this in a checkout"
            skipped.append(Result("GPU tests", "skipped", message))
        else:
            tests = [Part("tests", str(folder), device, measured)]
    return [*tests, *parts], skipped


def run(
    parts: Sequence[Part], minutes: float | None, tell: Callable[[Result], None]
) -> list[Result]:
    """Run parts one after the other; one that fails, hangs or dies costs no other.

    Parameters
    ----------
    parts : sequence of Part
    minutes : float or None
        Time for all; what has not begun by then is skipped, what is at work is ended.
    tell : callable
        Told of each result.

    Returns
    -------
    list of Result
        In the order of the parts.
    """
    if minutes is not None and minutes <= 0:
        msg = f"minutes must be above 0, not {minutes:g}"
        raise UsageError(msg)
    longest = PART_S if minutes is None else _SHARE * 60 * minutes
    end = time.monotonic() + (60 * minutes if minutes is not None else PART_S * len(parts))
    results = []
    for part in parts:
        left = min(longest, end - time.monotonic())
        if left <= 0:
            result = Result(part.title, "skipped", "the time was over before it began")
        else:
            with tempfile.TemporaryDirectory(prefix="cellharness-selftest-") as folder:
                result = in_child(replace(part, folder=folder), Path(folder), left)
        results.append(result)
        tell(result)
    return results


def in_child(part: Part, folder: Path, limit_s: float) -> Result:
    """Run one part in a process, which is ended with all that it started at its time limit."""
    given, out, said = folder / "part.json", folder / "result.json", folder / "said.txt"
    given.write_text(json.dumps(asdict(part)), encoding="utf-8")
    command = [sys.executable, "-m", "cellharness.selftest.child", str(given), str(out)]
    # A test of what is here: nothing is fetched for it, and what we can import it can.
    environment = {
        **os.environ,
        "CELLHARNESS_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    begun = time.perf_counter()
    with said.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            kill(family(process.pid))
            process.wait()
    seconds = time.perf_counter() - begun
    if out.is_file():
        result = Result.from_json(json.loads(out.read_text(encoding="utf-8")))
    elif code is None:
        result = Result(part.title, "timeout", f"ended after {limit_s:.0f} s")
    else:
        tail = said.read_text(encoding="utf-8", errors="replace")[-_TAIL:]
        result = Result(part.title, "error", f"its process ended with code {code}. {tail}".strip())
    result.seconds = seconds
    return result
