"""Tables, figures and one self-contained page, made from a run directory alone."""

from __future__ import annotations

from cellharness.report.build import build_report
from cellharness.report.loading import ReportError

__all__ = ["ReportError", "build_report"]
