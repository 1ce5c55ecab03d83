"""The manifest: the master list of cases, one row a case.

What stands here must be scored; nothing is dropped because a file is missing. Reading a manifest
checks its form only. Whether the files are sound is the business of `cellharness.data.validation`.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from itertools import zip_longest
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from cellharness.errors import UsageError, all_faults, did_you_mean, unknown_name
from cellharness.files import whole_file
from cellharness.names import same_name
from cellharness.run_directory import MANIFEST_COLUMNS, OPTIONAL_MANIFEST_COLUMNS
from cellharness.tables import TableError, read_brought
from cellharness.vocabulary import (
    ALL,
    IMAGE_SUFFIXES,
    MODALITIES,
    MODALITY_ALIASES,
    TEST_SPLIT,
    TRAIN_SPLIT,
)

if TYPE_CHECKING:
    import pandas as pd

MODALITY_SOURCES = ("given", "guessed")

_KNOWN_COLUMNS = (*MANIFEST_COLUMNS, *OPTIONAL_MANIFEST_COLUMNS, "seen")

#: What the column ``seen`` may say; spreadsheets write it in capitals.
_SEEN = {"true": True, "false": False, "": None}
_SEEN_WORDS = {value: word for word, value in _SEEN.items()}

_CASE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ManifestError(UsageError, ValueError):
    """A manifest whose rows or columns cannot be taken as they stand."""


@dataclass(frozen=True)
class Case:
    """One image with its truth.

    Attributes
    ----------
    case
        Unique name; letters, digits, ``.``, ``_`` and ``-``, not starting with a dot. Predictions
        are named ``<case>_label.tiff``.
    image
        Path of the image.
    label
        Path of the label image, or None where there is no truth.
    modality
        One of `MODALITIES`, or None where it is unknown.
    modality_source
        ``"given"`` by whoever made the manifest, ``"guessed"`` by a rule, ``""`` where there is no
        modality.
    experiment
        The biological experiment or source the image comes from, or ``""`` where it is unknown.
    split
        ``"train"``, ``"test"`` or whatever else the data set calls its parts.
    sha256
        Hash of the image file, 64 lower-case hex digits, or ``""`` if unknown.
    licence, source
        Where the image comes from and on what terms.
    extra
        Further columns of the manifest as (name, value) pairs; kept when it is written again.
    """

    case: str
    image: Path
    label: Path | None
    modality: str | None
    modality_source: str
    experiment: str
    split: str
    sha256: str
    licence: str = ""
    source: str = ""
    extra: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not _CASE_NAME.fullmatch(self.case):
            msg = (
                f"Case name {self.case!r} is not allowed: use letters, digits, '.', '_' and '-', "
                "and do not start with a dot."
            )
            raise ManifestError(msg)
        if self.label is not None and os.path.normpath(self.label) == os.path.normpath(self.image):
            msg = (
                f"Case {self.case}: the label is the image itself, {self.image.name}; name the "
                "file with its cells, or leave the column empty."
            )
            raise ManifestError(msg)
        if self.modality is not None and self.modality not in MODALITIES:
            msg = f"Case {self.case}: unknown modality {self.modality!r}; {_modality_hint(self)}"
            raise ManifestError(msg)
        sources = MODALITY_SOURCES if self.modality else ("",)
        if self.modality_source not in sources:
            valid = " or ".join(repr(source) for source in sources)
            msg = (
                f"Case {self.case}: modality_source {self.modality_source!r} does not go with "
                f"modality {self.modality or ''!r}; valid is {valid}."
            )
            raise ManifestError(msg)
        if self.sha256 and not _SHA256.fullmatch(self.sha256):
            msg = (
                f"Case {self.case}: sha256 {self.sha256!r} is not 64 lower-case hex digits; "
                "leave it empty if it is unknown."
            )
            raise ManifestError(msg)
        if self.experiment == ALL:
            msg = (
                f"Case {self.case}: experiment {ALL!r} is what tables call all of them; choose "
                "another name."
            )
            raise ManifestError(msg)
        if not self.split:
            msg = f"Case {self.case}: column 'split' is empty; every case needs one."
            raise ManifestError(msg)

    def absolute(self) -> Case:
        """The case by paths that do not start at the working folder, for other processes.

        Examples
        --------
        >>> case = Case("a", Path("a.png"), None, None, "", "", "test", "")
        >>> case.absolute().image == Path.cwd() / "a.png"
        True
        """
        label = self.label.absolute() if self.label is not None else None
        return replace(self, image=self.image.absolute(), label=label)


@dataclass(frozen=True)
class Manifest:
    """An ordered list of cases.

    Attributes
    ----------
    cases
        The cases, names unique.
    root
        Folder that the paths in the file are relative to; no path may leave it.
    path
        The file it was read from or written to, if any.
    seen_experiments
        Modality and experiment, ``""`` where unknown, of the cases in split ``"train"`` of the
        *full* manifest; a selection keeps them.
    """

    cases: tuple[Case, ...]
    root: Path
    path: Path | None = None
    seen_experiments: frozenset[tuple[str, str]] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cases", tuple(self.cases))
        twice = [name for name, n in Counter(c.case for c in self.cases).items() if n > 1]
        if twice:
            msg = f"Duplicate case names: {', '.join(twice[:5])}; every case needs its own name."
            raise ManifestError(msg)
        if self.seen_experiments is None:
            object.__setattr__(self, "seen_experiments", _trained(self.cases))

    def __len__(self) -> int:
        return len(self.cases)

    @classmethod
    def read(
        cls, path: str | os.PathLike[str], root: str | os.PathLike[str] | None = None
    ) -> Manifest:
        """Read a manifest CSV, as :func:`cellharness.tables.read_brought` reads tables.

        Parameters
        ----------
        path
            The CSV, with a column ``image``, ``case`` or both; the one gives the other, as a case
            is the image of its name. `MANIFEST_COLUMNS` and `OPTIONAL_MANIFEST_COLUMNS` may be
            there, and empty in a row; a case without a split is one to test on. All others are
            kept in `Case.extra`. Modalities are taken in any letter case, and by
            `MODALITY_ALIASES`. Without a ``modality_source`` column every modality counts as given.
        root
            Folder that image and label paths are relative to; the CSV's own folder by default.

        Raises
        ------
        ManifestError
            If the file is absent or no CSV, columns are missing, a case name repeats or has other
            characters, a path is absolute or leaves the root (also by a symbolic link), or a
            modality, hash or source is not valid. The message names each line that has a fault.
        """
        path = Path(path)
        root = Path(path.parent if root is None else root).resolve()
        if not path.is_file():
            msg = f"{path}: no such manifest."
            raise ManifestError(msg)
        cases: list[Case] = []
        faults: list[str] = []
        seen: set[tuple[str, str]] = set()
        # Folders are listed once and only where a row asks for it, not once a row.
        entries = cache(_entries)
        images = cache(lambda: _images_by_stem(root))
        try:
            table = read_brought(path, _KNOWN_COLUMNS, lambda names: _check_columns(names, path))
        except TableError as error:
            raise ManifestError(str(error)) from error
        for line, row in zip(table.lines, table.rows, strict=True):
            try:
                where = f"{path}, line {line}"
                case = _case_from_row(row, root, where, entries, images)
                told = _told_seen(row["seen"], where) if "seen" in row else False
            except ManifestError as error:
                faults.append(str(error))
                continue
            cases.append(case)
            # It is empty for a case without an experiment where something was trained on.
            if told or (told is None and not case.experiment):
                seen.add(_place(case))
        if faults:
            raise ManifestError(all_faults(faults))
        return cls(tuple(cases), root, path, _trained(cases) | seen)

    def write(self, path: str | os.PathLike[str]) -> Manifest:
        """Write the manifest as CSV, atomically, and return it with its new path.

        Paths are written relative to `root`. A case whose files lie outside the root gets absolute
        paths: a record of what was used, which `read` will refuse. The column ``seen`` is written
        too, so that a selection without its training cases can be read back without losing it.
        """
        path = Path(path)
        extra = dict.fromkeys(name for c in self.cases for name, _ in c.extra if name != "seen")
        columns = [*MANIFEST_COLUMNS, *OPTIONAL_MANIFEST_COLUMNS, "seen", *extra]
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._row(case) for case in self.cases)
        return replace(self, path=path)

    def select(
        self,
        splits: Iterable[str] | None = None,
        modalities: Iterable[str] | None = None,
        experiments: Iterable[str] | None = None,
        limit: int | None = None,
        per_experiment: int | None = None,
    ) -> Manifest:
        """Keep the cases that match every given filter, in manifest order.

        Parameters
        ----------
        splits, modalities, experiments
            Values to keep; None keeps all, ``""`` keeps cases without modality. A value that occurs
            nowhere is an error.
        limit
            Keep at most this many, taken in turn from each modality so that a smoke run meets all
            of them; within a modality the first ones of the manifest.
        per_experiment
            Keep at most this many of each modality and experiment, the first ones.

        Raises
        ------
        ManifestError
            If there is no case at all, a filter value occurs nowhere, or nothing is left.
        ValueError
            If `limit` or `per_experiment` is below 1.
        """
        if not self.cases:
            msg = f"{self.path or 'The manifest'}: no case is listed; add one row a case."
            raise ManifestError(msg)
        kept = list(self.cases)
        for name, wanted in (
            ("split", splits),
            ("modality", modalities),
            ("experiment", experiments),
        ):
            if wanted is None:
                continue
            values = [wanted] if isinstance(wanted, str) else list(wanted)
            self._check_filter(name, values)
            kept = [case for case in kept if (getattr(case, name) or "") in values]
        if not kept:
            msg = (
                f"No case is left of {len(self)} with splits={splits}, modalities={modalities}, "
                f"experiments={experiments}; widen the selection."
            )
            raise ManifestError(msg)
        return replace(self, cases=tuple(_limited(_first_of_each(kept, per_experiment), limit)))

    def seen(self, case: Case | str) -> bool | None:
        """Whether the experiment of a case has training cases in the full manifest.

        Experiments belong to their modality; where either modality is unknown, the name counts.
        None where there are training cases and the case's own experiment is unknown.
        """
        found = self[case] if isinstance(case, str) else case
        trained = self.seen_experiments or frozenset()
        if found.split == TRAIN_SPLIT:
            return True
        if not found.experiment:
            return None if trained else False
        modality, experiment = _place(found)
        return any(
            name == experiment and (place == modality or "" in (place, modality))
            for place, name in trained
        )

    def __getitem__(self, name: str) -> Case:
        for case in self.cases:
            if case.case == name:
                return case
        raise unknown_name(
            kind="case", name=name, known=[case.case for case in self.cases], error=ManifestError
        )

    def frame(self) -> pd.DataFrame:
        """Give one row a case: `Case` without `extra`, and ``seen``. What is None is missing."""
        # Most of what uses a manifest has no need of pandas, which takes long to import.
        import pandas as pd

        columns = [
            "case", "image", "label", "modality", "modality_source", "experiment", "split",
            "seen", "sha256", "licence", "source",
        ]  # fmt: skip
        rows = [
            {**{name: getattr(case, name, None) for name in columns}, "seen": self.seen(case)}
            for case in self.cases
        ]
        return pd.DataFrame(rows, columns=columns)

    def _row(self, case: Case) -> dict[str, str]:
        return {
            **dict(case.extra),
            "case": case.case,
            "image": self._relative(case.image),
            "label": self._relative(case.label) if case.label else "",
            "modality": case.modality or "",
            "experiment": case.experiment,
            "split": case.split,
            "sha256": case.sha256,
            "modality_source": case.modality_source,
            "licence": case.licence,
            "source": case.source,
            "seen": _SEEN_WORDS[self.seen(case)],
        }

    def _relative(self, path: Path) -> str:
        for base, target in ((self.root, path), (self.root.resolve(), path.resolve())):
            if target.is_relative_to(base) and ".." not in target.parts:
                return target.relative_to(base).as_posix()
        return path.resolve().as_posix()

    def _check_filter(self, name: str, values: Sequence[str]) -> None:
        have = sorted({getattr(case, name) or "" for case in self.cases})
        unknown = [value for value in values if value not in have]
        if unknown:
            msg = (
                f"No case has {name} {', '.join(map(repr, unknown))}; the manifest has "
                f"{', '.join(map(repr, have))}.{did_you_mean(str(unknown[0]), have)}"
            )
            raise ManifestError(msg)


def experiments_of(cases: Iterable[Case]) -> list[tuple[str, str]]:
    """Modality and experiment of some cases, each pair once; "" where a case names none."""
    return sorted({(case.modality or "", case.experiment or "") for case in cases})


def _entries(folder: Path) -> dict[str, list[Path]]:
    """What lies in a folder, by name in Unicode's composed form."""
    found: dict[str, list[Path]] = {}
    for path in folder.iterdir():
        found.setdefault(same_name(path.name), []).append(path)
    return found


