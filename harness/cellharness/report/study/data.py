"""What the report of a forgetting study is made of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from cellharness.analysis.findings import Findings, measure
from cellharness.analysis.run_data import RunData
from cellharness.analysis.study import Study
from cellharness.printing.table import Row
from cellharness.printing.wording import count, f1_at, listing
from cellharness.report.declare import Report, Section
from cellharness.report.provenance import ORACLE, banners
from cellharness.report.sensitivity import power_sentence
from cellharness.report.study import sentences
from cellharness.report.style import GREY, INK, LineStyle, method_styles
from cellharness.statistics import ALL
from cellharness.statistics.estimates import interval_head
from cellharness.statistics.plasticity import how_compared
from cellharness.statistics.power import power_table
from cellharness.statistics.staged_scores import SEEN, UNSEEN
from cellharness.vocabulary import PRETRAINED, PRETRAINED_LABEL

if TYPE_CHECKING:
    from cellharness.report.study.beside import Pictures, Standing
    from cellharness.report.study.cells import CellFindings

#: The ends of ColorBrewer's red-blue scale, which colour-blind readers tell apart: the same in
#: every figure, and used for nothing else.
LOSS_COLOUR, GAIN_COLOUR = "#B2182B", "#2166AC"

BEFORE_STYLE = LineStyle(GREY, "o", (2, 1.2))
_PLAIN_STYLE = LineStyle(INK, "o", (), 1.4)
_DERIVED_COLOUR, _IN_PLACE_OF_BLACK = "#7A4B00", "#882255"
# More trainings than these have no bands, but for the subject: bands over bands are mud.
_MOST_BANDS = 4


class Words(NamedTuple):
    """The result in sentences, a paragraph each; "" where there is nothing to say."""

    unseen: str
    seen: str
    causes: str
    remedies: str
    power: str
    change: str

    @property
    def answers(self) -> list[tuple[str, str]]:
        """What is asked of a study, with the answer; without those that have none."""
        asked = ("Forgotten", "Learned", "Cause", "Remedies", "Could be shown")
        return [(question, text) for question, text in zip(asked, self, strict=False) if text]


@dataclass(frozen=True)
class StudyReport(Report):
    """A forgetting study, and what was found in it."""

    study: Study

    @property
    def sections(self) -> Sequence[Section]:
        """Sections of the page in order."""
        from cellharness.report.study import SECTIONS

        return SECTIONS

    @property
    def title(self) -> str:
        """Heading of the page."""
        record = self.study.record
        return record.title or record.name or self.run.record.title or "Forgetting study"

    @property
    def subject(self) -> str:
        """What is compared, in words."""
        return count(len(self.findings.trained), "set") + " of trained weights"

    @property
    def banners(self) -> list[tuple[str, str]]:
        """As for any run, but for protocols that use the truth, which are a study's purpose."""
        found = [banner for banner in banners(self.run) if banner[0] != ORACLE]
        if len(found) < len(banners(self.run)):
            said = (
                "At least one protocol takes something from the truth, such as a diameter, so that "
                "weights are compared and not ways of guessing it; its numbers are upper bounds."
            )
            found.append(("Truth in use", said))
        return found

    @property
    def suspects(self) -> RunData:
        """The weights before training and the teams: the others learned here."""
        before = self.shown_methods[PRETRAINED]
        return replace(self.run, methods=(before, *self.study.teams))

    @property
    def first_pair(self) -> tuple[str, str]:
        """Before and after the subject."""
        return self.shown_methods[PRETRAINED], self.shown_methods[self.findings.subject]

    @cached_property
    def styles(self) -> dict[str, LineStyle]:
        """Look of every method: that of its weights; masks of teams have none here."""
        remedies = {entry.method: entry.remedy for entry in self.study.record.methods}
        looks = self.looks
        return {name: looks.get(remedies.get(name, ""), BEFORE_STYLE) for name in self.run.methods}

    @cached_property
    def looks(self) -> dict[str, LineStyle]:
        """Look of every remedy, and of the weights before training."""
        derived = [name for name, remedy in self.study.remedies.items() if remedy.is_derived]
        return remedy_styles(list(self.study.remedies), derived)

    @cached_property
    def findings(self) -> Findings:
        """Every measure."""
        return measure(self.study)

    @cached_property
    def cells(self) -> CellFindings:
        """What became of the true cells."""
        from cellharness.report.study.cells import examine_cells

        return examine_cells(self)

    @cached_property
    def pictures(self) -> Pictures:
        """The cases that lost and gained most."""
        from cellharness.report.study.beside import choose_pictures

        return choose_pictures(self)

    @cached_property
    def standing(self) -> Standing:
        """Medians beside those of the teams."""
        from cellharness.report.study.beside import stand

        return stand(self)

    @cached_property
    def words(self) -> Words:
        """The result in sentences."""
        found, labels, causes = self.findings, self.study.labels, ""
        about = (found.changes, found.subject)
        if found.causes.parts is not None:
            quoted = {name: f"“{label}”" for name, label in self.study.protocol_labels.items()}
            causes = sentences.cause_words(found.causes.parts, found.causes.protocol, quoted)
        return Words(
            sentences.overall_words(*about, UNSEEN, labels),
            sentences.overall_words(*about, SEEN, labels),
            causes,
            sentences.remedy_words(list(found.against_plain.values()), labels),
            self._power(),
            sentences.change_words(*about, labels),
        )

    def _power(self) -> str:
        """Say which change the unseen images could have shown."""
        table = self.findings.table
        rows = np.flatnonzero(table.part(UNSEEN))
        if not rows.size:
            return ""
        unit, units = table.units()
        pairs = table.pairs(self.study.record.main, stages=self.findings.stages)
        changes = [(pair.after - pair.before)[rows] for pair in pairs]
        frame = power_table(changes, table.modality[rows], units[rows], unit=unit)
        return power_sentence(frame, "on unseen experiments, before and after a training,")

    @cached_property
    def shown_methods(self) -> dict[str, str]:
        """By remedy, methods before training, of the subject and of the remedy beside it.

        `PRETRAINED` stands for the weights that the subject started from.
        """
        found, main = self.findings, self.study.record.main
        # As the statistics do: a training's own start, or else that of all.
        own = (found.subject, main, 0) in found.table.runs
        shown = {PRETRAINED: self.study.method(found.subject if own else PRETRAINED, 0, main)}
        for name in filter(None, (found.subject, found.best)):
            shown[name] = self.study.method(name, found.stages[name], main)
        return shown

    def stage_label(self, remedy: str) -> str:
        """Name weights in a sentence or a figure: the remedy and its epoch."""
        if remedy == PRETRAINED:
            return PRETRAINED_LABEL
        return f"{self.study.labels[remedy]}, epoch {self.findings.stages[remedy]}"

    @property
    def score(self) -> str:
        """Name of the score."""
        return f1_at(self.run.threshold)

    @property
    def under(self) -> str:
        """The main protocol, in words."""
        return f"main protocol “{self.study.protocol_labels[self.study.record.main]}”"

    @property
    def unit(self) -> str:
        """What is independent."""
        return str(self.findings.changes["unit"].iloc[0])

    @property
    def interval(self) -> str:
        """What the intervals are."""
        return f"{interval_head(self.findings.changes)} by {self.unit}"

    @property
    def n_cases(self) -> str:
        """How many cases of either part, in words."""
        parts = self.findings.parts or (UNSEEN, SEEN)
        return listing([f"{self.findings.cases(ALL, part):,} {part}" for part in parts])

    @property
    def followed(self) -> list[str]:
        """Trainings with epochs of their own, which weights made from others have not."""
        return [n for n in self.findings.trained if not self.study.remedies[n].is_derived]

    @property
    def banded(self) -> list[str]:
        """Trainings whose course has a band."""
        names = self.followed
        return names if len(names) <= _MOST_BANDS else [self.findings.subject]

    @property
    def has_course(self) -> bool:
        """Whether a training was scored at more than its start and its end."""
        rows = self.findings.curves[self.findings.curves["remedy"].isin(self.followed)]
        return bool((rows.groupby("remedy")["stage"].nunique() > 2).any())

    @property
    def mixed(self) -> list[str]:
        """Weights between those before training and the subject's, and these; by their share."""
        trained, subject = self.findings.trained, self.findings.subject
        between = [
            remedy
            for name, remedy in self.study.remedies.items()
            if name in trained and remedy.is_derived and remedy.training == subject
        ]
        if all(remedy.mixing is not None for remedy in between):
            between.sort(key=lambda remedy: remedy.mixing or 0.0)
        return [*(remedy.name for remedy in between), subject] if between else []

    @property
    def how_compared(self) -> str:
        """When a gain is called comparable, in words."""
        return how_compared(pd.DataFrame(self.findings.comparison))

    @property
    def published(self) -> tuple[str, ...]:
        """Protocols before and after of the published comparison, as they are quoted."""
        pair, labels = self.study.record.published, self.study.protocol_labels
        return (f"“{labels[pair.before]}”", f"“{labels[pair.after]}”") if pair else ()

    def row(self, remedy: str, *cells: str) -> Row:
        """Make the row of a remedy."""
        return Row((self.study.labels[remedy], *cells), colour=self.looks[remedy].colour)

    def labelled(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Put the name in print beside that of a remedy."""
        columns = list(frame.columns)
        columns.insert(columns.index("remedy") + 1, "label")
        return frame.assign(label=[self.study.labels[n] for n in frame["remedy"]])[columns]


def remedy_styles(remedies: Sequence[str], derived: Collection[str] = ()) -> dict[str, LineStyle]:
    """Give each remedy its look: the first, plain fine-tuning, black, the others in colour.

    Those made from the weights of others, `derived`, share a colour. The look of the weights before
    training stands under `PRETRAINED`.
    """
    plain, *others = remedies
    styles = {PRETRAINED: BEFORE_STYLE, plain: _PLAIN_STYLE}
    for name, style in method_styles([name for name in others if name not in derived]).items():
        # Black is plain fine-tuning's alone.
        black = style.colour == "#000000"
        styles[name] = replace(style, colour=_IN_PLACE_OF_BLACK) if black else style
    for name, style in method_styles([name for name in others if name in derived]).items():
        styles[name] = replace(style, colour=_DERIVED_COLOUR)
    return styles


def part_title(part: str) -> str:
    """Spell a part in headings."""
    return f"{part.capitalize()} experiments"
