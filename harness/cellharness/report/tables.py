"""All tables of a report, in the order of the page."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from cellharness.report.accuracy_tables import (
    accuracy_table,
    difference_table,
    experiment_table,
    metric_table,
    sweep_table,
)
from cellharness.report.case_tables import extremes_table, failure_table
from cellharness.report.cost_table import cost_table
from cellharness.report.loading import RunData
from cellharness.report.rendering import Table
from cellharness.report.running_time_table import running_time_table
from cellharness.report.seen_unseen import seen_table

_LISTED_EXTREMES = 5


def measured_tables(
    run: RunData, summary: pd.DataFrame, colours: Mapping[str, str]
) -> dict[str, Table]:
    """Make every table of measured values that has something in it.

    Parameters
    ----------
    run : RunData
        The run.
    summary : DataFrame
        From `cellharness.statistics.summarise`, by modality, all profiles and thresholds.
    colours : mapping of str to str
        Hex colour of each method.

    Returns
    -------
    dict of str to Table
        By name.
    """
    made = (
        accuracy_table(run, summary, colours),
        difference_table(run, colours),
        seen_table(run, colours),
        sweep_table(run, summary, colours),
        experiment_table(run),
        metric_table(run, colours),
        extremes_table(run, colours, _LISTED_EXTREMES),
        failure_table(run, colours),
        cost_table(run, colours),
        running_time_table(run, colours),
    )
    return {table.name: table for table in made if table is not None}
