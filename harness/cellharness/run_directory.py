"""The one contract of a run directory: its paths, its documents, the columns of its tables.

Writers, readers and test fixtures all import it. Documents are read defensively: what an older
version did not write has a default, keys of a newer one are passed over, and a file that is cut or
holds something else is named together with what to do. ``docs/run-directory.md`` shows an example.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cellharness.errors import UsageError
from cellharness.files import write_atomic
from cellharness.vocabulary import MARGIN, METRICS, PHASES, PRETRAINED

#: Columns that a manifest is written with, and those that it may have besides. Who makes one needs
#: ``image`` or ``case`` alone.
MANIFEST_COLUMNS = (
    "case", "image", "label", "modality", "experiment", "split", "sha256",
)  # fmt: skip
OPTIONAL_MANIFEST_COLUMNS = ("modality_source", "licence", "source")

#: Seconds of a case by phase, and in all.
SECONDS_COLUMNS = tuple(f"seconds_{phase}" for phase in (*PHASES, "total"))

#: Columns of the ledger, one row a method and case.
LEDGER_COLUMNS = (
    "method", "case", "identity", "status", "message", *SECONDS_COLUMNS, "peak_host_mb",
    "peak_gpu_mb", "prediction_sha256", "details", "finished", "seconds_first",
    "seconds_overhead", "repeats", "pixels", "peak_gpu_driver_mb",
)  # fmt: skip
LEDGER_TEXT = ("method", "case", "identity", "status", "message", "details", "finished")

#: Columns of ``scores.csv``, one row a method, profile, case and threshold.
SCORE_TEXT = (
    "method", "profile", "case", "modality", "modality_source", "experiment", "split",
)  # fmt: skip
SCORE_COLUMNS = (*SCORE_TEXT, "seen", "threshold", "status", *METRICS, "remarks")

#: Columns of the two logs of a training.
EPOCH_COLUMNS = ("epoch", "learning_rate", "train_loss", "validation_loss", "seconds")
VALIDATION_COLUMNS = ("epoch", "modality", "n", "mean_f1", "median_f1")
#: IoU of the F1 in the second.
VALIDATION_THRESHOLD = 0.5


class RunDirectoryError(UsageError):
    """A run directory lacks a file, or holds one that cannot be read; says how to fix it."""


def prediction_name(case: str) -> str:
    """File name of the predicted label image of a case.

    Examples
    --------
    >>> prediction_name("cell_00001")
    'cell_00001_label.tiff'
    """
    return f"{case}_label.tiff"


def overlay_name(case: str) -> str:
    """File name of the picture of a case with its cells outlined, beside its mask.

    Examples
    --------
    >>> overlay_name("cell_00001")
    'cell_00001_overlay.png'
    """
    return f"{case}_overlay.png"


def flows_name(case: str) -> str:
    """File name of what a network gave of a case, beside its mask.

    Examples
    --------
    >>> flows_name("cell_00001")
    'cell_00001_flows.tiff'
    """
    return f"{case}_flows.tiff"


@dataclass(frozen=True)
class TrainingDirectory:
    """Paths of one training.

    Attributes
    ----------
    path : Path
        Folder of the training.
    """

    path: Path

    @property
    def record(self) -> Path:
        """What was trained, from what, on what, and how it ended: a `TrainingRecord`."""
        return self.path / "training.json"

    @property
    def epochs(self) -> Path:
        """Losses, one row an epoch: `EPOCH_COLUMNS`."""
        return self.path / "epochs.csv"

    @property
    def validation(self) -> Path:
        """Validation scores, one row an epoch and modality: `VALIDATION_COLUMNS`."""
        return self.path / "validation.csv"

    @property
    def checkpoints(self) -> Path:
        """Folder of the kept weights."""
        return self.path / "checkpoints"

    def checkpoint(self, which: int | str) -> Path:
        """Weights after an epoch (from 1), or those called ``last`` or ``best``."""
        stem = f"epoch-{which:04d}" if isinstance(which, int) else which
        return self.checkpoints / f"{stem}.pt"


@dataclass(frozen=True)
class RunDirectory:
    """Paths of a run.

    Attributes
    ----------
    path : Path
        The run directory.

    Examples
    --------
    >>> RunDirectory(Path("runs/mini")).prediction("cellpose", "cell_00001").as_posix()
    'runs/mini/predictions/cellpose/cell_00001_label.tiff'
    """

    path: Path

    @property
    def record(self) -> Path:
        """What was run, on what, with what: a `RunRecord`."""
        return self.path / "run.json"

    @property
    def study(self) -> Path:
        """What the methods of a forgetting study stand for: a `StudyRecord`."""
        return self.path / "study.json"

    @property
    def config(self) -> Path:
        """The configuration as it was run."""
        return self.path / "config.yaml"

    @property
    def manifest(self) -> Path:
        """The cases that were run."""
        return self.path / "manifest.csv"

    @property
    def database(self) -> Path:
        """The ledger while a run goes on; later runs resume from it."""
        return self.path / "ledger.sqlite"

    @property
    def shared_results(self) -> Path:
        """What a method found of an image and others use again, one result a line."""
        return self.path / "shared_results.jsonl"

    @property
    def ledger(self) -> Path:
        """The ledger of the finished run: `LEDGER_COLUMNS`."""
        return self.path / "ledger.csv"

    @property
    def scores(self) -> Path:
        """All scores: `SCORE_COLUMNS`."""
        return self.path / "scores.csv"

    @property
    def data(self) -> Path:
        """Folder of generated images and labels."""
        return self.path / "data"

    @property
    def report(self) -> Path:
        """Folder of the report."""
        return self.path / "report"

    @property
    def lock(self) -> Path:
        """Held by whoever writes here."""
        return self.path / ".lock"

    @property
    def mark(self) -> Path:
        """Says that a run began here, before anything else is written."""
        return self.path / ".cellharness-run"

    @property
    def written(self) -> tuple[Path, ...]:
        """Everything that a run writes at the top of its directory, `mark` and `lock` aside."""
        tables = (self.manifest, self.ledger, self.scores)
        folders = (self.data, self.report, self.path / "predictions", self.path / "training")
        results = (self.database, self.shared_results)
        return (self.record, self.study, self.config, *results, *tables, *folders)

    def predictions(self, method: str) -> Path:
        """Folder of the label images of a method."""
        return self.path / "predictions" / method

    def prediction(self, method: str, case: str) -> Path:
        """Label image that a method made of a case."""
        return self.predictions(method) / prediction_name(case)

    def training(self, name: str) -> TrainingDirectory:
        """Folder of a training."""
        return TrainingDirectory(self.path / "training" / name)


class _Document(BaseModel):
    """A JSON document of a run directory, or a part of one."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check a document.

        Raises
        ------
        RunDirectoryError
            It is absent, empty, cut off, or not what it should be.
        """
        try:
            return cls.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            msg = f"'{path.parent}' has no {path.name}; {cls._source()}"
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the whole file"
            msg = f"'{path}' is not valid at {where}: {first['msg']}"
        except (OSError, ValueError) as error:
            why = f"cannot read '{path}': {error}" if _has_content(path) else f"'{path}' is empty"
            msg = f"{why}; {cls._source()}"
        raise RunDirectoryError(msg)

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Read it; None where there is none, or one that is not whole."""
        try:
            return cls.read(path)
        except RunDirectoryError:
            return None

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, self.model_dump_json(indent=1).encode())

    @classmethod
    def _source(cls) -> str:
        return (
            "give the folder that `cellharness run` wrote, after the run has finished. Where the "
            "file is lost, the run's command with --resume writes it again and makes no mask anew"
        )


