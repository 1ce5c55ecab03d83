"""Masks for a folder of images, without manifest, truth or scores."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from cellharness import provenance
from cellharness.config.run import LimitsConfig, TilesConfig
from cellharness.data.folders import Contents, images_of, tell
from cellharness.data.manifest import Case
from cellharness.errors import MissingDependencyError, UsageError
from cellharness.files import alone, remove_leftovers
from cellharness.methods.base import BaseSegmenter
from cellharness.methods.registry import build, methods
from cellharness.names import case_name
from cellharness.own_files import MASK_LOCK
from cellharness.run_directory import flows_name, overlay_name, prediction_name
from cellharness.running.ledger import Outcome
from cellharness.running.mask_counts import CountRow, count_cells, write_counts
from cellharness.running.mask_note import MaskNote, masks_of_the_same
from cellharness.running.observer import Observer, Silent
from cellharness.running.overlay import write_overlay
from cellharness.running.own_masks import COUNTS, Beside, Earlier, OwnMasks
from cellharness.running.place import Place, interpreter, look_at, packages_of
from cellharness.running.plan import no_tiles
from cellharness.running.process import MethodProcess, WorkerStartError
from cellharness.running.result import RunResult
from cellharness.running.worker import MethodSpec, Task
from cellharness.vocabulary import SEGMENTED


def predict_folder(
    method: str,
    images: Path,
    out: Path,
    *,
    overwrite: bool = False,
    parameters: Mapping[str, Any] | None = None,
    input_mode: str | None = None,
    beside: Beside = Beside(),  # noqa: B008 - frozen
    limits: LimitsConfig | None = None,
    tiles: TilesConfig | None = None,
    seed: int = 0,
    environment: str | None = None,
    python: Path | None = None,
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
        ``masks.sha256``, see `OwnMasks`. Masks of other images stay where an earlier call made them
        by the same method; of another one they are set aside, see `OwnMasks.begin`.
    overwrite : bool
        Replace files in the way that are none of ours, or were changed since they were written.
    parameters : mapping or None
        The method's parameters.
    input_mode : {"gray_max", "gray", "native"} or None
        None for what the method declares.
    beside : Beside
        What is written beside the masks: overlays, what the network gave, a table of cells.
    limits : LimitsConfig or None
        Time and memory.
    tiles : TilesConfig or None
        Tiles in which the method gets each image; None for images in one piece.
    seed : int
        Set before each image.
    environment : str or None
        Name of the environment that the method runs in; None for our own.
    python : Path or None
        An interpreter, in the place of an environment's name.
    observer : Observer or None
        Told of progress.

    Returns
    -------
    RunResult
        Under the method's name; its `doubts` name the files of the folder that were passed over,
        and masks in `out` that are not of this method.

    Raises
    ------
    ForeignMasksError
        Files are in the way and `overwrite` is off; nothing was written.
    UsageError
        Unknown method or parameter, weights not to be had, no images, flows are wanted of a method
        that gives none, the method does not load, or another call is busy in `out`.
    """
    observer, limits = observer or Silent(), limits or LimitsConfig()
    contents = images_of(images)
    own = OwnMasks(out, beside)
    with ExitStack() as held:
        # A call that is busy has masks there that it did not list yet, so that they look foreign.
        locked = (out / MASK_LOCK).is_file()
        if locked:
            held.enter_context(_alone_in(out))
        own.refuse_foreign_masks([*contents.files], overwrite=overwrite)
        segmenter = build(method, parameters or {})
        segmenter.check_input(input_mode or segmenter.info.input)
        if tiles is not None and not segmenter.takes_tiles:
            raise no_tiles(method)
        if tiles is not None and beside.flows:
            msg = "--flows: they are not kept of images that are segmented by tiles; leave one out"
            raise UsageError(msg)
        if beside.flows and not segmenter.info.maps:
            raise _no_flows(method)
        chosen = interpreter(environment, python)
        spec = MethodSpec(method, dict(parameters or {}), input_mode, seed, tiles=tiles)
        weights = [item.record() for item in segmenter.weights()]
        place = None
        if chosen is not None:
            place = look_at(chosen, environment, method, spec.parameters, segmenter.info)
            spec = replace(spec, python=str(chosen))
        out.mkdir(parents=True, exist_ok=True)
        if not locked:
            held.enter_context(_alone_in(out))
        outcomes, earlier = _segment_all(
            segmenter, spec, weights, contents, own, limits, observer, place
        )
    return _result(method, contents, out, outcomes, earlier)


def _alone_in(out: Path) -> AbstractContextManager[None]:
    busy = f"another `cellharness predict` is busy in '{out}'"
    return alone(out / MASK_LOCK, busy, "give another --out")


