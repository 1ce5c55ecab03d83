"""Unpack a zip archive that may want to write where it should not."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

from cellharness.errors import UsageError
from cellharness.files import whole_file


class ArchiveError(UsageError):
    """An archive that is broken or wants to write outside its folder."""


def extract_archive(archive: str | os.PathLike[str], out: str | os.PathLike[str]) -> list[Path]:
    """Unpack a zip archive into a folder, refusing every way out of it.

    All members are checked before the first is written.

    Parameters
    ----------
    archive
        The zip file.
    out
        The folder; made if it is not there. Files that exist are replaced.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ArchiveError
        If the archive is no sound zip, a member is a link or other special file, encrypted, has an
        absolute name, climbs out by ``..`` or through a link that lies in `out`, occurs twice, or
        there is not enough room on the disk.
    """
    archive, out = Path(archive), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(archive) as content:
            targets = _checked_targets(content, archive, out)
            return [_extract_member(content, member, path) for member, path in targets]
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        msg = f"{archive}: not a sound zip archive ({error}); fetch it again."
        raise ArchiveError(msg) from error


def _checked_targets(
    content: zipfile.ZipFile, archive: Path, out: Path
) -> list[tuple[zipfile.ZipInfo, Path]]:
    targets: dict[Path, zipfile.ZipInfo] = {}
    base = out.resolve()
    for member in content.infolist():
        why = _unsafe(member)
        target = base / member.filename
        if not why and not target.resolve().is_relative_to(base):
            why = "leads out of the target folder"
        if not why and target in targets:
            why = "occurs twice"
        if why:
            msg = f"{archive}: member {member.filename!r} {why}; nothing was unpacked."
            raise ArchiveError(msg)
        if not member.is_dir():
            targets[target] = member
    needed = sum(member.file_size for member in targets.values())
    free = shutil.disk_usage(base).free
    if needed > free:
        msg = f"{archive}: unpacks to {needed} bytes, but {base} has only {free} free."
        raise ArchiveError(msg)
    return [(member, target) for target, member in targets.items()]


def _unsafe(member: zipfile.ZipInfo) -> str:
    """Say why a member is refused, or give an empty string."""
    # zipfile turns backslashes into slashes on Windows only; a name with one is a trap elsewhere.
    name = member.orig_filename
    windows = PureWindowsPath(name)
    if PurePosixPath(name).is_absolute() or windows.drive or windows.root:
        return "has an absolute name"
    if ".." in windows.parts:
        return "climbs out by '..'"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or special file"
    if member.flag_bits & 1:
        return "is encrypted"
    return ""


def _extract_member(content: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        whole_file(target) as partial,
        content.open(member) as source,
        partial.open("wb") as file,
    ):
        shutil.copyfileobj(source, file, 1 << 20)
    return target
