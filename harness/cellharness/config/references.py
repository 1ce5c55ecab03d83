"""How a method names the weights that the same configuration trains: ``trained:NAME``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cellharness.errors import UsageError, unknown_name
from cellharness.run_directory import TRAINED_BY, RunDirectory

PREFIX = "trained:"


def resolve_references(
    parameters: Mapping[str, Any],
    run: RunDirectory,
    known: Iterable[str],
    results: Mapping[str, str],
) -> dict[str, Any]:
    """Replace ``trained:NAME`` in a method's parameters by the checkpoint's path.

    Parameters
    ----------
    parameters : mapping
        A method's parameters; values ``trained:NAME`` mean the result of that training,
        ``trained:NAME@40`` its checkpoint after 40 epochs.
    run : RunDirectory
    known : iterable of str
        Names of the configured trainings.
    results : mapping of str to str
        Result of each finished training, a path below its folder.

    Returns
    -------
    dict

    Raises
    ------
    UsageError
        No such training, or the reference is not of this form.

    Examples
    --------
    >>> run = RunDirectory(Path("run"))
    >>> resolve_references({"weights": "trained:a@5"}, run, ["a"], {})["weights"]
    'run/training/a/checkpoints/epoch-0005.pt'
    """
    names = list(known)
    return dict(parameters) | {
        key: str(_path(value, run, names, results))
        for key, value in references_in(parameters).items()
    }


def references_in(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Keep those parameters that refer to a training.

    Examples
    --------
    >>> references_in({"weights": "trained:a@5", "diameter": 30})
    {'weights': 'trained:a@5'}
    """
    return {
        key: value
        for key, value in parameters.items()
        if isinstance(value, str) and value.startswith(PREFIX)
    }


def _path(value: str, run: RunDirectory, names: list[str], results: Mapping[str, str]) -> Path:
    match = TRAINED_BY.fullmatch(value)
    if match is None:
        msg = f"'{value}' is not of the form trained:NAME, trained:NAME@EPOCH or trained:NAME@best"
        raise UsageError(msg)
    name, which = match["name"], match["which"]
    if name not in names:
        raise unknown_name(
            kind="training", name=name, known=names, hint="Trainings stand under 'training:'."
        )
    training = run.training(name)
    if which is None:
        result = results.get(name)
        return training.path / result if result else training.checkpoint("last")
    return training.checkpoint(int(which) if which.isdigit() else which)