def _has_content(path: Path) -> bool:
    return not path.is_file() or path.stat().st_size > 0


class TrainingRecord(_Document):
    """One training: ``training.json``, and an entry of ``run.json``.

    Attributes
    ----------
    name, label, method : str
        As configured.
    identity : str
        Hash of all that the weights depend on; another one means another training.
    status : {"running", "ok", "error", "oom"}
    message : str
        Why it is not ``ok``.
    checkpoint : str
        Path of the resulting weights below the training's folder, "" while there are none.
    sha256 : mapping of str to str
        Of every kept checkpoint, by its path below the training's folder.
    parameters : mapping
        All parameters, defaults included.
    resolved : mapping
        What its automatic choices come to on this machine, such as precision and device.
    weights : sequence of mapping
        Name and SHA256 of the weights it started from; empty from scratch.
    train, validation, replay : sequence of str
        Names of the cases.
    left_out : sequence of str
        Those of them that were not learned from, such as images with too few cells.
    experiments : sequence of (str, str), optional
        Modality and experiment of all these cases; None in records older than 2026-11-27.
    epochs : int
        Finished ones.
    seconds : float
        Of this and earlier sessions; of one that was killed, those of its logged epochs.
    versions : mapping of str to str
        Of packages.
    """

    name: str = "unnamed"
    label: str = ""
    method: str = ""
    identity: str = ""
    status: str = ""
    message: str = ""
    checkpoint: str = ""
    sha256: Mapping[str, str] = Field(default_factory=dict)
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    resolved: Mapping[str, Any] = Field(default_factory=dict)
    weights: Sequence[Mapping[str, Any]] = ()
    train: Sequence[str] = ()
    validation: Sequence[str] = ()
    replay: Sequence[str] = ()
    left_out: Sequence[str] = ()
    experiments: Sequence[tuple[str, str]] | None = None
    epochs: int = 0
    seconds: float = 0.0
    versions: Mapping[str, str] = Field(default_factory=dict)


