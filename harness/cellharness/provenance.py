"""What a result was made with: versions, machine, source revision."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

#: What reads images and makes them grey: other versions may give a method other pixels.
IMAGE_PACKAGES = ("numpy", "scikit-image", "tifffile", "imagecodecs", "imageio", "pillow")

_PACKAGES = (
    "cellharness",
    *IMAGE_PACKAGES,
    "scipy",
    "numba",
    "pandas",
    "matplotlib",
)


def package_versions(names: Iterable[str] = _PACKAGES) -> dict[str, str]:
    """Versions of the installed ones among some distributions.

    Parameters
    ----------
    names : iterable of str
        Distribution names; absent ones are left out.

    Returns
    -------
    dict of str to str
    """
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Processor, cores, memory in GiB and GPUs of this machine."""
    return {
        "cpu": _cpu_name(),
        "cores": psutil.cpu_count(logical=True),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": gpus(),
    }


def gpus() -> list[dict[str, str]]:
    """NVIDIA GPUs by the driver's own tool; empty where there is none."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    keys = ("name", "memory", "driver")
    lines = answer.stdout.strip().splitlines()
    return [
        dict(zip(keys, (part.strip() for part in line.split(",")), strict=False)) for line in lines
    ]


def revision() -> dict[str, Any]:
    """Git commit of the source this package runs from, and whether it was changed since."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return {"commit": None, "dirty": None}
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        dirty = bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": dirty}


def environment(packages: Iterable[str] = ()) -> dict[str, Any]:
    """Everything above, as ``run.json`` keeps it.

    Parameters
    ----------
    packages : iterable of str
        Distributions of the methods used, besides the harness's own.
    """
    return {
        "versions": package_versions(dict.fromkeys((*_PACKAGES, *packages))),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "machine": machine(),
        "git": revision(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=20, check=True
    ).stdout.strip()


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
