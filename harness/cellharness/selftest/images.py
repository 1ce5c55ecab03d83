"""Images that methods are tried on: embedded ones, and real ones where somebody names some."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cellharness.data.manifest import Case, Manifest
from cellharness.data.phantom import EXPERIMENTS, generate

#: Experiments of the embedded images of a quick test, one a modality.
QUICK = ("bf-giemsa", "fl-nuclei", "pc-bacteria", "dic-granular")


def embedded(folder: Path) -> list[Case]:
    """Make the embedded test images of `QUICK`, with exact labels."""
    made = generate(
        folder, seed=0, per_experiment=1, train_per_experiment=0, suffix=".tif", only=QUICK
    )
    return list(made.cases)


def to_learn_from(folder: Path) -> list[Case]:
    """Make embedded training images, one of each experiment that has some."""
    only = [kind.name for kind in EXPERIMENTS if kind.trained]
    made = generate(folder, seed=0, per_experiment=1, suffix=".tif", only=only)
    return [case for case in made.cases if case.split == "train"]


def real(manifest: str) -> Sequence[Case]:
    """Read the cases of a manifest; none where "" is given."""
    return Manifest.read(Path(manifest)).cases if manifest else ()
