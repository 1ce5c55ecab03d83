"""Sections of a report, and the figures, tables and words that are declared in them.

What is shown is declared once, where it is made, with all that belongs to it::

    accuracy = Section("accuracy", "Accuracy")

    @accuracy.figure("f1", alt="Box plot of F1", caption="{{ d.n_images }}, one dot an image.")
    def boxes(d: Comparison, width_mm: float) -> Figure: ...

    @accuracy.table(folded=True)
    def medians(d: Comparison) -> Table | None: ...

The builder asks the sections for what they have; there is no other list of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import pandas as pd
from matplotlib.figure import Figure

from cellharness.analysis.exposure import Overlap, exposures, overlaps
from cellharness.analysis.run_data import RunData
from cellharness.analysis.trainings import Training, load_trainings
from cellharness.printing.table import Table
from cellharness.printing.wording import count
from cellharness.report.cutouts import Gallery
from cellharness.report.provenance import banners
from cellharness.report.selection import showable
from cellharness.report.style import LineStyle

Make = TypeVar("Make", bound=Callable[..., Any])


@dataclass(frozen=True)
class FigureItem:
    """A figure: name of its files, how it is drawn at a printed width in mm, and its texts.

    ``alt``, ``caption`` and ``heading`` are Jinja templates, in which ``d`` is the data of the
    report; a caption may be a function of it. One that is not ``inline`` is a file for print only,
    two columns wide.
    """

    name: str
    draw: Callable[[Any, float], Figure]
    alt: str
    caption: str | Callable[[Any], str]
    heading: str
    when: Callable[[Any], bool]
    inline: bool = True


@dataclass(frozen=True)
class TableItem:
    """A table: how it is made, or None where there is nothing in it, and whether it is folded."""

    make: Callable[[Any], Table | None]
    folded: bool | Callable[[Any], bool]


@dataclass(frozen=True)
class WordsItem:
    """Paragraphs, and the class that the page gives them."""

    write: Callable[[Any], str | Sequence[str]]
    look: str


@dataclass(frozen=True)
class BlockItem:
    """A piece of the page with a template of its own; None for its context leaves it out."""

    template: str
    context: Callable[[Any], Mapping[str, Any] | None]


class Section:
    """A part of a page with a heading; one with nothing in it is left out.

    Parameters
    ----------
    name : str
        Anchor in the page.
    title : str
        Heading.
    contents : str
        Entry in the contents; by default the heading.
    """

    def __init__(self, name: str, title: str, contents: str = "") -> None:
        self.name, self.title, self.contents = name, title, contents or title
        self.items: list[FigureItem | TableItem | WordsItem | BlockItem] = []

    def figure(
        self,
        name: str,
        *,
        alt: str = "",
        caption: str | Callable[[Any], str] = "",
        heading: str = "",
        when: Callable[[Any], bool] = lambda _: True,
        inline: bool = True,
    ) -> Callable[[Make], Make]:
        """Declare the figure that a function ``(data, width_mm) -> Figure`` draws."""

        def declare(draw: Make) -> Make:
            self.items.append(FigureItem(name, draw, alt, caption, heading, when, inline))
            return draw

        return declare

    def table(self, *, folded: bool | Callable[[Any], bool] = False) -> Callable[[Make], Make]:
        """Declare the table that a function ``(data) -> Table | None`` makes."""

        def declare(make: Make) -> Make:
            self.items.append(TableItem(make, folded))
            return make

        return declare

    def words(self, look: str = "") -> Callable[[Make], Make]:
        """Declare the paragraphs that a function ``(data) -> str | list of str`` writes."""

        def declare(write: Make) -> Make:
            self.items.append(WordsItem(write, look))
            return write

        return declare

    def block(self, template: str) -> Callable[[Make], Make]:
        """Declare a template whose context a function ``(data) -> mapping | None`` gives."""

        def declare(context: Make) -> Make:
            self.items.append(BlockItem(template, context))
            return context

        return declare


@dataclass(frozen=True)
class Report:
    """What a report is made of: a run, and what was found in it, computed once.

    Attributes
    ----------
    run
        The run.
    """

    run: RunData

    @property
    def styles(self) -> Mapping[str, LineStyle]:
        """Look of each method of the run."""
        raise NotImplementedError

    @property
    def sections(self) -> Sequence[Section]:
        """Sections of the page in order."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """Heading of the page."""
        return self.run.record.title or self.run.record.name or "Comparison"

    @property
    def subject(self) -> str:
        """What is compared, in words."""
        return count(len(self.run.methods), "method")

    @property
    def first_pair(self) -> tuple[str, str] | None:
        """Methods that the explorer shows first; None leaves it to the explorer."""
        return None

    @property
    def banners(self) -> list[tuple[str, str]]:
        """What must be seen before any number, each with a short head."""
        return banners(self.run)

    @property
    def suspects(self) -> RunData:
        """The run with the methods that may have met test images in training."""
        return self.run

    @cached_property
    def colours(self) -> dict[str, str]:
        """Hex colour of each method."""
        return {method: style.colour for method, style in self.styles.items()}

    @cached_property
    def licences(self) -> tuple[set[str], str]:
        """Cases whose pixels may be shown, and the rule in words."""
        return showable(self.run)

    @cached_property
    def overlaps(self) -> list[Overlap]:
        """Hints that methods have met test images in training."""
        return overlaps(self.suspects, self.exposures)

    @cached_property
    def exposures(self) -> pd.DataFrame:
        """What each method had met of each image before, see `exposures`."""
        return exposures(self.run)

    @cached_property
    def trainings(self) -> list[Training]:
        """Trainings of the run."""
        return load_trainings(self.run)

    @cached_property
    def gallery(self) -> Gallery:
        """Pictures that the page keeps."""
        return Gallery()

    @property
    def n_images(self) -> str:
        """How many images were scored, in words."""
        return count(self.run.scores["case"].nunique(), "image")
