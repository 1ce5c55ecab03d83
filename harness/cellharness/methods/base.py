"""What a method is: the base class of all, and what it says of itself."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from cellharness.errors import UsageError
from cellharness.files import hash_file
from cellharness.methods.timing import PhaseTimer
from cellharness.vocabulary import InputMode

if TYPE_CHECKING:
    import numpy as np

    from cellharness.data.manifest import Case
    from cellharness.methods.shared_results import SharedResults
    from cellharness.slides.image import SlideImage
    from cellharness.slides.layout import Tile
    from cellharness.weights import Weights


#: Remark on a case in which all pixels are alike, so that a method did not look further.
FLAT_IMAGE = "the image is flat, and no cell can be seen in it"
#: Remark on an image of whose tiles each was segmented as if it were an image.
TILES_ALONE = "each tile was segmented as an image by itself"


class CaseError(Exception):
    """A case failed in a way that the method can name, with facts worth keeping.

    Parameters
    ----------
    message : str
        Why, for the reader of a report.
    status : {"error", "oom", "timeout", "missing", "unsupported"} or None
        Recorded for the case; None for that of the class.
    details : mapping or None
        Kept in the ledger in the place of what :meth:`BaseSegmenter.details` gives.
    """

    status = "error"

    def __init__(
        self, message: str, status: str | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status or self.status
        self.details = dict(details or {})


class MissingPredictionError(CaseError):
    """The method has no mask for this case; recorded as status ``missing``."""

    status = "missing"


class UnsupportedCaseError(CaseError):
    """The method cannot take this case by design; recorded as status ``unsupported``."""

    status = "unsupported"


class NotFiniteError(UsageError, ArithmeticError):
    """A network gave NaN or infinity, of which no mask can be made; recorded as ``error``."""


def check_finite(what: str, *outputs: np.ndarray) -> None:
    """Raise where a network's output is not finite: masks made of it would be empty.

    Parameters
    ----------
    what : str
        Whose output, for the message.
    outputs : ndarray
        Any shape.

    Raises
    ------
    NotFiniteError
        Some value is NaN or infinity.
    """
    import numpy as np

    bad = sum(int(np.count_nonzero(~np.isfinite(output))) for output in outputs)
    if bad:
        total = sum(output.size for output in outputs)
        msg = (
            f"{what} gave NaN or infinity in {bad} of {total} values, so there is no mask; look at "
            "the image's values, choose precision float32, or take other weights"
        )
        raise NotFiniteError(msg)


def check_left(shape: Sequence[int], scale: float, left: int, advice: str) -> None:
    """Raise where scaling leaves nothing of an image.

    Parameters
    ----------
    shape : sequence of int
        (H, W) of the image.
    scale : float
        By which it is scaled.
    left : int
        Its shorter side after that, in px.
    advice : str
        What the user can change, for the message.

    Raises
    ------
    UnsupportedCaseError
        Less than a pixel is left.
    """
    if left < 1:
        msg = (
            f"an image of {shape[0]} x {shape[1]} px is scaled by {scale:.3g}, and nothing is left "
            f"of it; {advice}"
        )
        raise UnsupportedCaseError(msg)


def truth_identity(case: Case) -> str:
    """What the mask of a method that reads the truth depends on: the label image's SHA256."""
    if case.label is None:
        return ""
    return hash_file(case.label) if case.label.is_file() else "absent"


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
    environment : str
        Named environment for it, where ours cannot have what it needs; "" for most methods.
    limits : str
        What it cannot do or was not made for, in one sentence or two.
    needs_truth : bool
        Reads the label image (an oracle); the report marks it.
    hidden : bool
        Not in lists of methods, such as one for tests; it can be used all the same.
    maps : tuple of str
        Names of what the network gives for every pixel and the cells are made of, such as
        ``flow_y``; empty for a method that keeps none, see :attr:`BaseSegmenter.maps`.
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
    environment: str = ""
    limits: str = ""
    hidden: bool = False
    maps: tuple[str, ...] = ()


