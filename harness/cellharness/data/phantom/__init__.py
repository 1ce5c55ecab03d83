"""Seeded synthetic microscopy of four modalities with exact labels, for demos and tests.

The pictures follow the physics of each contrast in a simple form (absorption, emission, phase ring,
shear) and are made to be told apart by a microscopist. They are no substitute for real data: a
score on them says that a pipeline works, not how good a method is.
"""

from __future__ import annotations

from cellharness.data.phantom.experiments import EXPERIMENTS, Experiment, generate

__all__ = ["EXPERIMENTS", "Experiment", "generate"]