#: How parameters name the weights of a training of the same run, such as ``trained:plain@40``.
TRAINED_BY = re.compile(r"trained:(?P<name>[^@]+)(@(?P<which>\d+|last|best))?")


def referenced(parameters: Mapping[str, Any]) -> set[str]:
    """Names of the trainings that a method's parameters refer to."""
    values = [value for value in parameters.values() if isinstance(value, str)]
    found = [TRAINED_BY.fullmatch(value) for value in values]
    return {match["name"] for match in found if match}


class MethodFacts(_Document):
    """What a method says of itself."""

    summary: str = ""
    citation: str = ""
    licence: str = ""
    training_data: Sequence[str] = ()
    url: str = ""
    needs_truth: bool = False


class MethodRecord(_Document):
    """One method of a run.

    Attributes
    ----------
    name, label : str
        As configured.
    adapter : str
        Registered name of the method.
    input : str
        Image form that it was given.
    parameters, resolved : mapping
        All parameters, and what its automatic choices came to.
    weights : sequence of mapping
        Name, SHA256 by role, source, licence and training data of each set of weights.
    problem : str
        Why no case of it could be segmented, or "".
    environment : mapping
        Where it ran in another Python: name of the environment or "", version of Python, versions
        of packages. Empty for the Python of the run itself.
    tiles : mapping
        Size and overlap of the tiles in which it got each image; empty for images in one piece.
    info : MethodFacts
    """

    name: str
    label: str = ""
    adapter: str = ""
    input: str = ""
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    resolved: Mapping[str, Any] = Field(default_factory=dict)
    weights: Sequence[Mapping[str, Any]] = ()
    problem: str = ""
    environment: Mapping[str, Any] = Field(default_factory=dict)
    tiles: Mapping[str, Any] = Field(default_factory=dict)
    info: MethodFacts = MethodFacts()

    @property
    def reads_truth(self) -> bool:
        """Whether it segments with the help of the truth, such as the cells' true diameter."""
        return self.info.needs_truth or "truth_median" in self.parameters.values()


class DatasetRecord(_Document):
    """Where the cases of a run came from.

    Attributes
    ----------
    manifest : str
        As configured, or ``phantom``.
    sha256 : str
        Of the manifest.
    root : str
        Folder that relative image and label paths start from; itself relative to the run
        directory, or absolute.
    n_cases : int
    """

    manifest: str = ""
    sha256: str = ""
    root: str = "."
    n_cases: int | None = None


class RunRecord(_Document):
    """``run.json``: what was run, on what, with what, and how far it came.

    Attributes
    ----------
    name, title : str
    created, finished : str or None
        ISO dates; `finished` is None while it runs.
    status : {"running", "partial", "complete"} or None
    limit : int or None
        Number of cases that a trial run was limited to.
    seed : int
    config : mapping
        The configuration as it was run.
    versions, python, platform, machine, git, threads
        Software, hardware and source revision, see `cellharness.provenance.environment`.
    dataset : DatasetRecord
    trainings : sequence of TrainingRecord
    methods : sequence of MethodRecord
    """

    name: str = ""
    title: str = ""
    created: str | None = None
    finished: str | None = None
    status: str | None = None
    limit: int | None = None
    seed: int | None = None
    config: Mapping[str, Any] = Field(default_factory=dict)
    versions: Mapping[str, str] = Field(default_factory=dict)
    python: str = ""
    platform: str = ""
    machine: Mapping[str, Any] = Field(default_factory=dict)
    git: Mapping[str, Any] = Field(default_factory=dict)
    threads: str | None = None
    dataset: DatasetRecord = DatasetRecord()
    trainings: Sequence[TrainingRecord] = ()
    methods: Sequence[MethodRecord] = ()

    @field_validator("trainings", "methods", mode="before")
    @classmethod
    def _none_is_empty(cls, value: Any) -> Any:
        return value or ()


class RemedyRecord(_Document):
    """One training of a study, or weights made from one.

    Attributes
    ----------
    name, label : str
        In tables, and in print.
    training : str
        Name of the training whose weights it uses; another's where it is made from them.
    stages : tuple of int
        Epochs whose weights are evaluated.
    modalities : tuple of str or None
        What it was trained on, where not on all.
    mixing : float or None
        Of weights between two, the share of the fine-tuned ones.
    """

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


class ProtocolRecord(_Document):
    """A way of evaluating weights."""

    name: str
    label: str


