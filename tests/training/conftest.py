from __future__ import annotations

import pytest

#: A method that really learns: the grey value half way between cells and background.
LEARNED = """
    import json, time
    from pathlib import Path
    from pydantic import Field
    from skimage.measure import label
    from cellharness.methods.base import BaseSegmenter, MethodInfo, Parameters
    from cellharness.training.trainer import Trainer, TrainingParameters
    from cellharness.training.log import EpochRecord, TrainingLog
    from cellharness.training.samples import read_labelled
    from cellharness.weights import local_weights

    class OwnParameters(Parameters):
        weights: str = Field(description="Checkpoint.")

    class Learned(BaseSegmenter):
        info = MethodInfo(summary="Learned threshold.", licence="BSD-3-Clause")
        Parameters = OwnParameters
        trainer = "throwaway:ThresholdTrainer"
        def weights(self):
            return (local_weights(Path(self.parameters.weights)),)
        def load(self):
            self.value = json.loads(Path(self.parameters.weights).read_text())["threshold"]
        def segment(self, image):
            return label(image > self.value)

    class TrainingOptions(TrainingParameters):
        fail: str = ""
        nap: float = 0.0

    class ThresholdTrainer(Trainer):
        Parameters = TrainingOptions
        packages = ()
        def fit(self, train, validation, out):
            samples = read_labelled(train, self.input)
            self._told(0, len(train))(len(train), len(train))
            state = out / "state.json"
            first = json.loads(state.read_text())["epoch"] if state.is_file() else 0
            log = TrainingLog(out)
            log.rewind(first)
            for epoch in range(first, self.parameters.epochs):
                if self.parameters.fail == "raise":
                    raise RuntimeError("no luck")
                if self.parameters.fail == "memory":
                    raise MemoryError("too much")
                if self.parameters.fail == "die":
                    import os
                    os._exit(3)
                time.sleep(self.parameters.nap)
                means = [(s.image[s.labels > 0].mean() + s.image[s.labels == 0].mean()) / 2
                         for s in samples]
                (out / "checkpoints").mkdir(exist_ok=True)
                path = out / "checkpoints" / "last.pt"
                path.write_text(json.dumps({"threshold": float(sum(means) / len(means))}))
                record = EpochRecord(epoch + 1, self.parameters.epochs, 0.1, 1.0, 0.0)
                log.append(record)
                state.write_text(json.dumps({"epoch": epoch + 1}))
                self.watch(record)
            return path
"""


@pytest.fixture
def learned(installed):
    installed(LEARNED, {"cellharness.methods": {"learned": "Learned"}})
