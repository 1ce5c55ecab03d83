"""Fetch the challenge data from their public record, hash-checked and resumable."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import pooch

from cellharness.data.archives import extract_archive
from cellharness.data.challenge import RECORD_URL
from cellharness.downloading import ResumingDownloader
from cellharness.errors import UsageError, unknown_name
from cellharness.files import hash_file


class DownloadError(UsageError):
    """A file that could not be fetched whole and sound; the message says how to go on."""


@dataclass(frozen=True)
class Archive:
    """One downloadable file: its name, address and SHA256."""

    name: str
    url: str
    sha256: str


def _of_record(part: str, sha256: str) -> Archive:
    name = f"{part}.zip"
    return Archive(name, f"{RECORD_URL}/files/{name}?download=1", sha256)


ARCHIVES: Mapping[str, Archive] = {
    part: _of_record(part, sha256)
    for part, sha256 in {
        "Training-labeled": "b2383929eb8e99b2716fa0d4e2f6e03983e626a57cf00fe85175869c54aa3592",
        "Tuning": "849423d36bb8fcc2d91a5b189a3b6d93c3d4071c9701eaaa44ba393a510459c4",
        "Testing": "3379730221f43830d30fddf131750e967c9c9bdf04f98811e852a050eb659ccc",
    }.items()
}


def read_archives(path: str | os.PathLike[str]) -> dict[str, Archive]:
    """Read where else the archives are, such as on a mirror.

    Parameters
    ----------
    path
        JSON: name of an archive, as in `ARCHIVES`, to its ``url`` and ``sha256``.

    Returns
    -------
    dict of str to Archive

    Raises
    ------
    UsageError
        The file cannot be read, or names another archive, or an address or hash is none.
    """
    form = '{"Tuning": {"url": "http://...", "sha256": "<64 digits>"}, ...}'
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"'{path}' cannot be read ({error}); write it as {form}"
        raise UsageError(msg) from error
    if not isinstance(told, dict) or not told:
        msg = f"'{path}' names no archive; write it as {form}"
        raise UsageError(msg)
    found = {}
    for part, place in told.items():
        if part not in ARCHIVES:
            raise unknown_name(kind="archive of the challenge", name=part, known=ARCHIVES)
        place = place if isinstance(place, dict) else {}
        for key, rule in (("url", r"https?://.+"), ("sha256", r"[0-9a-f]{64}")):
            if not re.fullmatch(rule, str(place.get(key, ""))):
                msg = f"'{path}': {key} of {part} is {place.get(key)!r}; write it as {form}"
                raise UsageError(msg)
        found[part] = Archive(ARCHIVES[part].name, place["url"], place["sha256"])
    return found


def download_challenge(
    out: str | os.PathLike[str],
    parts: Iterable[str] = tuple(ARCHIVES),
    *,
    extract: bool = True,
    overwrite: bool = False,
    archives: Mapping[str, Archive] = ARCHIVES,
    downloader: Callable[[str, str | Path, object], None] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> list[Path]:
    """Fetch archives of the challenge, check their SHA256 and unpack them.

    An archive that lies in `out` with the right hash is not fetched again, however it came there.
    What was fetched before a broken connection is kept as ``<name>.part`` and continued.

    Parameters
    ----------
    out
        Folder for archives and unpacked data.
    parts
        Keys of `archives`: ``Training-labeled``, ``Tuning``, ``Testing``.
    extract
        Unpack into `out` after the check (see `extract_archive`).
    overwrite
        Replace files that are there with other content.
    archives
        What to fetch from where.
    downloader
        A pooch downloader; a `ResumingDownloader` for each archive by default.
    progress
        Called with (bytes there, bytes in all or None) after every block of an archive.

    Returns
    -------
    list of Path
        The archives, in the order of `parts`.

    Raises
    ------
    DownloadError
        If a file cannot be fetched or has another hash. The message gives the address, the hash
        expected and where to put a file that was fetched by other means.
    ArchiveError
        If an archive cannot be unpacked safely.
    """
    folder = Path(out)
    chosen = list(parts)
    whole: dict[str, Path] = {}
    for part in chosen:
        if part not in archives:
            raise unknown_name(kind="archive of the challenge", name=part, known=archives)
        target = folder / archives[part].name
        if not target.is_file():
            continue
        found = hash_file(target)
        if found == archives[part].sha256:
            whole[part] = folder.resolve() / target.name
        elif not overwrite:
            msg = (
                f"'{target}' is there and is not the archive: its SHA256 is {found}, "
                f"expected {archives[part].sha256}. Move it away, or give --overwrite"
            )
            raise DownloadError(msg)
    fetched = [
        whole.get(part) or _fetch(archives[part], folder, downloader, progress) for part in chosen
    ]
    if extract:
        for archive in fetched:
            extract_archive(archive, folder, overwrite=overwrite)
    return fetched


def _fetch(
    archive: Archive,
    folder: Path,
    downloader: Callable[[str, str | Path, object], None] | None,
    progress: Callable[[int, int | None], None] | None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / archive.name
    partial = folder / f"{archive.name}.part"
    try:
        return Path(
            pooch.retrieve(
                archive.url,
                known_hash=f"sha256:{archive.sha256}",
                fname=archive.name,
                path=folder,
                downloader=downloader or ResumingDownloader(partial, progress=progress),
            )
        )
    # pooch raises ValueError for a wrong hash; everything else here is the connection.
    except (OSError, HTTPException, ValueError) as error:
        kept = partial.stat().st_size if partial.exists() else 0
        there = f" The file there now has {hash_file(target)}." if target.is_file() else ""
        again = (
            f" {kept} bytes are kept in {partial}; another try goes on from there." if kept else ""
        )
        msg = (
            f"Cannot fetch {archive.name} from {archive.url}: {error}.{again} Without a network, "
            f"get it from {RECORD_URL} elsewhere and put it at {target}; its SHA256 must be "
            f"{archive.sha256}.{there}"
        )
        raise DownloadError(msg) from error
