"""How numbers are written: the same way in every sentence, table and figure."""

from __future__ import annotations

import math
from collections.abc import Sequence

#: Stands where there is no value.
NOTHING = "–"


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with fixed digits, or a dash for none.

    Examples
    --------
    >>> number(0.85349), number(float("nan")), number(12.5, 1)
    ('0.853', '–', '12.5')
    """
    return NOTHING if absent(value) else f"{value:.{digits}f}"


def significant(value: float | None) -> str:
    """Write a measurement with three significant digits, but at most three decimals.

    Examples
    --------
    >>> significant(0.012345), significant(1.5), significant(3172.4), significant(0)
    ('0.012', '1.50', '3,172', '0')
    """
    if absent(value) or value is None:
        return NOTHING
    if value == 0:
        return "0"
    decimals = min(3, max(0, 2 - math.floor(math.log10(abs(value)))))
    return f"{value:,.{decimals}f}"


def spread(low: float, high: float) -> str:
    """Write an interquartile range.

    Examples
    --------
    >>> spread(0.5, 0.75)
    '0.500–0.750'
    """
    return NOTHING if absent(low) or absent(high) else f"{number(low)}–{number(high)}"


def signed(value: float) -> str:
    """Write a difference with its sign.

    Examples
    --------
    >>> signed(0.0712), signed(-0.5), signed(0.0001), signed(float("nan"))
    ('+0.071', '−0.500', '0', '–')
    """
    if absent(value):
        return NOTHING
    text = f"{value:+.3f}".replace("-", "−")
    return text if text.strip("+−0.") else "0"


def count(n: int, noun: str) -> str:
    """Write a count with its noun.

    Examples
    --------
    >>> count(1, "image"), count(1200, "case")
    ('1 image', '1,200 cases')
    """
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def duration(seconds: float | None) -> str:
    """Write how long something took, to the minute from one minute on.

    Examples
    --------
    >>> duration(55.3), duration(754), duration(12000), duration(3600), duration(None)
    ('55 s', '13 min', '3 h 20 min', '1 h', '–')
    """
    if absent(seconds) or seconds is None:
        return NOTHING
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return " ".join([f"{hours:,} h"] * (hours > 0) + [f"{minutes} min"] * (minutes > 0))


def listing(items: Sequence[str]) -> str:
    """Join items as a sentence does.

    Examples
    --------
    >>> listing(["a"]), listing(["a", "b"]), listing(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def f1_at(threshold: float) -> str:
    """Name the score with its threshold.

    Examples
    --------
    >>> f1_at(0.5)
    'F1 (IoU ≥ 0.5)'
    """
    return f"F1 (IoU ≥ {threshold:g})"


def absent(value: object) -> bool:
    """Whether there is no number: None or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))
