"""Outputs that must not change: the reports of kept run directories, and the masks in them.

``runs/<name>/`` holds what a report is made of, written by real runs: scores, ledger, manifest,
masks, logs of trainings. ``expected/<name>/`` holds what was made of it: every ``tables/*.csv``
and the text of ``index.html``. To see what a change does to them::

    python tests/frozen/frozen.py            # compare; exit code 1 and the differences
    python tests/frozen/frozen.py --update   # take what is made now as expected

The images of the phantom runs are generated; those of the real run lie in ``../shared``.
"""

from __future__ import annotations

import argparse
import difflib
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUNS = HERE / "runs"
EXPECTED = HERE / "expected"
SHARED = HERE.parents[2] / "shared"
NAMES = tuple(sorted(path.name for path in RUNS.iterdir() if path.is_dir()))

#: Processors round the last digits of sums and exponentials differently.
_RELATIVE = 1e-9
_MOST_LINES = 40


class MissingImagesError(Exception):
    """The images of a kept run are not at hand."""


class _Text(HTMLParser):
    """What a reader of a page can read, a line a piece; drawings are left to their own tests."""

    _silent = ("script", "style", "svg", "head")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = []
        self._inside = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._inside += tag in self._silent

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag in self._silent

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and not self._inside:
            self.lines.append(text)


def text_of(page: str) -> str:
    """Text of an HTML page without its drawings, one line a piece."""
    parser = _Text()
    parser.feed(page)
    return "\n".join(parser.lines) + "\n"


def prepare(name: str, folder: Path) -> Path:
    """Copy a kept run into a folder and give it its images.

    Raises
    ------
    MissingImagesError
        They lie in ``../shared``, which is not here.
    """
    run = folder / name
    shutil.copytree(RUNS / name, run)
    head = json.loads((run / "run.json").read_text(encoding="utf-8"))
    phantom = head["config"]["dataset"].get("phantom")
    if phantom is None:
        root = SHARED / "realdata"
        if not root.is_dir():
            msg = "needs ../shared/realdata, which is not here"
            raise MissingImagesError(msg)
        head["dataset"]["root"] = str(root)
        (run / "run.json").write_text(json.dumps(head, indent=1), encoding="utf-8")
    else:
        from cellharness.data.phantom import generate

        generate(run / "data", **phantom)
    return run


def build(run: Path) -> dict[str, str]:
    """Make the report of a run directory; return its tables and its text by file name."""
    from cellharness.report import build_report

    page = build_report(run)
    made = {"index.txt": text_of(page.read_text(encoding="utf-8"))}
    for table in sorted((page.parent / "tables").glob("*.csv")):
        made[f"tables/{table.name}"] = table.read_bytes().decode("utf-8")
    return made


def expected(name: str) -> dict[str, str]:
    """Return what was kept, by file name."""
    folder = EXPECTED / name
    files = [folder / "index.txt", *sorted((folder / "tables").glob("*.csv"))]
    return {file.relative_to(folder).as_posix(): file.read_bytes().decode() for file in files}


def differences(kept: dict[str, str], made: dict[str, str]) -> Iterator[str]:
    """Say which files differ, and where; the last digits of numbers in tables may."""
    for name in sorted(kept.keys() | made.keys()):
        if name not in made or name not in kept:
            yield f"{name}: {'new' if name in made else 'gone'}"
        elif kept[name] != made[name] and not _same_numbers(name, kept[name], made[name]):
            lines = difflib.unified_diff(
                kept[name].splitlines(), made[name].splitlines(), "kept", "made", "", "", 0, ""
            )
            yield "\n".join([f"{name}:", *list(lines)[2:_MOST_LINES]])


def _same_numbers(name: str, kept: str, made: str) -> bool:
    """Whether two tables differ in nothing but the last digits of numbers."""
    first, second = ([line.split(",") for line in text.split("\n")] for text in (kept, made))
    if not name.endswith(".csv") or [*map(len, first)] != [*map(len, second)]:
        return False
    pairs = zip(chain.from_iterable(first), chain.from_iterable(second), strict=True)
    return all(one == two or _close(one, two) for one, two in pairs)


def _close(one: str, two: str) -> bool:
    try:
        return math.isclose(float(one), float(two), rel_tol=_RELATIVE, abs_tol=1e-12)
    except ValueError:
        return False


def main() -> int:
    """Compare all, or take what is made now as expected."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES, help=f"of {', '.join(NAMES)}")
    parser.add_argument("--update", action="store_true", help="keep what is made now")
    options = parser.parse_args()
    found = False
    for name in options.names:
        with tempfile.TemporaryDirectory() as folder:
            made = build(prepare(name, Path(folder)))
        if options.update:
            shutil.rmtree(EXPECTED / name, ignore_errors=True)
            for file, text in made.items():
                target = EXPECTED / name / file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(text.encode())
            continue
        for difference in differences(expected(name), made):
            found = True
            sys.stdout.write(f"{name}/{difference}\n\n")
    sys.stdout.write("different\n" if found else "equal\n")
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
