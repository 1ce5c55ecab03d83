"""How intervals, p values and losses are written in the tables of a forgetting study."""

from __future__ import annotations

from cellharness.report.records import Record
from cellharness.report.wording import NOTHING, absent, number, signed


def change_with_ends(row: Record, value: str, stem: str) -> str:
    """Write a change with the ends of its interval.

    Examples
    --------
    >>> change_with_ends({"x": -0.2, "x_low": -0.3, "x_high": -0.1}, "x", "x")
    '−0.200 (−0.300 to −0.100)'
    """
    if absent(row[value]):
        return NOTHING
    low, high = row[f"{stem}_low"], row[f"{stem}_high"]
    if absent(low) or absent(high):
        return signed(row[value])
    return f"{signed(row[value])} ({signed(low)} to {signed(high)})"


def loss_with_ends(row: Record, value: str, stem: str) -> str:
    """Write a loss, whose sign needs no plus, with the ends of its interval."""
    return change_with_ends(row, value, stem).replace("+", "")


def share_with_ends(row: Record, value: str, low: str, high: str, digits: int = 0) -> str:
    """Write a share in per cent with the ends of its interval.

    Examples
    --------
    >>> share_with_ends({"s": 0.5, "l": 0.25, "h": float("nan")}, "s", "l", "h")
    '50 %'
    """
    if absent(row[value]):
        return NOTHING
    text = f"{100 * row[value]:.{digits}f} %"
    if not (absent(row[low]) or absent(row[high])):
        text += f" ({100 * row[low]:.{digits}f} to {100 * row[high]:.{digits}f})"
    return text.replace("-", "−")


def p_value(p: float) -> str:
    """Write a p value.

    Examples
    --------
    >>> p_value(0.03125), p_value(1e-9), p_value(float("nan"))
    ('0.031', '< 0.001', '–')
    """
    return "< 0.001" if not absent(p) and p < 0.001 else number(p)
