"""Rows of the tables of ``docs/performance.md``, as the benchmarks leave them.

A benchmark puts what it measured into its ``extra_info``; ``make bench`` keeps that and sets the
tables into the page (``tests/bench_table.py``). A section is a mark of the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

#: Keys of ``extra_info`` that hold rows.
COMPARED, MEASURED, GROWTH = "compared", "measured", "growth"

PASSED, PROCESSOR = "passed", "processor"


def compared(
    benchmark: Any,
    section: str,
    what: str,
    *,
    reference: str,
    reference_s: float,
    ours_s: float,
    clock: str = PROCESSOR,
    least: float | None = None,
    of_limit: tuple[float, str] | None = None,
) -> None:
    """Record the time of a reference beside ours, both of one run.

    Parameters
    ----------
    benchmark
        The fixture of pytest-benchmark.
    section : str
        Table that the row belongs to.
    what : str
        What was done, and on what.
    reference : str
        The other way of doing it.
    reference_s, ours_s : float
        Seconds.
    clock : {"processor", "passed"}
        Seconds of the processor, or seconds that passed.
    least : float, optional
        Ratio that is aimed at.
    of_limit : tuple of float and str, optional
        Share of what the machine can do, measured in the same run, and what that is.
    """
    row = {
        "section": section, "what": what, "reference": reference, "reference_s": reference_s,
        "ours_s": ours_s, "ratio": reference_s / ours_s, "clock": clock, "aim": least,
        "of_limit": of_limit,
    }  # fmt: skip
    benchmark.extra_info.setdefault(COMPARED, []).append(row)


def measured(
    benchmark: Any,
    section: str,
    what: str,
    value: float,
    unit: str,
    *,
    most: float | None = None,
    least: float | None = None,
) -> None:
    """Record a figure that has no reference beside it, with the bound that is aimed at."""
    aim = None if most is None and least is None else ["≤", most] if least is None else ["≥", least]
    row = {"section": section, "what": what, "value": value, "unit": unit, "aim": aim}
    benchmark.extra_info.setdefault(MEASURED, []).append(row)


def grows(
    benchmark: Any, section: str, what: str, along: str, seconds: Mapping[float, float]
) -> float:
    """Record how seconds grow along a size; give the exponent of the power law through them.

    Parameters
    ----------
    benchmark
        The fixture of pytest-benchmark.
    section, what : str
        As in `compared`.
    along : str
        What the sizes count, such as ``pixels``.
    seconds : mapping of float to float
        Seconds at each size, two at least.

    Returns
    -------
    exponent : float
        1 where the time is proportional to the size.
    """
    sizes = np.array(list(seconds), float)
    times = np.array(list(seconds.values()), float)
    exponent = float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
    row = {
        "section": section, "what": what, "along": along, "sizes": sizes.tolist(),
        "seconds": times.tolist(), "exponent": exponent,
    }  # fmt: skip
    benchmark.extra_info.setdefault(GROWTH, []).append(row)
    return exponent
