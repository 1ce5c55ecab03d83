"""Build a named environment: with uv where it is to be had, else with venv and pip."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from cellharness.environments.source import EnvironmentSource
from cellharness.environments.state import differences, status_of
from cellharness.errors import UsageError
from cellharness.files import alone, write_atomic

Installer = Literal["auto", "uv", "pip"]
INSTALLERS: tuple[Installer, ...] = get_args(Installer)

#: Lines of an installer's own words that are told where it fails.
_LAST_LINES = 5


def create_environment(
    source: EnvironmentSource,
    installer: Installer = "auto",
    *,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> float:
    """Build an environment of exactly the versions of its file, and look whether they are there.

    Its Python is the one that this runs in.

    Parameters
    ----------
    source : EnvironmentSource
    installer : {"auto", "uv", "pip"}
        auto: uv if it is found, which shares files with its other environments and is many times
        faster; where there is none, or it fails, venv and pip, and that is said.
    overwrite : bool
        Build one again that is there. Only what was built here before is deleted.
    say : callable
        Told what is done.

    Returns
    -------
    float
        Seconds that it took.

    Raises
    ------
    UsageError
        It is there and `overwrite` is off, files of others are in its place, it is being built by
        another process, or neither installer could build it.
    """
    pins = source.pins()
    source.folder.parent.mkdir(parents=True, exist_ok=True)
    busy = f"environment '{source.name}' is being built by another process"
    with alone(source.folder.with_name(f"{source.name}.lock"), busy):
        _make_room(source, overwrite)
        begun = time.perf_counter()
        for number, (name, build) in enumerate(tools := _tools(installer, say)):
            say(f"installing {len(pins)} packages with {name} into {source.venv}")
            _write_note(source, status="building", installer=name)
            try:
                build(source)
                break
            except _InstallerError as error:
                if number + 1 == len(tools):
                    msg = f"environment '{source.name}' could not be built: {error}"
                    raise UsageError(msg) from error
                say(f"{error}; {tools[number + 1][0]} goes on, which takes longer")
                shutil.rmtree(source.venv, ignore_errors=True)
        if faults := differences(source):
            msg = f"environment '{source.name}' is not what was asked for: {'; '.join(faults)}"
            raise UsageError(msg)
        seconds = time.perf_counter() - begun
        _write_note(source, status="complete", installer=name, seconds=round(seconds, 1))
    return seconds


class _InstallerError(Exception):
    """An installer ended badly; the message holds its last words."""


def _make_room(source: EnvironmentSource, overwrite: bool) -> None:
    status = status_of(source)
    if status == "foreign":
        msg = f"'{source.folder}' holds files that cellharness did not write; move them away"
        raise UsageError(msg)
    if status != "absent" and not overwrite:
        state = "is there" if status == "ready" else f"is there, but {status}"
        msg = f"environment '{source.name}' {state}; --overwrite builds it again"
        raise UsageError(msg)
    source.folder.mkdir(exist_ok=True)
    _write_note(source, status="building")
    # A link leads to a folder of somebody else's.
    if source.venv.is_symlink():
        source.venv.unlink()
    elif source.venv.exists():
        shutil.rmtree(source.venv)


def _write_note(source: EnvironmentSource, **facts: object) -> None:
    note = {
        "environment": source.name,
        "python": sys.version.split()[0],
        "requirements_sha256": source.sha256,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        **facts,
    }
    write_atomic(source.folder / "requirements.txt", source.requirements.read_bytes())
    write_atomic(source.note, json.dumps(note, indent=1).encode())


def _tools(
    installer: Installer, say: Callable[[str], None]
) -> list[tuple[str, Callable[[EnvironmentSource], None]]]:
    """Installers to try, in this order."""
    uv = _find_uv() if installer in ("auto", "uv") else None
    if uv is None and installer == "uv":
        msg = "no uv on PATH or beside this Python; `pip install uv`, or take --installer pip"
        raise UsageError(msg)
    if uv is None and installer == "auto":
        say("uv is not here, and would be many times faster: pip install uv")
    found: list[tuple[str, Callable[[EnvironmentSource], None]]] = []
    if uv is not None:
        found.append(("uv", lambda source: _build_with_uv(uv, source)))
    if installer in ("auto", "pip"):
        found.append(("pip", _build_with_pip))
    return found


def _find_uv() -> str | None:
    """Beside this Python first: one on PATH may be a stand-in that starts nothing."""
    beside = Path(sys.executable).with_name("uv.exe" if sys.platform == "win32" else "uv")
    return str(beside) if beside.is_file() else shutil.which("uv")


def _build_with_uv(uv: str, source: EnvironmentSource) -> None:
    _call([uv, "venv", "--quiet", "--python", sys.executable, str(source.venv)])
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--python", str(source.python)]
    _call([*install, "--requirement", str(source.requirements)])


def _build_with_pip(source: EnvironmentSource) -> None:
    _call([sys.executable, "-m", "venv", str(source.venv)])
    install = [str(source.python), "-m", "pip", "install", "--quiet", "--no-deps"]
    install += ["--disable-pip-version-check", "--no-input"]
    _call([*install, "--requirement", str(source.requirements)])


def _call(command: Sequence[str]) -> None:
    # What leads to our own packages would be taken for installed.
    ours = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    settings = {name: value for name, value in os.environ.items() if name not in ours}
    try:
        done = subprocess.run(
            command, env=settings, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        msg = f"'{command[0]}' does not start ({error.strerror})"
        raise _InstallerError(msg) from error
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-_LAST_LINES:]
        msg = f"`{' '.join(command[:3])}` ended with {done.returncode}: {' / '.join(words)[:600]}"
        raise _InstallerError(msg)
