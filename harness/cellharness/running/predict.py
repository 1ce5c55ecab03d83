"""Masks for a folder of images, without manifest, truth or scores."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cellharness.config.run import LimitsConfig
from cellharness.data.images import IMAGE_SUFFIXES
from cellharness.data.manifest import Case
from cellharness.errors import UsageError
from cellharness.files import remove_leftovers, write_atomic
from cellharness.methods.base import BaseSegmenter
from cellharness.methods.registry import build
from cellharness.provenance import environment
from cellharness.run_directory import prediction_name
from cellharness.running.ledger import Outcome
from cellharness.running.observer import Observer, Silent
from cellharness.running.own_masks import NOTE, OwnMasks
from cellharness.running.process import MethodProcess, WorkerStartError
from cellharness.running.result import RunResult
from cellharness.running.worker import MethodSpec, Task


def images_in(folder: Path) -> dict[str, Path]:
    """Find the images of a folder, stem to path, sorted by name.

    ``<stem>_label.*`` beside an image ``<stem>.*`` is its label image and no image.

    Raises
    ------
    UsageError
        No such folder, no image in it, two images with one stem, or a name with a line break.
    """
    if not folder.is_dir():
        msg = f"no folder of images '{folder}'"
        raise UsageError(msg)
    found: dict[str, Path] = {}
    labels = set(labels_beside(folder))
    for path in sorted(folder.iterdir()):
        if path in labels or path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if set(path.name) & {"\n", "\r"}:
            msg = f"{path.name!r} has a line break in its name; rename it"
            raise UsageError(msg)
        if path.stem in found:
            msg = (
                f"'{found[path.stem].name}' and '{path.name}' would both become "
                f"'{prediction_name(path.stem)}'; rename one"
            )
            raise UsageError(msg)
        found[path.stem] = path
    if not found:
        msg = f"no image in '{folder}'; read are {', '.join(sorted(IMAGE_SUFFIXES))}"
        raise UsageError(msg)
    return found


def labels_beside(folder: Path) -> list[Path]:
    """Label images that lie beside the images they are of: ``<stem>_label.*`` and ``<stem>.*``."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    stems = {path.stem for path in files}
    return [
        p for p in files if p.stem.endswith("_label") and p.stem.removesuffix("_label") in stems
    ]


def predict_folder(
    method: str,
    images: Path,
    out: Path,
    *,
    overwrite: bool = False,
    parameters: Mapping[str, Any] | None = None,
    input_mode: str | None = None,
    limits: LimitsConfig | None = None,
    seed: int = 0,
    observer: Observer | None = None,
) -> RunResult:
    """Segment every image of a folder.

    Parameters
    ----------
    method : str
        Registered method.
    images, out : Path
        Folder of images; folder for the masks, ``<stem>_label.tiff``. Beside them goes
        ``provenance.json``, so that the folder can serve as a ``precomputed`` method. It is
        there from the start, with status ``running`` until all images are done; and
        ``masks.sha256``, see `OwnMasks`.
    overwrite : bool
        Replace files in the way that are none of ours, or were changed since they were written.
    parameters : mapping or None
        The method's parameters.
    input_mode : {"gray_max", "gray", "native"} or None
        None for what the method declares.
    limits : LimitsConfig or None
        Time and memory.
    seed : int
        Set before each image.
    observer : Observer or None
        Told of progress.

    Returns
    -------
    RunResult
        Under the method's name.

    Raises
    ------
    ForeignMasksError
        Files are in the way and `overwrite` is off; nothing was written.
    UsageError
        Unknown method or parameter, weights not to be had, no images, or the method does not load.
    """
    observer, limits = observer or Silent(), limits or LimitsConfig()
    found = images_in(images)
    own = OwnMasks(out)
    own.refuse_foreign(found, overwrite=overwrite)
    segmenter = build(method, parameters or {})
    spec = MethodSpec(method, dict(parameters or {}), input_mode, seed)
    weights = [item.record() for item in segmenter.weights()]
    out.mkdir(parents=True, exist_ok=True)
    remove_leftovers(out)
    process = MethodProcess(spec, limits.timeout_s, limits.load_timeout_s, limits.memory_gb)
    outcomes: dict[str, Outcome] = {}
    observer.method_started(method, len(found), 0)
    try:
        with ThreadPoolExecutor(max_workers=1) as beside:
            # Both import the method's libraries, which takes seconds: one beside the other.
            resolved = beside.submit(segmenter.resolved)
            process.start()
        facts = _facts(segmenter, spec, limits, weights, resolved.result())
        # A mask of an earlier call must not pass for one of this method.
        own.begin(found)
        _write_note(out, "running", facts, outcomes)
        for number, (stem, path) in enumerate(found.items()):
            own.writing(stem)
            outcomes[stem] = process.segment(Task(_case(stem, path, number), own.mask(stem)))
            own.written(stem)
            observer.case_finished(method, stem, outcomes[stem])
    except WorkerStartError as error:
        raise UsageError(str(error)) from error
    finally:
        process.stop()
    _write_note(out, "complete", facts, outcomes)
    statuses = Counter(outcome.status for outcome in outcomes.values())
    first = next((f"{stem}: {o.message}" for stem, o in outcomes.items() if o.message), "")
    return RunResult(out, {method: statuses}, {method: first} if first else {})


def _facts(
    segmenter: BaseSegmenter,
    spec: MethodSpec,
    limits: LimitsConfig,
    weights: list[dict[str, object]],
    resolved: dict[str, Any],
) -> dict[str, Any]:
    """All that the masks hang on."""
    return {
        "method": spec.method,
        "input": spec.input or segmenter.info.input,
        "parameters": segmenter.parameters.model_dump(mode="json"),
        "resolved": resolved,
        "weights": weights,
        "seed": spec.seed,
        "limits": limits.model_dump(mode="json"),
        **environment(segmenter.info.packages),
    }


def _write_note(
    out: Path, status: str, facts: Mapping[str, Any], outcomes: Mapping[str, Outcome]
) -> None:
    note = {
        "status": status,
        **facts,
        "images": {
            stem: {"status": outcome.status, "message": outcome.message, **outcome.details}
            for stem, outcome in outcomes.items()
        },
    }
    write_atomic(out / NOTE, json.dumps(note, indent=1, default=str).encode())


def _case(stem: str, path: Path, number: int) -> Case:
    # A manifest is strict about names; a folder of somebody's images can not be.
    name = re.sub(r"[^A-Za-z0-9._-]", "_", stem).lstrip(".")
    name = name if name == stem else f"{number:05d}_{name}"
    return Case(name, path, None, None, "", "folder", "folder", "")
