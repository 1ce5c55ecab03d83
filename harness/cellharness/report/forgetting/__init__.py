"""The report of a forgetting study, made from its run directory alone."""

from __future__ import annotations

from cellharness.report.forgetting.build import build_forgetting_report

__all__ = ["build_forgetting_report"]
