"""What is missing on this machine, and the command that mends it."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from cellharness.caching import cache_dir
from cellharness.errors import MissingDependencyError
from cellharness.methods.installation import install_command, unmet
from cellharness.methods.registry import methods, weight_sources
from cellharness.provenance import gpus, package_versions
from cellharness.weights import WeightsHashError


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's answer.

    Attributes
    ----------
    subject, state : str
        What was looked at, and what was seen.
    ok : bool or None
        None where it is neither good nor bad, such as no GPU.
    remedy : str
        The command or step that mends it, or "".
    """

    subject: str
    state: str
    ok: bool | None = True
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Look at Python, memory, disk, GPU, packages, methods and weights in turn."""
    yield Finding(
        "python", platform.python_version(), sys.version_info >= (3, 11), "use Python 3.11 or later"
    )
    memory = psutil.virtual_memory()
    yield Finding(
        "memory", f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free", None
    )
    yield _disk()
    yield _gpu()
    yield from _methods()
    yield from _weights()


def _disk() -> Finding:
    folder = cache_dir()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free / 2**30
    return Finding(
        "disk for weights",
        f"{free:.1f} GiB free",
        free > 1,
        "free some space, or point CELLHARNESS_CACHE at another folder",
    )


def _gpu() -> Finding:
    cards = gpus()
    try:
        import torch
    except ImportError:
        return Finding("GPU", f"{len(cards)} by the driver; torch is not installed", None)
    if torch.cuda.is_available():
        return Finding("GPU", f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    if cards:
        return Finding(
            "GPU",
            f"the driver shows {cards[0]['name']}, but torch {torch.__version__} cannot use it",
            False,
            "pip install --force-reinstall torch torchvision, in a build for your CUDA driver",
        )
    return Finding("GPU", "none; everything runs on the CPU", None)


def _methods() -> Iterator[Finding]:
    for name, method in methods().items():
        if name.startswith("dummy-"):
            continue
        try:
            info = method().info
        except MissingDependencyError as error:
            yield Finding(f"method {name}", str(error), False)
            continue
        lacking = unmet(info.requires)
        if lacking:
            remedy = install_command(info.extra, info.requires)
            yield Finding(f"method {name}", f"needs {', '.join(lacking)}", False, remedy)
            continue
        versions = package_versions(info.packages)
        found = ", ".join(f"{package} {number}" for package, number in versions.items())
        yield Finding(f"method {name}", f"ready{f' ({found})' if found else ''}")


def _weights() -> Iterator[Finding]:
    for name, source in weight_sources().items():
        fetch = f"cellharness weights fetch {name}"
        try:
            found = source().locate()
        except MissingDependencyError as error:
            yield Finding(f"weights {name}", str(error), False)
            continue
        except WeightsHashError as error:
            yield Finding(f"weights {name}", str(error), False, f"{fetch} --force")
            continue
        if found is None:
            yield Finding(f"weights {name}", "not on this machine", None, fetch)
        else:
            yield Finding(f"weights {name}", f"SHA256 {next(iter(found.sha256.values()))[:12]}...")
