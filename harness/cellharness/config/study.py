"""The configuration of a forgetting study, read from YAML, unknown keys refused."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from cellharness.config.cluster import ClusterConfig
from cellharness.config.reading import BasedConfig, Name, Strict, read_config
from cellharness.config.run import (
    CasesAtOnce,
    DatasetConfig,
    LimitsConfig,
    MethodConfig,
    ReplayConfig,
    ReportConfig,
    ScoringConfig,
)
from cellharness.config.selection import Selection
from cellharness.errors import did_you_mean
from cellharness.vocabulary import MARGIN, PRETRAINED, PRETRAINED_LABEL, InputMode

#: Name of the fine-tuning that does nothing against forgetting.
PLAIN = "plain"


class BeforeConfig(Strict):
    """The weights that every training starts from, and the method that predicts with them."""

    label: str = Field(PRETRAINED_LABEL, description="How the report spells them.")
    method: str = Field(description="Registered method, see `cellharness methods`.")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="The method's parameters, its weights among them."
    )


class FinetuningConfig(Selection):
    """The plain fine-tuning; remedies are told by what they do otherwise."""

    label: str = Field("Plain fine-tuning", description="How the report spells it.")
    method: str = Field(description="Registered method that can be trained; it predicts too.")
    input: InputMode | None = Field(None, description="Image form for training.")
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="Parameters of the training; epochs and save_every follow from `stages`.",
    )
    validation: float = Field(
        0.0, ge=0, lt=1, description="Share of each modality held back to watch the training."
    )


class RemedyConfig(Strict):
    """What a fine-tuning does against forgetting: a training of its own, or other predictions."""

    name: Name = Field(description="Letters, digits, '.', '_' and '-'.")
    label: str | None = Field(None, description="How the report spells the name.")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="Parameters of its training, added to the plain one's."
    )
    replay: ReplayConfig | None = Field(
        None, description="Cases of an earlier domain to mix into its training."
    )
    modalities: list[str] | None = Field(
        None, description="Learn from these modalities instead of those of the plain fine-tuning."
    )
    of: str | None = Field(
        None,
        description="Predict with the weights of this remedy (or plain) instead of training; then "
        "only `prediction` may be given.",
    )
    prediction: dict[str, Any] = Field(
        default_factory=dict, description="Parameters of the prediction, added to the protocol's."
    )

    @property
    def display(self) -> str:
        """The name for tables and figures."""
        return self.label or self.name

    @model_validator(mode="after")
    def _one_way(self) -> RemedyConfig:
        if self.of is not None and (self.parameters or self.replay or self.modalities):
            msg = f"remedy '{self.name}' has 'of' and a training of its own; choose one"
            raise ValueError(msg)
        if self.of is not None and not self.prediction:
            msg = f"remedy '{self.name}' is the same as '{self.of}'; give it a 'prediction'"
            raise ValueError(msg)
        return self


class ProtocolConfig(Strict):
    """One way to predict with the same weights."""

    name: Name = Field(description="Letters, digits, '.', '_' and '-'.")
    label: str | None = Field(None, description="How the report spells the name.")
    input: InputMode | None = Field(None, description="Image form; default: the method's own.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="Of the prediction.")

    @property
    def display(self) -> str:
        """The name for tables and figures."""
        return self.label or self.name


class PublishedConfig(Strict):
    """How a published comparison evaluated the weights before and after."""

    before: str = Field(description="Name of a protocol.")
    after: str = Field(description="Name of a protocol.")


class StudyConfig(BasedConfig):
    """A whole forgetting study."""

    name: Name = Field(description="Short name; names the output folder by default.")
    title: str | None = Field(None, description="Title of the report.")
    dataset: DatasetConfig
    before: BeforeConfig
    finetuning: FinetuningConfig
    stages: list[int] = Field(
        min_length=1, description="Epochs after which weights are evaluated; the last is the end."
    )
    curves: list[str] | None = Field(
        None,
        description="Names (plain, or of remedies that train) that are evaluated at every stage, "
        "the others at the last one only; default: all.",
    )
    protocols: list[ProtocolConfig] = Field(min_length=1)
    main: str = Field(description="Protocol under which all stages of all remedies are evaluated.")
    published: PublishedConfig
    remedies: list[RemedyConfig] = Field([], description="Beside the plain fine-tuning.")
    teams: list[MethodConfig] = Field(
        [], description="Other methods to stand beside, such as precomputed masks of top teams."
    )
    primary: str = Field(
        PLAIN,
        description="Name (plain, or of a remedy) whose change over all unseen experiments is the "
        "one question asked beforehand; its p is not corrected for the others.",
    )
    margin: float = Field(
        MARGIN,
        gt=0,
        lt=1,
        description="Difference of mean F1 below which two trainings are called comparable.",
    )
    limits: LimitsConfig = LimitsConfig()
    cluster: ClusterConfig | None = Field(
        None, description="Workers to use beside each other; default: one process on this machine."
    )
    cases_at_once: CasesAtOnce = 1
    scoring: ScoringConfig = ScoringConfig()
    report: ReportConfig = ReportConfig()
    seed: int = Field(0, ge=0, lt=2**32, description="Of trainings and predictions.")
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(
        [],
        description="Train each remedy with every one of these; the F1 of an image is then the "
        "mean over its trainings. Statements about a method, not one training, need two at least. "
        "Default: `seed` alone.",
    )
    out: Path | None = Field(None, description="Run directory; default: runs/<name>.")

    @field_validator("stages")
    @classmethod
    def _rising(cls, value: list[int]) -> list[int]:
        if value[0] < 1 or any(second <= first for first, second in pairwise(value)):
            msg = f"stages {value} must be rising epochs from 1 on"
            raise ValueError(msg)
        return value

    @field_validator("seeds")
    @classmethod
    def _differ(cls, value: list[int]) -> list[int]:
        if len(set(value)) < len(value):
            msg = f"seeds {value} must differ; equal seeds give the same training"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _names_fit(self) -> StudyConfig:
        protocols = [protocol.name for protocol in self.protocols]
        remedies = [PLAIN, *(remedy.name for remedy in self.remedies)]
        for kind, names in (("protocol", protocols), ("remedy", [PRETRAINED, *remedies])):
            twice = [name for name, n in Counter(names).items() if n > 1]
            if twice:
                msg = f"{kind} names must differ; given twice or reserved: {', '.join(twice)}"
                raise ValueError(msg)
        for key, name in (
            ("main", self.main),
            ("published.before", self.published.before),
            ("published.after", self.published.after),
        ):
            if name not in protocols:
                meant = did_you_mean(name, protocols)
                msg = f"{key}: no protocol '{name}'; there are {', '.join(protocols)}.{meant}"
                raise ValueError(msg)
        if self.primary not in remedies:
            meant = did_you_mean(self.primary, remedies)
            msg = f"primary: no remedy '{self.primary}'; there are {', '.join(remedies)}.{meant}"
            raise ValueError(msg)
        trained = [PLAIN, *(remedy.name for remedy in self.remedies if remedy.of is None)]
        for remedy in self.remedies:
            if remedy.of is not None and remedy.of not in trained:
                msg = (
                    f"remedy '{remedy.name}': of '{remedy.of}' names nothing that is trained; "
                    f"there are {', '.join(trained)}.{did_you_mean(remedy.of, trained)}"
                )
                raise ValueError(msg)
        unknown = sorted(set(self.curves or ()) - set(trained))
        if unknown:
            msg = (
                f"curves: nothing that is trained is called {', '.join(unknown)}; there are "
                f"{', '.join(trained)}.{did_you_mean(unknown[0], trained)}"
            )
            raise ValueError(msg)
        return self

    @property
    def training_seeds(self) -> list[int]:
        """Seeds that every remedy is trained with, the first of which stands in figures."""
        return self.seeds or [self.seed]

    def stages_of(self, name: str) -> list[int]:
        """Stages at which the plain fine-tuning or a remedy is evaluated."""
        remedy = next((each for each in self.remedies if each.name == name), None)
        if remedy is not None and remedy.of is not None:
            return self.stages[-1:]
        return self.stages if self.curves is None or name in self.curves else self.stages[-1:]


def load_study_config(path: Path) -> StudyConfig:
    """Read the configuration of a forgetting study.

    Parameters
    ----------
    path : Path
        YAML file. Relative paths in it start at its own folder.

    Raises
    ------
    ConfigError
        File missing, not YAML, or a key or value that is not valid.
    """
    return read_config(path, StudyConfig)
