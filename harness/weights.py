"""Named weights: where they come from, their SHA256, their licence; fetched once, checked always.

A source says what it is and can do two things: ``locate`` finds verified files on
this machine, ``fetch`` gets them. Nothing here ever answers with other weights than
those that were asked for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import pooch

from harness.dataset import hash_file
from harness.errors import UsageError


class WeightsError(UsageError):
    """Weights are not to be had, or are not what they should be."""


class WeightsUnavailableError(WeightsError):
    """Weights are not on this machine and cannot be fetched now."""


class WeightsHashError(WeightsError):
    """A file's SHA256 is not the registered one."""


@dataclass(frozen=True)
class Weights:
    """Verified weight files.

    Attributes
    ----------
    name : str
        Registered name, or the file's name for a path.
    files : dict of str to Path
        Role (``"network"``, ``"size"`` ...) to file.
    sha256 : dict of str to str
        Role to SHA256 (hexadecimal) of that file.
    source, licence : str
        Where they come from, and on what terms.
    training_data : tuple of str
        Data sets they were trained on.
    """

    name: str
    files: Mapping[str, Path]
    sha256: Mapping[str, str]
    source: str = "local file"
    licence: str = "not stated"
    training_data: tuple[str, ...] = ()

    def record(self) -> dict[str, object]:
        """What a result keeps of them: names and hashes, no paths."""
        return {
            "name": self.name,
            "sha256": dict(self.sha256),
            "source": self.source,
            "licence": self.licence,
            "training_data": list(self.training_data),
        }


@runtime_checkable
class WeightSource(Protocol):
    """A place that named weights come from."""

    name: str
    source: str
    licence: str
    training_data: tuple[str, ...]

    def locate(self) -> Weights | None:
        """Find the files on this machine; None where some are missing.

        Raises
        ------
        WeightsHashError
            A file is there but is not the registered one.
        """

    def fetch(self) -> Weights:
        """Get what is missing, verify, and locate.

        Raises
        ------
        WeightsUnavailableError
            They cannot be had now; the message says what to do.
        """


