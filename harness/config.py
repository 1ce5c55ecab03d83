"""The run configuration: typed, read from YAML, unknown keys refused."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.errors import UsageError
from harness.input_mode import InputMode
from harness.profiles import Profile

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class ConfigError(UsageError):
    """The configuration cannot be used; the message names file, key and valid choices."""


class Strict(BaseModel):
    """A part of a configuration; keys it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _safe_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        msg = f"'{value}' must be letters, digits, '.', '_' or '-', a letter or digit first"
        raise ValueError(msg)
    return value


#: A name that becomes a folder's.
Name = Annotated[str, AfterValidator(_safe_name)]


class PhantomConfig(Strict):
    """The embedded synthetic data set (:mod:`harness.phantom`)."""

    seed: int = Field(0, description="Seed of the generator; the same seed gives the same bytes.")
    per_experiment: int | None = Field(
        None, ge=1, description="Images per experiment to test on; empty for the default."
    )
    train_per_experiment: int | None = Field(
        None,
        ge=0,
        description="Images to learn from, of each experiment that has some; default if empty.",
    )


class DatasetConfig(Strict):
    """Which cases are run: a manifest, or the embedded phantom."""

    manifest: Path | None = Field(
        None, description="Manifest CSV; a relative path starts at the configuration file."
    )
    phantom: PhantomConfig | None = Field(None, description="Generate the embedded data instead.")
    root: Path | None = Field(
        None, description="Folder that the manifest's paths start from; default: its own folder."
    )
    splits: list[str] = Field(["test"], description="Splits to run, such as [test] or [tuning].")
    modalities: list[str] | None = Field(None, description="Keep only these modalities.")
    experiments: list[str] | None = Field(None, description="Keep only these experiments.")
    per_experiment: int | None = Field(
        None, ge=1, description="Cases of each experiment at most, the first of the manifest."
    )
    guess_modality: bool = Field(
        False, description="Guess empty modalities from low-level cues; marked as guessed."
    )

    @model_validator(mode="after")
    def _one_source(self) -> DatasetConfig:
        if (self.manifest is None) == (self.phantom is None):
            msg = "give either 'manifest' or 'phantom', not both and not neither"
            raise ValueError(msg)
        return self


class MethodConfig(Strict):
    """One column of the comparison: a method with its parameters."""

    name: Name = Field(description="Folder and table name; letters, digits, '.', '_' and '-'.")
    method: str = Field(description="Registered method, see `cellharness methods`.")
    label: str | None = Field(None, description="How the report spells the name.")
    input: InputMode | None = Field(
        None, description="Image form handed to the method; default: what the method declares."
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="The method's own knobs, see `cellharness methods NAME`."
    )
    timeout_s: float | None = Field(None, gt=0, description="Overrides limits.timeout_s.")

    @property
    def display(self) -> str:
        """The name for tables and figures."""
        return self.label or self.name


class ReplayConfig(Strict):
    """Cases of an earlier domain that a training goes on seeing, against forgetting."""

    splits: list[str] = Field(["train"], description="Splits of the manifest to take from.")
    modalities: list[str] | None = Field(None, description="Take these modalities only.")
    experiments: list[str] | None = Field(None, description="Take these experiments only.")


class TrainingConfig(Strict):
    """A training; methods use its weights as ``trained:NAME``."""

    name: Name = Field(description="Folder name; letters, digits, '.', '_' and '-'.")
    method: str = Field(description="Registered method that can be trained.")
    label: str | None = Field(None, description="How the report spells the name.")
    input: InputMode | None = Field(
        None, description="Image form for training; default: what the method declares."
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="Knobs of the training, see `cellharness methods NAME`.",
    )
    splits: list[str] = Field(["train"], description="Splits of the manifest to learn from.")
    modalities: list[str] | None = Field(None, description="Learn from these modalities only.")
    experiments: list[str] | None = Field(None, description="Learn from these experiments only.")
    validation: float = Field(
        0.15, ge=0, lt=1, description="Share of each modality held back to watch the training."
    )
    replay: ReplayConfig | None = Field(
        None,
        description="Cases of an earlier domain to mix in; how is a matter of the method's knobs.",
    )

    @property
    def display(self) -> str:
        """The name for tables and figures."""
        return self.label or self.name


