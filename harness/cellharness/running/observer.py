"""Whoever watches a run: a progress bar, a test, or nobody."""

from __future__ import annotations

from typing import Protocol

from cellharness.running.ledger import Outcome


class Observer(Protocol):
    """Somebody who watches a run, such as a progress bar."""

    def noted(self, text: str) -> None:
        """Something that whoever runs it should know, such as a file that was mended."""

    def method_started(self, label: str, total: int, reused: int) -> None:
        """A method begins; ``reused`` of its ``total`` cases are there already."""

    def case_finished(self, label: str, case: str, outcome: Outcome) -> None:
        """A case is done and recorded."""

    def scoring_started(self, total: int) -> None:
        """All masks are there; ``total`` pairs are scored now."""

    def pair_scored(self) -> None:
        """One more pair is scored."""


class Silent:
    """An observer that does nothing."""

    def noted(self, text: str) -> None:
        """Ignore."""

    def method_started(self, label: str, total: int, reused: int) -> None:
        """Ignore."""

    def case_finished(self, label: str, case: str, outcome: Outcome) -> None:
        """Ignore."""

    def scoring_started(self, total: int) -> None:
        """Ignore."""

    def pair_scored(self) -> None:
        """Ignore."""
