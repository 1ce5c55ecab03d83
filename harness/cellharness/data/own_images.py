"""A manifest of one's own photos and labels, from two folders."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cellharness.data.folders import images_of, label_files, label_of
from cellharness.data.manifest import Case, Manifest, named_modality
from cellharness.errors import UsageError, all_faults, first_of, unknown_name
from cellharness.files import hash_file, is_litter
from cellharness.names import case_name
from cellharness.own_files import BOOKS, OwnFiles
from cellharness.vocabulary import MODALITIES, MODALITY_ALIASES, TEST_SPLIT


@dataclass(frozen=True)
class NewManifest:
    """What `new_manifest` made.

    Attributes
    ----------
    manifest : Manifest
        As written.
    notes : tuple of str
        Files passed over, images without labels, labels without images.
    """

    manifest: Manifest
    notes: tuple[str, ...]


def new_manifest(
    images: Path,
    labels: Path | None,
    out: Path,
    *,
    modality: str | None = None,
    experiment_from: str | None = None,
    split: str = TEST_SPLIT,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> NewManifest:
    """List the images of a folder, with the labels of another, in a manifest.

    Parameters
    ----------
    images, labels : Path
        Folders below that of the manifest; they may be the same one. The label of ``cell.png`` is
        ``cell.*``, or has ``_label``, ``_labels``, ``_mask``, ``_masks``, ``_cp_masks`` or ``_gt``
        behind its name; see `cellharness.data.folders.labels_of`.
    out : Path
        Manifest to write; paths in it start at its folder.
    modality : str or None
        Of all images; as in a manifest.
    experiment_from : str or None
        Regular expression that finds the experiment in a file's name: its first group, or all
        of it. None leaves experiments empty, and statistics then count images.
    split : str
        Of all cases.
    overwrite : bool
        Replace a file that cellharness did not write, or that was changed since.
    progress : callable or None
        Called with (images hashed, images in all).

    Raises
    ------
    UsageError
        No images, an unknown modality, an expression that is none or does not match, two labels
        of one image; all faults at once. Nothing was written.
    """
    folders = [images] if labels is None else [images, labels]
    faults = [f"no folder '{folder}'" for folder in folders if not folder.is_dir()]
    kind = named_modality(modality) if modality else None
    if kind is not None and kind not in MODALITIES:
        hint = f"Also taken: {', '.join(MODALITY_ALIASES)}."
        faults.append(str(unknown_name("modality", str(modality), MODALITIES, hint=hint)))
    pattern = None
    try:
        pattern = re.compile(experiment_from) if experiment_from else None
    except re.error as error:
        faults.append(f"--experiment-from '{experiment_from}' is no regular expression: {error}")
    root = out.parent.resolve()
    common = Path(os.path.commonpath([root, *(folder.resolve() for folder in folders)]))
    if common != root:
        faults.append(
            "images and labels lie below their manifest, whose paths never lead out of its folder; "
            f"give --out {common / out.name}"
        )
    if faults:
        raise UsageError("\n".join(faults))
    OwnFiles(out.parent).refuse_foreign([out.name], overwrite=overwrite)
    pictures = images_of(images.resolve()).files
    there = label_files(labels.resolve(), but=set(pictures.values())) if labels else {}
    cases: list[Case] = []
    taken: dict[str, Path] = {}
    for stem, path in pictures.items():
        name = case_name(stem)
        if name in taken:
            faults.append(f"'{taken[name].name}' and '{path.name}' would both be case '{name}'")
        taken[name] = path
        found = pattern.search(path.name) if pattern else None
        if pattern is not None and found is None:
            faults.append(f"--experiment-from '{experiment_from}' finds nothing in '{path.name}'")
        experiment = found[1 if found.re.groups else 0] if found else ""
        given = "given" if kind else ""
        label = None
        try:
            label = label_of(stem, there)
        except UsageError as error:
            faults.append(str(error))
        cases.append(Case(name, path, label, kind, given, experiment or "", split, ""))
    if faults:
        raise UsageError(all_faults(faults))
    # Hashing takes long: not before all is known to be well.
    for number, case in enumerate(cases):
        cases[number] = replace(case, sha256=hash_file(case.image))
        if progress is not None:
            progress(number + 1, len(cases))
    manifest = Manifest(tuple(cases), root).write(out)
    OwnFiles(out.parent).add([out.name])
    return NewManifest(manifest, tuple(_notes(manifest.cases, folders, {out.resolve()})))


def _notes(cases: Sequence[Case], folders: Sequence[Path], written: set[Path]) -> Iterator[str]:
    """What a reader must know of files that are in no row, and rows that lack one."""
    bare = [case.image.name for case in cases if case.label is None]
    if bare and len(folders) > 1:
        yield f"{len(bare)} images have no label: {first_of(bare)}"
    used = {path for case in cases for path in (case.image, case.label) if path}
    for folder in dict.fromkeys(folder.resolve() for folder in folders):
        others = [
            path.name
            for path in sorted(folder.iterdir())
            if path.is_file()
            and not path.name.startswith(".")
            and not is_litter(path.name)
            and path.name not in BOOKS
            and path not in used | written
        ]
        if others:
            yield f"{len(others)} files of '{folder.name}' passed over: {first_of(others)}"
