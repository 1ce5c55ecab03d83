"""The process of one part: ``python -m cellharness.selftest.child PART.json RESULT.json``.

A part has a process of its own, since after some errors a GPU answers a process no more.
"""

from __future__ import annotations

import json
import sys
import traceback
import warnings
from pathlib import Path

from cellharness.errors import MissingDependencyError
from cellharness.files import write_atomic
from cellharness.methods.child_process import die_with_parent
from cellharness.selftest.part import Part, Result
from cellharness.weights import WeightsUnavailableError


def try_part(part: Part) -> Result:
    """Run a part; whatever it raises becomes its status."""
    try:
        # Each imports what it needs only.
        if part.kind == "method":
            from cellharness.selftest.prediction import try_prediction

            return try_prediction(part)
        if part.kind == "training":
            from cellharness.selftest.training import try_training

            return try_training(part)
        from cellharness.selftest.gpu_tests import try_tests

        return try_tests(part)
    except (MissingDependencyError, WeightsUnavailableError) as error:
        return Result(part.title, "skipped", str(error))
    except Exception as error:
        where = traceback.format_exc(limit=-4)
        return Result(part.title, "error", f"{type(error).__name__}: {error}\n{where}")


def main() -> None:
    """Read the part, run it, write its result."""
    die_with_parent()
    warnings.simplefilter("ignore")
    given, out = map(Path, sys.argv[1:])
    part = Part(**json.loads(given.read_text(encoding="utf-8")))
    write_atomic(out, json.dumps(try_part(part).as_json()).encode())


if __name__ == "__main__":
    main()
