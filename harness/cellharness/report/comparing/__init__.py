"""Scores of several runs or programs side by side, for ``cellharness compare``."""

from __future__ import annotations

from cellharness.report.comparing.combine import Combined, combine
from cellharness.report.comparing.comparison import Comparison, compare_sources
from cellharness.report.comparing.sources import ScoreChoice, SourceError, read_source
from cellharness.report.comparing.tables import comparison_tables

__all__ = [
    "Combined",
    "Comparison",
    "ScoreChoice",
    "SourceError",
    "combine",
    "compare_sources",
    "comparison_tables",
    "read_source",
]
