"""Keep what a rehearsal measured, and set its tables into ``docs/performance.md``.

From the root of the project::

    python tests/rehearsal_table.py ../rehearsal/rehearsal.json

Without a file, the page is made anew of what is kept. Beside the table of what was measured stands
a projection of the whole comparison on one GPU, each line with what of it is measured and what is
assumed.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_table import DOCS, PAGE, with_block

KEPT = DOCS / "rehearsal.json"
GPU = DOCS / "gpu-selftest.json"
STEPS = DOCS / "gpu-steps.csv"
BEGIN, END = "<!-- rehearsal: begin -->", "<!-- rehearsal: end -->"

#: Assumed of the challenge's images: million pixels each, and 8,000 px for a slide.
TRAIN_MP = TEST_MP = 1.05
TRAIN, TEST, SLIDES = 1000, 151, 2
SLIDE_MP = 64.0
#: Assumed of the machine: how many of its 16 cores work that is spread over them keeps busy.
CORES = 16 * 0.8
#: Mean of the images that a GPU was measured on, million pixels: those of `.ci/few_images.py`, and
#: embedded ones.
GPU_MP = 0.12
#: KIT-GE, as published: epochs, share of crops to learn from; 1024 px give 3 x 3 crops of 320 px.
EPOCHS, SHARE, CROPS = 200, 0.8, 9
#: Its validation as configured: F1 each so many epochs, and million pixels of a crop.
F1_EVERY, CROP_MP = 10, 0.1024
CELLPOSE_CROPS = 500 * TRAIN


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


def steps(kept: dict[str, Any]) -> Iterator[list[str]]:
    """Rows of the table: one a call of a command."""
    for name, attempts in kept["steps"].items():
        for attempt in attempts:
            there = attempt["files_before"]
            again = f"{attempt['files_before_kept']:,} of {there:,}" if there else ""
            yield [
                name,
                attempt["ended"],
                f"{attempt['wall_s']:,.0f}",
                f"{attempt['processor_s']:,.0f}",
                f"{attempt['peak_mb']:,.0f}",
                again,
            ]


def processor_s(kept: dict[str, Any], step: str) -> float:
    """Processor time of a step, killed calls among it."""
    return sum(float(attempt["processor_s"]) for attempt in kept["steps"][step])


def prepared_s(kept: dict[str, Any], step: str) -> float:
    """Processor time up to the last prepared file, of all calls."""
    told = (attempt["to_last_file"] for attempt in kept["steps"][step])
    return sum(float(each["processor_s"]) for each in told if each)


def beside_network(kept: dict[str, Any], method: str, *, masks: bool = True) -> float:
    """Processor time a megapixel of all but loading and the network, and masks where told to.

    The ledger has what passed; the run as a whole says how much of a core that was.
    """
    part = kept["predictions"]["rehearsal"][method]
    rest = part["seconds"] - part["loading_s"] - part["network_s"]
    rest -= 0 if masks else part["postprocess_s"]
    return float(rest * share_of_core(kept) / part["megapixels"])


def around_cases_s(kept: dict[str, Any]) -> float:
    """Processor time of the run for all but its cases: loading, scoring, the report."""
    passed = sum(call["wall_s"] for call in calls_of_run(kept))
    parts = kept["predictions"]["rehearsal"].values()
    cases = sum(part["seconds"] - part["loading_s"] for part in parts)
    return float((passed - cases) * share_of_core(kept))


def share_of_core(kept: dict[str, Any]) -> float:
    """How many cores the run had, other work going on."""
    calls = calls_of_run(kept)
    passed = sum(float(call["wall_s"]) for call in calls)
    return sum(float(call["processor_s"]) for call in calls) / passed


def calls_of_run(kept: dict[str, Any]) -> list[dict[str, Any]]:
    """Calls of `cellharness run`, of some of the images and of all."""
    return [call for name, calls in kept["steps"].items() if name[:3] == "run" for call in calls]


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


def projection(kept: dict[str, Any], gpu: dict[str, Any]) -> list[Part]:
    """The whole comparison on one H100 with 16 cores, part by part."""
    parts = {part["part"]: part["measured"] for part in gpu["parts"]}
    data = kept["data"]
    train_mp = data["Training-labeled"]["megapixels"]
    all_mp = sum(part["megapixels"] for part in data.values())
    whole_mp = TRAIN * TRAIN_MP + TEST * TEST_MP + SLIDES * SLIDE_MP
    test_mp = TEST * TEST_MP + SLIDES * SLIDE_MP
    larger = whole_mp / all_mp
    lines = []

    def one_core(name: str, step: str, scale: float, assumed: str) -> None:
        seconds = processor_s(kept, step)
        lines.append(
            Part(name, seconds * scale / 60, f"{seconds:.0f} s of one core here, {step}", assumed)
        )

    bigger = f"time grows with pixels ({larger:.1f} times as many)"
    one_core("unpack, hash", "download", larger, f"{bigger}; the network's own time not counted")
    one_core("import", "import", larger, bigger)
    one_core("validate", "validate", larger, f"{bigger}; one core")
    for name, label in (("cellpose2", "Cellpose 2.0"), ("kit-ge", "KIT-GE-style")):
        spent = prepared_s(kept, f"train {name}")
        minutes = spent / train_mp * TRAIN * TRAIN_MP / CORES / 60
        lines.append(
            Part(
                f"{label}: prepare",
                minutes,
                f"{spent / train_mp:.2f} s of one core a megapixel here",
                "grows with pixels; 16 cores do 12.8 times as much as one",
            )
        )
    rate = parts["training cellpose2 2"]["crops_per_s"]
    lines.insert(
        -1,
        Part(
            "Cellpose 2.0: 500 epochs",
            CELLPOSE_CROPS / rate / 60,
            f"{rate:.0f} crops a second, batch 32, H200",
            "an H100 is as fast; crops of larger images come as fast",
        ),
    )
    step = published_step()
    learned, held = TRAIN * CROPS * SHARE * EPOCHS, TRAIN * CROPS * (1 - SHARE) * EPOCHS
    forward = step.alone_s / step.batch / 3
    lines.append(
        Part(
            f"KIT-GE-style: {EPOCHS} epochs",
            (learned / step.crops_per_s + held * forward) / 60,
            f"{step.crops_per_s:.0f} crops a second, batch {step.batch}, H200",
            f"{CROPS} crops an image, no early stop; a held-back crop takes a third of a step",
        )
    )
    found = beside_network(kept, "kit-ge")
    network = forward / CROP_MP
    watched_mp = TRAIN * (1 - SHARE) * TRAIN_MP * EPOCHS / F1_EVERY
    lines.append(
        Part(
            "KIT-GE-style: F1 of held-back images",
            max(network, found / CORES) * watched_mp / 60,
            f"network {network:.3f} s a megapixel, H200; the rest {found:.2f} s of one core here",
            f"each {F1_EVERY} epochs; cells are found beside the network, as after one epoch",
        )
    )
    for name, label, source, passes, assumed in (
        ("cellpose", "Cellpose", "cellpose", 1, "all grows with pixels"),
        ("cellpose2", "Cellpose 2.0", "cellpose", 1 / 3, "a pass for three; all grows with pixels"),
        ("omnipose", "Omnipose", "omnipose-paper", 4, "four networks; all grows with pixels"),
    ):
        measured = parts[f"method {source}"]
        seconds = measured["network_s_per_image"] * passes
        told = f"network {measured['network_s_per_image']:.3f} s an image"
        # Omnipose makes its masks on the GPU where there is one, Cellpose on the CPU by our code.
        on_gpu = name == "omnipose"
        if on_gpu:
            seconds += measured["postprocess_s_per_image"]
            told += f", masks {measured['postprocess_s_per_image']:.3f} s"
        rest = beside_network(kept, name, masks=not on_gpu)
        lines.append(
            Part(
                f"{label}: predict",
                (seconds / GPU_MP + rest) * test_mp / 60,
                f"{told}, H200; the rest {rest:.2f} s of one core a megapixel here",
                f"{assumed}; one image after another",
            )
        )
    lines.append(
        Part(
            "KIT-GE-style: predict",
            (network + found) * test_mp / 60,
            f"network {network:.3f} s a megapixel, H200; the rest {found:.2f} s of one core here",
            "one image after another; cells as after one epoch",
        )
    )
    around = around_cases_s(kept)
    lines.append(
        Part(
            "run: load, score, report",
            around / 60,
            f"{around:.0f} s of one core here",
            "does not grow with pixels; one core",
        )
    )
    one_core("report", "report", 1.0, "does not grow with pixels; one core")
    return lines


def table(header: list[str], rows: list[list[str]], right: set[int]) -> str:
    """Write a table of the page."""
    rule = ["---:" if column in right else "---" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def block(kept: dict[str, Any], gpu: dict[str, Any]) -> str:
    """What stands between the marks, marks included."""
    amounts, machine = kept["amounts"], kept["environment"]["machine"]
    sizes = "; ".join(
        f"{name} {part['images']:,} images, {part['megapixels']:,.0f} megapixels, "
        f"{part['megabytes']:,.0f} MB"
        for name, part in kept["data"].items()
    )
    said = (
        f"{kept['written'][:10]}, {machine['cores']} cores of {machine['cpu']}, "
        f"{machine['memory_gb']:.0f} GiB, at nice {kept['niceness']}, other work going on. "
        f"{sizes}; two of the test images are slides of {amounts['slide']:,} px."
    )
    measured = table(
        ["command", "ended", "passed, s", "processor, s", "peak, MiB", "files there, kept"],
        list(steps(kept)),
        {2, 3, 4, 5},
    )
    methods = [
        [
            run,
            name,
            f"{part['images']:,}",
            ", ".join(f"{count} {status}" for status, count in part["statuses"].items()),
            f"{part['megapixels']:.1f}",
            f"{part['seconds'] / part['megapixels']:.1f}",
            f"{part['network_s'] / part['megapixels']:.1f}",
            f"{part['postprocess_s'] / part['megapixels']:.1f}",
            f"{part['peak_mb']:,.0f}",
        ]
        for run, found in kept["predictions"].items()
        for name, part in found.items()
    ]
    predicted = table(
        [
            *("run", "method", "images", "status", "megapixels", "s a megapixel"),
            *("of these network", "masks", "peak, MiB"),
        ],
        methods,
        {2, 4, 5, 6, 7, 8},
    )
    parts = projection(kept, gpu)
    total = sum(part.minutes for part in parts)
    rows = [[part.name, f"{part.minutes:.1f}", part.measured, part.assumed] for part in parts]
    rows.append(["**all**", f"**{total:.0f}**", "", ""])
    projected = table(["part", "minutes", "measured", "assumed"], rows, {1})
    return f"{BEGIN}\n{said}\n\n{measured}\n\n{predicted}\n\n{projected}\n{END}"


def read(path: Path) -> dict[str, Any]:
    """Read what was kept."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def main() -> None:
    for name in sys.argv[1:]:
        shutil.copyfile(name, KEPT)
    page = PAGE.read_text(encoding="utf-8")
    made = with_block(page, block(read(KEPT), read(GPU)), BEGIN, END)
    PAGE.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
