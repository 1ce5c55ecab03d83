"""The configuration of a comparison, and of its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from cellharness.config.cluster import ClusterConfig
from cellharness.config.reading import BasedConfig, Name, Strict, read_config
from cellharness.config.selection import Selection
from cellharness.errors import UsageError
from cellharness.tables import distinct_thresholds
from cellharness.vocabulary import InputMode, Profile


class PhantomConfig(Strict):
    """The embedded synthetic data set (:mod:`cellharness.data.phantom`)."""

    seed: int = Field(0, description="Seed of the generator; the same seed gives the same bytes.")
    per_experiment: int | None = Field(
        None, ge=1, description="Images per experiment to test on; empty for the default."
    )
    train_per_experiment: int | None = Field(
        None,
        ge=0,
        description="Images to learn from, of each experiment that has some; default if empty.",
    )
    experiments_per_kind: int | None = Field(
        None,
        ge=1,
        description="Experiments of each kind of image, which differ in magnification, focus, "
        "contrast and noise; default 1.",
    )
    size: int | None = Field(
        None,
        ge=128,
        description="Height and width of all images in px; empty for each experiment's own.",
    )


class DatasetConfig(Selection):
    """Which cases are run: a manifest, or the embedded phantom."""

    manifest: Path | None = Field(
        None, description="Manifest CSV; a relative path starts at the configuration file."
    )
    phantom: PhantomConfig | None = Field(None, description="Generate the embedded data instead.")
    root: Path | None = Field(
        None, description="Folder that the manifest's paths start from; default: its own folder."
    )
    splits: list[str] = Field(["test"], description="Splits to run, such as [test] or [tuning].")
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


class TilesConfig(Strict):
    """Overlapping tiles in which a method gets an image, so that memory does not grow with it."""

    size: int = Field(2048, ge=64, description="Height and width of a tile, px.")
    overlap: int = Field(
        256,
        ge=0,
        description="Px that neighbouring tiles share at least; twice the largest cell or more, "
        "and at most half of the size.",
    )

    @model_validator(mode="after")
    def _fit(self) -> TilesConfig:
        if self.overlap > self.size // 2:
            msg = (
                f"tiles of {self.size} px cannot overlap by {self.overlap} px; choose from 0 to "
                f"{self.size // 2}"
            )
            raise ValueError(msg)
        return self


def tiles_of(size: int, overlap: int | None = None) -> TilesConfig:
    """Tiles of a size, with an overlap that fits where none is given.

    Raises
    ------
    UsageError
        Naming what cannot be.
    """
    usual = TilesConfig.model_fields["overlap"].default
    try:
        return TilesConfig(size=size, overlap=min(usual, size // 2) if overlap is None else overlap)
    except ValidationError as error:
        told = (f"{'.'.join(map(str, each['loc']))} {each['msg']}" for each in error.errors())
        msg = f"tiles of {size} px: {'; '.join(told).strip()}"
        raise UsageError(msg) from error


class MethodConfig(Strict):
    """One column of the comparison: a method with its parameters."""

    name: Name = Field(description="Folder and table name; letters, digits, '.', '_' and '-'.")
    method: str = Field(description="Registered method, see `cellharness methods`.")
    label: str | None = Field(None, description="How the report spells the name.")
    input: InputMode | None = Field(
        None, description="Image form handed to the method; default: what the method declares."
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="Of the method, see `cellharness methods NAME`."
    )
    timeout_s: float | None = Field(None, gt=0, description="Overrides limits.timeout_s.")
    tiles: TilesConfig | None = Field(
        None, description="Tiles in which this method gets each image; default: the run's."
    )
    environment: str | None = Field(
        None,
        description="Named environment that the method runs in, see `cellharness environments`; "
        "default: the one that cellharness itself runs in.",
    )
    python: Path | None = Field(
        None,
        description="Interpreter that the method runs in, such as ../theirs/bin/python, in the "
        "place of a named environment.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> MethodConfig:
        if self.environment is not None and self.python is not None:
            msg = "give either 'environment' or 'python', not both"
            raise ValueError(msg)
        return self

    @property
    def display(self) -> str:
        """The name for tables and figures."""
        return self.label or self.name


class ReplayConfig(Selection):
    """Cases of an earlier domain that a training goes on seeing, against forgetting."""


class TrainingConfig(Selection):
    """A training; methods use its weights as ``trained:NAME``."""

    name: Name = Field(description="Folder name; letters, digits, '.', '_' and '-'.")
    method: str = Field(description="Registered method that can be trained.")
    label: str | None = Field(None, description="How the report spells the name.")
    input: InputMode | None = Field(
        None, description="Image form for training; default: what the method declares."
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="Parameters of the training, see `cellharness methods NAME`.",
    )
    validation: float = Field(
        0.15, ge=0, lt=1, description="Share of each modality held back to watch the training."
    )
    replay: ReplayConfig | None = Field(
        None,
        description="Cases of an earlier domain to mix in; the method's parameters say how.",
    )
    seed: int | None = Field(
        None, ge=0, lt=2**32, description="Of this training; default: the configuration's."
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


#: See `RunConfig` and `StudyConfig`.
CasesAtOnce = Annotated[
    Annotated[int, Field(ge=1)] | Literal["auto"],
    Field(
        description="Cases of a method to segment at the same time, with one loaded network, by "
        "methods that can, see docs/performance.md; auto: two more than processor cores. "
        "Masks are the same; running time and memory are then not measured.",
    ),
]


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

    profiles: list[Profile] = Field(
        ["challenge", "strict"],
        min_length=1,
        description="challenge: the official script to the last digit, quirks included. strict: "
        "every case counts, nothing is rounded; a report ranks by it where it is among them.",
    )
    thresholds: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95],
        min_length=1,
        description="IoU from which a predicted cell counts as found.",
    )
    workers: int = Field(2, ge=1, description="Processes that score; scores do not depend on it.")

    @field_validator("thresholds")
    @classmethod
    def _each_once(cls, values: list[float]) -> list[float]:
        return list(distinct_thresholds(values))


class ReportConfig(Strict):
    """What the report shows."""

    panel_licences: list[str] | None = Field(
        None,
        description="Regular expressions; only cases whose licence matches are shown as pixels.",
    )
    published: bool = Field(True, description="Show the paper's published values for reference.")
    for_print: bool = Field(
        False, description="Write every figure as png (300 dpi) and pdf too, which takes longer."
    )
    unit: Literal["experiment", "image"] | None = Field(
        None,
        description="What is independent; by default experiments where every case names one, as "
        "images of one experiment resemble each other. image is what the paper's tests assume.",
    )


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
    tiles: TilesConfig | None = Field(
        None,
        description="Segment every image by overlapping tiles, such as {size: 2048, overlap: 256}, "
        "for images too large for memory; default: in one piece.",
    )
    cluster: ClusterConfig | None = Field(
        None, description="Workers to use beside each other; default: one process on this machine."
    )
    timing: TimingConfig = TimingConfig()
    cases_at_once: CasesAtOnce = 1
    scoring: ScoringConfig = ScoringConfig()
    report: ReportConfig = ReportConfig()
    seed: int = Field(
        0, ge=0, lt=2**32, description="Seeds Python, NumPy and torch before each case."
    )
    out: Path | None = Field(None, description="Run directory; default: runs/<name>.")

    @model_validator(mode="after")
    def _names_differ(self) -> RunConfig:
        for kind, named in (("method", self.methods), ("training", self.training)):
            names = [item.name for item in named]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                msg = f"{kind} names must differ; given twice: {', '.join(twice)}"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _timed_alone(self) -> RunConfig:
        if self.cases_at_once != 1 and self.timing.repeats > 1:
            msg = (
                f"timing.repeats {self.timing.repeats} with cases_at_once {self.cases_at_once}: "
                "cases beside each other slow each other down, and their seconds tell nothing. "
                "Leave out one of the two"
            )
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