def resolve_inside(
    root: Path, relative: str, entries: Callable[[Path], Mapping[str, list[Path]]] = _entries
) -> Path:
    """Join a relative path to a root and refuse every way out of it.

    Where there is no such file, a backslash is read as a slash, as Windows means it, and a name is
    taken that differs in Unicode form only: "ö" may be one character or two. Folders are listed by
    `entries`, which may remember them.

    Raises
    ------
    ManifestError
        If the path is absolute (on any system), climbs out by ``..``, or leads out through a
        symbolic link.
    """
    windows = PureWindowsPath(relative)
    if PurePosixPath(relative).is_absolute() or windows.drive or windows.root:
        msg = f"Path {relative!r} is absolute; paths are relative to the manifest's root."
        raise ManifestError(msg)
    if not (root / relative).resolve().is_relative_to(root.resolve()):
        msg = f"Path {relative!r} leads out of the root {root}; move the file inside."
        raise ManifestError(msg)
    path = root / relative
    if "\\" in relative and not path.exists():
        return resolve_inside(root, relative.replace("\\", "/"), entries)
    if relative.isascii() or path.exists():
        return path
    return _in_other_unicode_form(path, root, entries)


def _in_other_unicode_form(
    path: Path, root: Path, entries: Callable[[Path], Mapping[str, list[Path]]]
) -> Path:
    """Find what is there under a name that looks the same; the path itself if nothing is."""
    found = root
    for part in path.relative_to(root).parts:
        twins = [found / part]
        if not twins[0].exists() and found.is_dir() and part != "..":
            twins = entries(found).get(same_name(part), [])
        if len(twins) != 1:
            return path
        found = twins[0]
    return found


