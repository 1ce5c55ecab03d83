"""The one rule for paths among a method's parameters: relative ones start at the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel


def absolute_parameters(
    model: type[BaseModel] | None,
    parameters: Mapping[str, Any],
    resolve: Callable[[Path], Path],
) -> dict[str, Any]:
    """Make those values absolute that are paths.

    Parameters
    ----------
    model : type of BaseModel or None
        The method's ``Parameters``; None where it cannot be imported. A field holds paths if it
        is annotated with ``Path``, ``Path | None``, or a tuple or list of paths. In one that may
        also be something else, such as ``Path | str`` for a name or a path, a value is a path if
        it begins with ``./`` or ``../``.
    parameters : mapping
        As given; not checked yet, so a wrong value is left for the model to refuse.
    resolve : callable
        Makes one path absolute.

    Returns
    -------
    dict
        All of `parameters`, paths as absolute strings.

    Examples
    --------
    >>> class Example(BaseModel):
    ...     folder: Path | None = None
    ...     weights: str = ""
    >>> resolve = Path("/data").joinpath
    >>> absolute_parameters(Example, {"folder": "masks", "weights": "cyto"}, resolve)
    {'folder': '/data/masks', 'weights': 'cyto'}
    >>> absolute_parameters(Example, {"weights": "./mine.pt"}, resolve)
    {'weights': '/data/mine.pt'}
    """
    fields = model.model_fields if model is not None else {}
    paths = {name for name, field in fields.items() if _holds_paths(field.annotation)}
    return {
        name: _absolute(value, resolve) if name in paths or _is_dotted(value) else value
        for name, value in parameters.items()
    }


def _is_dotted(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("./", "../"))


def _holds_paths(annotation: Any) -> bool:
    leaves = _leaves(annotation)
    return Path in leaves and leaves <= {Path, NoneType}


def _leaves(annotation: Any) -> set[Any]:
    """Plain types that an annotation is made of; the dots of ``tuple[Path, ...]`` are none."""
    if annotation is Ellipsis:
        return set()
    inside = get_args(annotation)
    if get_origin(annotation) is Annotated:
        inside = inside[:1]
    return set().union(*map(_leaves, inside)) if inside else {annotation}


def _absolute(value: Any, resolve: Callable[[Path], Path]) -> Any:
    if isinstance(value, str | Path):
        return str(resolve(Path(value)))
    if isinstance(value, list | tuple):
        return [_absolute(item, resolve) for item in value]
    return value
