"""What each method costs: seconds an image, and the memory that it needs at most."""

from __future__ import annotations

import pandas as pd

from cellharness.report.loading import RunData
from cellharness.statistics.efficiency import running_times
from cellharness.vocabulary import SEGMENTED

GPU, HOST = "GPU", "host"
#: Columns of the ledger, the one to prefer first.
MEMORY_COLUMNS = ("peak_gpu_mb", "peak_host_mb")


def costs_of(run: RunData) -> pd.DataFrame:
    """Give seconds and memory of every method, over its images with a mask.

    Parameters
    ----------
    run : RunData
        The run.

    Returns
    -------
    DataFrame
        One row a method: ``method``, ``seconds`` (median of the warm running times), ``memory_mb``
        (largest peak, MiB) and ``memory_of``: ``GPU``, that of the framework's allocator;
        ``host``, resident memory of the process, where the method used no GPU. NaN and "" where
        it was not measured.
    """
    times = running_times(run.ledger).groupby("method")["warm_seconds"].median()
    segmented = run.ledger[run.ledger["status"].isin(SEGMENTED)]
    peaks = segmented.reindex(columns=["method", *MEMORY_COLUMNS])
    for name in MEMORY_COLUMNS:
        peaks[name] = pd.to_numeric(peaks[name], errors="coerce")
    largest = peaks.groupby("method")[list(MEMORY_COLUMNS)].max()
    largest = largest.reindex(list(run.methods)).astype(float)
    gpu = largest["peak_gpu_mb"].where(largest["peak_gpu_mb"] > 0)
    host = largest["peak_host_mb"].where(largest["peak_host_mb"] > 0)
    kind = pd.Series("", largest.index, dtype=object).mask(host.notna(), HOST)
    return pd.DataFrame(
        {
            "method": list(run.methods),
            "seconds": times.reindex(list(run.methods)).to_numpy(float),
            "memory_mb": gpu.fillna(host).to_numpy(float),
            "memory_of": kind.mask(gpu.notna(), GPU).to_numpy(object),
        }
    )


def timed(run: RunData, times: pd.DataFrame, column: str) -> list[str]:
    """Name the methods that have a time, or that never made a mask to time.

    The first have values to rank; the second are behind them, as they failed. Masks that were made
    elsewhere may have no times: unknown is not worst.

    Parameters
    ----------
    run : RunData
        The run.
    times : DataFrame
        Columns ``method`` and `column`, seconds.
    column : str
        Which time.

    Returns
    -------
    list of str
        In the order of the run; empty where no method has a time.
    """
    known = set(times.loc[times[column].notna(), "method"])
    ledger = run.ledger
    made = set(ledger.loc[ledger["status"].isin(SEGMENTED), "method"])
    return [m for m in run.methods if m in known or m not in made] if known else []
