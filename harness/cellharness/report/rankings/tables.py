"""The tables behind the figures of the section."""

from __future__ import annotations

from collections.abc import Mapping

from cellharness.report.rankings.frequency_table import frequency_table
from cellharness.report.rankings.metric_rank_table import metric_rank_table
from cellharness.report.rankings.ranked import Ranked
from cellharness.report.rankings.ranking_table import ranking_table
from cellharness.report.rankings.scheme_table import scheme_table
from cellharness.report.rankings.significance_table import significance_table
from cellharness.report.rankings.stability_table import stability_table
from cellharness.report.rendering import Table


def ranking_tables(ranked: Ranked, colours: Mapping[str, str]) -> dict[str, Table]:
    """Make the tables of the section.

    Parameters
    ----------
    ranked : Ranked
        Rankings of the run.
    colours : mapping of str to str
        Hex colour of each method.

    Returns
    -------
    dict of str to Table
        By name.
    """
    made = (
        ranking_table(ranked, colours),
        significance_table(ranked, colours),
        frequency_table(ranked, colours),
        scheme_table(ranked, colours),
        stability_table(ranked),
        metric_rank_table(ranked, colours),
    )
    return {table.name: table for table in made}
