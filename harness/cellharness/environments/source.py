"""What a named environment is: a file of exact versions, and where it is kept once built."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellharness.caching import cache_dir
from cellharness.errors import UsageError
from cellharness.files import hash_file

if TYPE_CHECKING:
    from packaging.requirements import Requirement


@dataclass(frozen=True)
class EnvironmentSource:
    """A named environment.

    Attributes
    ----------
    name : str
        As a configuration names it.
    summary : str
        What it is for, in one sentence.
    requirements : Path
        A text file of requirements, each with one exact version: ``name==1.2.3``.
    """

    name: str
    summary: str
    requirements: Path

    @property
    def folder(self) -> Path:
        """Where it is kept: notes, and the environment itself below them."""
        return cache_dir() / "environments" / self.name

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.folder / "venv"

    @property
    def python(self) -> Path:
        """Its interpreter, whether or not it is there."""
        return self.venv / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

    @property
    def note(self) -> Path:
        """What it was built from, when, and whether to the end."""
        return self.folder / "environment.json"

    @property
    def sha256(self) -> str:
        """Of the file of requirements."""
        return hash_file(self.requirements)

    def command(self, *, again: bool = True) -> str:
        """Command line that builds it, or builds it again."""
        return f"cellharness environments create {self.name}{' --overwrite' if again else ''}"

    def pins(self) -> list[Requirement]:
        """Read the requirements.

        Raises
        ------
        UsageError
            One of them does not name one exact version.
        """
        # Not for who only asks which environments there are.
        from packaging.requirements import InvalidRequirement, Requirement

        pins = []
        for number, line in enumerate(self.requirements.read_text("utf-8").splitlines(), 1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            try:
                pin = Requirement(text)
            except InvalidRequirement as error:
                msg = f"'{self.requirements}', line {number}: '{text}' is no requirement: {error}"
                raise UsageError(msg) from error
            exact = [each.operator for each in pin.specifier] == ["=="]
            if not exact or str(pin.specifier).endswith("*"):
                msg = (
                    f"'{self.requirements}', line {number}: '{text}' does not name one exact "
                    f"version; write {pin.name}==VERSION"
                )
                raise UsageError(msg)
            pins.append(pin)
        return pins
