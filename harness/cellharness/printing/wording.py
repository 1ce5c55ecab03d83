"""How numbers, intervals and p values are written, in every sentence, table and figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from string import ascii_letters

from cellharness.records import Record

_SHORTEST_RANGE = 4

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


def share_words(share: float) -> str:
    """Write a share in per cent.

    Examples
    --------
    >>> share_words(1.0), share_words(0.998), share_words(0.914), share_words(0.001)
    ('100 %', '> 99 %', '91 %', '< 1 %')
    """
    percent = round(100 * share)
    if percent == 100 and share < 1:
        return "> 99 %"
    return "< 1 %" if percent == 0 and share > 0 else f"{percent} %"


def short_letters(letters: str) -> str:
    """Write four or more neighbouring letters as a range.

    Examples
    --------
    >>> short_letters("abc"), short_letters("abcdfghijk"), short_letters("abcdm"), short_letters("")
    ('abc', 'a–d, f–k', 'a–d, m', '')
    """
    # Letters beyond the two alphabets have a prime, and are too rare to be shortened.
    if "′" in letters:
        return letters
    places = [ascii_letters.index(letter) for letter in letters]
    runs = [
        [place for _, place in run]
        for _, run in groupby(enumerate(places), key=lambda pair: pair[1] - pair[0])
    ]
    if all(len(run) < _SHORTEST_RANGE for run in runs):
        return letters
    return ", ".join(_write_run(run) for run in runs)


def _write_run(run: list[int]) -> str:
    text = "".join(ascii_letters[place] for place in run)
    return text if len(run) < _SHORTEST_RANGE else f"{text[0]}–{text[-1]}"


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


def with_interval(row: Record) -> str:
    """Write an estimate, as `cellharness.statistics.estimates` has them, with its interval.

    Examples
    --------
    >>> with_interval({"estimate": 0.1, "low": -0.02, "high": 0.22})
    '+0.100 (−0.020 to +0.220)'
    """
    ends = {"estimate": row["estimate"], "estimate_low": row["low"], "estimate_high": row["high"]}
    return change_with_ends(ends, "estimate", "estimate")


def without_plus(text: str) -> str:
    """Write a loss, whose sign needs no plus."""
    return text.replace("+", "")


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


def percent(share: float) -> str:
    """Write a share in per cent.

    Examples
    --------
    >>> percent(0.64), percent(-0.1)
    ('64 %', '−10 %')
    """
    return f"{100 * share:.0f} %".replace("-", "−")


def p_value(p: float) -> str:
    """Write a p value.

    Examples
    --------
    >>> p_value(0.03125), p_value(1e-9), p_value(float("nan"))
    ('0.031', '< 0.001', '–')
    """
    return "< 0.001" if not absent(p) and p < 0.001 else number(p)
