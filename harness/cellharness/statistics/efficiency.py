"""Running times as a user feels them and as the challenge counted them, from the ledger."""

from __future__ import annotations

import pandas as pd

from cellharness.run_directory import details_of
from cellharness.statistics.challenge_rank import adjusted_seconds
from cellharness.vocabulary import NOT_LOADED, PHASES, SEGMENTED

_START_UP = ("seconds_load", "seconds_warmup")


def running_times(ledger: pd.DataFrame) -> pd.DataFrame:
    """Give the warm, cold and tolerance-adjusted seconds of every method and case.

    Parameters
    ----------
    ledger : DataFrame
        Columns ``method``, ``case``, ``status``, ``message``, ``seconds_total``, ``seconds_load``
        and ``seconds_warmup``; of newer runs also ``seconds_first`` and ``pixels``.

    Returns
    -------
    DataFrame
        Columns ``method``, ``case``, ``pixels`` and

        ``warm_seconds``
            Reading to writing, the method being loaded and warmed up; median of the repeats.
        ``cold_seconds``
            What one image costs that comes alone: the method's load and warm-up (the longest,
            where its process was started more than once, whatever became of the case that came
            next; a load that failed is none) and the first repeat. The start of the interpreter,
            and of a container, is not in it.
        ``adjusted_seconds``
            ``cold_seconds`` less the challenge's tolerance, see
            :func:`cellharness.statistics.challenge_rank.adjusted_seconds`. The challenge started a
            container for every image (paper, section "Segmentation efficiency metric").

        A case without a mask has NaN, whatever it cost until it failed; so has an adjusted time
        where the number of pixels is not known.

    Examples
    --------
    >>> row = {"method": "m", "case": "a", "status": "ok", "message": "", "pixels": 250_000,
    ...        "seconds_load": 9.0, "seconds_warmup": 1.0, "seconds_total": 12.5,
    ...        "seconds_first": 2.5}
    >>> running_times(pd.DataFrame([row]))[["warm_seconds", "cold_seconds", "adjusted_seconds"]]
       warm_seconds  cold_seconds  adjusted_seconds
    0           2.5          12.5               2.5
    """
    wanted = ["seconds_total", *_START_UP, "seconds_first", "pixels"]
    numbers = ledger.reindex(columns=wanted).apply(pd.to_numeric, errors="coerce")
    segmented = ledger["status"].isin(SEGMENTED)
    start_up = numbers[list(_START_UP)].fillna(0.0).sum(axis=1)
    warm = numbers["seconds_total"] - start_up
    first = numbers["seconds_first"].fillna(warm)
    loading = start_up.where(has_loaded(ledger)).groupby(ledger["method"]).transform("max")
    frame = pd.DataFrame(
        {
            "method": ledger["method"],
            "case": ledger["case"],
            "pixels": numbers["pixels"],
            "warm_seconds": warm.where(segmented),
            "cold_seconds": (loading + first).where(segmented),
        }
    )
    frame["adjusted_seconds"] = float("nan")
    known = frame["cold_seconds"].notna() & frame["pixels"].notna()
    rows = frame.loc[known]
    frame.loc[known, "adjusted_seconds"] = adjusted_seconds(rows["cold_seconds"], rows["pixels"])
    return frame


def has_loaded(ledger: pd.DataFrame) -> pd.Series:
    """Say of every row whether its start-up seconds, if any, are of a method that loaded.

    Parameters
    ----------
    ledger : DataFrame
        Columns ``status`` and ``message``. Without the latter a failed load cannot be told from
        another failure, and only cases with a mask count.

    Returns
    -------
    Series of bool
    """
    if "message" not in ledger:
        return ledger["status"].isin(SEGMENTED)
    return ~ledger["message"].fillna("").astype(str).str.startswith(NOT_LOADED)


def overhead(ledger: pd.DataFrame) -> float:
    """Give the share of a run's wall-clock time that passed outside the methods' own phases.

    Parameters
    ----------
    ledger : DataFrame
        Columns ``seconds_<phase>`` of all :data:`cellharness.methods.timing.PHASES`,
        ``seconds_total``, ``seconds_overhead`` and ``repeats``. Rows that did not measure it are
        left out. With column ``details``, seconds that it names as ``reused_seconds`` passed for
        another method and are not counted.

    Returns
    -------
    float
        0 to 1; NaN where it was not measured. Trainings, scoring and the report are not in it.
    """
    each = [f"seconds_{phase}" for phase in PHASES if f"seconds_{phase}" not in _START_UP]
    names = ["seconds_total", *_START_UP, *each, "seconds_overhead", "repeats"]
    numbers = ledger.reindex(columns=names).apply(pd.to_numeric, errors="coerce")
    numbers["reused"] = 0.0
    if "details" in ledger:
        found = [details_of(text).get("reused_seconds", 0.0) for text in ledger["details"]]
        numbers["reused"] = pd.to_numeric(pd.Series(found, ledger.index), errors="coerce")
    numbers = numbers[numbers["seconds_overhead"].notna()].fillna(0.0)
    phases = numbers[each].sum(axis=1) * numbers["repeats"] + numbers[list(_START_UP)].sum(axis=1)
    # Of a process that had to be ended no phase is known, only what it took in all.
    own = (phases.where(phases > 0, numbers["seconds_total"]) - numbers["reused"]).sum()
    outside = numbers["seconds_overhead"].sum()
    return float(outside / (own + outside)) if own + outside > 0 else float("nan")