def _no_flows(method: str) -> UsageError:
    """Build the error for flows of a method that gives none; methods that cannot load pass."""
    able = []
    for name, find in methods().items():
        with contextlib.suppress(MissingDependencyError):
            info = find().info
            able += [name] if info.maps and not info.hidden else []
    msg = (
        f"--flows: method '{method}' keeps no flows or other maps of a network. Leave it out, or "
        f"choose a method that has them: {', '.join(able)}"
    )
    return UsageError(msg)


def _segment_all(
    segmenter: BaseSegmenter,
    spec: MethodSpec,
    weights: list[dict[str, object]],
    contents: Contents,
    own: OwnMasks,
    limits: LimitsConfig,
    observer: Observer,
    place: Place | None,
) -> tuple[dict[str, Outcome], Earlier]:
    """Make the masks and what goes beside them; what came of each image, and what was there."""
    found, out, beside = contents.files, own.folder, own.beside
    mode = spec.input or segmenter.info.input
    remove_leftovers(out)
    cases = {stem: _case(stem, path, number) for number, (stem, path) in enumerate(found.items())}
    spec = replace(spec, cases=tuple(cases.values()))
    process = MethodProcess(spec, limits.timeout_s, limits.load_timeout_s, limits.memory_gb)
    outcomes: dict[str, Outcome] = {}
    rows: list[CountRow] = []
    observer.method_started(spec.method, len(found), 0)
    try:
        with ThreadPoolExecutor(max_workers=1) as meanwhile:
            # Both import the method's libraries, which takes seconds: one beside the other.
            resolved = meanwhile.submit(lambda: place.resolved if place else segmenter.resolved())
            process.start()
        facts = _facts(segmenter, spec, limits, weights, resolved.result(), place)
        # A mask of an earlier call must not pass for one of this method.
        same, former = masks_of_the_same(out, facts, packages_of(segmenter.info))
        earlier = own.begin([*found], same)
        note = MaskNote(out, facts, earlier.kept, former)
        note.begin(found)
        for stem, case in cases.items():
            mask, flows, overlay = (
                out / name(stem) for name in (prediction_name, flows_name, overlay_name)
            )
            written = (mask.name, flows.name) if beside.flows else (mask.name,)
            own.writing(*written)
            outcome = process.segment(Task(case, mask, flows if beside.flows else None))
            own.written(*written)
            outcomes[stem] = outcome
            if beside.overlays and outcome.status in SEGMENTED:
                own.writing(overlay.name)
                write_overlay(overlay, case.image, mask, mode)
                own.written(overlay.name)
            if beside.counts:
                rows.append(count_cells(case.image.name, mask, outcome))
            observer.case_finished(spec.method, stem, outcome)
    except WorkerStartError as error:
        raise UsageError(str(error)) from error
    finally:
        process.stop()
    if beside.counts:
        own.writing(COUNTS)
        write_counts(out / COUNTS, rows)
        own.written(COUNTS)
    note.end(outcomes)
    return outcomes, earlier


def _result(
    method: str, contents: Contents, out: Path, outcomes: Mapping[str, Outcome], earlier: Earlier
) -> RunResult:
    statuses = Counter(outcome.status for outcome in outcomes.values())
    first = next((f"{stem}: {o.message}" for stem, o in outcomes.items() if o.message), "")
    remarks = Counter(o.details["remark"] for o in outcomes.values() if "remark" in o.details)
    doubts = [
        *earlier.tell(),
        *tell(contents.passed_over),
        *(
            f"{stem}: {message}"
            for stem, outcome in outcomes.items()
            for message in outcome.details.get("image", ())
        ),
    ]
    messages = {method: first} if first else {}
    return RunResult(
        out, {method: statuses}, messages, doubts=tuple(doubts), remarks={method: remarks}
    )


def _facts(
    segmenter: BaseSegmenter,
    spec: MethodSpec,
    limits: LimitsConfig,
    weights: list[dict[str, object]],
    resolved: Mapping[str, Any],
    place: Place | None,
) -> dict[str, Any]:
    """All that the masks depend on."""
    return {
        "method": spec.method,
        "input": spec.input or segmenter.info.input,
        "parameters": segmenter.parameters.model_dump(mode="json"),
        "resolved": dict(resolved),
        "weights": weights,
        "seed": spec.seed,
        **({"tiles": spec.tiles.model_dump()} if spec.tiles is not None else {}),
        "limits": limits.model_dump(mode="json"),
        **provenance.environment(segmenter.info.packages),
        **({"environment": place.record()} if place is not None else {}),
    }


def _case(stem: str, path: Path, number: int) -> Case:
    # A manifest is strict about names; a folder of somebody's images can not be.
    name = case_name(stem)
    name = name if name == stem else f"{number:05d}_{name}"
    return Case(name, path, None, None, "", "folder", "folder", "")
