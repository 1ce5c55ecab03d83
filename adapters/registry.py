"""Find methods and weights by name.

Adding a method takes two touches: a new file in ``adapters/`` with a class as in
:mod:`adapters.base`, and one line in :data:`METHODS`. A third-party package needs no
touch here: it declares an entry point in the group ``cellharness.methods`` (or
``cellharness.weights``) of the same form.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from adapters.base import BaseSegmenter
from harness.config import explain
from harness.errors import BrokenPackageError, MissingDependencyError, UsageError, unknown_name
from harness.installation import missing_module_hint
from harness.weights import WeightSource

if TYPE_CHECKING:
    from adapters.base import InputMode
    from adapters.training.trainer import Trainer, Watch

METHODS: dict[str, str] = {
    "cellpose": "adapters.cellpose.segmenter:Cellpose",
    "cellpose2": "adapters.cellpose.finetuned:Cellpose2",
    "kit-ge": "adapters.kit_ge.segmenter:KitGe",
    "otsu-watershed": "adapters.otsu_watershed:OtsuWatershed",
    "omnipose-paper": "adapters.omnipose.segmenter:OmniposePaper",
    "omnipose": "adapters.omnipose.segmenter:Omnipose",
    "precomputed": "adapters.precomputed:Precomputed",
    "dummy-threshold": "adapters.dummy:Threshold",
    "dummy-truth": "adapters.dummy:Truth",
    "dummy-empty": "adapters.dummy:Empty",
    "dummy-raises": "adapters.dummy:Raises",
    "dummy-slow": "adapters.dummy:Slow",
    "dummy-out-of-memory": "adapters.dummy:OutOfMemory",
    "dummy-restless": "adapters.dummy:Restless",
}

WEIGHTS: dict[str, str] = {
    "cyto": "adapters.cellpose.weights:CYTO",
    "cyto2": "adapters.cellpose.weights:CYTO2",
    "cyto3": "adapters.cellpose.weights:CYTO3",
    "nuclei": "adapters.cellpose.weights:NUCLEI",
    "cyto2-four-networks": "adapters.omnipose.weights:CYTO2_FOUR_NETWORKS",
    "cyto2_omni": "adapters.omnipose.weights:CYTO2_OMNI",
    "bact_phase_omni": "adapters.omnipose.weights:BACT_PHASE_OMNI",
    "bact_fluor_omni": "adapters.omnipose.weights:BACT_FLUOR_OMNI",
    "bact_phase_affinity": "adapters.omnipose.weights:BACT_PHASE_AFFINITY",
    "worm_omni": "adapters.omnipose.weights:WORM_OMNI",
    "worm_bact_omni": "adapters.omnipose.weights:WORM_BACT_OMNI",
    "worm_high_res_omni": "adapters.omnipose.weights:WORM_HIGH_RES_OMNI",
}


def _known(own: Mapping[str, str], group: str) -> dict[str, str]:
    """Ours and those of installed packages; a clash is an error, not a matter of luck."""
    known = dict(own)
    for point in entry_points(group=group):
        if point.name in known and known[point.name] != point.value:
            msg = (
                f"'{point.name}' in group {group} is claimed by both {known[point.name]} and "
                f"{point.value}; uninstall one of the packages or have it choose another name"
            )
            raise UsageError(msg)
        known[point.name] = point.value
    return known


def _resolve(what: str, target: str) -> Any:
    """Import ``module:attribute``.

    Raises
    ------
    MissingDependencyError
        A module is not installed, or breaks on import, or lacks the attribute.
    """
    module, _, attribute = target.partition(":")
    head = f"{what} ({target}) cannot be imported"
    try:
        return getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        msg = f"{head}: {error}. {missing_module_hint(error, _extra(module))}".strip()
        raise MissingDependencyError(msg) from error
    # Anybody's module may raise anything, even SystemExit; it must cost its own method only.
    except (Exception, SystemExit) as error:
        msg = (
            f"{head}: {type(error).__name__}: {error}. The module is there but broken, or made "
            "for other versions; mend or reinstall it"
        )
        raise BrokenPackageError(msg) from error


def _extra(module: str) -> str:
    """Name of the optional dependency group that a built-in module may belong to."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == "adapters" else ""


def method_names() -> list[str]:
    """Names of all methods, built in and of installed packages, sorted."""
    return sorted(_known(METHODS, "cellharness.methods"))


def method_class(name: str) -> type[BaseSegmenter]:
    """Import the class behind a method's name.

    Raises
    ------
    UsageError
        No such method; the message lists all.
    MissingDependencyError
        The method's package is not installed, or is broken; the message says what to do.

    Examples
    --------
    >>> method_class("otsu-watershed").info.input
    'gray_max'
    """
    known = _known(METHODS, "cellharness.methods")
    if name not in known:
        hint = "`cellharness methods` says what they are."
        raise unknown_name(kind="method", name=name, known=known, hint=hint)
    cls = _resolve(f"method '{name}'", known[name])
    lacking = [attribute for attribute in ("info", "Parameters") if not hasattr(cls, attribute)]
    if lacking:
        msg = f"method '{name}' ({known[name]}) has no {' and no '.join(lacking)}; it is no method"
        raise BrokenPackageError(msg)
    return cls


def build(name: str, parameters: Mapping[str, Any]) -> BaseSegmenter:
    """Make a method from its name and knobs, without loading weights.

    Parameters
    ----------
    name : str
        Registered name.
    parameters : mapping
        Knobs, checked against the method's ``Parameters``.

    Returns
    -------
    BaseSegmenter
        Not loaded yet.

    Raises
    ------
    UsageError
        Unknown method, unknown knob or bad value; valid ones are named.
    MissingDependencyError
        It cannot be imported or made on this machine.
    """
    cls = method_class(name)
    try:
        checked = cls.Parameters.model_validate(dict(parameters))
    except ValidationError as error:
        msg = f"parameters of method '{name}' are not valid:\n{explain(error, cls.Parameters)}"
        raise UsageError(msg) from None
    try:
        return cls(checked)
    except UsageError:
        raise
    except Exception as error:
        msg = f"method '{name}' cannot be made: {type(error).__name__}: {error}"
        raise BrokenPackageError(msg) from error


def build_trainer(
    name: str,
    parameters: Mapping[str, Any],
    *,
    input: InputMode | None,  # noqa: A002 - the configuration's own word
    seed: int,
    watch: Watch | None,
) -> Trainer:
    """Make the trainer of a method from the training's knobs.

    Parameters
    ----------
    name : str
        Registered method.
    parameters : mapping
        Knobs of the training, checked.
    input : {"gray_max", "gray", "native"} or None
        Image form; None is what the method declares.
    seed : int
        Of everything random.
    watch : callable or None
        Told of each finished epoch.

    Raises
    ------
    UsageError
        Unknown method, one that cannot be trained, unknown knob or bad value.
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
        able = [other for other in METHODS if method_class(other).trainer]
        msg = f"method '{name}' cannot be trained; methods that can: {', '.join(able)}"
        raise UsageError(msg)
    return _resolve(f"training of '{name}'", target)


def weight_names() -> list[str]:
    """Names of all registered weights, sorted."""
    return sorted(_known(WEIGHTS, "cellharness.weights"))


def weight_source(name: str) -> WeightSource:
    """Look a set of weights up by name.

    Raises
    ------
    UsageError
        No such weights; the message lists all.
    """
    known = _known(WEIGHTS, "cellharness.weights")
    if name not in known:
        hint = "A path to a file is taken as well."
        raise unknown_name(kind="weights", name=name, known=known, hint=hint)
    return _resolve(f"weights '{name}'", known[name])
