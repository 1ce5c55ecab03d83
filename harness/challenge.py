"""Fetch the NeurIPS 2022 cell-segmentation challenge data and write a manifest for them.

The data are Zenodo record 10719375 (CC BY-NC-ND 4.0). As the archives unpack::

    Training-labeled/images, labels                   1000 images with labels
    Tuning/images, labels                             about 101 images with labels
    Testing/Public/images, labels, 1st_osilab_seg     50 images with labels and the winner's masks
    Testing/Public/WSI, WSI-labels, osilab_seg_WSI    2 whole slides, likewise
    Testing/Hidden/images, osilab_seg                 400 images with the winner's masks only

Copies found in the wild nest a folder in one of the same name, so folders are recognised by name at
any depth. The record names no modality and no experiment of an image.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
import urllib.error
import urllib.request
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath, PureWindowsPath

import pooch

from harness.dataset import Case, Manifest, hash_file
from harness.errors import UsageError, unknown_name
from harness.images import IMAGE_SUFFIXES

RECORD_URL = "https://zenodo.org/records/10719375"
LICENCE = "CC BY-NC-ND 4.0"


class ChallengeError(UsageError):
    """A folder that does not hold the challenge data, or holds them in no known form."""


class DownloadError(UsageError):
    """A file that could not be fetched whole and sound; the message says how to go on."""


class ArchiveError(UsageError):
    """An archive that is broken or wants to write outside its folder."""


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


@dataclass(frozen=True)
class Part:
    """One part of the challenge.

    Attributes
    ----------
    split
        Default name of its split in the manifest.
    experiment
        What stands in the manifest's experiment column. The record names no experiments; the
        paper says that all testing images come from new ones, so testing counts as unseen.
    expected
        How many images the part is said to hold.
    prefix
        Put before file names: tuning repeats the names of the training part.
    """

    split: str
    experiment: str
    expected: int
    prefix: str = ""


PARTS: Mapping[str, Part] = {
    "training": Part("train", "neurips22-training", 1000),
    "tuning": Part("tuning", "neurips22-tuning", 101, prefix="tuning_"),
    "testing-public": Part("test", "neurips22-testing", 50),
    "testing-wsi": Part("test", "neurips22-testing", 2),
    "testing-hidden": Part("hidden", "neurips22-testing", 400),
}
DEFAULT_SPLITS: Mapping[str, str] = {name: part.split for name, part in PARTS.items()}

_PART_OF_FOLDER = {
    "training-labeled": "training",
    "tuning": "tuning",
    "public": "testing-public",
    "hidden": "testing-hidden",
}
_PUBLIC = ("testing-public", "testing-wsi")


@dataclass(frozen=True)
class PartCount:
    """How many files of each kind a part was found to hold."""

    images: int
    labels: int
    winner_masks: int


@dataclass(frozen=True)
class ChallengeImport:
    """What `import_challenge` made and found.

    Attributes
    ----------
    manifest
        The manifest as written.
    found
        Files found for each part of `PARTS`, also for those that were not asked for.
    problems
        Everything that did not fit, one sentence each: images without label, labels without
        image, ambiguous names, folders and files not understood, counts other than expected.
    """

    manifest: Manifest
    found: Mapping[str, PartCount]
    problems: tuple[str, ...]


def import_challenge(
    source_dir: str | os.PathLike[str],
    out_manifest: str | os.PathLike[str],
    splits: Mapping[str, str] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> ChallengeImport:
    """Write a manifest for an unpacked copy of the challenge data.

    Every image becomes a row, with an empty label where there is none. Modality stays empty: the
    record does not say it. The winner's mask of an image is named in the extra column
    ``winner_mask``; it is a prediction, not truth. Case names are file names without their last
    suffix (``a.b.png`` is case ``a.b``); tuning images, which repeat the names of training
    images, get ``tuning_`` in front.

    Parameters
    ----------
    source_dir
        A folder that holds some or all of ``Training-labeled``, ``Tuning`` and ``Testing``, at any
        depth, or is one of them. It becomes the manifest's root: read the manifest with
        ``root=source_dir`` unless it lies in that folder.
    out_manifest
        The CSV to write.
    splits
        Part (see `PARTS`) to split name; parts left out are not imported. All parts by default,
        with `DEFAULT_SPLITS`.
    progress
        Called with (images hashed, images in all) after every image.

    Returns
    -------
    ChallengeImport

    Raises
    ------
    ChallengeError
        If the folder is absent or holds no image of the parts asked for.
    UsageError
        If `splits` names an unknown part.
    """
    wanted = dict(DEFAULT_SPLITS if splits is None else splits)
    for name in wanted:
        if name not in PARTS:
            raise unknown_name(kind="part of the challenge", name=name, known=PARTS)
    root = Path(source_dir).resolve()
    if not root.is_dir():
        msg = f"{source_dir}: no such folder; unpack the challenge archives ({RECORD_URL}) there."
        raise ChallengeError(msg)
    tree = _Tree.of(root)
    images = [(part, path) for part in wanted for path in tree.images[part]]
    if not images:
        msg = (
            f"{root}: no challenge images found for {', '.join(wanted)}. Looked at any depth for "
            "Training-labeled/images, Tuning/images, Testing/Public/images and "
            f"Testing/Hidden/images; the folder holds {tree.describe()}."
        )
        raise ChallengeError(msg)
    problems = list(tree.problems)
    names = _case_names(images, problems)
    cases = []
    for done, (part, path) in enumerate(images, start=1):
        label, mask = tree.partners(part, path, problems)
        extra = (("part", part), ("winner_mask", mask.relative_to(root).as_posix() if mask else ""))
        cases.append(
            Case(
                case=names[path],
                image=path,
                label=label,
                modality=None,
                modality_source="",
                experiment=PARTS[part].experiment,
                split=wanted[part],
                sha256=hash_file(path),
                licence=LICENCE,
                source=f"{RECORD_URL} {path.relative_to(root).as_posix()}",
                extra=extra,
            )
        )
        if progress is not None:
            progress(done, len(images))
    problems += tree.orphans(wanted)
    problems += tree.odd_counts(wanted)
    manifest = Manifest(tuple(cases), root).write(out_manifest)
    return ChallengeImport(manifest, tree.counts(), tuple(problems))


def download_challenge(
    out: str | os.PathLike[str],
    parts: Iterable[str] = tuple(ARCHIVES),
    *,
    extract: bool = True,
    archives: Mapping[str, Archive] = ARCHIVES,
    downloader: Callable[[str, str | Path, object], None] | None = None,
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
    archives
        What to fetch from where.
    downloader
        A pooch downloader; `ResumingDownloader` by default.

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
    for part in chosen:
        if part not in archives:
            raise unknown_name(kind="archive of the challenge", name=part, known=archives)
    fetched = [_fetch(archives[part], folder, downloader) for part in chosen]
    if extract:
        for archive in fetched:
            extract_archive(archive, folder)
    return fetched


class ResumingDownloader:
    """A pooch downloader over HTTP that continues a partial file.

    The bytes go to ``<folder>/<name>.part``. A broken connection is taken up where it ended by an
    HTTP Range request, within one call and between calls and processes; a server that ignores
    ranges is read from the start again.

    Parameters
    ----------
    partial
        The file that collects the bytes.
    attempts
        Tries in a row that bring no new byte before giving up.
    timeout
        Seconds without an answer or a byte that count as a broken connection.
    pause
        Seconds before the second try; doubled with each further one.
    progress
        Called with (bytes there, bytes in all or None) after every block.
    """

    block = 1 << 20

    def __init__(
        self,
        partial: Path,
        *,
        attempts: int = 4,
        timeout: float = 30.0,
        pause: float = 0.5,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> None:
        self.partial = partial
        self.attempts = attempts
        self.timeout = timeout
        self.pause = pause
        self.progress = progress

    def __call__(self, url: str, output_file: str | Path, pooch_object: object) -> None:  # noqa: ARG002
        """Fetch `url` into the partial file and move it to `output_file` when it is whole."""
        fruitless = 0
        while True:
            before = self._have()
            try:
                if self._read_on(url):
                    break
                problem: Exception = ConnectionError("the connection ended before the file did")
            except urllib.error.HTTPError as error:
                if error.code < HTTPStatus.INTERNAL_SERVER_ERROR and error.code not in (408, 429):
                    raise
                problem = error
            except (OSError, HTTPException) as error:
                problem = error
            fruitless = 0 if self._have() > before else fruitless + 1
            if fruitless >= self.attempts:
                raise problem
            time.sleep(self.pause * 2**fruitless)
        self.partial.replace(output_file)

    def _have(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    def _read_on(self, url: str) -> bool:
        """Make one request and append what it brings; True when the file is whole."""
        start = self._have()
        request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
        if start:
            request.add_header("Range", f"bytes={start}-")
        try:
            response: HTTPResponse = urllib.request.urlopen(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            if _range_of(error.headers.get("Content-Range"))[1] == start:
                return True
            # What is there cannot be the beginning of this file.
            self.partial.unlink()
            return False
        with response:
            resumed = response.status == HTTPStatus.PARTIAL_CONTENT
            if resumed:
                first, total = _range_of(response.headers.get("Content-Range"))
                if first != start:
                    msg = f"asked for bytes from {start} on, the server sent those from {first} on"
                    raise HTTPException(msg)
            else:
                length = response.headers.get("Content-Length")
                total = int(length) if length else None
            with self.partial.open("ab" if resumed else "wb") as file:
                while data := response.read(self.block):
                    file.write(data)
                    if self.progress is not None:
                        self.progress(file.tell(), total)
        # Without a length the end of the answer is all there is to go by; the hash is checked.
        return total is None or self._have() == total


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
    partial = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with content.open(member) as source, partial.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _fetch(
    archive: Archive,
    folder: Path,
    downloader: Callable[[str, str | Path, object], None] | None,
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
                downloader=downloader or ResumingDownloader(partial),
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


def _range_of(content_range: str | None) -> tuple[int | None, int | None]:
    """First byte and whole size in a Content-Range header (``bytes 5-9/10``, ``bytes */10``)."""
    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", content_range or "")
    if found is None:
        return None, None
    first, total = found.groups()
    return int(first) if first else None, int(total) if total != "*" else None


class _Tree:
    """The files of a challenge copy, sorted by part and role."""

    def __init__(self) -> None:
        self.images: dict[str, list[Path]] = defaultdict(list)
        self.labels: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
        self.masks: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
        self.problems: list[str] = []
        self._used: set[Path] = set()
        self._folders: list[str] = []

    @classmethod
    def of(cls, root: Path) -> _Tree:
        """Walk a folder; links are not followed."""
        tree = cls()
        strange: dict[str, int] = defaultdict(int)
        for here, folders, files in os.walk(root):
            folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__MACOSX")
            folder = Path(here)
            place = folder.relative_to(root)
            if place.parts:
                tree._folders.append(place.as_posix())
            # The folder given may itself be one of the parts.
            part, rest = _part_of((root.name, *place.parts))
            if part is None:
                continue
            role = _role_of(rest)
            for name in sorted(files):
                if name.startswith(".") or name.lower() in {"thumbs.db", "desktop.ini"}:
                    continue
                path = folder / name
                if role is None or path.suffix.lower() not in IMAGE_SUFFIXES:
                    strange[f"{place.as_posix()}/*{path.suffix}"] += 1
                elif role == "image":
                    tree.images[part].append(path)
                else:
                    table = tree.labels if role == "label" else tree.masks
                    table[part][path.stem.removesuffix("_label")].append(path)
        tree.problems += [
            f"{n} files {what} not understood and left out" for what, n in sorted(strange.items())
        ]
        return tree

    def partners(
        self, part: str, image: Path, problems: list[str]
    ) -> tuple[Path | None, Path | None]:
        """Find label and winner's mask of an image; what is missing or ambiguous is recorded."""
        label = self._partner(self.labels, part, image, "label", problems)
        if label is None and part != "testing-hidden":
            problems.append(f"{part}: {image.name} has no label; its row has an empty one")
        mask = self._partner(self.masks, part, image, "winner's mask", problems)
        return label, mask

    def _partner(
        self,
        table: Mapping[str, Mapping[str, list[Path]]],
        part: str,
        image: Path,
        what: str,
        problems: list[str],
    ) -> Path | None:
        # Slides and their labels may share the folders of the other public images.
        places = (
            (part, *(other for other in _PUBLIC if other != part)) if part in _PUBLIC else (part,)
        )
        for place in places:
            found = table[place].get(image.stem, [])
            self._used.update(found)
            twins = [other for other in self.images[part] if other.stem == image.stem]
            if len(found) > 1 or (found and len(twins) > 1):
                names = ", ".join(path.name for path in (*twins, *found))
                problems.append(
                    f"{part}: {what} of {image.name} is ambiguous ({names}); left empty"
                )
                return None
            if found:
                return found[0]
        return None

    def orphans(self, wanted: Iterable[str]) -> list[str]:
        """Name labels and masks that belong to no image."""
        # A label of either public part may have been used by the other.
        return [
            f"{part}: {what} {path.name} has no image"
            for part in wanted
            for what, table in (("label", self.labels), ("winner's mask", self.masks))
            for paths in table[part].values()
            for path in paths
            if path not in self._used
        ]

    def odd_counts(self, wanted: Iterable[str]) -> list[str]:
        """Say where the number of images is not the one the record is said to have."""
        return [
            f"{part}: {len(self.images[part])} images, expected {PARTS[part].expected}"
            for part in wanted
            if len(self.images[part]) != PARTS[part].expected
        ]

    def counts(self) -> dict[str, PartCount]:
        """Count the files of each part."""
        return {
            part: PartCount(
                len(self.images[part]),
                sum(map(len, self.labels[part].values())),
                sum(map(len, self.masks[part].values())),
            )
            for part in PARTS
        }

    def describe(self) -> str:
        """List the first folders, for an error message."""
        shown = ", ".join(self._folders[:8]) or "no folders"
        return shown + (", ..." if len(self._folders) > 8 else "")


