"""The cases that lost and gained most, as pictures: truth, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cellharness.report.forgetting.cells import shown_methods
from cellharness.report.forgetting.findings import Findings, stage_label
from cellharness.report.forgetting.study import Study
from cellharness.report.loading import RunData
from cellharness.report.selection import showable
from cellharness.report.tiles import CaseTiles, case_tiles
from cellharness.vocabulary import PRETRAINED, PRETRAINED_LABEL, SEGMENTED

CHOICE_RULE = (
    "the cases with the largest fall and the largest rise of F1 under the main protocol, of those "
    "with a mask before and after (the first by name where two are level)"
)

#: Of either kind.
_SHOWN = 2


@dataclass(frozen=True)
class Chosen:
    """One case to be shown.

    Attributes
    ----------
    kind
        ``"lost"`` or ``"gained"``.
    change
        Of its F1.
    seen
        Whether its experiment was trained on.
    tiles
        Truth and outlines, or why there are none.
    """

    kind: str
    change: float
    seen: bool
    tiles: CaseTiles


@dataclass(frozen=True)
class Pictures:
    """What may be shown.

    Attributes
    ----------
    chosen
        Those that lost first, the most before the others.
    methods
        Methods of the run that are shown, to their names in print.
    remedies
        Which remedy each method is of.
    licence_rule
        Which images may be shown, in words.
    n_allowed
        How many cases may be.
    """

    chosen: Sequence[Chosen]
    methods: dict[str, str]
    remedies: dict[str, str]
    licence_rule: str
    n_allowed: int

    def of(self, kind: str) -> list[Chosen]:
        """Those that lost, or those that gained."""
        return [chosen for chosen in self.chosen if chosen.kind == kind]


def choose_pictures(study: Study, findings: Findings) -> Pictures:
    """Choose and cut out the cases that the subject lost and gained most on.

    Parameters
    ----------
    study, findings
        The study and its measures.
    """
    shown = shown_methods(study, findings)
    methods = {
        method: PRETRAINED_LABEL if remedy == PRETRAINED else stage_label(study, findings, remedy)
        for remedy, method in shown.items()
    }
    allowed, rule = showable(study.run)
    run = replace(study.run, labels={**study.run.labels, **methods})
    return Pictures(
        chosen=[
            Chosen(kind, change, seen, case_tiles(run, case, list(methods)))
            for kind, case, change, seen in _choose(study, findings, run, shown, allowed)
        ],
        methods=methods,
        remedies={method: remedy for remedy, method in shown.items()},
        licence_rule=rule,
        n_allowed=len(allowed & set(findings.table.cases)),
    )


def _choose(
    study: Study, findings: Findings, run: RunData, shown: dict[str, str], allowed: set[str]
) -> list[tuple[str, str, float, bool]]:
    pairs = findings.table.pairs(study.record.main)
    pair = next(pair for pair in pairs if pair.remedy == findings.subject)
    two = [shown[name] for name in (PRETRAINED, findings.subject)]
    masks = run.main[run.main["status"].isin(SEGMENTED) & run.main["method"].isin(two)]
    counts = masks["case"].value_counts()
    masked = set(counts[counts == len(two)].index)
    usable = [
        (case, float(by), bool(seen))
        for case, by, seen in zip(
            findings.table.cases, pair.after - pair.before, findings.table.seen, strict=True
        )
        if case in masked and case in allowed
    ]
    # Cases are sorted by name, and so are those that are level.
    lost = sorted((c for c in usable if c[1] < 0), key=lambda c: c[1])
    gained = sorted((c for c in usable if c[1] > 0), key=lambda c: -c[1])
    return [("lost", *c) for c in lost[:_SHOWN]] + [("gained", *c) for c in gained[:_SHOWN]]
