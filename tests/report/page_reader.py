"""Reads a page as a browser would, and as strictly as none does."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "br", "hr", "img", "link", "input"}


def svg_width_mm(svg: str) -> float:
    """Printed width that an SVG states, in points there."""
    return float(re.search(r'<svg [^>]*width="([\d.]+)pt"', svg)[1]) / 72 * 25.4


class Page(HTMLParser):
    """Checks nesting, and keeps ids, links and visible text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[tuple[str, str]] = []
        self.headings: list[str] = []
        self.words: list[str] = []
        self.feed(self.source)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self._note(tag, dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self._note(tag, dict(attrs))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data.strip())

    def _note(self, tag, attrs):
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag == "a":
            self.links.append(attrs["href"])
        for name in ("src", "href", "xlink:href", "data", "poster"):
            if name in attrs and tag != "a":
                self.loads.append((tag, attrs[name]))

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))
