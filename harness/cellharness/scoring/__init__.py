"""Score predicted cells against true ones, in two profiles: `challenge` and `strict`.

`score_pair` takes two label images, `score_folders` two folders, and `score_files` a list of
cases as a run records them. Nothing here needs a model's environment.
"""

from __future__ import annotations

from cellharness.scoring.files import STATUSES, CaseScores, Job, score_files
from cellharness.scoring.folders import pair_folders, score_folders
from cellharness.scoring.pair import score_pair
from cellharness.scoring.score import Match, Score
from cellharness.scoring.validation import BOTH_EMPTY, PROFILES, ScoringError
from cellharness.vocabulary import METRICS

__all__ = [
    "BOTH_EMPTY",
    "METRICS",
    "PROFILES",
    "STATUSES",
    "CaseScores",
    "Job",
    "Match",
    "Score",
    "ScoringError",
    "pair_folders",
    "score_files",
    "score_folders",
    "score_pair",
]
