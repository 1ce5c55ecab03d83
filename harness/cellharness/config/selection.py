"""Which cases of a manifest: the one way in which every configuration says it."""

from __future__ import annotations

from pydantic import Field

from cellharness.config.reading import Strict


class Selection(Strict):
    """Cases by split, modality and experiment; None keeps all."""

    splits: list[str] = Field(["train"], description="Splits of the manifest to take.")
    modalities: list[str] | None = Field(None, description="Take these modalities only.")
    experiments: list[str] | None = Field(None, description="Take these experiments only.")
