"""Weights inside a zip archive on a web host."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cellharness.files import hash_file, write_atomic
from cellharness.weights.file_kinds import WeightFileError
from cellharness.weights.hosted import HostedWeights
from cellharness.weights.source import Weights


@dataclass(frozen=True)
class ZippedWeights:
    """Files taken out of an archive, which is verified as all hosted files are.

    The archive is kept, and what was taken out of it is compared with it whenever it is located,
    so that a file changed since is put right.

    Attributes
    ----------
    archive : HostedWeights
        Of one file, whose role is ``"archive"``.
    members : dict of str to str
        Role to file name inside, in whatever folder of the archive.
    """

    archive: HostedWeights
    members: Mapping[str, str]

    @property
    def name(self) -> str:
        """Registered name."""
        return self.archive.name

    @property
    def source(self) -> str:
        """Where the weights come from, in words."""
        return f"{self.archive.source}/{self.archive.file_names['archive']}"

    @property
    def licence(self) -> str:
        """Terms of the files."""
        return self.archive.licence

    @property
    def training_data(self) -> tuple[str, ...]:
        """Data sets they were trained on."""
        return self.archive.training_data

    @property
    def folder(self) -> Path:
        """Where the archive is looked for; its files lie below."""
        return self.archive.folder

    def locate(self) -> Weights | None:
        """Find and verify the archive, and take out of it what is not there as it is in it.

        Raises
        ------
        WeightsHashError
            The archive is not the registered one, or has changed since its first use.
        WeightFileError
            It is no zip archive, or lacks a file.
        """
        found = self.archive.locate()
        if found is None:
            return None
        files = self._unpack(found.files["archive"])
        hashes = {role: hash_file(path) for role, path in files.items()}
        return Weights(self.name, files, hashes, self.source, self.licence, self.training_data)

    def fetch(self, *, replace: bool = False) -> Weights:
        """Download the archive, verify it, and take the files out.

        With `replace` an archive of another hash is replaced.
        """
        self.archive.fetch(replace=replace)
        located = self.locate()
        assert located is not None
        return located

    def _unpack(self, path: Path) -> dict[str, Path]:
        folder = path.parent / "unpacked"
        files = {}
        try:
            with zipfile.ZipFile(path) as archive:
                for role, name in self.members.items():
                    content = archive.read(_member(archive, name, path))
                    # Only the base name is used, so a member can not be written elsewhere.
                    files[role] = folder / name
                    # By all bytes: the checksum that the archive keeps (CRC) is easily forged.
                    if not files[role].is_file() or files[role].read_bytes() != content:
                        folder.mkdir(parents=True, exist_ok=True)
                        write_atomic(files[role], content)
        except (zipfile.BadZipFile, EOFError, RuntimeError) as error:
            msg = f"'{path}' is no whole zip archive ({error}); download it again"
            raise WeightFileError(msg) from error
        return files


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> str:
    """Full name of the one file in an archive that has this base name."""
    found = [each for each in archive.namelist() if PurePosixPath(each).name == name]
    if len(found) != 1:
        held = ", ".join(archive.namelist()[:10]) or "nothing"
        msg = f"'{path}' holds {len(found)} files '{name}', not one; it holds {held}"
        raise WeightFileError(msg)
    return found[0]
