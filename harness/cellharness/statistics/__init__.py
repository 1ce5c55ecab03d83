"""Pure functions on the long score table; nothing here reads files or needs a model."""

from __future__ import annotations

from cellharness.statistics.contrasts import Estimate, contrast
from cellharness.statistics.summary import (
    ALL,
    UNKNOWN_MODALITY,
    check_scores,
    count_statuses,
    differing_cases,
    profile_differences,
    summarise,
)

__all__ = [
    "ALL",
    "UNKNOWN_MODALITY",
    "Estimate",
    "check_scores",
    "contrast",
    "count_statuses",
    "differing_cases",
    "profile_differences",
    "summarise",
]
