"""What a reader must know of the methods, weights, data and machine behind the numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from cellharness.report.loading import RunData
from cellharness.report.wording import count, listing
from cellharness.run_directory import MethodRecord, TrainingRecord, referenced
from cellharness.statistics import UNKNOWN_MODALITY

CONTAMINATION_RULE = (
    "A word of four or more letters and digits from a method's list of training data, common "
    "words aside, that also occurs as a word in a case's experiment, source, licence or notes in "
    "the manifest marks that case. It is a hint to look, not a proof, and silence proves nothing "
    "either."
)

_COMMON = frozenset(
    re.findall(
        r"\w+",
        """
        data dataset datasets image images cell cells cellular training train trained test testing
        user users submitted microscopy challenge segmentation various other others with from that
        this public private labelled labeled unlabelled unlabeled nuclei nuclear nucleus bacteria
        bacterial fluorescence fluorescent brightfield phase contrast stained unstained tissue
        culture several none unknown synthetic own generalist pretrained their release version
        https http www github zenodo path main master
        """,
    )
)


@dataclass(frozen=True)
class Overlap:
    """A hint that a method may have met test images in training.

    Attributes
    ----------
    method
        Label.
    named
        The entry of its training data.
    word
        The word in common.
    n_cases
        How many cases are marked.
    experiments
        Theirs.
    """

    method: str
    named: str
    word: str
    n_cases: int
    experiments: tuple[str, ...]


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
        training = [*record.info.training_data]
        for entry in weights:
            training += [text for text in entry["training_data"] if text not in training]
        methods.append(
            {
                "name": name,
                "label": run.labels[name],
                "adapter": record.adapter,
                "input": record.input,
                "parameters": shorten_paths(record.parameters),
                "weights": weights,
                "info": record.info,
                "training_data": training,
                "learned_here": [
                    f"{count(len({*made.train, *made.replay}), 'image')} of this data set "
                    f"({_called(made)})"
                    for made in trainings
                ],
                "problem": record.problem,
            }
        )
    return methods


def trainings_behind(run: RunData, parameters: Mapping[str, Any]) -> list[TrainingRecord]:
    """Trainings of the run that made the weights of some parameters, the last one first."""
    known = {training.name: training for training in run.record.trainings}
    found: dict[str, TrainingRecord] = {}
    todo = sorted(referenced(parameters))
    while todo:
        name = todo.pop(0)
        if name in known and name not in found:
            found[name] = known[name]
            todo += sorted(referenced(known[name].parameters))
    return list(found.values())


def _called(training: TrainingRecord) -> str:
    return f"training “{training.label or training.name}”"


def overlaps(run: RunData) -> list[Overlap]:
    """Find hints of contamination, see `CONTAMINATION_RULE`."""
    scored = set(run.scores["case"])
    cases = run.manifest[run.manifest["case"].isin(scored)]
    told = [c for c in ("experiment", "source", "licence", "notes") if c in cases]
    words = [_words(" ".join(texts)) for texts in cases[told].itertuples(index=False)]
    found = []
    for method in methods_of(run):
        for entry in method["training_data"]:
            for word in sorted(w for w in _words(entry) if len(w) >= 4 and w not in _COMMON):
                hits = [word in have for have in words]
                if any(hits):
                    marked = cases[hits]
                    experiments = tuple(sorted(set(marked["experiment"])))
                    found.append(Overlap(method["label"], entry, word, len(marked), experiments))
    return found


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
                "table (no truth, say) and so in none of the numbers.",
            )
        )
    blank = int(run.main.groupby("case")["f1"].count().eq(0).sum())
    if blank:
        found.append(
            (
                "Without a number",
                f"{blank} of {count(n, 'image')} {_have(blank)} no F1 for any method (no truth to "
                f"score against, say); they count in n but in no median or mean.",
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
                "Oracle",
                f"{listing(oracles)} used the truth to segment (a diameter, say): an upper "
                "bound, not a competitor.",
            )
        )
    return found


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


def _weights(record: Mapping[str, Any]) -> dict[str, Any]:
    sha256 = record.get("sha256") or {}
    hashes = list(sha256.items()) if isinstance(sha256, Mapping) else [("", str(sha256))]
    return {
        "name": str(record.get("name") or "unnamed"),
        "hashes": [(str(role), str(digest)) for role, digest in hashes],
        "source": shorten_paths(str(record.get("source") or "not stated")),
        "licence": str(record.get("licence") or "not stated"),
        "training_data": _texts(record.get("training_data")),
    }


def _texts(value: Any) -> list[str]:
    if not value:
        return []
    return [value] if isinstance(value, str) else [str(item) for item in value]


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower()))


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _have(n: int) -> str:
    return "has" if n == 1 else "have"
