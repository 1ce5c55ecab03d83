"""What weights and their sources are, and where fetched ones are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from cellharness.errors import UsageError
from cellharness.files import hash_file


class WeightsError(UsageError):
    """Weights are not to be had, or are not what they should be."""


class WeightsUnavailableError(WeightsError):
    """Weights are not on this machine and cannot be fetched now."""


class WeightsOfflineError(WeightsUnavailableError):
    """Weights would have to be fetched, and the network is forbidden."""


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

    def fetch(self, *, replace: bool = False) -> Weights:
        """Get what is missing, verify, and locate.

        Parameters
        ----------
        replace : bool
            Get files anew that are there but are not the registered ones.

        Raises
        ------
        WeightsUnavailableError
            They cannot be had now; the message says what to do.
        WeightsHashError
            A file is not the registered one, and `replace` is off or brought no better.
        """


def refuse_if_offline(name: str, advice: str) -> None:
    """Raise where the network is forbidden.

    Raises
    ------
    WeightsOfflineError
        With ``advice`` on what to do instead.
    """
    # Not above: it brings Python's HTTP client, which a list of weights does not need.
    from cellharness.downloading import is_offline

    if is_offline():
        msg = f"weights '{name}' are not on this machine and CELLHARNESS_OFFLINE is set. {advice}"
        raise WeightsOfflineError(msg)


def check_hash(path: Path, expected: str, name: str, found: str = "") -> None:
    """Compare a file of the weights `name` with its registered SHA256.

    `found` is that of the file, where it is known already.

    Raises
    ------
    WeightsHashError
        They differ; both are named.
    """
    found = found or hash_file(path)
    if found != expected:
        msg = (
            f"'{path}' is not the registered file: SHA256 {found}, expected {expected}. "
            f"Fetch it again with `cellharness weights fetch {name} --force`; if it comes back the "
            "same, do not use it."
        )
        raise WeightsHashError(msg)
