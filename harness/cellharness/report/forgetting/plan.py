"""What ``study.json`` says: remedies, protocols, and which method is which weights."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cellharness.report.loading import ReportError
from cellharness.vocabulary import PRETRAINED

FILE_NAME = "study.json"


class Remedy(BaseModel):
    """One training of a study, or weights made from one.

    Attributes
    ----------
    name, label
        In tables, and in print.
    training
        Name of the training whose weights it uses; another's where it is made from them.
    stages
        Epochs whose weights are evaluated.
    modalities
        What it was trained on, where not on all.
    mixing
        Of interpolated weights, the share of the fine-tuned ones.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    label: str
    training: str = ""
    stages: tuple[int, ...] = ()
    modalities: tuple[str, ...] | None = None
    mixing: float | None = None

    @property
    def is_derived(self) -> bool:
        """Whether it is made from the weights of another training, such as by interpolation."""
        return bool(self.training) and self.training != self.name


class Protocol(BaseModel):
    """A way of evaluating weights."""

    model_config = ConfigDict(frozen=True)

    name: str
    label: str


class StudyMethod(BaseModel):
    """Which weights a method of the run is, and how they were evaluated."""

    model_config = ConfigDict(frozen=True)

    method: str
    remedy: str
    stage: int = Field(ge=0)
    protocol: str


class Published(BaseModel):
    """Protocols of the published comparison, before and after the training."""

    model_config = ConfigDict(frozen=True)

    before: str
    after: str


class Plan(BaseModel):
    """What ``study.json`` holds; keys that it does not name are passed over.

    Attributes
    ----------
    name, title
        Of the study.
    plain
        Name of the training without a remedy.
    main
        Protocol under which everything is compared.
    published
        Protocols of the published comparison, if there is one to take apart.
    protocols, remedies, methods
        In the order of the report.
    seen
        Modality and experiment of everything that plain fine-tuning learned from.
    replayed
        By remedy, what it met again besides.
    teams
        Methods of the run that are published masks.
    """

    name: str = ""
    title: str = ""
    plain: str
    main: str
    published: Published | None = None
    protocols: tuple[Protocol, ...] = Field(min_length=1)
    remedies: tuple[Remedy, ...] = Field(min_length=1)
    methods: tuple[StudyMethod, ...] = Field(min_length=1)
    seen: tuple[tuple[str, str], ...] = ()
    replayed: dict[str, tuple[tuple[str, str], ...]] = Field(default_factory=dict)
    teams: tuple[str, ...] = ()


def read_plan(path: Path) -> Plan:
    """Read and check a ``study.json``.

    Raises
    ------
    ReportError
        It is absent, not valid, or names what it does not list.
    """
    if not path.is_file():
        msg = (
            f"'{path.parent}' has no {FILE_NAME}; give the folder that `cellharness forgetting` "
            "wrote. For a run without a study there is `cellharness report`"
        )
        raise ReportError(msg)
    try:
        plan = Plan.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        msg = f"cannot read '{path}': {error}"
        raise ReportError(msg) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole file"
        msg = f"'{path}' is not valid at {where}: {first['msg']}"
        raise ReportError(msg) from error
    _check_names(plan, path)
    return plan


def _check_names(plan: Plan, path: Path) -> None:
    remedies = [remedy.name for remedy in plan.remedies]
    protocols = [protocol.name for protocol in plan.protocols]
    for kind, names in (("remedy", remedies), ("protocol", protocols)):
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if twice:
            msg = f"'{path}' has more than one {kind} {twice[0]!r}; names must be unique"
            raise ReportError(msg)
    if PRETRAINED in remedies:
        msg = f"'{path}' names a remedy {PRETRAINED!r}, which means the weights before training"
        raise ReportError(msg)
    named = [("plain", "remedy", plan.plain), ("main", "protocol", plan.main)]
    if plan.published is not None:
        named += [
            (f"published.{when}", "protocol", getattr(plan.published, when))
            for when in ("before", "after")
        ]
    named += [("replayed", "remedy", name) for name in plan.replayed]
    for entry in plan.methods:
        if entry.remedy != PRETRAINED:
            named.append((f"method {entry.method!r}", "remedy", entry.remedy))
        elif entry.stage:
            msg = (
                f"'{path}': method {entry.method!r} is of {PRETRAINED!r} at stage {entry.stage}; "
                "the weights before any training are at stage 0"
            )
            raise ReportError(msg)
        named.append((f"method {entry.method!r}", "protocol", entry.protocol))
    for where, kind, name in named:
        known = remedies if kind == "remedy" else protocols
        if name not in known:
            msg = f"'{path}': {where} names {kind} {name!r}; there are: {', '.join(known)}"
            raise ReportError(msg)
