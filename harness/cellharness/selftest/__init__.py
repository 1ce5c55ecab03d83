"""Trying the installed methods on a machine: right masks on its CPU, and on a GPU at what speed."""

from __future__ import annotations

from cellharness.selftest.part import FAILED, Part, Result, Seen
from cellharness.selftest.session import plan, run
from cellharness.selftest.written import read_results, to_markdown, write_results

__all__ = [
    "FAILED",
    "Part",
    "Result",
    "Seen",
    "plan",
    "read_results",
    "run",
    "to_markdown",
    "write_results",
]
