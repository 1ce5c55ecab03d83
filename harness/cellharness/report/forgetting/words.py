"""The result of a study in sentences."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cellharness.report.forgetting.findings import Findings
from cellharness.report.forgetting.sentences import in_words, of_remedies, overall_in_words
from cellharness.report.forgetting.study import Study
from cellharness.report.sensitivity import power_sentence
from cellharness.report.wording import listing
from cellharness.statistics.contrasts import HIGHER
from cellharness.statistics.power import power_table
from cellharness.statistics.staged_scores import SEEN, UNSEEN


class Words(NamedTuple):
    """The result in sentences, a paragraph each; "" where there is nothing to say.

    Attributes
    ----------
    unseen, seen
        What the subject changed over all images of either kind of experiments.
    change
        The same, and by modality.
    causes
        What the protocol explains.
    remedies
        Which remedies lose less.
    in_short
        The same in one sentence.
    power
        Which change the unseen images could have shown.
    """

    unseen: str
    seen: str
    change: str
    causes: str
    remedies: str
    in_short: str
    power: str

    @property
    def answers(self) -> list[tuple[str, str]]:
        """What is asked of a study, with the answer; without those that have none."""
        asked = {
            "Forgotten": self.unseen,
            "Learned": self.seen,
            "Cause": self.causes,
            "Remedies": self.in_short,
            "Could be shown": self.power,
        }
        return [(question, answer) for question, answer in asked.items() if answer]


def result_in_words(study: Study, findings: Findings) -> Words:
    """Say the result in sentences.

    Parameters
    ----------
    study, findings
        The study and its measures.
    """
    changes, subject = findings.changes, findings.subject
    split, comparison = findings.causes.split, findings.comparison
    labels = study.labels
    told = in_words(changes, subject, labels=labels)
    causes = remedies = ""
    if findings.causes.can_be_split:
        # A protocol may have the name of a remedy.
        quoted = {name: f"“{label}”" for name, label in study.protocol_labels.items()}
        more = in_words(
            changes, subject, None, split, protocol=findings.causes.protocol,
            labels=quoted | {subject: labels[subject]},
        )  # fmt: skip
        causes = more.removeprefix(told).strip()
    if comparison is not None:
        more = in_words(changes, subject, comparison, labels=labels)
        remedies = more.removeprefix(told).strip()
    unseen, seen = (overall_in_words(changes, subject, p, labels) for p in (UNSEEN, SEEN))
    in_short, power = _in_short(study, findings), _power(study, findings)
    return Words(unseen, seen, told, causes, remedies, in_short, power)


def _power(study: Study, findings: Findings) -> str:
    table = findings.table
    rows = np.flatnonzero(table.part(UNSEEN))
    if not rows.size:
        return ""
    unit, units = table.units()
    changes = [
        (pair.after - pair.before)[rows]
        for pair in table.pairs(study.record.main, stages=findings.stages)
    ]
    frame = power_table(changes, table.modality[rows], units[rows], unit=unit)
    return power_sentence(frame, "on unseen experiments, before and after a training,")


def _in_short(study: Study, findings: Findings) -> str:
    """Name the remedies that are shown to lose less, first those with a comparable gain."""
    if findings.comparison is None:
        return ""
    rows = [both for both in findings.against_plain.values() if both[0]["n_images"]]
    plain = study.labels[study.record.plain]
    better = [(kept, gain) for kept, gain in rows if kept["verdict"] == HIGHER]
    if not better:
        return f"No remedy is shown to lose less than {plain} on unseen experiments." * bool(rows)
    both = [study.labels[kept["remedy"]] for kept, gain in better if gain["comparable"]]
    one = len(better) == 1
    who = of_remedies(len(better), len(rows))
    if len(rows) == 1:
        who = study.labels[better[0][0]["remedy"]]
    text = f"{who} {'is' if one else 'are'} shown to lose less than {plain} on unseen experiments"
    if not both:
        rest = "that its gain on seen ones is comparable is not shown"
        return f"{text}; {rest if one else 'a comparable gain on seen ones is shown for none'}."
    named = "" if len(rows) == 1 else f": {listing(both)}"
    return f"{text}{',' if len(rows) == 1 else ';'} at a comparable gain on seen ones{named}."
