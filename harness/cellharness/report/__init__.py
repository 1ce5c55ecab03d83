"""Tables, figures and one self-contained page, made from a run directory alone."""

from __future__ import annotations

from cellharness.report.build import build_report
from cellharness.run_directory import RunDirectoryError

__all__ = ["RunDirectoryError", "build_report"]
