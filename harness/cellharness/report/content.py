"""What was made for a page, on its way into the template."""

from __future__ import annotations

from dataclasses import dataclass, field

from cellharness.report.rankings.ranked import Ranked
from cellharness.report.rendering import Table
from cellharness.report.tiles import CaseTiles
from cellharness.report.trainings import Training


@dataclass
class Content:
    """Figures, tables and pictures of one report.

    Attributes
    ----------
    figures
        Name to the SVG in one and in two columns' width.
    tables
        Name to table.
    examples
        Modality and its case; None where no case may be shown.
    extremes
        Method to its best and its worst cases as pictures.
    licence_rule
        Which images may be shown, in words.
    panel_methods
        Methods that have pictures.
    trainings
        Trainings of the run.
    ranked
        Rankings of the methods; None where there is nothing to rank.
    """

    figures: dict[str, tuple[str, str]] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    examples: list[tuple[str, CaseTiles | None]] = field(default_factory=list)
    extremes: dict[str, tuple[list[CaseTiles], list[CaseTiles]]] = field(default_factory=dict)
    licence_rule: str = ""
    panel_methods: list[str] = field(default_factory=list)
    trainings: list[Training] = field(default_factory=list)
    ranked: Ranked | None = None
