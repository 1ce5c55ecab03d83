"""A study from configuration to study.json, with a method that really learns and forgets."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import yaml

from cellharness.config.reading import ConfigError
from cellharness.config.study import load_study_config
from cellharness.data.phantom import EXPERIMENTS
from cellharness.errors import UsageError
from cellharness.running.study import expand, run_study
from cellharness.statistics.contrasts import FEWEST_UNITS
from cellharness.vocabulary import MODALITIES, PRETRAINED

#: The grey value half way between cells and background of what it saw last.
LEARNED = """
    import json
    from pathlib import Path
    from pydantic import Field
    from skimage.measure import label
    from cellharness.methods.base import BaseSegmenter, MethodInfo, Parameters
    from cellharness.training.trainer import Trainer, TrainingParameters
    from cellharness.training.samples import read_labelled
    from cellharness.weights import local_weights

    class OwnParameters(Parameters):
        weights: str = Field("", description="Checkpoint; empty for none.")
        shift: float = Field(0.0, description="Added to the threshold.")

    class Learned(BaseSegmenter):
        info = MethodInfo(summary="Learned threshold.", licence="BSD-3-Clause")
        Parameters = OwnParameters
        trainer = "throwaway:ThresholdTrainer"
        def weights(self):
            path = self.parameters.weights
            return (local_weights(Path(path)),) if path else ()
        def load(self):
            path = self.parameters.weights
            self.value = json.loads(Path(path).read_text()) if path else 100.0
        def segment(self, image):
            return label(image > self.value + self.parameters.shift)

    class TrainingOptions(TrainingParameters):
        pull: float = 1.0

    class ThresholdTrainer(Trainer):
        Parameters = TrainingOptions
        packages = ()
        replays = True
        def fit(self, train, validation, out, replay=()):
            samples = read_labelled([*train, *replay], self.input)
            middles = [(s.image[s.labels > 0].mean() + s.image[s.labels == 0].mean()) / 2
                       for s in samples]
            target = float(sum(middles) / len(middles))
            (out / "checkpoints").mkdir(exist_ok=True)
            for epoch in range(1, self.parameters.epochs + 1):
                value = 100 + (target - 100) * self.parameters.pull * epoch / self.parameters.epochs
                if epoch % self.parameters.save_every == 0:
                    path = out / "checkpoints" / f"epoch-{epoch:04d}.pt"
                    path.write_text(json.dumps(value))
            last = out / "checkpoints" / "last.pt"
            last.write_text(json.dumps(value))
            return last
