"""What a method is: the protocols, and a base class with the optional parts filled in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from pydantic import BaseModel, ConfigDict

from harness.dataset import Case
from harness.timing import PhaseTimer
from harness.weights import Weights

InputMode = Literal["gray_max", "gray", "native"]


class MissingPredictionError(Exception):
    """The method has no mask for this case; recorded as status ``missing``."""


class UnsupportedCaseError(Exception):
    """The method cannot take this case by design; recorded as status ``unsupported``."""


@dataclass(frozen=True)
class MethodInfo:
    """What a reader of a report must know of a method.

    Attributes
    ----------
    summary : str
        One sentence.
    licence : str
        Of the code; weights state their own.
    citation : str
        Short reference.
    input : {"gray_max", "gray", "native"}
        The image form handed over unless the configuration says otherwise.
    training_data : tuple of str
        Data sets the method has seen, so that contamination can be flagged; weights
        state theirs on top.
    url : str
        Home page.
    extra : str
        The optional dependency group that installs what it needs, or "".
    packages : tuple of str
        Distributions whose versions are part of a prediction's identity.
    requires : tuple of str
        Requirements with the versions known to work, such as ``"torch>=2.4"``.
    needs_truth : bool
        Reads the label image (an oracle); the report marks it.
    """

    summary: str
    licence: str
    citation: str = ""
    input: InputMode = "gray_max"
    training_data: tuple[str, ...] = ()
    url: str = ""
    extra: str = ""
    packages: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    needs_truth: bool = False


class Parameters(BaseModel):
    """A method's knobs; every field is documented and unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@runtime_checkable
class Segmenter(Protocol):
    """The least a method must have; everything else in :class:`BaseSegmenter` is optional.

    ``info`` and ``Parameters`` are class attributes, the constructor takes one
    validated ``Parameters``.
    """

    info: ClassVar[MethodInfo]
    Parameters: ClassVar[type[Parameters]]

    def load(self) -> None:
        """Read weights and get ready; called once in the process that segments."""

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Segment one image.

        Parameters
        ----------
        image : ndarray, (H, W), or (H, W, C) where ``info.input`` is ``"native"``
            Finite, in the dtype and range of the file (``gray``, ``native``) or as the
            paper's preprocessing left it (``gray_max``).

        Returns
        -------
        ndarray of unsigned int, (H, W)
            0 background, one positive label a cell.
        """


@runtime_checkable
class Trainable(Protocol):
    """A method that can learn from labelled cases."""

    def fit(self, train: Sequence[Case], validation: Sequence[Case], out: Path) -> Path:
        """Train, write checkpoints under ``out``, and return the last one.

        Seeds everything, writes a checkpoint every k epochs, and goes on from the last
        one when called again with the same arguments.
        """


class BaseSegmenter(ABC):
    """A :class:`Segmenter` with the optional parts filled in by defaults that do nothing.

    Attributes
    ----------
    timer : PhaseTimer
        ``segment`` may mark its ``network`` and ``postprocess`` parts on it; time that
        it leaves unmarked counts as ``network``.
    """

    info: ClassVar[MethodInfo]
    Parameters: ClassVar[type[Parameters]] = Parameters

    def __init__(self, parameters: Any = None) -> None:
        self.parameters = self.Parameters() if parameters is None else parameters
        self.timer = PhaseTimer()

    def weights(self) -> tuple[Weights, ...]:
        """Files the method loads, found and verified but not read; fetches what is missing."""
        return ()

    def load(self) -> None:  # noqa: B027
        """Read weights and get ready."""

    def warmup(self) -> None:  # noqa: B027
        """Run once on nothing of interest, so that the first case is timed like the others."""

    def case_identity(self, case: Case) -> str:  # noqa: ARG002
        """What else, besides image, weights and parameters, this case's mask depends on."""
        return ""

    def begin_case(self, case: Case) -> None:  # noqa: B027
        """Hear which case comes next; only for methods that need more than its pixels."""

    def details(self) -> dict[str, Any]:
        """Facts about the last case worth keeping in the ledger, such as its diameter."""
        return {}

    @abstractmethod
    def segment(self, image: np.ndarray) -> np.ndarray:
        """Segment one image, see :meth:`Segmenter.segment`."""
