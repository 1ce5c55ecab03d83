"""What is missing on this machine, and the command that mends it."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from cellharness.caching import cache_dir
from cellharness.environments import status_of
from cellharness.errors import MissingDependencyError
from cellharness.installation import install_command, unmet
from cellharness.methods.registry import environment_source, methods, weight_sources
from cellharness.provenance import gpus, package_versions
from cellharness.weights import WeightsHashError

if TYPE_CHECKING:
    from cellharness.methods.base import BaseSegmenter


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
        found = readiness(name, method)
        if found is not None:
            yield found


def readiness(name: str, method: Callable[[], type[BaseSegmenter]]) -> Finding | None:
    """Whether a method can run here; None for one that is in no list.

    Parameters
    ----------
    name : str
    method : callable
        Imports its class, as :func:`cellharness.methods.registry.methods` gives it.
    """
    subject = f"method {name}"
    try:
        info = method().info
    except MissingDependencyError as error:
        return Finding(subject, str(error), False)
    if info.hidden:
        return None
    lacking = unmet(info.requires)
    if lacking and info.environment:
        return _in_environment(name, info.environment)
    if lacking:
        remedy = install_command(info.extra, info.requires)
        return Finding(subject, f"needs {', '.join(lacking)}", False, remedy)
    versions = package_versions(info.packages)
    found = ", ".join(f"{package} {number}" for package, number in versions.items())
    return Finding(subject, f"ready{f' ({found})' if found else ''}")


def _in_environment(method: str, environment: str) -> Finding:
    """A method that our own environment cannot run, and need not."""
    source = environment_source(environment)
    status = status_of(source)
    if status == "ready":
        return Finding(f"method {method}", f"ready in environment {environment}")
    create = source.command(again=status != "absent")
    state = f"runs in environment {environment}, which is {status}"
    # That it was never built is nobody's fault; that it was built badly is to be mended.
    return Finding(f"method {method}", state, None if status == "absent" else False, create)


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
