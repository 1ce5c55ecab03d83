"""A whole comparison of score tables: read, combined, tested."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellharness.comparing.combine import combine
from cellharness.comparing.sources import ScoreChoice, SourceError, read_source
from cellharness.comparing.tables import comparison_tables
from cellharness.own_files import OwnFiles
from cellharness.printing.table import TABLE_SUFFIXES, Table, write_table
from cellharness.statistics.contrasts import ContrastError, Unit


@dataclass(frozen=True)
class Comparison:
    """Several runs or score tables side by side.

    Attributes
    ----------
    methods : DataFrame
        One row per modality and method: number of cases, median and mean of all its cases and of
        the common ones.
    pairs : DataFrame
        One row per modality and pair of methods: differences with intervals, p values, verdict.
    ranks : DataFrame
        One row per ranking scheme and method.
    warnings : tuple of str
        What a reader must know before trusting the comparison.
    tables : tuple of Table
        The three frames as they are printed, with titles and notes.
    """

    methods: pd.DataFrame
    pairs: pd.DataFrame
    ranks: pd.DataFrame
    warnings: tuple[str, ...]
    tables: tuple[Table, ...]

    def write(self, folder: Path, *, overwrite: bool = False) -> None:
        """Write each table as csv, md and tex into a folder, which is made if absent.

        Raises
        ------
        ForeignFilesError
            A file of such a name is there that cellharness did not write, or that was changed
            since, and `overwrite` is off; nothing was written.
        """
        own = OwnFiles(folder)
        names = [f"{table.name}{suffix}" for table in self.tables for suffix in TABLE_SUFFIXES]
        own.refuse_foreign(names, overwrite=overwrite)
        folder.mkdir(parents=True, exist_ok=True)
        for table in self.tables:
            write_table(table, folder)
        own.add(names)


def compare_sources(
    sources: Iterable[Path],
    choice: ScoreChoice,
    baseline: str | None = None,
    unit: Unit | None = None,
) -> Comparison:
    """Read several sources of scores and compare their methods on common cases.

    Parameters
    ----------
    sources : iterable of Path
        See :func:`cellharness.comparing.sources.read_source`.
    choice : ScoreChoice
        Which scores are compared.
    baseline : str or None
        Compare the others with this method; None for all pairs.
    unit : {"experiment", "image"} or None
        What is independent; None is experiments where every case names one, else images.

    Raises
    ------
    SourceError
        A source cannot be read, there is nothing to compare, or the baseline is no method.
    """
    combined = combine({path: read_source(path, choice) for path in sources})
    try:
        tables = comparison_tables(combined, choice, baseline, unit)
    except ContrastError as error:
        raise SourceError(str(error)) from error
    frames = {name: pd.DataFrame() for name in ("methods", "pairs", "ranks")}
    frames |= {table.name: table.frame for table in tables}
    return Comparison(**frames, warnings=combined.warnings, tables=tuple(tables))
