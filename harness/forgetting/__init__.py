"""The forgetting study: one configuration of weights over time, remedies and protocols."""

from __future__ import annotations

from harness.forgetting.config import ForgettingConfig, load_study
from harness.forgetting.study import run_study

__all__ = ["ForgettingConfig", "load_study", "run_study"]
