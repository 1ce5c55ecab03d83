"""Write a manifest for an unpacked copy of the NeurIPS 2022 cell-segmentation challenge data.

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
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cellharness.data.manifest import Case, Manifest, ManifestError
from cellharness.errors import UsageError, first_of, unknown_name
from cellharness.files import hash_file, is_litter
from cellharness.names import case_name
from cellharness.vocabulary import IMAGE_SUFFIXES

RECORD_URL = "https://zenodo.org/records/10719375"
LICENCE = "CC BY-NC-ND 4.0"


class ChallengeError(UsageError):
    """A folder that does not hold the challenge data, or holds them in no known form."""


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

    A manifest that is there already is filled up and not replaced: no case of it is lost, and what
    it says stays, such as modalities, experiments and splits. Cases are told by their images.

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
        If the folder is absent or holds no image of the parts asked for, or `out_manifest` is
        another file, or a manifest of other images.
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
    # Hashing takes long: not before the manifest there is known to be one to fill up.
    there = _manifest_there(Path(out_manifest), root, {path for _, path in images})
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
    manifest = _filled_up(cases, there, root, problems).write(out_manifest)
    return ChallengeImport(manifest, tree.counts(), tuple(problems))


def _manifest_there(path: Path, root: Path, images: set[Path]) -> Manifest | None:
    """Read the manifest that is there, if one is.

    Raises
    ------
    ChallengeError
        The file there is no manifest, or one of other images.
    """
    if not path.exists():
        return None
    try:
        there = Manifest.read(path, root)
    except ManifestError as error:
        msg = (
            f"{path} exists and is no manifest of {root}, so it is not replaced ({error}). Give "
            "another file, or move this one away"
        )
        raise ChallengeError(msg) from error
    if there.cases and not any(case.image in images for case in there.cases):
        msg = (
            f"{path} exists and names none of the images found in {root}, so it is not replaced. "
            "Give another file, or move this one away"
        )
        raise ChallengeError(msg)
    return there


def _filled_up(
    found: list[Case], there: Manifest | None, root: Path, problems: list[str]
) -> Manifest:
    """Put what was found into the manifest that is there, if one is; nothing in it is lost.

    Cases are those of the same image. A case that is there keeps its name and all that was filled
    in; so do cases of other images.
    """
    if there is None:
        return Manifest(tuple(found), root)
    new = {case.image: case for case in found}
    cases = []
    for case in there.cases:
        listed = new.pop(case.image, None)
        cases.append(case if listed is None else _of_both(case, listed, root, problems))
    absent = [case.case for case in cases if not case.image.is_file()]
    if absent:
        problems.append(
            f"{len(absent)} cases of the manifest have no image in the folder: {first_of(absent)}"
        )
    taken = {case.case for case in cases}
    for case in new.values():
        name, number = case.case, 2
        while name in taken:
            name, number = f"{case.case}-{number}", number + 1
        taken.add(name)
        cases.append(replace(case, case=name))
    whole = Manifest(tuple(cases), root)
    seen = (there.seen_experiments or frozenset()) | (whole.seen_experiments or frozenset())
    return replace(whole, seen_experiments=seen)


def _of_both(case: Case, found: Case, root: Path, problems: list[str]) -> Case:
    """What a manifest says of a case, and of its files what was found."""
    known = {key: value for key, value in case.extra if value}
    label = case.label
    if label is None or (not label.is_file() and _is_the_challenges(label, root)):
        label = found.label
    elif not label.is_file():
        # Somebody's own: nothing takes its place, since only they know where it went.
        problems.append(f"{case.case}: its label {label} is not there; the manifest still names it")
    if case.sha256 and case.sha256 != found.sha256:
        problems.append(
            f"{case.case}: {case.image} is not the image that was listed; the manifest has the new "
            "SHA256 now"
        )
    extra = tuple((dict(case.extra) | dict(found.extra) | known).items())
    return replace(case, sha256=found.sha256, label=label, extra=extra)


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
        strange: dict[tuple[str, str], int] = defaultdict(int)
        for here, folders, files in os.walk(root):
            folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__MACOSX")
            folder = Path(here)
            place = folder.relative_to(root)
            if place.parts:
                tree._folders.append(place.as_posix())
            # The folder given may itself be one of the parts.
            part, rest = _part_of((root.name, *place.parts))
            if part is None:
                images = [name for name in files if Path(name).suffix.lower() in IMAGE_SUFFIXES]
                if images:
                    strange["in a folder that is no part of the challenge", str(place)] = len(
                        images
                    )
                continue
            role = _role_of(rest)
            for name in sorted(files):
                if name.startswith(".") or is_litter(name):
                    continue
                path = folder / name
                if role is None or path.suffix.lower() not in IMAGE_SUFFIXES:
                    strange["not understood", f"{place.as_posix()}/*{path.suffix}"] += 1
                elif role == "image":
                    tree.images[part].append(path)
                else:
                    table = tree.labels if role == "label" else tree.masks
                    table[part][path.stem.removesuffix("_label")].append(path)
        tree.problems += [
            f"{n} {'file' if n == 1 else 'files'} passed over, {why}: {what}"
            for (why, what), n in sorted(strange.items())
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
        return first_of(self._folders, most=8) or "no folders"


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


def _is_the_challenges(label: Path, root: Path) -> bool:
    part, rest = _part_of((root.name, *label.relative_to(root).parent.parts))
    return part is not None and _role_of(rest) == "label"


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
        name = case_name(plain)
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