class LimitsConfig(Strict):
    """When a case is given up; it is then recorded and the rest goes on."""

    timeout_s: float = Field(900.0, gt=0, description="Seconds for one case.")
    load_timeout_s: float = Field(1800.0, gt=0, description="Seconds for loading a method.")
    memory_gb: float | None = Field(
        None,
        gt=0,
        description="Resident memory of a method's process, GiB. Empty for no limit; where memory "
        "runs out Linux then ends that process first, which is recorded as oom.",
    )


class TimingConfig(Strict):
    """How the running time of a case is taken."""

    repeats: int = Field(
        1,
        ge=1,
        description="Times that each case is segmented; the seconds are medians over them, and the "
        "first one is kept apart.",
    )


class ScoringConfig(Strict):
    """How predictions are compared with the truth."""

    profiles: list[Profile] = Field(["challenge", "strict"], min_length=1)
    thresholds: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95], min_length=1
    )
    workers: int = Field(2, ge=1, description="Processes that score; scores do not depend on it.")


class ReportConfig(Strict):
    """What the report shows."""

    panel_licences: list[str] | None = Field(
        None,
        description="Regular expressions; only cases whose licence matches are shown as pixels.",
    )
    published: bool = Field(True, description="Show the paper's published values for reference.")


class BasedConfig(Strict):
    """A whole configuration; its relative paths start at its own file."""

    base: Path = Field(
        Path(), exclude=True, description="Set by the reader: where relative paths start."
    )

    def resolve(self, path: Path) -> Path:
        """Make a path of the configuration absolute: relative ones start at its file."""
        return (self.base / path).resolve()

    def absolute(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Make values that begin with ``./`` or ``../`` absolute."""
        return {
            key: str(self.resolve(Path(value)))
            if isinstance(value, str) and value.startswith(("./", "../"))
            else value
            for key, value in parameters.items()
        }


class RunConfig(BasedConfig):
    """A whole comparison."""

    name: Name = Field(description="Short name; names the output folder by default.")
    title: str | None = Field(None, description="Title of the report.")
    dataset: DatasetConfig
    methods: list[MethodConfig] = Field(min_length=1)
    training: list[TrainingConfig] = Field(
        [], description="Trainings to run before the comparison, or by `cellharness train`."
    )
    limits: LimitsConfig = LimitsConfig()
    timing: TimingConfig = TimingConfig()
    scoring: ScoringConfig = ScoringConfig()
    report: ReportConfig = ReportConfig()
    seed: int = Field(
        0, ge=0, lt=2**32, description="Seeds Python, NumPy and torch before each case."
    )
    out: Path | None = Field(None, description="Run directory; default: runs/<name>.")

    def parameters_of(self, method: MethodConfig) -> dict[str, Any]:
        """Give a method's parameters, those that begin with ``./`` or ``../`` made absolute."""
        return self.absolute(method.parameters)

    @model_validator(mode="after")
    def _names_differ(self) -> RunConfig:
        for kind, named in (("method", self.methods), ("training", self.training)):
            names = [item.name for item in named]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                msg = f"{kind} names must differ; given twice: {', '.join(twice)}"
                raise ValueError(msg)
        return self


def load_config(path: Path) -> RunConfig:
    """Read a run configuration.

    Parameters
    ----------
    path : Path
        YAML file. Relative paths in it start at its own folder.

    Returns
    -------
    RunConfig
        Paths are kept as written; :meth:`RunConfig.resolve` makes them absolute.

    Raises
    ------
    ConfigError
        File missing, not YAML, or a key or value that is not valid; all faults are
        listed at once, an unknown key with its nearest valid neighbour.
    """
    return read_config(path, RunConfig)


_Config = TypeVar("_Config", bound=BasedConfig)


def read_config(path: Path, model: type[_Config]) -> _Config:
    """Read a configuration of some kind, see :func:`load_config`."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"no configuration file '{path}'; the project's own lie in configs/"
        raise ConfigError(msg) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"cannot read the configuration '{path}': {error}"
        raise ConfigError(msg) from error
    if not isinstance(raw, dict):
        msg = f"the configuration '{path}' must be a mapping of keys, found {type(raw).__name__}"
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
            near = difflib.get_close_matches(str(fault["loc"][-1]), valid, n=1)
            meant = f" Did you mean '{near[0]}'?" if near else ""
            lines.append(f"  {where}: unknown key.{meant} Valid keys: {', '.join(valid)}.")
        else:
            text = fault["msg"].removeprefix("Value error, ")
            given = "" if fault["type"] == "missing" else f" (given: {fault['input']!r:.80})"
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