def _part_of(folders: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """Part that a folder belongs to, and the lower-case folder names below that part."""
    lower = tuple(name.lower() for name in folders)
    for depth in range(len(lower) - 1, -1, -1):
        if lower[depth] in _PART_OF_FOLDER:
            part, rest = _PART_OF_FOLDER[lower[depth]], lower[depth + 1 :]
            if part == "testing-public" and any("wsi" in name for name in rest):
                part = "testing-wsi"
            return part, rest
    return None, ()


def _role_of(rest: tuple[str, ...]) -> str | None:
    if any("osilab" in name for name in rest):
        return "mask"
    if any("label" in name for name in rest):
        return "label"
    if any("image" in name or "wsi" in name for name in rest):
        return "image"
    return None


def _case_names(images: list[tuple[str, Path]], problems: list[str]) -> dict[Path, str]:
    """Give every image a case name; what had to be altered is recorded."""
    stems: dict[str, int] = defaultdict(int)
    for part, path in images:
        stems[PARTS[part].prefix + path.stem] += 1
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for part, path in images:
        plain = PARTS[part].prefix + path.stem
        name = re.sub(r"[^A-Za-z0-9._-]", "_", plain).lstrip(".")
        if stems[plain] > 1:
            name = f"{name}-{path.suffix[1:].lower()}"
        base, count = name, 1
        while name in taken:
            count += 1
            name = f"{base}-{count}"
        taken.add(name)
        names[path] = name
        if name != plain:
            problems.append(
                f"{part}: {path.name} became case {name}, its plain name is not unique "
                "or not allowed"
            )
    return names
