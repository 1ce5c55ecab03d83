"""What became of a named environment: absent, half made, broken, out of date, or ready."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from cellharness.environments.source import EnvironmentSource
from cellharness.errors import MissingDependencyError, UsageError

Status = Literal["absent", "foreign", "half made", "broken", "out of date", "ready"]

#: What tools put into an environment to install with; no method depends on them.
_TOOLS = frozenset({"pip", "setuptools", "wheel"})
_LISTING = """
import json, sys
from importlib.metadata import distributions
found = {each.metadata["Name"]: each.version for each in distributions()}
version = "%d.%d.%d" % sys.version_info[:3]
print(json.dumps({"python": version, "packages": found}))
"""
_PATIENCE_S = 120


def read_note(source: EnvironmentSource) -> dict[str, Any] | None:
    """Read what was noted of an environment; None where there is no note of ours."""
    try:
        note = json.loads(source.note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) and note.get("environment") == source.name else None


def status_of(source: EnvironmentSource) -> Status:
    """Tell what is there, without looking into the packages."""
    note = read_note(source)
    if note is None:
        return "foreign" if source.folder.exists() and any(source.folder.iterdir()) else "absent"
    if note.get("status") != "complete":
        return "half made"
    if not source.python.is_file():
        return "broken"
    return "ready" if note.get("requirements_sha256") == source.sha256 else "out of date"


def environment_python(source: EnvironmentSource) -> Path:
    """Give the interpreter of an environment that is as it should be.

    Returns
    -------
    Path

    Raises
    ------
    MissingDependencyError
        It is not there, or not as it should be; the message holds the command that mends it.
    """
    status = status_of(source)
    if status == "ready":
        return source.python
    again = f"build it again with `{source.command()}`"
    said = {
        "absent": f"is not on this machine; build it with `{source.command(again=False)}`",
        "foreign": f"cannot be built: '{source.folder}' holds files of others; move them away",
        "half made": f"was not built to the end; {again}",
        "broken": f"has lost its Python '{source.python}'; {again}",
        "out of date": f"was built from other versions than this cellharness asks for; {again}, or "
        f"use it as it is: python: {source.python}",
    }
    msg = f"environment '{source.name}' {said[status]}"
    raise MissingDependencyError(msg)


def differences(source: EnvironmentSource) -> list[str]:
    """Compare what is installed with the exact versions that are asked for.

    Parameters
    ----------
    source : EnvironmentSource
        One that was built.

    Returns
    -------
    list of str
        One sentence for each package that is absent, of another version, or installed beside
        those asked for; empty where it is as it should be.

    Raises
    ------
    UsageError
        Its Python does not run.
    """
    from packaging.markers import default_environment
    from packaging.utils import canonicalize_name

    there = _installed(source)
    found = {canonicalize_name(name): number for name, number in there["packages"].items()}
    markers: dict[str, Any] = {
        **default_environment(),
        "python_full_version": there["python"],
        "python_version": there["python"].rpartition(".")[0],
    }
    wanted = {
        canonicalize_name(pin.name): pin.specifier
        for pin in source.pins()
        if pin.marker is None or pin.marker.evaluate(markers)
    }
    told = [
        f"{name} is not installed, wanted {specifier}"
        if name not in found
        else f"{name} {found[name]} is installed, wanted {specifier}"
        for name, specifier in sorted(wanted.items())
        if name not in found or not specifier.contains(found[name], prereleases=True)
    ]
    beside = sorted(found.keys() - wanted.keys() - _TOOLS)
    return [*told, *(f"{name} {found[name]} is installed, not asked for" for name in beside)]


def _installed(source: EnvironmentSource) -> Mapping[str, Any]:
    command = [str(source.python), "-I", "-c", _LISTING]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_PATIENCE_S
        )
        return json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        msg = (
            f"'{source.python}' does not run ({error}); build the environment again with "
            f"`{source.command()}`"
        )
        raise UsageError(msg) from error
