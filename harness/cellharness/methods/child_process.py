"""What each process of a method does: die with its parent, be seeded, name its failures."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import errno
import multiprocessing
import os
import random
import signal
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import numpy as np

from cellharness.data.images import ImageError, UnsupportedImageError
from cellharness.errors import UsageError
from cellharness.methods.base import CaseError

# How torch words it where it raises a plain RuntimeError: on the CPU, by the driver, by cuBLAS.
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


#: How a message begins where a disk was full.
NO_SPACE = "no space left on the device of"


def status_of(error: BaseException) -> str:
    """Name the status for what a case raised."""
    if isinstance(error, CaseError):
        return error.status
    if isinstance(error, UnsupportedImageError):
        return "unsupported"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "oom"
    if isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY):
        return "oom"
    return "error"


def describe(error: BaseException) -> str:
    """One or two lines for the ledger: what was raised, and where unless the user caused it."""
    text = f"{type(error).__name__}: {error}".strip()
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"{NO_SPACE} '{error.filename}'"
    if isinstance(error, CaseError | ImageError | UsageError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" (in {Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{text[:500]}{where}"


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and, where a method has loaded it, torch."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - wrapped libraries draw from the legacy generator
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def die_with_parent() -> None:
    """Ask Linux to end this process when the coordinator is killed; elsewhere the pipe closes."""
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    except (OSError, AttributeError):
        return


def die_first() -> None:
    """Have Linux end this process, and not the coordinator, when memory runs out."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def leave() -> None:
    """End this process at once, after what libraries registered for its end.

    Python would take all modules apart first; torch's alone cost more than a second.
    """
    if multiprocessing.parent_process() is None:
        return  # no child: a test or a user called what a child runs
    end()


def end(code: int = 0) -> NoReturn:
    """End this process at once, whoever started it; see `leave`."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