def _check_columns(names: Sequence[str], path: Path) -> None:
    if not {"image", "case"} & set(names):
        near = get_close_matches("image", [name.lower() for name in names], n=1)
        meant = f" Is '{near[0]}' the image?" if near else ""
        msg = (
            f"{path}: no column 'image' and no column 'case'; a manifest needs one of them, and "
            f"may have {', '.join(MANIFEST_COLUMNS)}. It has {', '.join(names) or 'none'}."
            f"{meant}"
        )
        raise ManifestError(msg)


def _case_from_row(
    row: dict[str, str],
    root: Path,
    where: str,
    entries: Callable[[Path], Mapping[str, list[Path]]],
    images: Callable[[], Mapping[str, list[str]]],
) -> Case:
    given_columns, row = row.keys(), dict.fromkeys(MANIFEST_COLUMNS, "") | row
    if not row["image"] and not row["case"]:
        msg = f"{where}: columns 'image' and 'case' are empty; every case needs an image."
        raise ManifestError(msg)
    modality = named_modality(row["modality"]) or None
    given = "given" if modality else ""
    try:
        return Case(
            case=row["case"] or PurePosixPath(row["image"]).stem,
            image=resolve_inside(
                root, row["image"] or _image_of(row["case"], root, images()), entries
            ),
            label=resolve_inside(root, row["label"], entries) if row["label"] else None,
            modality=modality,
            modality_source=row.get("modality_source", given) or given,
            experiment=row["experiment"],
            split=row["split"] or ("" if "split" in given_columns else TEST_SPLIT),
            sha256=row["sha256"].lower(),
            licence=row.get("licence", ""),
            source=row.get("source", ""),
            extra=tuple((name, value) for name, value in row.items() if name not in _KNOWN_COLUMNS),
        )
    except ManifestError as error:
        msg = f"{where}: {error}"
        raise ManifestError(msg) from error