class StudyMethod(_Document):
    """Which weights a method of the run is, and how they were evaluated.

    Attributes
    ----------
    method, remedy, stage, protocol
        Of the run, and what it stands for.
    seed : int or None
        Of the training, where the study has several.
    """

    method: str
    remedy: str
    stage: int = Field(ge=0)
    protocol: str
    seed: int | None = None


class PublishedProtocols(_Document):
    """Protocols of the published comparison, before and after the training."""

    before: str
    after: str


class StudyRecord(_Document):
    """``study.json``: what the methods of a forgetting study stand for.

    Attributes
    ----------
    name, title : str
    plain : str
        Name of the training without a remedy.
    main : str
        Protocol under which everything is compared.
    primary : str
        Training whose change over all unseen experiments was asked for beforehand; "" for `plain`.
    margin : float
        Difference of mean F1 below which two trainings are called comparable.
    published : PublishedProtocols or None
        Protocols of the published comparison, if there is one to take apart.
    protocols, remedies, methods
        In the order of the report.
    seen : tuple of (str, str)
        Modality and experiment of everything that plain fine-tuning learned from.
    replayed : dict of str to tuple of (str, str)
        By remedy, what it met again besides.
    teams : tuple of str
        Methods of the run that are published masks.
    config : mapping
        The configuration as it was run.
    """

    name: str = ""
    title: str = ""
    plain: str
    main: str
    primary: str = ""
    margin: float = Field(MARGIN, gt=0, lt=1)
    published: PublishedProtocols | None = None
    protocols: tuple[ProtocolRecord, ...] = Field(min_length=1)
    remedies: tuple[RemedyRecord, ...] = Field(min_length=1)
    methods: tuple[StudyMethod, ...] = Field(min_length=1)
    seen: tuple[tuple[str, str], ...] = ()
    replayed: dict[str, tuple[tuple[str, str], ...]] = Field(default_factory=dict)
    teams: tuple[str, ...] = ()
    config: Mapping[str, Any] = Field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check a ``study.json``.

        Raises
        ------
        RunDirectoryError
            It is absent, not valid, or names what it does not list.
        """
        study = super().read(path)
        problem = study.contradiction()
        if problem:
            msg = f"'{path}'{problem}"
            raise RunDirectoryError(msg)
        return study

    def contradiction(self) -> str:
        """What it names and does not list, or lists twice; "" where it is in order."""
        remedies = [remedy.name for remedy in self.remedies]
        protocols = [protocol.name for protocol in self.protocols]
        for kind, names in (("remedy", remedies), ("protocol", protocols)):
            twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
            if twice:
                return f" has more than one {kind} {twice[0]!r}; names must be unique"
        if PRETRAINED in remedies:
            return f" names a remedy {PRETRAINED!r}, which means the weights before training"
        named = [("plain", "remedy", self.plain), ("main", "protocol", self.main)]
        if self.primary:
            named.append(("primary", "remedy", self.primary))
        if self.published is not None:
            named.append(("published.before", "protocol", self.published.before))
            named.append(("published.after", "protocol", self.published.after))
        named += [("replayed", "remedy", name) for name in self.replayed]
        for entry in self.methods:
            where = f"method {entry.method!r}"
            if entry.remedy != PRETRAINED:
                named.append((where, "remedy", entry.remedy))
            elif entry.stage:
                return (
                    f": {where} is of {PRETRAINED!r} at stage {entry.stage}; the weights before "
                    "any training are at stage 0"
                )
            named.append((where, "protocol", entry.protocol))
        for where, kind, name in named:
            known = remedies if kind == "remedy" else protocols
            if name not in known:
                return f": {where} names {kind} {name!r}; there are: {', '.join(known)}"
        both = sorted(set(self.teams) & {entry.method for entry in self.methods})
        if both:
            return f" lists {', '.join(both)} under both methods and teams; keep one"
        return ""

    @classmethod
    def _source(cls) -> str:
        return (
            "give the folder that `cellharness forgetting` wrote. For a run without a study there "
            "is `cellharness report`"
        )


def details_of(text: object) -> dict[str, Any]:
    """What column ``details`` of the ledger holds of a case; nothing where that is no JSON object.

    Examples
    --------
    >>> details_of('{"diameter": 30}'), details_of("mended by hand"), details_of(float("nan"))
    ({'diameter': 30}, {}, {})
    """
    try:
        found = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def remark_of(details: object) -> str:
    """What a method remarked on a case that has a mask, from column ``details`` of the ledger.

    Examples
    --------
    >>> remark_of('{"diameter": 30, "remark": "the image is flat"}'), remark_of("{}")
    ('the image is flat', '')
    """
    return str(details_of(details).get("remark", ""))
