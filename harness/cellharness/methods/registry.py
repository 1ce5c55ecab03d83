"""Find methods and weights by name.

The built-in ones stand in the tables ``METHODS`` and ``WEIGHTS`` of the package
``cellharness_adapters``. Any other package declares entry points of the same form in the groups
``cellharness.methods`` and ``cellharness.weights``; nothing here needs to be touched for it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from cellharness.errors import BrokenPackageError, MissingDependencyError, UsageError, unknown_name
from cellharness.methods.installation import missing_module_hint

if TYPE_CHECKING:
    from cellharness.methods.base import BaseSegmenter
    from cellharness.weights import WeightSource

# By name, so that nothing in this package imports an adapter.
_BUILT_IN = "cellharness_adapters"


def _known(table: str, group: str) -> dict[str, str]:
    """Built-in entries and those of installed packages; a clash is an error, not chance."""
    known: dict[str, str] = dict(getattr(importlib.import_module(_BUILT_IN), table))
    for point in entry_points(group=group):
        if point.name in known and known[point.name] != point.value:
            msg = (
                f"'{point.name}' in group {group} is claimed by both {known[point.name]} and "
                f"{point.value}; uninstall one of the packages or have it choose another name"
            )
            raise UsageError(msg)
        known[point.name] = point.value
    return known


def methods() -> dict[str, Callable[[], type[BaseSegmenter]]]:
    """All methods, built in and of installed packages: name -> function that imports its class.

    Whoever looks at all asks once: finding the names opens a file of every installed package.
    The functions raise as :func:`method_class` does.
    """
    known = _known("METHODS", "cellharness.methods")
    return {name: partial(_import_method, name, known[name]) for name in sorted(known)}


def weight_sources() -> dict[str, Callable[[], WeightSource]]:
    """All registered weights: name -> function that imports their source, as for `methods`."""
    known = _known("WEIGHTS", "cellharness.weights")
    return {name: partial(resolve, f"weights '{name}'", known[name]) for name in sorted(known)}


def resolve(what: str, target: str) -> Any:
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
    return rest.partition(".")[0] if package == _BUILT_IN else ""


def method_names() -> list[str]:
    """Names of all methods, built in and of installed packages, sorted."""
    return list(methods())


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
    known = methods()
    if name not in known:
        hint = "`cellharness methods` says what they are."
        raise unknown_name(kind="method", name=name, known=known, hint=hint)
    return known[name]()


def _import_method(name: str, target: str) -> type[BaseSegmenter]:
    from cellharness.methods.base import BaseSegmenter

    cls = resolve(f"method '{name}'", target)
    if not (isinstance(cls, type) and issubclass(cls, BaseSegmenter) and hasattr(cls, "info")):
        msg = (
            f"method '{name}' ({target}) is no method: it must be a class with an `info` "
            "that derives from cellharness.methods.base.BaseSegmenter"
        )
        raise BrokenPackageError(msg)
    return cls


def build(name: str, parameters: Mapping[str, Any]) -> BaseSegmenter:
    """Make a method from its name and parameters, without loading weights.

    Parameters
    ----------
    name : str
        Registered name.
    parameters : mapping
        Parameters, checked against the method's ``Parameters``.

    Returns
    -------
    BaseSegmenter
        Not loaded yet.

    Raises
    ------
    UsageError
        Unknown method, unknown parameter or bad value; valid ones are named.
    MissingDependencyError
        It cannot be imported or made on this machine.
    """
    from pydantic import ValidationError

    from cellharness.config.reading import explain

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


def weight_names() -> list[str]:
    """Names of all registered weights, sorted."""
    return list(weight_sources())


def weight_source(name: str) -> WeightSource:
    """Look a set of weights up by name.

    Raises
    ------
    UsageError
        No such weights; the message lists all.
    """
    known = weight_sources()
    if name not in known:
        hint = "A path to a file is taken as well."
        raise unknown_name(kind="weights", name=name, known=known, hint=hint)
    return known[name]()
