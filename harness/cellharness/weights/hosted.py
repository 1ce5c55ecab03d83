"""Weights on a web host that publishes no hashes itself."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cellharness.caching import cache_dir
from cellharness.files import hash_file, write_atomic
from cellharness.weights.file_kinds import WeightFileError, refuse_web_page
from cellharness.weights.source import (
    Weights,
    WeightsHashError,
    WeightsUnavailableError,
    check_hash,
    refuse_if_offline,
)


@dataclass(frozen=True)
class HostedWeights:
    """Weights on a web host, kept in the folder where the model's own library looks for them.

    A file whose SHA256 is known must have it. For the others none is published, so the first
    one seen is recorded beside our cache and any later change is refused.

    Attributes
    ----------
    base_url : str
        Prefix of the files' addresses.
    file_names : dict of str to str
        Role to file name.
    folder_variable, default_folder : str
        Environment variable of the library's own model folder, and that folder below
        the home folder where the variable is not set. Both empty: a folder in our cache.
    known_sha256 : dict of str to str
        Role to SHA256, where it is known.
    """

    name: str
    base_url: str
    file_names: Mapping[str, str]
    folder_variable: str
    default_folder: str
    licence: str
    training_data: tuple[str, ...] = ()
    advice: str = field(default="", repr=False)
    known_sha256: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def source(self) -> str:
        """Where the weights come from, in words."""
        return self.base_url

    @property
    def folder(self) -> Path:
        """The library's own model folder on this machine, or ours where none is named."""
        chosen = os.environ.get(self.folder_variable)
        if chosen:
            return Path(chosen)
        if not self.default_folder:
            return cache_dir() / "weights" / self.name
        return Path.home() / self.default_folder

    def locate(self) -> Weights | None:
        """Find the files in the library's folder; record or check their hashes."""
        files = {role: self.folder / name for role, name in self.file_names.items()}
        if not all(path.is_file() for path in files.values()):
            return None
        hashes = {role: hash_file(path) for role, path in files.items()}
        for role, sha256 in self.known_sha256.items():
            check_hash(files[role], sha256, self.name, hashes[role])
        self._check_first_use(
            {role: sha256 for role, sha256 in hashes.items() if role not in self.known_sha256}
        )
        return Weights(self.name, files, hashes, self.source, self.licence, self.training_data)

    def fetch(self, *, replace: bool = False) -> Weights:
        """Download what is missing into the library's own folder; resumes what was cut off.

        With `replace` a file that has changed since its first use is replaced as well, once
        the new one is there whole.
        """
        absent = [role for role in self.file_names if not self._path(role).is_file()]
        wrong = self._changed() if replace else []
        if absent or wrong:
            self._download([*absent, *wrong])
        located = self.locate()
        assert located is not None
        return located

    def _path(self, role: str) -> Path:
        return self.folder / self.file_names[role]

    @property
    def _record(self) -> Path:
        return cache_dir() / "weights" / f"{self.name}-first-use.json"

    def _first_use(self) -> dict[str, str]:
        """Role to SHA256 as first seen, for those that are not known; empty before that."""
        if not self._record.is_file():
            return {}
        return json.loads(self._record.read_text(encoding="utf-8"))

    def _changed(self) -> list[str]:
        """Roles whose file is there and is neither the known one nor the one first seen."""
        return [
            role
            for role, sha256 in {**self._first_use(), **self.known_sha256}.items()
            if role in self.file_names
            and self._path(role).is_file()
            and hash_file(self._path(role)) != sha256
        ]

    def _download(self, roles: Iterable[str]) -> None:
        # What speaks HTTP is imported by who downloads, not by who lists the weights.
        from http.client import HTTPException

        from cellharness.downloading import ResumingDownloader

        names = ", ".join(self.file_names.values())
        variable = self.folder_variable
        other = f", or point {variable} at a folder that holds them" if variable else ""
        advice = (
            f"Put {names} (from {self.base_url}) into '{self.folder}'{other}. {self.advice}"
        ).strip()
        refuse_if_offline(self.name, advice)
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in map(self._path, roles):
            # No hash tells whether two halves are of one file; the server must.
            downloader = ResumingDownloader(
                path.with_name(f"{path.name}.part"), attempts=3, verified=False
            )
            try:
                downloader(f"{self.base_url}/{path.name}", path, None)
                refuse_web_page(path)
            except WeightFileError as error:
                # Of a proxy or a login; kept, it would be taken for the first use.
                path.unlink()
                msg = f"weights '{self.name}': {self.base_url} sent no weights. {error}. {advice}"
                raise WeightsUnavailableError(msg) from error
            except (OSError, HTTPException, ValueError) as error:
                reason = str(error) or type(error).__name__
                msg = (
                    f"weights '{self.name}': cannot download {path.name} ({reason:.200}). {advice}"
                )
                raise WeightsUnavailableError(msg) from error

    def _check_first_use(self, hashes: Mapping[str, str]) -> None:
        first = self._first_use()
        if hashes and not first:
            self._record.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self._record, json.dumps(dict(hashes), indent=1).encode())
            return
        for role, sha256 in hashes.items():
            if first.get(role, sha256) != sha256:
                msg = (
                    f"'{self._path(role)}' has changed since its first use: SHA256 {sha256}, first "
                    f"{first[role]}. `cellharness weights fetch {self.name} --force` gets it anew. "
                    f"If the new file is wanted, delete '{self._record}'."
                )
                raise WeightsHashError(msg)
