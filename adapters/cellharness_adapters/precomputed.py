"""Masks made elsewhere: another environment, a container, a team's published results."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from cellharness.errors import UsageError
from cellharness.files import hash_file
from cellharness.methods.base import BaseSegmenter, MethodInfo, MissingPredictionError, Parameters
from cellharness.names import same_name
from cellharness.own_files import read_mask_note
from cellharness.weights import Weights

if TYPE_CHECKING:
    import numpy as np

    from cellharness.data.manifest import Case


class PrecomputedParameters(Parameters):
    """Where the masks lie, and who made them how."""

    folder: Path = Field(
        description="Masks, <case>_label.tif[f] or <case>.tif[f]; png, bmp, npy and npz serve too."
    )
    provenance: Path = Field(
        description="A text file that says who made them with what; its SHA256 is recorded. Of "
        "provenance.json, which `cellharness predict` writes, only the masks count that it names."
    )


class Precomputed(BaseSegmenter):
    """Read each case's mask from a folder; nothing is computed."""

    info: ClassVar[MethodInfo] = MethodInfo(
        summary="Masks made elsewhere, with a note that says how.",
        licence="that of the masks",
        input="native",
        limits="Says nothing of running time or memory.",
    )
    Parameters: ClassVar[type[Parameters]] = PrecomputedParameters
    parameters: PrecomputedParameters

    def weights(self) -> tuple[Weights, ...]:
        """The provenance note stands in the place of weights."""
        if not self.parameters.folder.is_dir():
            msg = f"no folder of masks '{self.parameters.folder}'"
            raise UsageError(msg)
        note = self.parameters.provenance
        if not note.is_file():
            msg = (
                f"no provenance note '{note}': write a text file that says who made the masks, "
                "with which program, version and weights; results without a source are not compared"
            )
            raise UsageError(msg)
        text = note.read_text(encoding="utf-8", errors="replace").strip()
        return (
            Weights(
                name=note.name,
                files={"provenance": note},
                sha256={"provenance": hash_file(note)},
                source=" ".join(text.split())[:500],
            ),
        )

    takes_tiles: ClassVar[bool] = False

    def case_identity(self, case: Case) -> str:
        """SHA256 of the case's mask, so that a changed mask is read again."""
        try:
            return hash_file(self._find(case.case))
        except MissingPredictionError:
            return "missing"

    def begin_case(self, case: Case) -> None:
        """Hear the case's name."""
        self._case = case.case
        self._told: list[str] = []

    def details(self) -> dict[str, Any]:
        """What makes the ids of the mask look as if they were not one a cell."""
        return {"mask": self._told} if self._told else {}

    def segment(self, image: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """Return the case's mask.

        Raises
        ------
        MissingPredictionError
            The folder holds none for this case, or one that the note does not speak for.
        UsageError
            It holds several.
        """
        from cellharness.data.images import open_label
        from cellharness.data.label_doubts import serious_doubts

        mask = open_label(self._find(self._case))
        self._told = [*(told.message for told in mask.findings), *serious_doubts(mask.pixels)]
        return mask.pixels

    @cached_property
    def _named(self) -> frozenset[str] | None:
        """Masks that a note of `cellharness predict` speaks for, by name without suffix."""
        note = read_mask_note(self.parameters.provenance)
        if note is None or "masks" not in note:
            return None
        return frozenset(same_name(Path(str(name)).stem) for name in note["masks"])

    @cached_property
    def _there(self) -> dict[str, list[Path]]:
        """What the folder holds, listed once for all cases."""
        from cellharness.data.folders import label_files

        return label_files(self.parameters.folder)

    def _find(self, case: str) -> Path:
        from cellharness.data.folders import label_of

        found = label_of(case, self._there)
        if found is None:
            msg = f"no mask of case '{case}' in '{self.parameters.folder}'"
            raise MissingPredictionError(msg)
        if self._named is not None and same_name(found.stem) not in self._named:
            msg = (
                f"'{self.parameters.provenance}' does not speak for '{found.name}': another method "
                "made it, or it was renamed or put there later. Give a folder of such masks with a "
                "note of your own"
            )
            raise MissingPredictionError(msg)
        return found
