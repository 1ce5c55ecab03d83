"""Significance letters as they are written: many neighbours as a range."""

from __future__ import annotations

from itertools import groupby
from string import ascii_letters

_SHORTEST_RANGE = 4


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
    return ", ".join(_write(run) for run in runs)


def _write(run: list[int]) -> str:
    text = "".join(ascii_letters[place] for place in run)
    return text if len(run) < _SHORTEST_RANGE else f"{text[0]}–{text[-1]}"
