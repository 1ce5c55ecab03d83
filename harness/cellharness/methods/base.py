"""What a method is: the base class of all, and what it says of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from cellharness.methods.timing import PhaseTimer
from cellharness.vocabulary import InputMode

if TYPE_CHECKING:
    import numpy as np

    from cellharness.data.manifest import Case
    from cellharness.weights import Weights


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
    """A method's parameters; every field is documented and unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BaseSegmenter(ABC):
    """A method: how it makes a label image of an image.

    A method must have ``info`` and :meth:`segment`; all else has a default that does nothing.

    Parameters
    ----------
    parameters : Parameters or None
        Checked parameters, an instance of the class attribute ``Parameters``.

    Attributes
    ----------
    timer : PhaseTimer
        ``segment`` may mark its ``network`` and ``postprocess`` parts on it; time that
        it leaves unmarked counts as ``network``.
    """

    info: ClassVar[MethodInfo]
    Parameters: ClassVar[type[Parameters]] = Parameters
    #: "module:Class" of the method's :class:`cellharness.training.trainer.Trainer`, or "".
    trainer: ClassVar[str] = ""

    def __init__(self, parameters: Any = None) -> None:
        self.parameters = self.Parameters() if parameters is None else parameters
        self.timer = PhaseTimer()

    def weights(self) -> tuple[Weights, ...]:
        """Files the method loads, found and verified but not read; fetches what is missing."""
        return ()

    def resolved(self) -> dict[str, Any]:
        """What choices left to the machine come to here, such as a precision ``auto``.

        It is part of a prediction's identity: masks of another precision are not taken for
        this one's. Called only where the weights were found; may import heavy packages.
        """
        return {}

    def load(self) -> None:  # noqa: B027
        """Read weights and get ready; called once in the process that segments."""

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
        """Segment one image.

        Parameters
        ----------
        image : ndarray, (H, W), or also (H, W, C) where ``info.input`` is ``"native"``
            Finite. ``gray_max`` and ``gray``: float32, in the range that the paper's
            preprocessing, or the file, has; not scaled to 0..1. ``native``: in the dtype and
            range of the file.

        Returns
        -------
        ndarray of unsigned int, (H, W)
            0 background, one positive label a cell.
        """
