"""Weight files of the user's own: where they are looked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cellharness.errors import first_of
from cellharness.files import hash_file
from cellharness.weights.file_kinds import WeightFileError, is_torch_file
from cellharness.weights.source import Weights, WeightsHashError, WeightsUnavailableError

# Files that lie beside weights: notes, settings, hidden ones.
_NO_WEIGHTS = (".txt", ".md", ".json", ".yaml", ".yml", ".csv", ".npy", ".log")


def places(given: str | os.PathLike[str], folders: Sequence[Path] = ()) -> list[Path]:
    """Where a file of weights is looked for, in this order.

    Parameters
    ----------
    given : str or path
        Path or name; ``~`` is the home folder.
    folders : sequence of Path
        Where a name that is no path is looked for as well, such as a library's own folder.

    Returns
    -------
    list of Path
        Absolute.
    """
    path = Path(os.path.expanduser(given))  # noqa: PTH111 - Path's own raises on an unknown user
    if not str(given):
        return []
    below = [] if path.is_absolute() else [folder / path for folder in folders]
    return [place.absolute() for place in (path, *below)]


def find_weights(given: str | os.PathLike[str], folders: Sequence[Path] = ()) -> Path | None:
    """Find a file of weights, or the one weight file of a folder.

    Parameters
    ----------
    given, folders
        As for :func:`places`.

    Returns
    -------
    Path or None
        None where there is neither file nor folder.

    Raises
    ------
    WeightsUnavailableError
        A folder holds no weight file, or several; they are named.
    """
    for place in places(given, folders):
        if place.is_file():
            return place
        if place.is_dir():
            return _only_one(place)
    return None


#: What may be given as the SHA256 of a file: all of it, or enough of its first digits.
SHA256_START = r"^[0-9a-fA-F]{8,64}$"


def local_weights(
    given: str | os.PathLike[str],
    role: str = "network",
    folders: Sequence[Path] = (),
    *,
    sha256: str | None = None,
) -> Weights:
    """Take one file of the user's as weights; its SHA256 goes into every result.

    Parameters
    ----------
    given, folders
        As for :func:`places`; a folder stands for the one weight file in it.
    role : str
        What the file is for.
    sha256 : str, optional
        SHA256 that the file must have, or its first digits.

    Raises
    ------
    WeightsUnavailableError
        No such file; the message says where it was looked for.
    WeightsHashError
        The file has another SHA256; both are named.
    """
    path = find_weights(given, folders)
    if path is None:
        looked = ", ".join(f"'{place}'" for place in places(given, folders)) or "nowhere"
        msg = f"no weight file '{given}'; looked for {looked}"
        raise WeightsUnavailableError(msg)
    found = hash_file(path)
    if sha256 is not None and not found.startswith(sha256.lower()):
        msg = (
            f"'{path}' has SHA256 {found}, and {sha256} was asked for: it is another file, or "
            "damaged. Get it again, or give the SHA256 of this one"
        )
        raise WeightsHashError(msg)
    return Weights(path.name, {role: path}, {role: found})


def _only_one(folder: Path) -> Path:
    """The weight file in a folder, or else in the folders right below it."""
    for pattern in ("*", "*/*"):
        found = [path for path in sorted(folder.glob(pattern)) if _may_be_weights(path)]
        if len(found) == 1:
            return found[0]
        if found:
            names = first_of(path.relative_to(folder) for path in found)
            msg = f"the folder '{folder}' holds {len(found)} weight files; name one: {names}"
            raise WeightsUnavailableError(msg)
    msg = f"the folder '{folder}' holds no file of torch weights; give the path of a file"
    raise WeightsUnavailableError(msg)


def _may_be_weights(path: Path) -> bool:
    if not path.is_file() or path.name.startswith(".") or path.suffix.lower() in _NO_WEIGHTS:
        return False
    try:
        return is_torch_file(path)
    except WeightFileError:
        return False