def _place(case: Case) -> tuple[str, str]:
    return case.modality or "", case.experiment


def _trained(cases: Iterable[Case]) -> frozenset[tuple[str, str]]:
    return frozenset(_place(case) for case in cases if case.split == TRAIN_SPLIT)


def _told_seen(text: str, where: str) -> bool | None:
    word = text.strip().casefold()
    if word not in _SEEN:
        msg = f"{where}: seen {text!r} is not valid; valid are true, false, or nothing if unknown."
        raise ManifestError(msg)
    return _SEEN[word]


def _images_by_stem(root: Path) -> dict[str, list[str]]:
    """Images of the root and of its folder images, as paths below the root."""
    found: dict[str, list[str]] = {}
    for folder in (root, root / "images"):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix.lower() in IMAGE_SUFFIXES:
                found.setdefault(path.stem, []).append(path.relative_to(root).as_posix())
    return found


def _image_of(case: str, root: Path, images: Mapping[str, list[str]]) -> str:
    """Path below the root of the one image that a case is named after."""
    found = images.get(case, [])
    if len(found) != 1:
        what = f"both {' and '.join(found)} are" if found else "no image is"
        msg = f"Case {case}: {what} of its name in {root} or its folder images; give 'image'."
        raise ManifestError(msg)
    return found[0]