def cache_dir() -> Path:
    """Folder of fetched weights: ``CELLHARNESS_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("CELLHARNESS_CACHE") or pooch.os_cache("cellharness"))


def is_offline() -> bool:
    """Whether ``CELLHARNESS_OFFLINE`` forbids the network."""
    return os.environ.get("CELLHARNESS_OFFLINE", "").lower() not in ("", "0", "false", "no")


def refuse_if_offline(name: str, advice: str) -> None:
    """Raise where the network is forbidden.

    Raises
    ------
    WeightsUnavailableError
        With ``advice`` on what to do instead.
    """
    if is_offline():
        msg = f"weights '{name}' are not on this machine and CELLHARNESS_OFFLINE is set. {advice}"
        raise WeightsUnavailableError(msg)


def check_hash(path: Path, expected: str) -> None:
    """Compare a file with its registered SHA256.

    Raises
    ------
    WeightsHashError
        They differ; both are named.
    """
    found = hash_file(path)
    if found != expected:
        msg = (
            f"'{path}' is not the registered file: SHA256 {found}, expected {expected}. "
            "Delete it and fetch again; if it comes back the same, do not use it."
        )
        raise WeightsHashError(msg)


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
            check_hash(path, self.members[role][1])
        hashes = {role: sha256 for role, (_, sha256) in self.members.items()}
        return Weights(self.name, files, hashes, self.source, self.licence, self.training_data)

    def fetch(self) -> Weights:
        """Download the wheel with pip, verify it, and take the members out."""
        found = self.locate()
        if found is not None:
            return found
        by_hand = cache_dir() / "weights" / self.wheel
        if by_hand.is_file():
            self._extract(by_hand)
        else:
            advice = (
                f"On a machine with a network run `pip download --no-deps {self.requirement}` "
                f"and put {self.wheel} into '{by_hand.parent}', then try again."
            )
            refuse_if_offline(self.name, advice)
            with tempfile.TemporaryDirectory() as scratch:
                self._extract(self._download(Path(scratch), advice))
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

    def _extract(self, wheel: Path) -> None:
        check_hash(wheel, self.wheel_sha256)
        self.folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            for role, (member, _) in self.members.items():
                # Only the base name is used, so a member can not be written elsewhere.
                write_atomic(self._path(role), archive.read(member))


@dataclass(frozen=True)
class HostedWeights:
    """Weights on a web host, kept in the folder where the model's own library looks for them.

    No SHA256 is published for them, so the first one seen is recorded beside our cache
    and any later change is refused.

    Attributes
    ----------
    base_url : str
        Prefix of the files' addresses.
    file_names : dict of str to str
        Role to file name.
    folder_variable, default_folder : str
        Environment variable of the library's own model folder, and that folder below
        the home folder where the variable is not set.
    """

    name: str
    base_url: str
    file_names: Mapping[str, str]
    folder_variable: str
    default_folder: str
    licence: str
    training_data: tuple[str, ...] = ()
    advice: str = field(default="", repr=False)

    @property
    def source(self) -> str:
        """Where the weights come from, in words."""
        return self.base_url

    @property
    def folder(self) -> Path:
        """The library's own model folder on this machine."""
        chosen = os.environ.get(self.folder_variable)
        return Path(chosen) if chosen else Path.home() / self.default_folder

    def locate(self) -> Weights | None:
        """Find the files in the library's folder; record or check their hashes."""
        files = {role: self.folder / name for role, name in self.file_names.items()}
        if not all(path.is_file() for path in files.values()):
            return None
        hashes = {role: hash_file(path) for role, path in files.items()}
        self._check_first_use(hashes)
        return Weights(self.name, files, hashes, self.source, self.licence, self.training_data)

    def fetch(self) -> Weights:
        """Download what is missing into the library's own folder."""
        found = self.locate()
        if found is not None:
            return found
        names = ", ".join(self.file_names.values())
        advice = (
            f"Put {names} (from {self.base_url}) into '{self.folder}', or point "
            f"{self.folder_variable} at a folder that holds them. {self.advice}"
        ).strip()
        refuse_if_offline(self.name, advice)
        for name in self.file_names.values():
            if (self.folder / name).is_file():
                continue
            try:
                pooch.retrieve(
                    f"{self.base_url}/{name}",
                    known_hash=None,
                    fname=name,
                    path=self.folder,
                    downloader=pooch.HTTPDownloader(timeout=30),
                )
            except Exception as error:
                reason = str(error) or type(error).__name__
                msg = f"weights '{self.name}': cannot download {name} ({reason:.200}). {advice}"
                raise WeightsUnavailableError(msg) from error
        located = self.locate()
        assert located is not None
        return located

    def _check_first_use(self, hashes: Mapping[str, str]) -> None:
        record = cache_dir() / "weights" / f"{self.name}-first-use.json"
        if not record.is_file():
            record.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(record, json.dumps(dict(hashes), indent=1).encode())
            return
        first = json.loads(record.read_text(encoding="utf-8"))
        for role, sha256 in hashes.items():
            if first.get(role, sha256) != sha256:
                msg = (
                    f"'{self.folder / self.file_names[role]}' has changed since its first use: "
                    f"SHA256 {sha256}, first {first[role]}. If the new file is wanted, "
                    f"delete '{record}'."
                )
                raise WeightsHashError(msg)


def local_weights(path: Path, role: str = "network") -> Weights:
    """Take one file of the user's as weights; its SHA256 goes into every result.

    Raises
    ------
    WeightsUnavailableError
        No such file.
    """
    if not path.is_file():
        msg = f"no weight file '{path}'"
        raise WeightsUnavailableError(msg)
    return Weights(path.name, {role: path}, {role: hash_file(path)})


def write_atomic(path: Path, data: bytes) -> None:
    """Write a whole file or none of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
