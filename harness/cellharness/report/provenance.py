"""What a reader must know of the methods, weights, data and machine behind the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from cellharness.analysis.exposure import training_data, trainings_behind
from cellharness.analysis.run_data import RunData
from cellharness.printing.wording import count, listing
from cellharness.run_directory import MethodRecord, RunRecord, TrainingRecord
from cellharness.statistics import UNKNOWN_MODALITY

_HASH_LETTERS = 12
# Head of the banner on methods that read the truth.
ORACLE = "Oracle"


def methods_of(run: RunData) -> list[dict[str, Any]]:
    """Describe the methods as ``run.json`` records them, in the order of the report.

    Weights that the run trained are followed back to those that their training started from, whose
    training data they have seen as well.

    Returns
    -------
    list of dict
        Keys ``name, label, adapter, input, parameters, weights, info, training_data, learned_here,
        problem``; weights have ``hashes``, a list of (role, SHA256), instead of ``sha256``.
    """
    recorded = {method.name: method for method in run.record.methods}
    methods = []
    for name in run.methods:
        record = recorded.get(name, MethodRecord(name=name))
        weights = [_weights(entry) for entry in record.weights]
        trainings = trainings_behind(run, record.parameters)
        for made in trainings:
            for entry in map(_weights, made.weights):
                entry["name"] += f", start of the {_called(made)}"
                weights.append(entry)
        methods.append(
            {
                "name": name,
                "label": run.labels[name],
                "adapter": record.adapter,
                "input": record.input,
                "parameters": shorten_paths(record.parameters),
                "weights": weights,
                "info": record.info,
                "training_data": training_data(run, name),
                "learned_here": [
                    f"{count(len({*made.train, *made.replay}), 'image')} of this data set "
                    f"({_called(made)})"
                    for made in trainings
                ],
                "problem": record.problem,
            }
        )
    return methods


def _called(training: TrainingRecord) -> str:
    return f"training “{training.label or training.name}”"


def banners(run: RunData) -> list[tuple[str, str]]:
    """List what must be seen before any number: a partial run, guessed modalities, an oracle.

    Returns
    -------
    list of (str, str)
        A short head and a sentence.
    """
    found = []
    limit = run.record.limit
    n = run.scores["case"].nunique()
    if limit is not None or run.record.status not in ("complete", None):
        reason = f"limited to {limit} cases" if limit is not None else "not finished"
        found.append(
            ("Partial run", f"The run was {reason}; these numbers are no result, only a trial.")
        )
    unscored = len(set(run.manifest["case"]) - set(run.scores["case"]))
    if unscored:
        found.append(
            (
                "Not scored",
                f"{count(unscored, 'case')} of the manifest {_are(unscored)} not in the score "
                "table, for example for want of a truth, and so in none of the numbers.",
            )
        )
    blank = int(run.main.groupby("case")["f1"].count().eq(0).sum())
    if blank:
        found.append(
            (
                "Without a number",
                f"{blank} of {count(n, 'image')} {_have(blank)} no F1 for any method, for "
                "example for want of a truth; they count in n but in no median or mean.",
            )
        )
    cases = run.scores.drop_duplicates("case")
    guessed = (
        int((cases["modality_source"] == "guessed").sum()) if "modality_source" in cases else 0
    )
    if guessed:
        found.append(
            (
                "Guessed modalities",
                f"The modality of {guessed} of {count(n, 'image')} was guessed from low-level "
                "image cues, not given by a person; per-modality numbers rest on these guesses.",
            )
        )
    unknown = int((cases["modality"] == UNKNOWN_MODALITY).sum())
    if unknown:
        found.append(
            (
                "Unknown modality",
                f"{unknown} of {count(n, 'image')} {_have(unknown)} no modality in the manifest; "
                "they stand in a group of their own.",
            )
        )
    oracles = [run.labels[name] for name in run.methods if name in run.oracles]
    if oracles:
        found.append(
            (
                ORACLE,
                f"{listing(oracles)} used the truth to segment, such as a diameter taken from "
                "it: an upper bound, not a competitor.",
            )
        )
    return found


def machine_of(record: RunRecord) -> list[tuple[str, str]]:
    """What a run was made on, as (what, value), without what is not known."""
    machine = record.machine
    gpus = machine.get("gpus") or []
    names = [str(g.get("name", g)) if isinstance(g, Mapping) else str(g) for g in gpus]
    memory = machine.get("memory_gb")
    facts = [
        ("Platform", record.platform),
        ("Python", record.python),
        ("Processor", machine.get("cpu")),
        ("Cores", machine.get("cores")),
        ("Memory", f"{memory} GB" if memory else None),
        ("GPU", ", ".join(names) or "none"),
    ]
    return [(key, str(value)) for key, value in facts if value not in (None, "")]


def config_text(run: RunData) -> str:
    """Write the resolved configuration as YAML, without the folders of the machine."""
    return yaml.safe_dump(
        shorten_paths(run.config), sort_keys=False, allow_unicode=True, default_flow_style=False
    )


def shorten_paths(value: Any) -> Any:
    """Replace absolute paths, in nested lists and mappings too, by their last two parts.

    Examples
    --------
    >>> shorten_paths({"a": ["/home/me/data/set.csv", "cyto", 3]})
    {'a': ['…/data/set.csv', 'cyto', 3]}
    """
    if isinstance(value, Mapping):
        return {str(key): shorten_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [shorten_paths(item) for item in value]
    if isinstance(value, str):
        for kind in (PurePosixPath, PureWindowsPath):
            path = kind(value)
            if path.is_absolute() and len(path.parts) > 1 and "\n" not in value:
                return "…/" + "/".join(path.parts[1:][-2:])
    return value


def short_hash(digest: str) -> str:
    """Write the start of a SHA256."""
    return f"SHA256 {digest[:_HASH_LETTERS]}…"


def _weights(record: Mapping[str, Any]) -> dict[str, Any]:
    sha256 = record.get("sha256") or {}
    hashes = list(sha256.items()) if isinstance(sha256, Mapping) else [("", str(sha256))]
    return {
        "name": str(record.get("name") or "unnamed"),
        "hashes": [(str(role), str(digest)) for role, digest in hashes],
        "source": shorten_paths(str(record.get("source") or "not stated")),
        "licence": str(record.get("licence") or "not stated"),
    }


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _have(n: int) -> str:
    return "has" if n == 1 else "have"
