"""What a program and a container have in common: images out, call, masks in."""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from cellharness.methods.base import BaseSegmenter, CaseError, Parameters
from cellharness_adapters.external.exchange import put_file, put_image, take_mask
from cellharness_adapters.external.program import Finished

if TYPE_CHECKING:
    import numpy as np

    from cellharness.data.manifest import Case


class ExternalParameters(Parameters):
    """What every program of somebody else's is told and held to."""

    images: Literal["file", "tiff"] = Field(
        "file",
        description="file: a copy of each case's own image file. tiff: what the method's `input` "
        "makes of it, such as the grey float32 image of gray_max.",
    )
    timeout_s: float | None = Field(
        None, gt=0, description="Seconds for one call; empty: only the run's own limit."
    )
    training_data: tuple[str, ...] = Field(
        (), description="Data sets that it was trained on, so that a report can warn of overlaps."
    )
    licence: str = Field("not stated", description="Its terms, for the report.")
    keep_printed: int = Field(
        4000, ge=0, description="Characters kept for each call of what the program prints."
    )
    time_startup: bool = Field(
        False,
        description="Call it once on an empty folder before the first case, whatever comes of it, "
        "and record the seconds apart: what starting and loading cost where it then stops.",
    )


class External(BaseSegmenter):
    """A program that is called with a folder of images and fills a folder of masks."""

    parameters: ExternalParameters
    #: Masks are taken although the program ended with an error, as the challenge did.
    forgives_exit_code = False

    #: Others' programs read whole images.
    takes_tiles: ClassVar[bool] = False

    def __init__(self, parameters: Any = None) -> None:
        super().__init__(parameters)
        self._case: Case | None = None
        self._startup: dict[str, Any] = {}

    @abstractmethod
    def call(self, inputs: Path, outputs: Path) -> Finished:
        """Run the program once.

        Raises
        ------
        CaseError
            It passed a limit or could not be started.
        """

    def facts(self) -> dict[str, Any]:
        """What every case's details say besides what the call came to."""
        return {}

    def begin_case(self, case: Case) -> None:
        """Keep the case: its name is the file's."""
        self._case = case

    def warmup(self) -> None:
        """Time the start-up, where that is asked for."""
        if not self.parameters.time_startup:
            return
        with exchange() as (inputs, outputs):
            try:
                finished = self.call(inputs, outputs)
            except CaseError as error:
                self._startup = {"startup_problem": str(error)}
                return
        self._startup = {
            "startup_seconds": round(finished.seconds, 3),
            "startup_exit_code": finished.exit_code,
        }

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Call the program for one image.

        Parameters
        ----------
        image : ndarray, (H, W) or (H, W, C)
            Written for the program where ``images`` is ``tiff``; else its size only is used.

        Returns
        -------
        ndarray of unsigned int, (H, W)

        Raises
        ------
        CaseError
            The call or its result is of no use; status and message say why, the details hold
            what the program printed.
        """
        assert self._case is not None, "begin_case names the case"
        with self.recorded() as details, exchange() as (inputs, outputs):
            if self.parameters.images == "file":
                put_file(inputs, self._case)
            else:
                put_image(inputs, self._case, image)
            finished = self.call(inputs, outputs)
            details.update(finished.details())
            with self.timer.phase("postprocess"):
                return self.take(outputs, self._case.case, image.shape[:2], finished)

    @contextmanager
    def recorded(self) -> Iterator[dict[str, Any]]:
        """Give a dict whose content becomes the case's details, also where it fails."""
        self._details = {}
        found: dict[str, Any] = {}
        try:
            yield found
        except CaseError as error:
            error.details = {**self._startup, **self.facts(), **found, **error.details}
            raise
        self._details = {**self._startup, **self.facts(), **found}

    def take(
        self, outputs: Path, case: str, shape: Sequence[int], finished: Finished
    ) -> np.ndarray:
        """Read a case's mask, unless the exit code says that there is none to trust."""
        if finished.exit_code and not self.forgives_exit_code:
            status = "oom" if finished.exit_code in _KILLED else "error"
            msg = f"the program failed: {finished.how()}"
            raise CaseError(msg, status)
        try:
            return take_mask(outputs, case, tuple(shape), finished.how())
        except CaseError as error:
            if error.status == "missing" and finished.exit_code in _KILLED:
                error.status = "oom"
            raise


#: Exit codes of what was killed from outside, most likely for want of memory.
_KILLED = (-9, 137)


@contextmanager
def exchange() -> Iterator[tuple[Path, Path]]:
    """Two empty folders, gone afterwards; a container may leave files that we cannot delete."""
    with tempfile.TemporaryDirectory(prefix="cellharness-", ignore_cleanup_errors=True) as name:
        inputs, outputs = Path(name) / "inputs", Path(name) / "outputs"
        inputs.mkdir()
        outputs.mkdir()
        yield inputs, outputs
