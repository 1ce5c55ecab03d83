"""The command that installs what is missing, true for the way this copy was installed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution, version

from cellharness.errors import MissingDependencyError

_PROJECT = "cellharness"


def unmet(requirements: Iterable[str]) -> list[str]:
    """Those of some requirements that are not installed, or in another version.

    Examples
    --------
    >>> unmet(["numpy>=1", "numpy<1", "no-such-package"])
    ['numpy<1', 'no-such-package']
    """
    return [text for text in requirements if not _is_met(text)]


def install_command(extra: str = "", requirements: Iterable[str] = ()) -> str:
    """Say how to install an optional part.

    Parameters
    ----------
    extra : str
        Name of the part; used only if the installed copy really has one of this name.
    requirements : iterable of str
        What the part needs, for a copy that does not; only the unmet ones are named.

    Returns
    -------
    str
        A command for a shell, "" where nothing is known to be missing.

    Examples
    --------
    >>> install_command("no-such-extra", ["numpy>=1", "no-such-package>=2"])
    "pip install 'no-such-package>=2'"
    """
    try:
        own = distribution(_PROJECT)
    except PackageNotFoundError:
        own = None
    if own is not None and extra in (own.metadata.get_all("Provides-Extra") or ()):
        origin = json.loads(own.read_text("direct_url.json") or "{}")
        if "dir_info" not in origin:
            return f"pip install '{_PROJECT}[{extra}]'"
        option = "-e " if origin["dir_info"].get("editable") else ""
        return f"pip install {option}'.[{extra}]' in the project's folder"
    missing = unmet(requirements)
    return f"pip install {' '.join(repr(text) for text in missing)}" if missing else ""


def own_requirements() -> list[str]:
    """What cellharness itself needs, without optional parts; nothing where it is not installed.

    Examples
    --------
    >>> any(text.startswith("numpy") for text in own_requirements())
    True
    """
    try:
        needed = distribution(_PROJECT).requires or []
    except PackageNotFoundError:
        return []
    return [text for text in needed if "extra ==" not in text]


def missing_package(what: str, error: ImportError, extra: str = "") -> MissingDependencyError:
    """Build the error for what lacks a package, with the command that installs it.

    Parameters
    ----------
    what : str
        Such as a method's name, as a sentence begins with it.
    error : ImportError
        What the import raised.
    extra : str
        Optional part of cellharness that has it; "" for what cellharness itself requires.
    """
    hint = missing_module_hint(error, extra)
    msg = f"{what} needs a package that is not installed: {error}. {hint}"
    return MissingDependencyError(msg.strip())


def missing_module_hint(error: ImportError, extra: str = "") -> str:
    """Say what to do about an import that failed, as a sentence; "" where that is not known."""
    command = install_command(extra)
    if command:
        return f"Install what it needs with: {command}"
    module = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or module in ("", "adapters", "harness"):
        return ""
    from packaging.requirements import Requirement

    for text in own_requirements():
        if Requirement(text).name == module:
            return f"Install it with: pip install '{text}'"
    return f"Install the package that provides the module '{module}'."


def _is_met(text: str) -> bool:
    from packaging.requirements import Requirement

    requirement = Requirement(text)
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False
