"""Tell by its first bytes what a file is that was given as weights. Nothing is unpickled."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from cellharness.errors import first_of
from cellharness.weights.source import WeightsError

_ZIP = b"PK\x03\x04"
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_HEAD = 4096
_AGAIN = "copy or download it again"
_TORCH_ONLY = "weights are read from files of torch (torch.save of a state dict)"
_PAGE = re.compile(rb"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_TITLE = re.compile(rb"<title[^>]*>\s*([^<]{1,80})", re.IGNORECASE)
_POINTER = re.compile(rb"version https://git-lfs\S*\n(?:.*\n)*?size (\d+)")


class WeightFileError(WeightsError):
    """A file is no weights, is damaged, or is of another network; the message says what to do."""


@dataclass(frozen=True)
class _Kind:
    """A file format by its first bytes, and what to do with it where weights are wanted."""

    start: bytes
    name: str
    remedy: str
    offset: int = 0


_UNPACK = "unpack it and give the file inside"
_CONVERT = f"{_TORCH_ONLY}; convert it"
_KINDS = (
    _Kind(b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras and TensorFlow write", _CONVERT),
    _Kind(b"\x93NUMPY", "a NumPy array file", "give the network's own file"),
    _Kind(
        b'\0\0\0{"',
        "a safetensors file",
        "write its tensors with torch: torch.save(safetensors.torch.load_file(FILE), 'weights.pt')",
        offset=5,
    ),
    _Kind(b"\x1f\x8b", "a gzip archive", _UNPACK),
    _Kind(b"BZh", "a bzip2 archive", _UNPACK),
    _Kind(b"\xfd7zXZ", "an xz archive", _UNPACK),
    _Kind(b"7z\xbc\xaf", "a 7-Zip archive", _UNPACK),
    _Kind(b"Rar!", "a RAR archive", _UNPACK),
    _Kind(b"ustar", "a tar archive", _UNPACK, offset=257),
    _Kind(b"\x12\x01\0\0\0\0\0\0", "an MXNet array file", _CONVERT),
    _Kind(b"\x89PNG", "a PNG image", "give the file of the weights"),
    _Kind(b"II*\0", "a TIFF image", "give the file of the weights"),
    _Kind(b"MM\0*", "a TIFF image", "give the file of the weights"),
    _Kind(b"\xff\xd8\xff", "a JPEG image", "give the file of the weights"),
    _Kind(b"%PDF", "a PDF document", "give the file of the weights"),
)


def is_torch_file(path: Path) -> bool:
    """Whether a file begins as ``torch.save`` writes it; it may be damaged all the same."""
    head = _head(path)
    return head.startswith((_ZIP, _LEGACY))


def refuse_other_kinds(path: Path) -> None:
    """Raise where a file is not one that ``torch.save`` wrote, or is cut short.

    Parameters
    ----------
    path : Path
        An existing file.

    Raises
    ------
    WeightFileError
        Naming what it is and the remedy: empty, a web page, a Git LFS pointer, an archive,
        another format, text, cut short.
    """
    head = _head(path)
    for look in (_empty, _pointer, _web_page, _archive, _other_format, _text):
        found = look(path, head)
        if found:
            msg = f"'{path}' is {found}"
            raise WeightFileError(msg)
    if not is_torch_file(path):
        msg = f"'{path}' is no file of torch weights: it begins with {head[:8]!r}; {_TORCH_ONLY}"
        raise WeightFileError(msg)


def refuse_web_page(path: Path) -> None:
    """Raise where a download brought a web page or an empty file in place of what was asked for.

    Raises
    ------
    WeightFileError
        It did.
    """
    head = _head(path)
    found = _empty(path, head) or _web_page(path, head)
    if found:
        msg = f"'{path}' is {found}"
        raise WeightFileError(msg)


def cut_short(path: Path) -> WeightFileError:
    """Build the error for a file whose end is missing or whose bytes are damaged."""
    size = path.stat().st_size
    return WeightFileError(f"'{path}' is cut short or damaged ({size} bytes); {_AGAIN}")


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        msg = f"cannot read the weight file '{path}': {error.strerror}"
        raise WeightFileError(msg) from error


def _empty(_: Path, head: bytes) -> str:
    return "" if head.strip(b"\0") else f"empty (0 bytes, or all zero); {_AGAIN}"


def _pointer(_: Path, head: bytes) -> str:
    match = _POINTER.match(head)
    if not match:
        return ""
    size = int(match[1])
    return (
        f"a Git LFS pointer, which stands for a file of {size} bytes; run `git lfs pull` in its "
        "repository, or download the file itself"
    )


def _web_page(_: Path, head: bytes) -> str:
    text = head.replace(b"\0", b"")  # of UTF-16
    begins_as_markup = text.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"<")
    if not (begins_as_markup and _PAGE.search(text)):
        return ""
    title = _TITLE.search(text)
    named = f" ('{title[1].decode(errors='replace').strip()}')" if title else ""
    return (
        f"a web page (HTML){named} and not weights: the address led to a page about the file, or "
        "to a login; download the file itself (often a link 'Raw' or 'Download')"
    )


def _archive(path: Path, head: bytes) -> str:
    """A zip that torch did not write, or whose end is missing."""
    if not head.startswith(_ZIP):
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return f"cut short or damaged ({path.stat().st_size} bytes); {_AGAIN}"
    parts = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in parts:
        return (
            "a TorchScript program, which holds code beside weights; save the state dict alone: "
            "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pt')"
        )
    if "data.pkl" not in parts:
        return f"a zip archive that holds {first_of(names)}; {_UNPACK}"
    return ""


def _other_format(_: Path, head: bytes) -> str:
    for kind in _KINDS:
        if head[kind.offset :].startswith(kind.start):
            return f"{kind.name}; {kind.remedy}"
    if head.startswith(b"\x80") and not head.startswith(_LEGACY):
        return (
            "a Python pickle that torch did not write; where it was made, write the weights with "
            "torch: torch.save(model.state_dict(), 'weights.pt')"
        )
    return ""


def _text(_: Path, head: bytes) -> str:
    try:
        # A character may be cut at the end of the piece.
        text = head[: len(head) - 3 if len(head) == _HEAD else None].decode("utf-8-sig")
    except UnicodeDecodeError:
        return ""
    if any(ord(sign) < 32 and sign not in "\t\r\n" for sign in text):
        return ""
    return f"a text file that begins with '{text[:40].strip()}' and not weights; {_AGAIN}"
