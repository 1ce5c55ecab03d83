"""What a rehearsal tells of the whole comparison: on one GPU, and on processors alone.

Each part with what of it is measured and what is assumed.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench_table import rows_of
from gpu_table import DOCS

STEPS = DOCS / "gpu-steps.csv"

#: Assumed of the challenge's images: million pixels each, and 8,000 px for a slide.
TRAIN_MP = TEST_MP = 1.05
TRAIN, TEST, SLIDES = 1000, 151, 2
SLIDE_MP = 64.0
TO_PREDICT_MP = TEST * TEST_MP + SLIDES * SLIDE_MP
#: Assumed of the machine: how many of its 16 cores work that is spread over them keeps busy.
CORES = 16 * 0.8
#: Mean of the images that a GPU was measured on, million pixels: those of `.ci/few_images.py`, and
#: embedded ones.
GPU_MP = 0.12
#: Cellpose 2.0 and KIT-GE as published: epochs, crops of a step, share of the crops to learn from;
#: 1024 px give 3 x 3 crops of 320 px.
CELLPOSE_EPOCHS, EPOCHS, BATCH, SHARE, CROPS = 500, 200, 8, 0.8, 9
#: Its validation as configured: F1 each so many epochs, and million pixels of a crop.
F1_EVERY, CROP_MP = 10, 0.1024
CELLPOSE_CROPS = CELLPOSE_EPOCHS * TRAIN
LEARNED, HELD = TRAIN * CROPS * SHARE * EPOCHS, TRAIN * CROPS * (1 - SHARE) * EPOCHS
WATCHED_MP = TRAIN * (1 - SHARE) * TRAIN_MP * EPOCHS / F1_EVERY
#: A pass forward is this part of a step.
FORWARD = 1 / 3

METHODS = {
    "cellpose": "Cellpose",
    "cellpose2": "Cellpose 2.0",
    "omnipose": "Omnipose",
    "kit-ge": "KIT-GE-style",
}
TRAININGS = {
    name: f"{METHODS[name]}: {epochs} epochs"
    for name, epochs in (("cellpose2", CELLPOSE_EPOCHS), ("kit-ge", EPOCHS))
}
WATCHED = f"{METHODS['kit-ge']}: F1 of held-back images"


@dataclass(frozen=True)
class Part:
    """A line of the projection.

    Attributes
    ----------
    name, minutes
        Of the comparison.
    measured, assumed
        What the minutes are made of.
    """

    name: str
    minutes: float
    measured: str
    assumed: str


class Rehearsal:
    """What a rehearsal measured, as times of one core.

    Parameters
    ----------
    kept : mapping
        Content of ``rehearsal.json``.
    """

    def __init__(self, kept: Mapping[str, Any]) -> None:
        self._kept = kept
        self.cores = int(kept["environment"]["machine"]["cores"])
        data = kept["data"]
        self.train_mp = float(data["Training-labeled"]["megapixels"])
        all_mp = sum(part["megapixels"] for part in data.values())
        #: How many times as many pixels the challenge has.
        self.larger = (TRAIN * TRAIN_MP + TO_PREDICT_MP) / all_mp

    def processor_s(self, step: str) -> float:
        """Processor time of a step, killed calls among it."""
        return sum(float(attempt["processor_s"]) for attempt in self._kept["steps"][step])

    def prepared_s(self, training: str) -> float:
        """Processor time up to the last prepared file a megapixel, of all calls."""
        told = (call["to_last_file"] for call in self._kept["steps"][f"train {training}"])
        return sum(float(each["processor_s"]) for each in told if each) / self.train_mp

    def beside_network(self, method: str, *, masks: bool = True) -> float:
        """Processor time a megapixel of all but loading and the network, and masks where told to.

        The ledger has what passed; the run as a whole says how much of a core that was.
        """
        part = self._kept["predictions"]["rehearsal"][method]
        rest = part["seconds"] - part["loading_s"] - part["network_s"]
        rest -= 0 if masks else part["postprocess_s"]
        return float(rest * self._share_of_core("run") / part["megapixels"])

    def predicting(self, run: str, method: str) -> float:
        """Processor time a megapixel of all but loading."""
        part = self._kept["predictions"][run][method]
        return self._of_a_core(run, method, part["seconds"] - part["loading_s"])

    def in_network(self, run: str, method: str) -> float:
        """Processor time a megapixel of the network alone."""
        return self._of_a_core(run, method, self._kept["predictions"][run][method]["network_s"])

    def _of_a_core(self, run: str, method: str, passed_s: float) -> float:
        step = {"rehearsal": "run", "slides": "slides"}[run]
        megapixels = self._kept["predictions"][run][method]["megapixels"]
        return float(passed_s * self._share_of_core(step) / megapixels)

    def around_cases_s(self) -> float:
        """Processor time of the run for all but its cases: loading, scoring, the report."""
        passed = sum(call["wall_s"] for call in self._calls("run"))
        parts = self._kept["predictions"]["rehearsal"].values()
        cases = sum(part["seconds"] - part["loading_s"] for part in parts)
        return float((passed - cases) * self._share_of_core("run"))

    def _share_of_core(self, step: str) -> float:
        """How many cores a step had."""
        calls = self._calls(step)
        passed = sum(float(call["wall_s"]) for call in calls)
        return sum(float(call["processor_s"]) for call in calls) / passed

    def _calls(self, step: str) -> list[dict[str, Any]]:
        """Calls of a step; `run` has been called for some of the images too."""
        steps = self._kept["steps"].items()
        return [call for name, calls in steps if name.startswith(step) for call in calls]


def on_one_gpu(kept: Mapping[str, Any], gpu: Mapping[str, Any]) -> list[Part]:
    """The whole comparison on one H100 with 16 cores, part by part."""
    here = Rehearsal(kept)
    parts = {part["part"]: part["measured"] for part in gpu["parts"]}
    rate = parts["training cellpose2 2"]["crops_per_s"]
    step = published_step()
    forward = step.alone_s / step.batch * FORWARD
    found = here.beside_network("kit-ge")
    network = forward / CROP_MP
    trainings = {
        "cellpose2": [
            Part(
                TRAININGS["cellpose2"],
                CELLPOSE_CROPS / rate / 60,
                f"{rate:.0f} crops a second, batch 32, H200",
                "an H100 is as fast; crops of larger images come as fast",
            )
        ],
        "kit-ge": [
            Part(
                TRAININGS["kit-ge"],
                (LEARNED / step.crops_per_s + HELD * forward) / 60,
                f"{step.crops_per_s:.0f} crops a second, batch {step.batch}, H200",
                f"{CROPS} crops an image, no early stop; a held-back crop takes a third of a step",
            ),
            Part(
                WATCHED,
                max(network, found / CORES) * WATCHED_MP / 60,
                f"network {network:.3f} s a megapixel, H200; the rest {found:.2f} s of one core "
                "here",
                f"each {F1_EVERY} epochs; cells are found beside the network, as after one epoch",
            ),
        ],
    }
    predictions = []
    for name, source, passes, assumed in (
        ("cellpose", "cellpose", 1, "all grows with pixels"),
        ("cellpose2", "cellpose", 1 / 3, "a pass for three; all grows with pixels"),
        ("omnipose", "omnipose-paper", 4, "four networks; all grows with pixels"),
    ):
        measured = parts[f"method {source}"]
        seconds = measured["network_s_per_image"] * passes
        told = f"network {measured['network_s_per_image']:.3f} s an image"
        # Omnipose makes its masks on the GPU where there is one, Cellpose on the CPU by our code.
        on_gpu = name == "omnipose"
        if on_gpu:
            seconds += measured["postprocess_s_per_image"]
            told += f", masks {measured['postprocess_s_per_image']:.3f} s"
        rest = here.beside_network(name, masks=not on_gpu)
        predictions.append(
            Part(
                f"{METHODS[name]}: predict",
                (seconds / GPU_MP + rest) * TO_PREDICT_MP / 60,
                f"{told}, H200; the rest {rest:.2f} s of one core a megapixel here",
                f"{assumed}; one image after another",
            )
        )
    predictions.append(
        Part(
            f"{METHODS['kit-ge']}: predict",
            (network + found) * TO_PREDICT_MP / 60,
            f"network {network:.3f} s a megapixel, H200; the rest {found:.2f} s of one core here",
            "one image after another; cells as after one epoch",
        )
    )
    return _whole(here, trainings, predictions)


def on_processors(kept: Mapping[str, Any], benchmarks: Mapping[str, Any]) -> list[Part]:
    """The whole comparison on 16 cores without a GPU, part by part."""
    here = Rehearsal(kept)
    spread = f"16 cores do {CORES:.1f} times as much as one"

    def minutes(processor_s: float) -> float:
        return processor_s / CORES / 60

    cellpose, kit_ge = (_step_s(benchmarks, name) for name in ("Cellpose", "KIT-GE"))
    steps = (LEARNED + FORWARD * HELD) / BATCH
    watched = here.predicting("rehearsal", "kit-ge")
    trainings = {
        "cellpose2": [
            Part(
                TRAININGS["cellpose2"],
                minutes(CELLPOSE_CROPS / BATCH * cellpose * here.cores),
                f"{cellpose:.2f} s a step of {BATCH} crops on {here.cores} cores here",
                spread,
            )
        ],
        "kit-ge": [
            Part(
                TRAININGS["kit-ge"],
                minutes(steps * kit_ge * here.cores),
                f"{kit_ge:.2f} s a step of {BATCH} crops on {here.cores} cores here",
                f"{CROPS} crops an image, no early stop; a held-back crop takes a third of a "
                f"step; {spread}",
            ),
            Part(
                WATCHED,
                minutes(watched * WATCHED_MP),
                f"{watched:.1f} s of one core a megapixel here",
                f"each {F1_EVERY} epochs; {spread}",
            ),
        ],
    }
    predictions = []
    for name, label in METHODS.items():
        images, slides = (here.predicting(run, name) for run in ("rehearsal", "slides"))
        assumed = "all grows with pixels"
        if name == "omnipose":
            # The rehearsal has one network for the paper's four.
            images += 3 * here.in_network("rehearsal", name)
            slides += 3 * here.in_network("slides", name)
            assumed = f"three more networks; {assumed}"
        seconds = images * TEST * TEST_MP + slides * SLIDES * SLIDE_MP
        predictions.append(
            Part(
                f"{label}: predict",
                minutes(seconds),
                f"{images:.1f} s of one core a megapixel here, slides {slides:.1f}",
                f"{assumed}; {spread}",
            )
        )
    return _whole(here, trainings, predictions)


def _whole(
    here: Rehearsal, trainings: Mapping[str, list[Part]], predictions: list[Part]
) -> list[Part]:
    """Put what no network does before, between and after trainings and predictions."""
    bigger = f"time grows with pixels ({here.larger:.1f} times as many)"

    def one_core(name: str, step: str, scale: float, assumed: str) -> Part:
        seconds = here.processor_s(step)
        told = f"{seconds:.0f} s of one core here, {step}"
        return Part(name, seconds * scale / 60, told, assumed)

    lines = [
        one_core(
            "unpack, hash", "download", here.larger, f"{bigger}; the network's own time not counted"
        ),
        one_core("import", "import", here.larger, bigger),
        one_core("validate", "validate", here.larger, f"{bigger}; one core"),
    ]
    for name, parts in trainings.items():
        spent = here.prepared_s(name)
        prepared = Part(
            f"{METHODS[name]}: prepare",
            spent * TRAIN * TRAIN_MP / CORES / 60,
            f"{spent:.2f} s of one core a megapixel here",
            f"grows with pixels; 16 cores do {CORES:.1f} times as much as one",
        )
        lines += [prepared, *parts]
    around = here.around_cases_s()
    return [
        *lines,
        *predictions,
        Part(
            "run: load, score, report",
            around / 60,
            f"{around:.0f} s of one core here",
            "does not grow with pixels; one core",
        ),
        one_core("report", "report", 1.0, "does not grow with pixels; one core"),
    ]


@dataclass(frozen=True)
class Step:
    """What a GPU took for KIT-GE's steps as published.

    Attributes
    ----------
    batch : int
    alone_s : float
        Seconds of a step where the batch is there already.
    crops_per_s : float
        Of a training.
    """

    batch: int
    alone_s: float
    crops_per_s: float


def published_step() -> Step:
    """Read what is kept of KIT-GE's recorded steps."""
    with STEPS.open(encoding="utf-8", newline="") as file:
        (row,) = (
            row
            for row in csv.DictReader(file)
            if (row["training"], row["recorded"]) == ("kit-ge as published", "yes")
        )
    return Step(int(row["batch"]), float(row["step_alone_ms"]) / 1e3, float(row["crops_per_s"]))


def _step_s(benchmarks: Mapping[str, Any], method: str) -> float:
    """Seconds of a training step on the processor."""
    rows = rows_of(dict(benchmarks), "compared", "training steps")
    (row,) = (row for row in rows if row["what"].startswith(method))
    return float(row["ours_s"])
