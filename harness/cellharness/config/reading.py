"""Read a configuration from YAML: typed, unknown keys refused with the near miss named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cellharness.errors import UsageError, did_you_mean

_QUOTED = re.compile(r"'([^']*)'")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class ConfigError(UsageError):
    """The configuration cannot be used; the message names file, key and valid choices."""


class Strict(BaseModel):
    """A part of a configuration; keys it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _safe_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        msg = f"'{value}' must be letters, digits, '.', '_' or '-', a letter or digit first"
        raise ValueError(msg)
    return value


#: A name that becomes a folder's.
Name = Annotated[str, AfterValidator(_safe_name)]


class BasedConfig(Strict):
    """A whole configuration; its relative paths start at its own file."""

    base: Path = Field(
        Path(), exclude=True, description="Set by the reader: where relative paths start."
    )

    def resolve(self, path: Path) -> Path:
        """Make a path of the configuration absolute: relative ones start at its file.

        A link at its end stays one: the python of an environment finds its packages by it.
        """
        whole = self.base / path
        return whole.parent.resolve() / whole.name if whole.name != ".." else whole.resolve()


_Config = TypeVar("_Config", bound=BasedConfig)


def read_config(path: Path, model: type[_Config]) -> _Config:
    """Read a configuration of some kind, see :func:`cellharness.config.run.load_config`."""
    import yaml

    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"no configuration file '{path}'; `cellharness init DIR` writes some to start from"
        raise ConfigError(msg) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"cannot read the configuration '{path}': {error}"
        raise ConfigError(msg) from error
    if not isinstance(raw, dict):
        msg = f"the configuration '{path}' must be a mapping of keys, found {type(raw).__name__}"
        raise ConfigError(msg)
    # A study is told by its key `finetuning`, a run by its `methods`.
    kinds = {"finetuning": "cellharness forgetting", "methods": "cellharness run"}
    for key, command in kinds.items():
        if key in raw and key not in model.model_fields:
            msg = f"'{path}' has '{key}:', so it is for `{command} {path}`"
            raise ConfigError(msg)
    try:
        config = model.model_validate(raw)
    except ValidationError as error:
        msg = f"the configuration '{path}' is not valid:\n{explain(error, model)}"
        raise ConfigError(msg) from None
    return config.model_copy(update={"base": path.resolve().parent})


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Say in plain lines what is wrong with a configuration.

    Parameters
    ----------
    error : ValidationError
        What pydantic raised.
    model : type of BaseModel
        The model that was validated, to name the valid keys.

    Returns
    -------
    str
        One line a fault: where, what, and the valid choices.
    """
    lines = []
    for fault in error.errors():
        where = ".".join(str(part) for part in fault["loc"]) or "(top)"
        if fault["type"] == "extra_forbidden":
            valid = _fields_at(model, fault["loc"][:-1])
            meant = did_you_mean(str(fault["loc"][-1]), valid)
            lines.append(f"  {where}: unknown key.{meant} Valid keys: {', '.join(valid)}.")
        else:
            text = fault["msg"].removeprefix("Value error, ")
            given = "" if fault["type"] == "missing" else f" (given: {fault['input']!r:.80})"
            if fault["type"] == "literal_error":
                valid = _QUOTED.findall(fault["ctx"]["expected"])
                given += did_you_mean(str(fault["input"]), valid)
            lines.append(f"  {where}: {text}{given}")
    return "\n".join(lines)


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the model that sits at ``location``."""
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        found = _models_in(field.annotation) if field is not None else []
        if not found:
            return []
        model = found[0]
    return sorted(model.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for arg in getattr(annotation, "__args__", ()) for found in _models_in(arg)]
