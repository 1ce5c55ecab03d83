"""Where a method runs if not in our own Python: which interpreter, and what is installed there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellharness.environments import environment_python
from cellharness.errors import MissingDependencyError, UsageError
from cellharness.methods.base import MethodInfo
from cellharness.methods.registry import environment_source
from cellharness.provenance import IMAGE_PACKAGES, package_versions


@dataclass(frozen=True)
class Place:
    """Another Python, and what a method comes to there.

    Attributes
    ----------
    name : str
        Of the environment, or "" where an interpreter was given.
    python : str
        Its version.
    versions : mapping of str to str
        Of what the method's masks depend on; that of cellharness is ours, whose code runs there.
    resolved : mapping
        What the method's automatic choices come to there.
    """

    name: str
    python: str
    versions: Mapping[str, str]
    resolved: Mapping[str, Any]

    def record(self) -> dict[str, Any]:
        """What a result keeps of it: no path of this machine."""
        return {"name": self.name, "python": self.python, "versions": dict(self.versions)}


def packages_of(info: MethodInfo) -> tuple[str, ...]:
    """Distributions whose versions a method's masks depend on."""
    return ("cellharness", *IMAGE_PACKAGES, *info.packages)


def interpreter(environment: str | None, python: Path | None) -> Path | None:
    """Find the interpreter that is asked for.

    Parameters
    ----------
    environment : str or None
        Name of an environment.
    python : Path or None
        An interpreter, in the place of a name.

    Returns
    -------
    Path or None
        None where neither is given, which means our own.

    Raises
    ------
    UsageError
        No such environment or file, or both are given.
    MissingDependencyError
        The environment is known but not there, or not as it should be.
    """
    if environment is not None and python is not None:
        msg = "give either an environment or a python, not both"
        raise UsageError(msg)
    if environment is not None:
        return environment_python(environment_source(environment))
    if python is not None and not python.is_file():
        msg = f"no Python '{python}'; give the path of an interpreter, such as .venv/bin/python"
        raise UsageError(msg)
    return python.absolute() if python is not None else None


def look_at(
    python: Path, name: str | None, method: str, parameters: Mapping[str, Any], info: MethodInfo
) -> Place:
    """Ask an interpreter what a method comes to there.

    Raises
    ------
    MissingDependencyError
        It cannot run the method; the message says what it lacks.
    """
    from cellharness.running.elsewhere import ask

    try:
        answer = ask(python, method, parameters, packages_of(info))
    except UsageError as error:
        raise MissingDependencyError(str(error)) from error
    versions = {**answer.versions, **package_versions(["cellharness"])}
    return Place(name or "", answer.python, versions, answer.resolved)