class Parameters(BaseModel):
    """A method's parameters; every field is documented; unknown ones, NaN, infinity are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
    maps : dict of str to ndarray, or None
        None where nobody asked. Else empty before each case, for ``segment`` to put in what its
        network gave, by the names of ``info.maps``: each float, (H, W) as the image.
    case_name : str
        Of the case at hand; "" before the first.
    shared : SharedResults or None
        What other methods of the run found, for :meth:`once`; None where nothing is shared.
    """

    info: ClassVar[MethodInfo]
    Parameters: ClassVar[type[Parameters]] = Parameters
    #: "module:Class" of the method's :class:`cellharness.training.trainer.Trainer`, or "".
    trainer: ClassVar[str] = ""
    #: "module:attribute" of the :class:`cellharness.methods.self_check.SelfCheck` with which
    #: ``cellharness selftest`` tries the method, or "".
    self_check: ClassVar[str] = ""
    #: Modules that :meth:`load` imports, in this order, and that take long. A run imports them once
    #: for all methods that name the same, and forks a process for each: importing them must start
    #: no parallel region, use no GPU and read no parameters. Empty for a process from the start.
    imports: ClassVar[tuple[str, ...]] = ()
    #: Whether it can segment a part of an image; not where masks of whole images are only read.
    takes_tiles: ClassVar[bool] = True

    def __init__(self, parameters: Any = None) -> None:
        self.parameters = self.Parameters() if parameters is None else parameters
        self.timer = PhaseTimer()
        self.maps: dict[str, np.ndarray] | None = None
        self.shared: SharedResults | None = None
        self.case_name = ""
        self._details: dict[str, Any] = {}

    def weights(self) -> tuple[Weights, ...]:
        """Files the method loads, found and verified but not read; fetches what is missing."""
        return ()

    def resolved(self) -> dict[str, Any]:
        """What choices left to the machine come to here, such as a precision ``auto``.

        It is part of a prediction's identity: masks of another precision are not taken for
        this one's. Called only where the weights were found; may import heavy packages.
        """
        return {}

    def check_input(self, mode: str) -> None:  # noqa: B027
        """Refuse parameters that have no effect on images of this form.

        Parameters
        ----------
        mode : {"gray_max", "gray", "native"}

        Raises
        ------
        UsageError
            Naming the parameter and the form that it is for.
        """

    def load(self) -> None:  # noqa: B027
        """Read weights and get ready; called once in the process that segments."""

    def warmup(self) -> None:  # noqa: B027
        """Run once on nothing of interest, so that the first case is timed like the others."""

    def begin_run(self, cases: Sequence[Case]) -> None:  # noqa: B027
        """Hear, once loaded, all cases that may follow; only for methods that take many at once."""

    def all_at_once(self) -> bool:
        """Whether one call makes the masks of all cases: they then go to one process."""
        return False

    def case_identity(self, case: Case) -> str:  # noqa: ARG002
        """What else, besides image, weights and parameters, this case's mask depends on."""
        return ""

    def begin_case(self, case: Case) -> None:  # noqa: B027
        """Hear which case comes next; only for methods that need more than its pixels."""

    def begin_tiles(self, image: SlideImage) -> None:  # noqa: B027
        """Look at a whole image of which :meth:`segment` will get tiles, one after the other.

        What a method finds of the image as a whole (a threshold, the grey values that become 0
        and 1, a diameter) it finds here, so that it segments a tile as it would the whole. One
        that finds nothing of that kind here takes each tile for an image by itself, which is
        remarked on.

        Parameters
        ----------
        image : SlideImage
            The image in the method's form, by window.
        """

    def begin_tile(self, tile: Tile) -> None:  # noqa: B027
        """Hear which tile comes next; only for methods that kept something of the whole image."""

    def keep_cells(self, areas: np.ndarray) -> np.ndarray | None:  # noqa: ARG002
        """Choose among the cells of an image that was segmented by tiles, before it is written.

        Only for methods that judge a cell by all cells of an image, which no tile has.

        Parameters
        ----------
        areas : ndarray of int64, (n,)
            Px of each cell of the image.

        Returns
        -------
        ndarray of bool, (n,), or None
            Which stay. None, the default: all.
        """
        return None

    def end_tiles(self) -> None:  # noqa: B027
        """Forget what :meth:`begin_tiles` found; the next image may come in one piece."""

    def replica(self) -> Self | None:
        """Give another of this loaded method, to segment a case while others segment theirs.

        All share the weights, and the network takes their calls in turn. What is of one case
        (timer, maps, details, and what :meth:`begin_case` keeps) is each one's own, so that masks
        are the same as of one case after another. A method that draws random numbers can have
        none, since the seed is the process's. A replica is not asked for replicas.

        Returns
        -------
        BaseSegmenter or None
            None where cases can only be segmented one after another, which is the default.
        """
        return None

    def own_copy(self) -> Self:
        """Copy this for :meth:`replica` to begin with; timer, maps and details are the copy's."""
        other = copy.copy(self)
        # It does not wait for the device, where others have work too.
        other.timer = PhaseTimer()
        other.maps = None
        other._details = dict(self._details)
        return other

    def once(
        self, what: str, key: Mapping[str, Any], compute: Callable[[], dict[str, float]]
    ) -> dict[str, float]:
        """Find something of the image at hand that other methods of the run may have found.

        Its seconds count in full for each method, and :meth:`details` names the method it is from.

        Parameters
        ----------
        what : str
            Its name, such as ``diameter``.
        key : mapping
            All that it depends on, the pixels too, but for package versions; as JSON has it.
        compute : callable
            Finds it, where no method has.

        Returns
        -------
        dict of str to float
        """
        if self.shared is None:
            return compute()
        result, method = self.shared.find(what, self.case_name, key, self.timer, compute)
        if method:
            self._details[f"{what}_from"] = method
        return result

    def details(self) -> dict[str, Any]:
        """Facts about the last case worth keeping in the ledger, such as its diameter.

        What stands under ``remark``, a sentence on why the mask may not be what was wanted, is
        counted in the summary of the run and in its report. By default it is what :meth:`segment`
        put into ``self._details``, nothing if it put nothing there.
        """
        return self._details

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
