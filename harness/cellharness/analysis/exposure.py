"""What each method may have met of each image before: the image, its experiment, its data set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cellharness.analysis.run_data import SEEN, RunData, placed, with_kinds
from cellharness.run_directory import MethodRecord, TrainingRecord, referenced

CONTAMINATION_RULE = (
    "A word of four or more letters and digits from a method's list of training data, numbers and "
    "common words aside, that also occurs as a word in a case's experiment, source, licence or "
    "notes in the manifest marks that case. It is a hint to look, not a proof, and silence proves "
    "nothing either."
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

#: From the surest to the weakest; an image counts at the surest that holds for it.
IMAGE, EXPERIMENT, DATA_SET, NOTHING_KNOWN = "image", "experiment", "data set", "nothing known"
LEVELS = (IMAGE, EXPERIMENT, DATA_SET, NOTHING_KNOWN)

_IN_WORDS = {IMAGE: "as images", EXPERIMENT: "by experiment", DATA_SET: "by data set"}


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
    n_surer
        Of these, how many count at a surer level than the data set in `exposures`.
    experiments
        Theirs.
    """

    method: str
    named: str
    word: str
    n_cases: int
    n_surer: int
    experiments: tuple[str, ...]


def seen_before(table: pd.DataFrame, method: str) -> str:
    """Count the images of which a method had met something; empty where nothing is known.

    Parameters
    ----------
    table : DataFrame
        Of `exposures`.
    method : str
        Name of the method.
    """
    levels = table.loc[table["method"] == method, "seen"].value_counts()
    told = [f"{levels[level]:,} {word}" for level, word in _IN_WORDS.items() if level in levels]
    return f"seen before: {', '.join(told)}" if told else ""


def exposures(run: RunData) -> pd.DataFrame:
    """Say for every method and scored image what the method had met of it.

    Weights that the run trained inherit what their start had met.

    Parameters
    ----------
    run : RunData
        The run.

    Returns
    -------
    DataFrame
        One row a method and image: ``method, label, case, experiment, seen`` (one of `LEVELS`) and
        ``by``, the training or the named training data.
    """
    scores = with_kinds(run).drop_duplicates("case")
    places = list(zip(scores["modality"], scores["experiment"], strict=True))
    in_training_split = set(scores.loc[scores["seen"] == SEEN, "case"])
    experiments = dict(zip(scores["case"], scores["experiment"], strict=True))
    met: dict[tuple[str, str], tuple[str, str]] = {}
    parameters = {record.name: record.parameters for record in run.record.methods}
    for method in run.methods:
        behind = {
            f"training {training.label or training.name}": training
            for training in trainings_behind(run, parameters.get(method, {}))
        }
        for name, training in behind.items():
            learned = {*training.train, *training.replay, *training.validation}
            for case in experiments:
                if case in learned:
                    met.setdefault((method, case), (IMAGE, name))
        for name, training in behind.items():
            near = in_training_split
            if training.experiments is not None:
                learned_from = {place for place in map(placed, training.experiments) if place[1]}
                near = {c for c, p in zip(experiments, places, strict=True) if p in learned_from}
            for case in near:
                met.setdefault((method, case), (EXPERIMENT, name))
    for method, entry, _, cases in named_cases(run):
        for case in cases["case"]:
            met.setdefault((method, case), (DATA_SET, entry))
    rows = [
        (
            method,
            run.labels[method],
            case,
            experiment,
            *met.get((method, case), (NOTHING_KNOWN, "")),
        )
        for method in run.methods
        for case, experiment in experiments.items()
    ]
    return pd.DataFrame(rows, columns=["method", "label", "case", "experiment", "seen", "by"])


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


def training_data(run: RunData, method: str) -> list[str]:
    """List what a method was trained on, as it, its weights and those they started from name it."""
    recorded = {record.name: record for record in run.record.methods}
    record = recorded.get(method, MethodRecord(name=method))
    starts = (made.weights for made in trainings_behind(run, record.parameters))
    told = [*record.info.training_data]
    for weights in (record.weights, *starts):
        for entry in weights:
            told += [text for text in _texts(entry.get("training_data")) if text not in told]
    return told


def seen_at_all(table: pd.DataFrame) -> dict[str, int]:
    """Count the images of which each method had met something, at whatever level.

    Parameters
    ----------
    table : DataFrame
        Of `exposures`.

    Returns
    -------
    dict of str to int
        By label, in the order of the methods; without those of which nothing is known.
    """
    met = table[table["seen"] != NOTHING_KNOWN]
    return {str(label): int(n) for label, n in met.groupby("label", sort=False).size().items()}


def overlaps(run: RunData, met: pd.DataFrame) -> list[Overlap]:
    """Find hints of contamination, see `CONTAMINATION_RULE`.

    Parameters
    ----------
    run : RunData
        The run, with the methods to look at.
    met : DataFrame
        Of `exposures`, with at least these methods.
    """
    surer = met[met["seen"].isin(LEVELS[: LEVELS.index(DATA_SET)])]
    counted = {name: set(rows["case"]) for name, rows in surer.groupby("method")}
    return [
        Overlap(
            run.labels[name], entry, word, len(cases),
            len(counted.get(name, set()).intersection(cases["case"])),
            tuple(sorted(set(cases["experiment"]))),
        )
        for name, entry, word, cases in named_cases(run)
    ]  # fmt: skip


def named_cases(run: RunData) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    """Cases that a method's training data name, see `CONTAMINATION_RULE`.

    Yields
    ------
    (str, str, str, DataFrame)
        Method, entry of its training data, the word in common, and those rows of the manifest.
    """
    scored = set(run.scores["case"])
    cases = run.manifest[run.manifest["case"].isin(scored)]
    told = [c for c in ("experiment", "source", "licence", "notes") if c in cases]
    words = [_words(" ".join(texts)) for texts in cases[told].itertuples(index=False)]
    for method in run.methods:
        for entry in training_data(run, method):
            for word in sorted(filter(_tells, _words(entry))):
                hits = [word in have for have in words]
                if any(hits):
                    yield method, entry, word, cases[hits]


def _texts(value: Any) -> list[str]:
    if not value:
        return []
    return [value] if isinstance(value, str) else [str(item) for item in value]


def _tells(word: str) -> bool:
    """Whether a word names a data set; a year does not."""
    return len(word) >= 4 and not word.isdigit() and word not in _COMMON


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower()))
