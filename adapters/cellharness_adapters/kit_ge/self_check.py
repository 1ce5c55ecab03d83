"""How ``cellharness selftest`` tries KIT-GE, which has no weights but those that are trained."""

from __future__ import annotations

from cellharness.methods.self_check import SelfCheck, TrainingCheck

#: First, epochs enough for a small network to find cells, so that masks of two devices can be
#: compared; second, crops, batches and network as published, to see how fast these are.
KIT_GE = SelfCheck(
    trainings=(
        TrainingCheck(
            {
                "recipe": "short",
                "filters": (8, 32),
                "crop": 64,
                "learning_rate": 3e-3,
                "epochs": 12,
                "crops_per_epoch": 64,
            },
            crops_per_epoch="crops_per_epoch",
            rehearsal={"epochs": 2, "crops_per_epoch": 8},
            prediction={"precision": "float32"},
        ),
        TrainingCheck(
            {"recipe": "paper", "epochs": 4, "crops_per_epoch": 400},
            crops_per_epoch="crops_per_epoch",
            rehearsal={"filters": (8, 32), "crop": 64, "epochs": 2, "crops_per_epoch": 8},
        ),
    )
)
