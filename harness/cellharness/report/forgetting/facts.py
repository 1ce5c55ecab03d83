"""What was studied: the weights before, what was trained on, and how many cases are of either."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from cellharness.report.forgetting.findings import Findings
from cellharness.report.forgetting.look import worth_showing
from cellharness.report.forgetting.study import Study, placed
from cellharness.report.provenance import methods_of
from cellharness.report.records import Record, group_title, records
from cellharness.report.rendering import Row, Table
from cellharness.report.trainings import Training
from cellharness.report.wording import NOTHING, count, f1_at, listing
from cellharness.statistics import ALL
from cellharness.statistics.staged_scores import SEEN, UNSEEN

_HASH_LETTERS = 12


def fact_table(
    study: Study, findings: Findings, before: str | None, trainings: list[Training]
) -> Table:
    """List what a reader must know first.

    Parameters
    ----------
    study, findings
        The study and its measures.
    before : str or None
        Method of the run that evaluates the weights before training.
    trainings : list of Training
        Of the run.
    """
    record = study.record
    facts = [
        ("Weights before", _weights(study, before)),
        ("Trained on", _trained_on(study, findings, trainings)),
        ("Weights compared", listing([study.labels[name] for name in findings.trained])),
        ("Main protocol", study.protocol_labels[record.main]),
        ("Other protocols", listing([p.label for p in record.protocols if p.name != record.main])),
        ("Score", f"{f1_at(study.run.threshold)}, profile {study.run.profile}"),
    ]
    who: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name, pairs in record.replayed.items():
        if pairs:
            who.setdefault(pairs, []).append(study.labels[name])
    facts += [
        ("Met again", f"by {listing(names)}: {_experiments(pairs)}") for pairs, names in who.items()
    ]
    facts += [("Without scores", f"{what}: {why}") for what, why in study.absent]
    shown = [(name, value or NOTHING) for name, value in facts]
    return Table(
        name="facts",
        title="The study",
        header=("", record.title or record.name or "This study"),
        rows=tuple(Row(pair) for pair in shown),
        frame=pd.DataFrame(shown, columns=["fact", "value"]),
        text=frozenset({0, 1}),
    )


def case_count_table(study: Study) -> Table:
    """Count scored cases and experiments, seen and unseen, by modality."""
    cases = study.scores[["case", "modality", "experiment", "seen"]].drop_duplicates("case")
    rows, frame = [], []
    for group in worth_showing(study.modalities):
        here = cases if group == ALL else cases[cases["modality"] == group]
        cells = [group_title(group)]
        for part in (UNSEEN, SEEN):
            mine = here[here["seen"] == (part == SEEN)]
            places = mine[["modality", "experiment"]].drop_duplicates()
            names = listing([_place(row, group) for row in records(places)]) if len(places) else ""
            cells += [f"{len(mine):,}", names if len(places) < 5 else f"{len(places)} experiments"]
            frame.append((group, part, len(mine), len(places)))
        rows.append(Row(tuple(cells)))
    return Table(
        name="cases",
        title="Cases scored",
        header=("", "Cases", "Experiments", "Cases", "Experiments"),
        rows=tuple(rows),
        frame=pd.DataFrame(frame, columns=["modality", "part", "cases", "experiments"]),
        spans=(("", 1), ("Unseen", 2), ("Seen", 2)),
        text=frozenset({0, 2, 4}),
        notes=(
            "Seen, plain fine-tuning had images of the same modality and experiment, though not "
            "these; unseen, it had none.",
        ),
    )


def _place(row: Record, group: str) -> str:
    name = row["experiment"] or "unnamed"
    return f"{name} ({row['modality']})" if group == ALL else str(name)


def _weights(study: Study, before: str | None) -> str:
    described = (method for method in methods_of(study.run) if method["name"] == before)
    weights = [weight for method in described for weight in method["weights"]]
    return "; ".join(f"{weight['name']}{_short_hash(weight['hashes'])}" for weight in weights)


def _short_hash(hashes: list[tuple[str, str]]) -> str:
    digest = dict(hashes).get("network") or next((digest for _, digest in hashes), "")
    return f", SHA256 {digest[:_HASH_LETTERS]}…" if digest else ""


def _trained_on(study: Study, findings: Findings, trainings: list[Training]) -> str:
    wanted = study.remedies[findings.subject].training
    images = [count(t.n_train, "image") for t in trainings if t.name == wanted and t.n_train]
    places = study.record.seen
    parts = [*images, _experiments(places) if places else "no named experiment"]
    return ": ".join(parts)


def _experiments(pairs: Sequence[tuple[str, str]]) -> str:
    places = [
        f"{experiment or 'unnamed'} ({modality})" for modality, experiment in map(placed, pairs)
    ]
    return f"{'experiment' if len(places) == 1 else 'experiments'} {listing(places)}"
