"""What a run cost: seconds by phase and peak memory, from the ledger."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from cellharness.report.loading import RunData
from cellharness.report.records import Record
from cellharness.report.rendering import Row, Table
from cellharness.report.wording import significant
from cellharness.vocabulary import PHASES, SEGMENTED

_START_UP = ("seconds_load", "seconds_warmup")
_PHASES = tuple(f"seconds_{phase}" for phase in PHASES)
_PEAKS = ("peak_host_mb", "peak_gpu_mb", "peak_gpu_driver_mb")
_NUMBERS = (*_PHASES, "seconds_total", *_PEAKS)
_HEADS = {"warmup": "Warm-up", "postprocess": "Post-process"}


def cost_table(run: RunData, colours: Mapping[str, str]) -> Table:
    """Give median seconds per phase and the largest peaks of memory of every method."""
    ledger = run.ledger.reindex(columns=["method", "case", "status", *_NUMBERS])
    ledger[list(_NUMBERS)] = ledger[list(_NUMBERS)].apply(pd.to_numeric, errors="coerce")
    ledger = ledger[ledger["status"].isin(SEGMENTED)]
    costs = [_cost(run, method, ledger[ledger["method"] == method]) for method in run.methods]
    shown = (*_PHASES, "seconds_per_case", *_PEAKS)
    rows = [
        Row(
            (cost["label"], f"{cost['n']:,}", *(significant(cost[name]) for name in shown)),
            colour=colours[cost["method"]],
        )
        for cost in costs
    ]
    heads = (_HEADS.get(phase, phase.capitalize()) for phase in PHASES)
    return Table(
        name="timing",
        title="Seconds by phase and peak memory",
        header=("Method", "n", *heads, "Total", "Host", "GPU", "GPU driver"),
        rows=tuple(rows),
        frame=pd.DataFrame(costs),
        spans=(("", 2), ("Once, s", 2), ("Per image, s", 6), ("Peak, MiB", 3)),
        notes=(
            "Wall-clock seconds. Load (reading weights, building the network) and warm-up are paid "
            "once a method; where its process had to be started again, the longest is given. The "
            "other phases are medians over the n images with a mask, one image at a time: read, "
            "the image file; preprocess, to the form that the method takes; network and "
            "post-process, as the method divides them (one that does not has all of it under "
            "network); write, the mask. Total, median of the whole time of an image without load "
            "and warm-up, so not the sum of the medians.",
            "Host, largest resident memory of the method's process, interpreter and libraries "
            "included. GPU, most memory held by the framework's allocator; GPU driver, most that "
            "the driver counts, contexts and caches included, asked for every 10 ms, of the "
            "process or, where the driver does not tell that, of the whole device; – where no GPU "
            "was used.",
        ),
    )


def _cost(run: RunData, method: str, cases: pd.DataFrame) -> Record:
    per_case = cases["seconds_total"] - cases[list(_START_UP)].fillna(0).sum(axis=1)
    return {
        "method": method,
        "label": run.labels[method],
        "n": len(cases),
        **{name: float(cases[name].max()) for name in _START_UP},
        **{name: float(cases[name].median()) for name in _PHASES if name not in _START_UP},
        "seconds_per_case": float(per_case.median()),
        "seconds_per_case_q1": float(per_case.quantile(0.25)),
        "seconds_per_case_q3": float(per_case.quantile(0.75)),
        **{name: float(cases[name].max()) for name in _PEAKS},
    }
