"""Every key of a configuration and every column of a manifest, as what reads them declares it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cellharness.config.run import RunConfig
from cellharness.config.study import StudyConfig
from cellharness.vocabulary import MODALITIES, TRAIN_SPLIT

#: What takes each kind of configuration.
KINDS: Mapping[str, type[BaseModel]] = MappingProxyType({"run": RunConfig, "study": StudyConfig})

_HEAD = """\
# Configuration and manifest

What a configuration may say, made from what reads it by `cellharness configuration --markdown`;
`cellharness configuration` and `cellharness configuration study` print the same. A configuration is
YAML. Keys that do not exist are refused, with the nearest that does; relative paths start at the
file that names them. Keys inside another have a table below; `[]` is each entry of a list.
Parameters of a method are shown by `cellharness methods NAME`.
"""
_TITLES = {
    "run": "A comparison: `cellharness run`, `cellharness train`",
    "study": "A study of forgetting: `cellharness forgetting`",
}
_MANIFEST_HEAD = """\
## The manifest

A CSV with one row per case, as any program saves it; `cellharness data new` writes one of two
folders, `cellharness data validate` looks for what is wrong in it. Only `image` is needed. Further
columns of your own are kept.
"""

#: Columns of a manifest and what stands in them.
MANIFEST = MappingProxyType(
    {
        "case": "a name of its own: letters, digits, `.`, `_` and `-`",
        "image": "path of the image, from the manifest's folder on",
        "label": "path of the label image (0 is background, every cell a number), or empty",
        "modality": f"{', '.join(MODALITIES)}, or empty if unknown",
        "experiment": "images made together share one; statistics count experiments where every "
        "case names one, else images",
        "split": f"`{TRAIN_SPLIT}` for images to learn from, `test` (also where the column is "
        "absent) for those to compare on",
        "sha256": "SHA256 of the image file, or empty",
        "modality_source": "`given` by whoever made the manifest, or `guessed` by a rule; empty "
        "without a modality",
        "licence": "terms of the image; `report.panel_licences` chooses by it what is shown",
        "source": "where the image comes from; a report looks there for names of training data",
    }
)

_PLAIN: dict[Any, str] = {
    int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path",
    Any: "anything",
}  # fmt: skip


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes
    ----------
    name : str
        With those around it: ``dataset.manifest``, ``methods[].name``.
    value : str
        What it takes.
    default : str
        As YAML writes it; "required" without one, empty for a part or where it is left out.
    meaning : str
        A sentence.
    part : type of BaseModel or None
        The model of a key that holds others.
    holder : str
        How such a key is called before theirs: ``dataset``, ``methods[]``; empty for others.
    """

    name: str
    value: str
    default: str
    meaning: str
    part: type[BaseModel] | None = None
    holder: str = ""


def keys_of(model: type[BaseModel], inside: str = "") -> Iterator[Key]:
    """Give the keys of a configuration, those of its parts after each part.

    Parameters
    ----------
    model : type of BaseModel
        The configuration or a part of it.
    inside : str
        What stands before the names.
    """
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        part, many = _part(field.annotation)
        whole = f"{inside}{name}"
        if part is None:
            yield Key(whole, _form(field.annotation), _default(field), field.description or "")
            continue
        about = field.description or (part.__doc__ or "").partition("\n")[0]
        default = "required" if field.is_required() else ""
        value, holder = ("list of keys", f"{whole}[]") if many else ("keys", whole)
        yield Key(whole, value, default, about, part, holder)
        yield from keys_of(part, f"{holder}.")


def page() -> str:
    """Write all keys and columns as a page, Markdown."""
    lines = [_HEAD]
    told: dict[type[BaseModel], str] = {}
    for kind, model in KINDS.items():
        lines += [f"## {_TITLES[kind]}\n", *_tables(model, told)]
    rows = (f"| `{name}` | {meaning} |" for name, meaning in MANIFEST.items())
    lines += [_MANIFEST_HEAD, "| column | content |", "| --- | --- |", *rows, ""]
    return "\n".join(lines)


def _tables(model: type[BaseModel], told: dict[type[BaseModel], str]) -> Iterator[str]:
    """Write a table of a configuration and one of each part, but for those that were told."""
    keys = list(keys_of(model))
    new = dict[type[BaseModel], str]()
    # A part that is in several places has its table under the shortest name.
    for key in sorted(keys, key=lambda key: key.name.count(".")):
        if key.part is not None and key.part not in told:
            new.setdefault(key.part, key.holder)
    told.update(new)
    yield from _table([key for key in keys if "." not in key.name], "", told)
    for each in new.values():
        inside = f"{each}."
        below = [
            key
            for key in keys
            if key.name.startswith(inside) and "." not in key.name.removeprefix(inside)
        ]
        yield f"### `{each}`\n"
        yield from _table(below, inside, told)


def _table(keys: Iterable[Key], inside: str, told: Mapping[type[BaseModel], str]) -> Iterator[str]:
    yield "| key | value | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for key in keys:
        value = key.value
        if key.part is not None:
            value += f", see `{told[key.part]}`"
        default = key.default if key.default in ("", "required") else f"`{key.default}`"
        cells = (f"`{key.name.removeprefix(inside)}`", value, default, key.meaning)
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
    yield ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ({}, [], ()):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(str, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _part(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model that a key holds, and whether it is a list of them."""
    many = get_origin(annotation) is list
    for each in (annotation, *get_args(annotation)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each, many
    return None, many


def _form(annotation: Any) -> str:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _form(inside[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inside)
    if origin in (Union, UnionType):
        return " or ".join(_form(each) for each in inside if each is not NoneType)
    if origin in (list, tuple):
        return f"list of {_form(inside[0])}"
    if origin is dict:
        return "keys and values"
    return _PLAIN[annotation]
