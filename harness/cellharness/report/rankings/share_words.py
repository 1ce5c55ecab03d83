"""Shares in words that claim neither all nor nothing where it is not so."""

from __future__ import annotations


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
