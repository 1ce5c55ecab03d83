"""The note beside masks: what they were made by, and which of the folder's masks those are."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cellharness.files import write_atomic
from cellharness.own_files import MASK_NOTE, read_mask_note
from cellharness.run_directory import prediction_name
from cellharness.running.ledger import Outcome
from cellharness.vocabulary import SEGMENTED

# What tells one method from another, as it decides in a run whether a mask is used again: not the
# limits or the machine.
_TELLING = ("method", "input", "parameters", "resolved", "weights", "seed", "tiles", "environment")


@dataclass(frozen=True)
class MaskNote:
    """What is noted of masks.

    Attributes
    ----------
    folder : Path
        Where they lie.
    facts : mapping
        All that they depend on.
    kept : collection of str
        Names of masks that an earlier call made by the same method, and which stay.
    former : mapping
        What that call noted of images.
    """

    folder: Path
    facts: Mapping[str, Any]
    kept: Collection[str] = ()
    former: Mapping[str, Any] = field(default_factory=dict)

    def begin(self, stems: Iterable[str]) -> None:
        """Write it before the first mask: it speaks for all that are to be made."""
        self._write("running", {}, map(prediction_name, stems))

    def end(self, outcomes: Mapping[str, Outcome]) -> None:
        """Write it with what came of every image."""
        made = (
            prediction_name(stem)
            for stem, outcome in outcomes.items()
            if outcome.status in SEGMENTED
        )
        self._write("complete", outcomes, made)

    def _write(self, status: str, outcomes: Mapping[str, Outcome], masks: Iterable[str]) -> None:
        stay = {s: each for s, each in self.former.items() if prediction_name(s) in self.kept}
        told = {
            stem: {"status": outcome.status, "message": outcome.message, **outcome.details}
            for stem, outcome in outcomes.items()
        }
        note = {
            "status": status,
            **self.facts,
            "masks": sorted({*self.kept, *masks}),
            "images": {**stay, **told},
        }
        write_atomic(self.folder / MASK_NOTE, json.dumps(note, indent=1, default=str).encode())


def masks_of_the_same(
    folder: Path, facts: Mapping[str, Any], packages: Iterable[str]
) -> tuple[set[str], Mapping[str, Any]]:
    """Find which masks of a folder its note says were made by the same method.

    Parameters
    ----------
    folder : Path
    facts : mapping
        All that new masks depend on.
    packages : iterable of str
        Distributions whose versions count.

    Returns
    -------
    masks : set of str
        File names; none where the note is of another method, or there is none.
    images : mapping
        What it says of images.
    """
    note = read_mask_note(folder / MASK_NOTE)
    names = [*packages]
    if note is None or _telling(note, names) != _telling(facts, names):
        return set(), {}
    images = note["images"]
    masks = note.get("masks")
    if masks is None:
        # A note of an earlier version names images only.
        made = (s for s, each in images.items() if each.get("status") in SEGMENTED)
        masks = [prediction_name(stem) for stem in made]
    return set(masks), images


def _telling(note: Mapping[str, Any], packages: Iterable[str]) -> Any:
    # Through JSON, as the note went: it knows no tuples.
    plain = json.loads(json.dumps(dict(note), default=str))
    versions = plain.get("versions") or {}
    return {name: plain.get(name) for name in _TELLING} | {
        "versions": {name: versions.get(name) for name in packages}
    }
