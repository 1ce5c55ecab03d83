"""Unpack a zip archive that may want to write where it should not."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from cellharness.errors import UsageError
from cellharness.files import whole_file


class ArchiveError(UsageError):
    """An archive that is broken or wants to write outside its folder."""


def extract_archive(
    archive: str | os.PathLike[str], out: str | os.PathLike[str], *, overwrite: bool = False
) -> list[Path]:
    """Unpack a zip archive into a folder, refusing every way out of it.

    All members are checked before the first is written. Files that are there as the archive has
    them are not written again.

    Parameters
    ----------
    archive
        The zip file.
    out
        The folder; made if it is not there.
    overwrite
        Replace files that are there with other content.

    Returns
    -------
    list of Path
        The files of the archive, as they lie in the folder.

    Raises
    ------
    ArchiveError
        If the archive is no sound zip, a member is a link or other special file, encrypted, has an
        absolute name, climbs out by ``..`` or through a link that lies in `out`, occurs twice or is
        there with other content, or there is not enough room on the disk.
    """
    archive, out = Path(archive), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(archive) as content:
            targets, there = _checked_targets(content, archive, out, overwrite)
            for path, member in targets.items():
                if path not in there:
                    _extract_member(content, member, path)
            return list(targets)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        msg = f"{archive}: not a sound zip archive ({error}); fetch it again."
        raise ArchiveError(msg) from error


def _checked_targets(
    content: zipfile.ZipFile, archive: Path, out: Path, overwrite: bool
) -> tuple[dict[Path, zipfile.ZipInfo], set[Path]]:
    """Find where each member belongs, and which lie there already."""
    targets: dict[Path, zipfile.ZipInfo] = {}
    there: set[Path] = set()
    base = out.resolve()
    for member in content.infolist():
        why = _unsafe(member)
        target = base / member.filename
        if not why and not target.resolve().is_relative_to(base):
            why = "leads out of the target folder"
        if not why and target in targets:
            why = "occurs twice"
        if not why and target.is_file():
            if _is_of(member, target):
                there.add(target)
            elif not overwrite:
                why = "is there already with other content (--overwrite replaces it)"
        if why:
            msg = f"{archive}: member {member.filename!r} {why}; nothing was unpacked."
            raise ArchiveError(msg)
        if not member.is_dir():
            targets[target] = member
    needed = sum(m.file_size for path, m in targets.items() if path not in there)
    free = shutil.disk_usage(base).free
    if needed > free:
        msg = f"{archive}: unpacks to {needed} bytes, but {base} has only {free} free."
        raise ArchiveError(msg)
    return targets, there


def _is_of(member: zipfile.ZipInfo, path: Path) -> bool:
    """Whether a file holds what the archive has in its place."""
    if path.stat().st_size != member.file_size:
        return False
    found = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found = zlib.crc32(block, found)
    return found == member.CRC


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


def _extract_member(content: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        whole_file(target) as partial,
        content.open(member) as source,
        partial.open("wb") as file,
    ):
        shutil.copyfileobj(source, file, 1 << 20)
