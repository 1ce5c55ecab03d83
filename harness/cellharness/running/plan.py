"""What a run intends with each method: built, its weights found, its problems known."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cellharness.config.paths import absolute_parameters
from cellharness.config.references import resolve_references
from cellharness.config.run import MethodConfig, RunConfig
from cellharness.errors import MissingDependencyError, StoppedError, UsageError
from cellharness.methods.base import BaseSegmenter, MethodInfo
from cellharness.methods.child_process import describe
from cellharness.methods.registry import build, method_class
from cellharness.run_directory import (
    MethodFacts,
    MethodRecord,
    RunDirectory,
    TrainingRecord,
    referenced,
)
from cellharness.running.place import Place, interpreter, look_at
from cellharness.running.worker import MethodSpec, usual_at_once
from cellharness.weights import WeightsError

_UNKNOWN = MethodInfo(summary="", licence="")


@dataclass(frozen=True)
class Plan:
    """A method, built but not loaded, with what makes its predictions what they are.

    Attributes
    ----------
    config : MethodConfig
        As configured.
    spec : MethodSpec
        What its process is told.
    segmenter : BaseSegmenter or None
        None where it could not be built.
    weights : list of dict
        Names and hashes of its weights.
    resolved : mapping
        What its automatic choices come to on this machine.
    problem : str
        Why no case of it can be segmented, or "".
    place : Place or None
        The Python that it runs in; None for our own.
    """

    config: MethodConfig
    spec: MethodSpec
    segmenter: BaseSegmenter | None = None
    weights: list[dict[str, object]] = field(default_factory=list)
    resolved: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    place: Place | None = None

    @property
    def info(self) -> MethodInfo:
        """What the method says of itself; empty where it could not be built."""
        return self.segmenter.info if self.segmenter is not None else _UNKNOWN

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters, defaults included where the method tells them."""
        if self.segmenter is None:
            return dict(self.spec.parameters)
        return self.segmenter.parameters.model_dump(mode="json")

    def record(self) -> MethodRecord:
        """What ``run.json`` keeps of it."""
        info = self.info
        return MethodRecord(
            name=self.config.name,
            label=self.config.display,
            adapter=self.spec.method,
            input=self.spec.input or info.input,
            # As written where given, so that no machine's path ends up in a report.
            parameters={**self.parameters, **self.config.parameters},
            resolved=dict(self.resolved),
            weights=self.weights,
            problem=self.problem,
            environment=self.place.record() if self.place is not None else {},
            tiles=self.spec.tiles.model_dump() if self.spec.tiles is not None else {},
            info=MethodFacts(
                summary=info.summary,
                citation=info.citation,
                licence=info.licence,
                training_data=info.training_data,
                url=info.url,
                needs_truth=info.needs_truth,
            ),
        )


def check_methods(config: RunConfig, folder: Path) -> None:
    """Find misspelt methods, parameters and trainings before anything runs.

    A method that cannot be imported on this machine passes: it is recorded as such, and
    the others run.

    Raises
    ------
    UsageError
        A method, parameter, value or training that does not exist.
    """
    for method in config.methods:
        try:
            spec = _spec(config, method, folder, {})
            segmenter = build(spec.method, spec.parameters)
        except MissingDependencyError:
            continue
        segmenter.check_input(spec.input or segmenter.info.input)
        if spec.tiles is not None and not segmenter.takes_tiles:
            raise no_tiles(spec.method)
        with contextlib.suppress(MissingDependencyError):
            _interpreter(config, method)


def no_tiles(method: str) -> UsageError:
    """Build the error for tiles of a method that has masks of whole images only."""
    msg = f"method '{method}' has masks of whole images only; leave tiles out for it"
    return UsageError(msg)


def make_plan(
    config: RunConfig,
    method: MethodConfig,
    folder: Path,
    trainings: Mapping[str, TrainingRecord],
    resolve: Callable[[MethodSpec], Mapping[str, Any]] | None = None,
) -> Plan:
    """Build a method and find its weights; what it lacks is kept as its problem.

    Parameters
    ----------
    config : RunConfig
        The comparison.
    method : MethodConfig
        One of its methods.
    folder : Path
        Run directory, where trained weights lie.
    trainings : mapping of str to TrainingRecord
        What became of the trainings.
    resolve : callable or None
        Says what automatic choices come to where it will run, if that is not this machine.

    Raises
    ------
    UsageError
        The method is configured in a way that cannot work anywhere.
    """
    try:
        spec = _spec(config, method, folder, trainings)
        segmenter = build(spec.method, spec.parameters)
    except MissingDependencyError as error:
        spec = MethodSpec(
            method.method,
            absolute_parameters(None, method.parameters, config.resolve),
            method.input,
            config.seed,
            config.timing.repeats,
            tiles=method.tiles or config.tiles,
        )
        return Plan(method, spec, problem=str(error))
    plan = Plan(method, spec, segmenter)
    try:
        weights = [found.record() for found in segmenter.weights()]
    except UsageError as error:
        untrained = _of_training(method, trainings)
        if not (untrained or isinstance(error, WeightsError | MissingDependencyError)):
            raise
        return replace(plan, problem=untrained or str(error))
    except Exception as error:
        return replace(plan, problem=describe(error))
    plan = replace(plan, weights=weights)
    try:
        python = _interpreter(config, method)
        if python is None:
            found = segmenter.resolved() if resolve is None else resolve(spec)
            return replace(plan, resolved=found)
        place = look_at(python, method.environment, spec.method, spec.parameters, segmenter.info)
        if resolve is not None:
            place = replace(place, resolved=resolve(replace(spec, python=str(python))))
    except StoppedError:
        raise
    except Exception as error:
        return replace(plan, problem=describe(error))
    spec = replace(spec, python=str(python))
    return replace(plan, spec=spec, resolved=place.resolved, place=place)


def _interpreter(config: RunConfig, method: MethodConfig) -> Path | None:
    """The Python that a method is to run in; None for our own."""
    python = config.resolve(method.python) if method.python is not None else None
    return interpreter(method.environment, python)


def _spec(
    config: RunConfig,
    method: MethodConfig,
    folder: Path,
    trainings: Mapping[str, TrainingRecord],
) -> MethodSpec:
    results = {name: record.checkpoint for name, record in trainings.items() if record.checkpoint}
    known = [training.name for training in config.training]
    model = method_class(method.method).Parameters
    parameters = resolve_references(
        method.parameters, RunDirectory(folder.resolve()), known, results
    )
    return MethodSpec(
        method.method,
        absolute_parameters(model, parameters, config.resolve),
        method.input,
        config.seed,
        config.timing.repeats,
        tiles=method.tiles or config.tiles,
        at_once=_at_once(config),
    )


def _at_once(config: RunConfig) -> int:
    """How many cases a method may segment at the same time."""
    wanted = config.cases_at_once
    return usual_at_once() if wanted == "auto" else wanted


def _of_training(method: MethodConfig, trainings: Mapping[str, TrainingRecord]) -> str:
    """Why the weights of a training are not there, or ""."""
    failed = [
        trainings[name]
        for name in sorted(referenced(method.parameters) & trainings.keys())
        if trainings[name].status != "ok"
    ]
    return "; ".join(
        f"training '{each.name}' ended with {each.status}: {each.message}" for each in failed
    )
