"""What a trainable method offers: parameters of the training, and ``fit``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, ValidationError

from cellharness.config.reading import explain
from cellharness.data.manifest import Case
from cellharness.errors import MissingDependencyError, UsageError
from cellharness.methods.base import Parameters
from cellharness.methods.registry import method_class, method_names, resolve
from cellharness.training.log import EpochRecord
from cellharness.vocabulary import InputMode
from cellharness.weights import Weights

if TYPE_CHECKING:  # images need NumPy, a list of methods and their parameters does not
    from cellharness.training.samples import Preparing

Watch = Callable[[EpochRecord], None]


class TrainingParameters(Parameters):
    """Parameters that every training has."""

    epochs: int = Field(100, ge=1, description="Times to go through the training images.")
    batch_size: int = Field(8, ge=1, description="Crops in one step.")
    learning_rate: float = Field(0.005, gt=0, description="Largest learning rate.")
    save_every: int = Field(10, ge=1, description="Epochs from one kept checkpoint to the next.")
    validate_every: int = Field(
        5, ge=1, description="Epochs from one validation F1 to the next; the loss is taken always."
    )
    keep: Literal["last", "best_loss", "best_f1"] = Field(
        "last",
        description="Which weights are the result: of the last epoch, or of the epoch with the "
        "smallest validation loss or the largest mean validation F1.",
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="Stop early after so many epochs without a smaller validation loss; where "
        "best_f1 is kept, after so many validations without a larger F1.",
    )
    sampling: Literal["plain", "balanced"] = Field(
        "plain",
        description="plain: every image once an epoch. balanced: drawn so that all modalities "
        "come equally often.",
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="auto: bfloat16 autocast where the processor has it (on CUDA always), else "
        "float32. Only float32 on the CPU is repeatable to the last bit.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the GPU if any.")
    devices: int = Field(1, ge=1, description="GPUs (or CPU processes) that share each batch.")


class Trainer(ABC):
    """Trains one method.

    Parameters
    ----------
    parameters : TrainingParameters
        Checked.
    input : {"gray_max", "gray", "native"}
        Image form, the same as in prediction.
    seed : int
        Of everything random; the same seed gives the same weights on one machine.
    watch : callable or None
        Told of each finished epoch.

    Attributes
    ----------
    left_out : tuple of str
        After ``fit``: cases that were given and not learned from.
    preparing : callable or None
        Told of how many images of how many are prepared before the first epoch.
    """

    Parameters: ClassVar[type[TrainingParameters]] = TrainingParameters
    #: Distributions whose versions are part of what is trained.
    packages: ClassVar[tuple[str, ...]] = ("torch", "numpy")
    #: Whether ``fit`` takes cases to replay.
    replays: ClassVar[bool] = False

    def __init__(
        self,
        parameters: TrainingParameters,
        *,
        input: InputMode = "gray_max",  # noqa: A002 - the configuration's own word
        seed: int = 0,
        watch: Watch | None = None,
    ) -> None:
        self.parameters = parameters
        self.input: InputMode = input
        self.seed = seed
        self.watch = watch
        self.left_out: tuple[str, ...] = ()
        self.preparing: Preparing | None = None

    def weights(self) -> tuple[Weights, ...]:
        """Weights that the training starts from; empty from scratch."""
        return ()

    def resolved(self) -> dict[str, Any]:
        """What automatic choices come to on this machine; part of what is trained."""
        return {}

    def _told(self, before: int, total: int) -> Preparing:
        """Tell of some of the images, ``before`` of ``total`` being prepared already."""

        def told(done: int, _: int) -> None:
            if self.preparing is not None:
                self.preparing(before + done, total)

        return told

    @abstractmethod
    def fit(
        self,
        train: Sequence[Case],
        validation: Sequence[Case],
        out: Path,
        replay: Sequence[Case] = (),
    ) -> Path:
        """Train, or go on with a training that was interrupted in the same folder.

        Parameters
        ----------
        train, validation : sequence of Case
            To learn from, and to watch; the second may be empty.
        out : Path
            Folder of the training: ``epochs.csv``, ``validation.csv``, ``checkpoints/``.
        replay : sequence of Case
            Of an earlier domain, to mix in; only given where ``replays`` is true.

        Returns
        -------
        Path
            The checkpoint that the method predicts with.

        Raises
        ------
        TrainingDataError
            Cases cannot be used.
        DivergedError
            The loss is not finite any more; the last good checkpoint is kept.
        """


def build_trainer(
    name: str,
    parameters: Mapping[str, Any],
    *,
    input: InputMode | None,  # noqa: A002 - the configuration's own word
    seed: int,
    watch: Watch | None,
) -> Trainer:
    """Make the trainer of a method from the training's parameters.

    Parameters
    ----------
    name : str
        Registered method.
    parameters : mapping
        Parameters of the training, checked.
    input : {"gray_max", "gray", "native"} or None
        Image form; None is what the method declares.
    seed : int
        Of everything random.
    watch : callable or None
        Told of each finished epoch.

    Raises
    ------
    UsageError
        Unknown method, one that cannot be trained, unknown parameter or bad value.
    """
    cls = trainer_class(name)
    try:
        checked = cls.Parameters.model_validate(dict(parameters))
    except ValidationError as error:
        msg = f"training parameters of '{name}' are not valid:\n{explain(error, cls.Parameters)}"
        raise UsageError(msg) from None
    return cls(checked, input=input or method_class(name).info.input, seed=seed, watch=watch)


def trainer_class(name: str) -> type[Trainer]:
    """Import the class that trains a method.

    Raises
    ------
    UsageError
        No such method, or it cannot be trained; the message lists those that can.
    MissingDependencyError
        A package is not installed.
    """
    target = method_class(name).trainer
    if not target:
        able = [other for other in method_names() if _can_be_trained(other)]
        msg = f"method '{name}' cannot be trained; methods that can: {', '.join(able)}"
        raise UsageError(msg)
    return resolve(f"training of '{name}'", target)


def _can_be_trained(name: str) -> bool:
    try:
        return bool(method_class(name).trainer)
    except MissingDependencyError:
        return False
