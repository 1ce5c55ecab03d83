"""How ``cellharness selftest`` tries Cellpose and its fine-tuning. Nothing here imports torch."""

from __future__ import annotations

from cellharness.methods.self_check import SelfCheck, TrainingCheck

_LIBRARY = "cellharness_adapters.cellpose.as_library"


def _training(batch_size: int) -> TrainingCheck:
    return TrainingCheck(
        {
            "recipe": "short",
            "weights": "cyto",
            "batch_size": batch_size,
            "images_per_epoch": 640,
            "epochs": 4,
        },
        crops_per_epoch="images_per_epoch",
        library=f"{_LIBRARY}:train",
        rehearsal={"images_per_epoch": 8, "epochs": 2, "crop": 96},
    )


# On a GPU the library follows flows in another order of rounding than on the CPU, as we always do:
# 0.952 was the least F1 at IoU 0.9 on ten images.
CELLPOSE = SelfCheck(
    {"weights": "cyto"}, f1=0.927, library=f"{_LIBRARY}:segmenter", agreement_on_gpu=0.9
)
CELLPOSE2 = SelfCheck(trainings=(_training(8), _training(32)))
