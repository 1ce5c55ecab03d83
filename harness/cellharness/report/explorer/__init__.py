"""An interactive page beside the report: every case, any two methods, from disk and offline."""

from __future__ import annotations

from cellharness.report.explorer.build import build_explorer, explorer_meanwhile

__all__ = ["build_explorer", "explorer_meanwhile"]
