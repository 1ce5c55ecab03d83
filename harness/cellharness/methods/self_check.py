"""What a method brings so that ``cellharness selftest`` can try it on a machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class TrainingCheck:
    """A short training to try and to time.

    Attributes
    ----------
    parameters : mapping
        Of the training, without device; all epochs but the first are timed.
    crops_per_epoch : str
        Name of the parameter that says how many crops one epoch learns from.
    library : str
        "module:function" of the same training by the method's own library, or "". It is called
        with (cases, parameters, device, folder): cases to learn from, the parameters above, a
        device of torch and a folder to write to. It gives (crops, seconds) without what the
        start-up takes.
    rehearsal : mapping
        What a rehearsal on a CPU changes of the parameters, so that it ends soon.
    prediction : mapping or None
        Parameters, without device, with which the method makes masks of the checkpoint, which its
        parameter ``weights`` takes; those of both devices are compared. None to leave that out.
    """

    parameters: Mapping[str, Any]
    crops_per_epoch: str
    library: str = ""
    rehearsal: Mapping[str, Any] = field(default_factory=dict)
    prediction: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class SelfCheck:
    """How a method is tried on embedded images, and what must come of it.

    Attributes
    ----------
    parameters : mapping or None
        Of the prediction, without device; None for a method that has no weights to predict with.
    f1 : float
        Mean F1 (IoU 0.5, profile ``strict``) on the embedded images of
        :data:`cellharness.selftest.images.QUICK`, as measured when the check was written.
    tolerance : float
        By how much the mean F1 may miss it, either way: other versions round otherwise.
    library : str
        "module:function" of the method's own library, or "". It is called with (parameters,
        device, exact) and gives a function from an image to labels. ``exact`` asks for the
        library without arithmetic of less precision than the method uses; without it the library
        runs as it is delivered.
    agreement_on_gpu : float
        Least F1 at IoU 0.9 of an image between the method's masks and the library's on a GPU, the
        library being exact. On a CPU they must be equal pixel by pixel.
    on_gpu : float
        Least F1 at IoU 0.5 of an image between the masks of the CPU and those of the GPU.
    trainings : tuple of TrainingCheck
        Trainings to try on a GPU.
    """

    parameters: Mapping[str, Any] | None = None
    f1: float = 0.0
    tolerance: float = 0.02
    library: str = ""
    agreement_on_gpu: float = 0.95
    on_gpu: float = 0.9
    trainings: tuple[TrainingCheck, ...] = field(default=())