"""


def study(manifest, **more):
    content = {
        "name": "try",
        "dataset": {"manifest": manifest.name, "splits": ["train", "test"]},
        "before": {"method": "learned"},
        "finetuning": {"method": "learned", "modalities": ["DIC"], "splits": ["train", "test"]},
        "stages": [2, 4],
        "protocols": [{"name": "as-is"}, {"name": "darker", "parameters": {"shift": -5}}],
        "main": "as-is",
        "published": {"before": "as-is", "after": "darker"},
        "remedies": [
            {
                "name": "replay",
                "replay": {"modalities": ["Fluorescent"], "splits": ["train", "test"]},
            },
            {"name": "gentle", "label": "Half the pull", "parameters": {"pull": 0.5}},
            {"name": "shifted", "of": "replay", "prediction": {"shift": 2}},
        ],
        "scoring": {"workers": 1, "thresholds": [0.5]},
        **more,
    }
    path = manifest.parent / "study.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_study_config(path)


def test_a_study_becomes_one_training_a_remedy_and_one_method_a_stage(small_manifest):
    config, evaluations = expand(study(small_manifest))
    assert [training.name for training in config.training] == ["plain", "replay", "gentle"]
    assert all(
        (training.parameters["epochs"], training.parameters["save_every"]) == (4, 2)
        for training in config.training
    )
    assert config.training[2].parameters["pull"] == 0.5
    assert config.training[1].replay is not None
    assert [(e.method, e.remedy, e.stage, e.protocol) for e in evaluations] == [
        ("pre-trained.as-is", "pre-trained", 0, "as-is"),
        ("pre-trained.darker", "pre-trained", 0, "darker"),
        ("plain-2.as-is", "plain", 2, "as-is"),
        ("plain-4.as-is", "plain", 4, "as-is"),
        ("plain-4.darker", "plain", 4, "darker"),
        ("replay-2.as-is", "replay", 2, "as-is"),
        ("replay-4.as-is", "replay", 4, "as-is"),
        ("gentle-2.as-is", "gentle", 2, "as-is"),
        ("gentle-4.as-is", "gentle", 4, "as-is"),
        ("shifted-4.as-is", "shifted", 4, "as-is"),
    ]
    parameters = {method.name: method.parameters for method in config.methods}
    assert parameters["shifted-4.as-is"] == {"weights": "trained:replay@4", "shift": 2}
    assert parameters["plain-4.darker"] == {"weights": "trained:plain@4", "shift": -5}


def test_every_remedy_is_trained_with_every_seed(small_manifest):
    config, evaluations = expand(study(small_manifest, seeds=[3, 7], stages=[2]))
    assert [(training.name, training.seed) for training in config.training] == [
        ("plain", 3), ("plain-seed7", 7), ("replay", 3), ("replay-seed7", 7), ("gentle", 3),
        ("gentle-seed7", 7),
    ]  # fmt: skip
    # Nothing but the seed tells the trainings of a remedy apart.
    first, second = config.training[2:4]
    assert first.replay == second.replay
    assert first.parameters == second.parameters
    mine = [(e.method, e.seed) for e in evaluations if e.remedy == "shifted"]
    assert mine == [("shifted-2.as-is", 3), ("shifted-seed7-2.as-is", 7)]
    weights = {method.name: method.parameters.get("weights") for method in config.methods}
    assert weights["shifted-seed7-2.as-is"] == "trained:replay-seed7@2"
    assert evaluations[0].seed is None
    labels = {method.name: method.label for method in config.methods}
    assert labels["gentle-seed7-2.as-is"] == "Half the pull, 2 epochs, seed 7, as-is"


def test_what_has_no_curve_is_evaluated_at_the_end_only(small_manifest):
    _, evaluations = expand(study(small_manifest, curves=["replay"]))
    assert [(e.remedy, e.stage) for e in evaluations if e.protocol == "as-is"] == [
        ("pre-trained", 0),
        ("plain", 4),
        ("replay", 2),
        ("replay", 4),
        ("gentle", 4),
        ("shifted", 4),
    ]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"curves": ["shifted"]}, "nothing that is trained is called shifted; .* plain, replay, g"),
        ({"stages": [4, 2]}, "stages .* must be rising"),
        ({"seeds": [1, 1]}, r"seeds \[1, 1\] must differ"),
        ({"main": "dark"}, "main: no protocol 'dark'; there are as-is, darker"),
        ({"primary": "nobody"}, "primary: no remedy 'nobody'; there are plain"),
        ({"remedies": [{"name": "plain"}]}, "remedy names must differ; .* plain"),
        ({"remedies": [{"name": "x", "of": "y", "prediction": {"shift": 1}}]}, "of 'y' names noth"),
        ({"remedies": [{"name": "x", "of": "plain"}]}, "is the same as 'plain'"),
        (
            {"remedies": [{"name": "x", "of": "plain", "parameters": {"pull": 1}}]},
            "'of' and a training of its own",
        ),
        ({"remedys": []}, "Did you mean 'remedies'"),
    ],
)
def test_a_study_that_cannot_be_is_refused(small_manifest, more, message):
    with pytest.raises(ConfigError, match=message):
        study(small_manifest, **more)


def test_epochs_that_contradict_the_stages_are_refused(small_manifest):
    finetuning = {"method": "learned", "parameters": {"epochs": 100}}
    with pytest.raises(ConfigError, match=r"epochs 100 does not go with the stages \[2, 4\]"):
        expand(study(small_manifest, finetuning=finetuning))


@pytest.mark.slow
def test_a_study_runs_and_says_what_its_methods_stand_for(installed, small_manifest, tmp_path):
    installed(LEARNED, {"cellharness.methods": {"learned": "Learned"}})
    folder = tmp_path / "run"
    result = run_study(study(small_manifest), folder)
    assert not result.failed, result.messages
    content = json.loads((folder / "study.json").read_text())
    scores = pd.read_csv(folder / "scores.csv")
    assert {item["method"] for item in content["methods"]} == set(scores["method"])
    assert content["methods"][0]["remedy"] == PRETRAINED
    assert {modality for modality, _ in content["seen"]} == {"DIC"}
    assert list(content["replayed"]) == ["replay"]
    assert {modality for modality, _ in content["replayed"]["replay"]} == {"Fluorescent"}
    labels = {remedy["name"]: remedy["label"] for remedy in content["remedies"]}
    assert labels["gentle"] == "Half the pull"
    record = json.loads((folder / "training" / "replay" / "training.json").read_text())
    assert record["replay"]
    assert not set(record["replay"]) & set(record["train"])
    # Nothing is made twice.
    before = (folder / "ledger.csv").read_bytes()
    run_study(study(small_manifest), folder, resume=True)
    assert (folder / "ledger.csv").read_bytes() == before


@pytest.mark.slow
def test_trainings_of_several_seeds_run_on_the_same_cases(installed, small_manifest, tmp_path):
    installed(LEARNED, {"cellharness.methods": {"learned": "Learned"}})
    result = run_study(study(small_manifest, seeds=[3, 7], remedies=[]), tmp_path / "run")
    assert not result.failed, result.messages
    one, other = (
        json.loads((tmp_path / f"run/training/{name}/training.json").read_text())
        for name in ("plain", "plain-seed7")
    )
    assert one["identity"] != other["identity"]
    assert (one["train"], one["validation"]) == (other["train"], other["validation"])


def test_replay_of_what_is_learned_anyhow_is_refused(installed, small_manifest, tmp_path):
    installed(LEARNED, {"cellharness.methods": {"learned": "Learned"}})
    same = {"name": "x", "replay": {"modalities": ["DIC"], "splits": ["train", "test"]}}
    with pytest.raises(UsageError, match="cases of 'replay' are learned anyhow"):
        run_study(study(small_manifest, remedies=[same]), tmp_path / "run")


def test_a_method_that_cannot_replay_says_so(installed, small_manifest, tmp_path):
    source = LEARNED.replace("replays = True", "replays = False")
    installed(source, {"cellharness.methods": {"learned": "Learned"}})
    with pytest.raises(UsageError, match="method 'learned' cannot replay cases"):
        run_study(study(small_manifest), tmp_path / "run")


def test_the_demo_has_enough_experiments_to_say_something():
    config = load_study_config(Path(__file__).parents[2] / "configs/demo-forgetting.yaml")
    phantom = config.dataset.phantom
    trained, whole = Counter(), Counter()
    for kind in EXPERIMENTS:
        whole[kind.modality] += phantom.experiments_per_kind
        trained[kind.modality] += phantom.experiments_per_kind * kind.trained
    (learned,) = config.finetuning.modalities
    assert trained[learned] >= FEWEST_UNITS
    unseen = whole - Counter({learned: trained[learned]})
    assert set(unseen) == set(MODALITIES)
    assert min(unseen.values()) >= FEWEST_UNITS
    # What replay does not meet again is tested as well.
    assert sum((whole - trained).values()) >= FEWEST_UNITS
