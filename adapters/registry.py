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
from typing import Any

from pydantic import ValidationError

from adapters.base import BaseSegmenter
from harness.config import explain
from harness.errors import MissingDependencyError, UsageError, unknown_name
from harness.weights import WeightSource

METHODS: dict[str, str] = {
    "cellpose": "adapters.cellpose.segmenter:Cellpose",
    "otsu-watershed": "adapters.otsu_watershed:OtsuWatershed",
    "precomputed": "adapters.precomputed:Precomputed",
    "dummy-threshold": "adapters.dummy:Threshold",
    "dummy-truth": "adapters.dummy:Truth",
    "dummy-empty": "adapters.dummy:Empty",
    "dummy-raises": "adapters.dummy:Raises",
    "dummy-slow": "adapters.dummy:Slow",
    "dummy-out-of-memory": "adapters.dummy:OutOfMemory",
}

WEIGHTS: dict[str, str] = {
    "cyto": "adapters.cellpose.weights:CYTO",
    "cyto2": "adapters.cellpose.weights:CYTO2",
    "cyto3": "adapters.cellpose.weights:CYTO3",
    "nuclei": "adapters.cellpose.weights:NUCLEI",
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


def _resolve(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


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
        The method's package is not installed; the message says how to install it.

    Examples
    --------
    >>> method_class("otsu-watershed").info.input
    'gray_max'
    """
    known = _known(METHODS, "cellharness.methods")
    if name not in known:
        hint = "`cellharness methods` says what they are."
        raise unknown_name(kind="method", name=name, known=known, hint=hint)
    try:
        return _resolve(known[name])
    except ImportError as error:
        msg = f"method '{name}' ({known[name]}) cannot be imported: {error}. {install_hint(name)}"
        raise MissingDependencyError(msg) from error


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
    """
    cls = method_class(name)
    try:
        checked = cls.Parameters.model_validate(dict(parameters))
    except ValidationError as error:
        msg = f"parameters of method '{name}' are not valid:\n{explain(error, cls.Parameters)}"
        raise UsageError(msg) from None
    return cls(checked)


def install_hint(name: str) -> str:
    """Say how to install what a built-in method needs, from its name alone."""
    extra = METHODS.get(name, "").removeprefix("adapters.").partition(":")[0].partition(".")[0]
    return f"Install it with: pip install 'cellharness[{extra}]'" if extra else ""


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
    return _resolve(known[name])