def named_modality(text: str) -> str:
    """Spell a modality as `MODALITIES` does; what is not known stays as it is.

    Examples
    --------
    >>> named_modality("phase"), named_modality("dic"), named_modality("Bright field")
    ('Phase-contrast', 'DIC', 'Brightfield')
    """
    key = re.sub(r"[\s_]+", "-", text.strip().lower())
    known = MODALITY_ALIASES | {name.lower(): name for name in MODALITIES}
    return known.get(key, text)


def _modality_hint(case: Case) -> str:
    by_lower = {name.lower(): name for name in MODALITIES}
    near = get_close_matches((case.modality or "").lower(), list(by_lower), n=1, cutoff=0.5)
    valid = f"valid are {', '.join(MODALITIES)}, or empty if unknown."
    return f"did you mean {by_lower[near[0]]!r}? {valid}" if near else valid


def _first_of_each(cases: list[Case], count: int | None) -> list[Case]:
    if count is None:
        return cases
    if count < 1:
        msg = f"per_experiment must be at least 1, not {count}."
        raise ValueError(msg)
    met: Counter[tuple[str | None, str]] = Counter()
    kept = []
    for case in cases:
        met[case.modality, case.experiment] += 1
        if met[case.modality, case.experiment] <= count:
            kept.append(case)
    return kept


def _limited(cases: list[Case], limit: int | None) -> list[Case]:
    if limit is None:
        return cases
    if limit < 1:
        msg = f"limit must be at least 1, not {limit}."
        raise ValueError(msg)
    groups: dict[str | None, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.modality, []).append(case)
    turns = [case for turn in zip_longest(*groups.values()) for case in turn if case is not None]
    chosen = {case.case for case in turns[:limit]}
    return [case for case in cases if case.case in chosen]
