"""Find methods, weights and environments by name.

The built-in ones stand in the tables ``METHODS``, ``WEIGHTS`` and ``ENVIRONMENTS`` of the package
``cellharness_adapters``. Any other package declares entry points of the same form in the groups
``cellharness.methods``, ``cellharness.weights`` and ``cellharness.environments``; nothing here
needs to be touched for it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellharness.errors import BrokenPackageError, MissingDependencyError, UsageError, unknown_name
from cellharness.installation import missing_module_hint

if TYPE_CHECKING:
    from cellharness.environments import EnvironmentSource
    from cellharness.methods.base import BaseSegmenter
    from cellharness.weights import Weights, WeightSource

# By name, so that nothing in this package imports an adapter.
_BUILT_IN = "cellharness_adapters"
_PATH_HINT = "A path to a file is taken as well"


def _shipped(table: str) -> dict[str, str]:
    """Built-in entries."""
    return dict(getattr(importlib.import_module(_BUILT_IN), table))


def _known(table: str, group: str) -> dict[str, str]:
    """Built-in entries and those of installed packages; a clash is an error, not chance."""
    known = _shipped(table)
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
    return _importing_methods(_known("METHODS", "cellharness.methods"))


def built_in_methods() -> dict[str, Callable[[], type[BaseSegmenter]]]:
    """Methods that come with cellharness, see :func:`methods`."""
    return _importing_methods(_shipped("METHODS"))


def _importing_methods(known: Mapping[str, str]) -> dict[str, Callable[[], type[BaseSegmenter]]]:
    return {name: partial(_import_method, name, known[name]) for name in sorted(known)}


def built_in_weights() -> dict[str, Callable[[], WeightSource]]:
    """Weights that come with cellharness, see :func:`weight_sources`; in the order of the table."""
    return _importing_weights(_shipped("WEIGHTS"))


def weight_sources() -> dict[str, Callable[[], WeightSource]]:
    """All registered weights: name -> function that imports their source, as for `methods`."""
    return _importing_weights(dict(sorted(_known("WEIGHTS", "cellharness.weights").items())))


def _importing_weights(known: Mapping[str, str]) -> dict[str, Callable[[], WeightSource]]:
    return {name: partial(resolve, f"weights '{name}'", at) for name, at in known.items()}


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


def code_of_ours() -> dict[str, Path]:
    """Name and file of each package of cellharness, for a Python that is to run them too."""
    names = (__name__.partition(".")[0], _BUILT_IN)
    return {name: Path(str(importlib.import_module(name).__file__)) for name in names}


def method_names() -> list[str]:
    """Names of all methods, built in and of installed packages, sorted."""
    return list(methods())


def method_class(name: str) -> type[BaseSegmenter]:
    """Import the class behind a method's name.

    Raises
    ------
    UsageError
        No such method; the message lists all that are not hidden.
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
        shown = [each for each, find in known.items() if not _is_hidden(find)]
        raise unknown_name(kind="method", name=name, known=shown, hint=hint)
    return known[name]()


def _is_hidden(find: Callable[[], type[BaseSegmenter]]) -> bool:
    """Whether a method is in no list; one that cannot be imported may be wanted all the same."""
    try:
        return find().info.hidden
    except UsageError:
        return False


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


def environment_sources() -> dict[str, Callable[[], EnvironmentSource]]:
    """All named environments: name -> function that imports its source, as for `methods`."""
    known = _known("ENVIRONMENTS", "cellharness.environments")
    return {name: partial(resolve, f"environment '{name}'", known[name]) for name in sorted(known)}


def environment_source(name: str) -> EnvironmentSource:
    """Look an environment up by name.

    Raises
    ------
    UsageError
        No such environment; the message lists all.
    """
    hint = "The path of any interpreter is taken as `python`."
    return _named("environment", name, environment_sources(), hint)


def weight_source(name: str) -> WeightSource:
    """Look a set of weights up by name.

    Raises
    ------
    UsageError
        No such weights; the message lists all.
    """
    return _named("weights", name, weight_sources(), f"{_PATH_HINT}.")


def _named(kind: str, name: str, known: Mapping[str, Callable[[], Any]], hint: str) -> Any:
    if name not in known:
        raise unknown_name(kind=kind, name=name, known=known, hint=hint)
    return known[name]()


def resolve_weights(name: str, folders: Sequence[Path] = ()) -> Weights:
    """Find weights by registered name or by path, fetching registered ones when missing.

    Parameters
    ----------
    name : str
        Registered name, or path.
    folders : sequence of Path
        Where a name that is neither is looked for as well, such as a library's own folder.

    Raises
    ------
    UsageError
        Neither a registered name nor a file; the message says where it was looked for.
    WeightsUnavailableError
        Registered, but not to be had now; or a folder that holds none, or several.
    """
    from cellharness.weights import find_weights, local_weights, places

    known = weight_sources()
    if name in known:
        source = known[name]()
        return source.locate() or source.fetch()
    path = find_weights(name, folders)
    if path is None:
        hint = _PATH_HINT
        looked = ", ".join(f"'{place}'" for place in places(name, folders))
        if looked:
            hint = f"{hint}; there is none at {looked}"
        raise unknown_name(kind="weights", name=name, known=known, hint=f"{hint}.")
    return local_weights(path)
