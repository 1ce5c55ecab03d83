"""The report of a comparison: its sections in the order of the page."""

from __future__ import annotations

from cellharness.report.closing import definitions, provenance
from cellharness.report.comparison.accuracy import accuracy
from cellharness.report.comparison.cases import best_and_worst, examples, failures
from cellharness.report.comparison.cost import cost
from cellharness.report.comparison.data import Comparison, load_comparison
from cellharness.report.comparison.ranking import ranking
from cellharness.report.comparison.result import result
from cellharness.report.comparison.robustness import profiles, seen, sweep
from cellharness.report.training import training

__all__ = ["SECTIONS", "Comparison", "load_comparison"]

SECTIONS = (
    result, accuracy, ranking, sweep, seen, training, profiles, examples, best_and_worst, failures,
    cost, definitions("definitions_comparison.html"), provenance,
)  # fmt: skip
