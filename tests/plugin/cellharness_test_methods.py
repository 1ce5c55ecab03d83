"""Methods for tests: what goes right, and every way to go wrong, without weights."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field
from skimage.measure import label as connected_components

from cellharness.data.images import read_label
from cellharness.data.manifest import Case
from cellharness.methods.base import BaseSegmenter, MethodInfo, Parameters, UnsupportedCaseError
from cellharness.weights import Weights, local_weights


def _info(summary: str, *, needs_truth: bool = False) -> MethodInfo:
    return MethodInfo(summary=summary, licence="BSD-3-Clause", needs_truth=needs_truth, hidden=True)


class Threshold(BaseSegmenter):
    """Connected components above the middle of the intensity range."""

    info: ClassVar[MethodInfo] = _info("For tests: threshold at mid-range, connected components.")

    def replica(self) -> Self:
        """Give another: it keeps nothing between cases."""
        return self.own_copy()

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Label what is brighter than half way from the darkest to the brightest pixel."""
        gray = image.mean(axis=-1) if image.ndim == 3 else image
        middle = (float(gray.min()) + float(gray.max())) / 2
        return connected_components(gray > middle)


class Truth(BaseSegmenter):
    """The truth itself: every score must come out as 1."""

    info: ClassVar[MethodInfo] = _info("For tests: a copy of the truth.", needs_truth=True)

    def begin_case(self, case: Case) -> None:
        """Keep the case for its label."""
        self._case = case

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Return the true labels."""
        if self._case.label is None:
            msg = f"case '{self._case.case}' has no label image to copy"
            raise UnsupportedCaseError(msg)
        return read_label(self._case.label)


class Empty(BaseSegmenter):
    """No cell, ever."""

    info: ClassVar[MethodInfo] = _info("For tests: finds nothing.")

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Return background only."""
        return np.zeros(image.shape[:2], np.uint8)


class RaisesParameters(Parameters):
    """When to raise."""

    cases: tuple[str, ...] = Field((), description="Raise on these; on every case if empty.")
    on_load: bool = Field(False, description="Raise while loading instead.")


class Raises(Threshold):
    """Raises, on some cases or all, or while loading."""

    info: ClassVar[MethodInfo] = _info("For tests: raises an exception.")
    Parameters: ClassVar[type[Parameters]] = RaisesParameters
    parameters: RaisesParameters

    def load(self) -> None:
        """Raise if told to."""
        if self.parameters.on_load:
            msg = "told to fail on loading"
            raise RuntimeError(msg)

    def begin_case(self, case: Case) -> None:
        """Raise if told to."""
        if not self.parameters.on_load and case.case in (self.parameters.cases or (case.case,)):
            msg = f"told to fail on {case.case}"
            raise RuntimeError(msg)


class SlowParameters(Parameters):
    """How slow."""

    seconds: float = Field(60.0, ge=0, description="Sleep before each case.")
    in_child: bool = Field(False, description="Sleep in a process of its own.")
    log: str = Field("", description="File to which each begun case and its process are added.")


class Slow(Threshold):
    """Sleeps: for timeouts, and for kills in mid-run."""

    info: ClassVar[MethodInfo] = _info("For tests: sleeps before it segments.")
    Parameters: ClassVar[type[Parameters]] = SlowParameters
    parameters: SlowParameters

    def begin_case(self, case: Case) -> None:
        """Write the case down."""
        if self.parameters.log:
            with Path(self.parameters.log).open("a") as file:
                file.write(f"{case.case} {os.getpid()}\n")

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Sleep, then threshold."""
        if self.parameters.in_child:
            subprocess.run(["sleep", str(self.parameters.seconds)], check=True)
        else:
            time.sleep(self.parameters.seconds)
        return super().segment(image)


class OutOfMemoryParameters(Parameters):
    """How memory runs out."""

    how: Literal["raise", "allocate"] = Field(
        "raise", description="raise: MemoryError. allocate: really take memory until ended."
    )
    gigabytes: float = Field(8.0, gt=0, description="Where to stop allocating, GiB.")


class OutOfMemory(BaseSegmenter):
    """Runs out of memory, politely or not."""

    info: ClassVar[MethodInfo] = _info("For tests: runs out of memory.")
    Parameters: ClassVar[type[Parameters]] = OutOfMemoryParameters
    parameters: OutOfMemoryParameters

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Take memory, 64 MiB at a time, or raise at once."""
        taken: list[np.ndarray] = []
        while (
            self.parameters.how == "allocate" and len(taken) * 64 < 1024 * self.parameters.gigabytes
        ):
            taken.append(np.ones(64 * 2**20, np.uint8))
            time.sleep(0.02)
        msg = f"out of memory on an image of {image.shape}"
        raise MemoryError(msg)


class RestlessParameters(Parameters):
    """How the calls for one case differ."""

    first_seconds: float = Field(0.0, ge=0, description="Sleep at the first call for a case.")
    wander: bool = Field(False, description="Give another mask at every call.")
    fail_at: int | None = Field(None, ge=1, description="Raise at this call for a case.")


class Restless(Threshold):
    """Does something else each time the same case is segmented: for repeats."""

    info: ClassVar[MethodInfo] = _info("For tests: differs from repeat to repeat.")
    Parameters: ClassVar[type[Parameters]] = RestlessParameters
    parameters: RestlessParameters

    def load(self) -> None:
        """Start with no case."""
        self._case, self._calls = "", 0

    def begin_case(self, case: Case) -> None:
        """Count the calls for a case."""
        self._calls = self._calls + 1 if case.case == self._case else 1
        self._case = case.case

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Sleep, raise or wander, then threshold."""
        if self._calls == self.parameters.fail_at:
            msg = f"told to fail at call {self._calls}"
            raise RuntimeError(msg)
        if self._calls == 1:
            time.sleep(self.parameters.first_seconds)
        found = super().segment(image)
        return np.roll(found, self._calls, axis=0) if self.parameters.wander else found


class TrainedParameters(Parameters):
    """Where the weights lie, and what is written down."""

    weights: str = Field(description="Checkpoint of `cellharness_test_trainer`.")
    seconds: float = Field(0.0, ge=0, description="Sleep before each case.")
    log: str = Field("", description="File to which the name of each case is added.")


class Trained(BaseSegmenter):
    """Connected components above a learned grey value."""

    info: ClassVar[MethodInfo] = _info("For tests: threshold at a learned grey value.")
    Parameters: ClassVar[type[Parameters]] = TrainedParameters
    parameters: TrainedParameters
    trainer: ClassVar[str] = "cellharness_test_trainer:GreyTrainer"

    def weights(self) -> tuple[Weights, ...]:
        """The checkpoint."""
        return (local_weights(Path(self.parameters.weights)),)

    def load(self) -> None:
        """Read the level."""
        from cellharness.training.checkpoints import load

        self._level = float(load(Path(self.parameters.weights))["level"])

    def begin_case(self, case: Case) -> None:
        """Keep the case's name."""
        self._case = case.case

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Write the case down, sleep, and threshold."""
        if self.parameters.log:
            with Path(self.parameters.log).open("a") as file:
                file.write(f"{self._case}\n")
        time.sleep(self.parameters.seconds)
        return connected_components(image > self._level)
