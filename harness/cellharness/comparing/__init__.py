"""Scores of several runs or programs side by side, for ``cellharness compare``."""

from __future__ import annotations

from cellharness.comparing.combine import Combined, combine
from cellharness.comparing.comparison import Comparison, compare_sources
from cellharness.comparing.sources import ScoreChoice, SourceError, read_source
from cellharness.comparing.tables import comparison_tables

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
