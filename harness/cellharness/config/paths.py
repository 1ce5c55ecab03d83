"""Paths among a method's parameters start at the configuration file, as all its paths do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel


def resolve_paths(
    model: type[BaseModel], parameters: Mapping[str, Any], resolve: Callable[[Path], Path]
) -> dict[str, Any]:
    """Make the values of path parameters absolute.

    Parameters
    ----------
    model : type of BaseModel
        The method's ``Parameters``. A field holds paths if it is annotated with ``Path``,
        ``Path | None``, or a tuple or list of paths. One that may also be something else,
        such as ``Path | str`` for a name or a path, is left as it is.
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
    >>> class Knobs(BaseModel):
    ...     folder: Path | None = None
    ...     weights: str = ""
    >>> resolve_paths(Knobs, {"folder": "masks", "weights": "cyto"}, Path("/data").joinpath)
    {'folder': '/data/masks', 'weights': 'cyto'}
    """
    fields = {name for name, field in model.model_fields.items() if _holds_paths(field.annotation)}
    return {
        name: _resolved(value, resolve) if name in fields else value
        for name, value in parameters.items()
    }


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


def _resolved(value: Any, resolve: Callable[[Path], Path]) -> Any:
    if isinstance(value, str | Path):
        return str(resolve(Path(value)))
    if isinstance(value, list | tuple):
        return [_resolved(item, resolve) for item in value]
    return value
