"""One table, four forms: CSV with raw numbers, Markdown, LaTeX (booktabs) and the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cellharness.statistics import ALL

#: Of the files that :func:`write_table` writes.
TABLE_SUFFIXES = (".csv", ".md", ".tex")


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes
    ----------
    cells
        Texts as they are shown; a heading has only the first.
    heading
        Whether it names the block of rows below it.
    strong
        Positions of cells to stress, such as the best of a block.
    colour
        Hex colour of the method that the row is about, or "".
    marks
        Position of a cell to the class that the page gives it.
    """

    cells: tuple[str, ...]
    heading: bool = False
    strong: frozenset[int] = frozenset()
    colour: str = ""
    marks: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """What is shown, and the raw numbers behind it.

    In the page a cell may have a second, smaller line behind a line break; elsewhere it is set in
    brackets.

    Attributes
    ----------
    name
        File name without suffix.
    title
        Caption.
    header
        Column heads.
    rows
        Lines, headings included.
    frame
        Raw, unrounded values for the CSV.
    spans
        Heads over several columns as (text, number of columns), "" where there is none; together
        they cover all columns. Empty for a single line of heads.
    text
        Positions of columns that hold text; the others are set flush right.
    notes
        Sentences under the table.
    measure
        What the estimates in `frame` are of, where it has any; a column ``measure`` says it row by
        row. "" where another table has the same rows.
    sortable
        Whether a reader of the page may sort the rows by a column.
    """

    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    frame: pd.DataFrame
    spans: tuple[tuple[str, int], ...] = ()
    text: frozenset[int] = frozenset({0})
    notes: tuple[str, ...] = ()
    measure: str = ""
    sortable: bool = False

    @property
    def full_header(self) -> tuple[str, ...]:
        """Column heads in one line, the spanning ones in front."""
        over = [text for text, n in self.spans for _ in range(n)] or [""] * len(self.header)
        return tuple(
            one_line(f"{span}: {head}" if span else head)
            for span, head in zip(over, self.header, strict=True)
        )


def one_line(cell: str) -> str:
    r"""Write the lines of a cell after the first in brackets.

    Examples
    --------
    >>> one_line("0.853\n0.70–0.91"), one_line("0.853")
    ('0.853 (0.70–0.91)', '0.853')
    """
    first, *others = cell.split("\n")
    return f"{first} ({'; '.join(others)})" if others else first


def write_table(table: Table, folder: Path) -> None:
    """Write ``name.csv``, ``name.md`` and ``name.tex`` into an existing folder."""
    csv, md, tex = (folder / f"{table.name}{suffix}" for suffix in TABLE_SUFFIXES)
    table.frame.to_csv(csv, index=False)
    md.write_text(to_markdown(table), encoding="utf-8")
    tex.write_text(to_latex(table), encoding="utf-8")


def to_markdown(table: Table) -> str:
    """Render as a pipe table, the title above and the notes below."""
    rule = ["---" if i in table.text else "---:" for i in range(len(table.header))]
    lines = [f"**{escape_markdown(table.title)}**", ""]
    lines += [_pipes([escape_markdown(cell) for cell in table.full_header]), _pipes(rule)]
    for row in table.rows:
        cells = [escape_markdown(one_line(cell)) for cell in row.cells]
        if row.heading:
            cells = [f"**{cells[0]}**"] + [""] * (len(table.header) - 1)
        else:
            cells = [f"**{c}**" if i in row.strong else c for i, c in enumerate(cells)]
        lines.append(_pipes(cells))
    if table.notes:
        lines += ["", *(f"{escape_markdown(note)}  " for note in table.notes)]
    return "\n".join(lines) + "\n"


def to_latex(table: Table) -> str:
    r"""Render as a ``table`` environment that needs only the booktabs package."""
    columns = "".join("l" if i in table.text else "r" for i in range(len(table.header)))
    lines = [
        r"% needs \usepackage{booktabs} and \usepackage[T1]{fontenc}",
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{escape_latex(table.title)}}}",
        rf"\label{{tab:{table.name.replace('_', '-')}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        *_latex_spans(table),
        " & ".join(escape_latex(one_line(cell)) for cell in table.header) + r" \\",
        r"\midrule",
    ]
    for i, row in enumerate(table.rows):
        if row.heading:
            if i:
                lines.append(r"\addlinespace")
            text = rf"\textit{{{escape_latex(row.cells[0])}}}"
            lines.append(rf"\multicolumn{{{len(table.header)}}}{{l}}{{{text}}} \\")
            continue
        cells = [escape_latex(one_line(cell)) for cell in row.cells]
        cells = [rf"\textbf{{{c}}}" if j in row.strong else c for j, c in enumerate(cells)]
        # A bracket after a line break would be read as an optional argument.
        if cells[0].startswith("["):
            cells[0] = "{}" + cells[0]
        lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    if table.notes:
        lines += ["", r"\smallskip", r"\begin{minipage}{\linewidth}\footnotesize"]
        lines += [escape_latex(note) + r"\par" for note in table.notes]
        lines.append(r"\end{minipage}")
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _latex_spans(table: Table) -> list[str]:
    if not table.spans:
        return []
    cells, rules, at = [], [], 1
    for text, n in table.spans:
        cells.append(
            rf"\multicolumn{{{n}}}{{c}}{{{escape_latex(text)}}}" if text else " & " * (n - 1)
        )
        if text:
            rules.append(rf"\cmidrule(lr){{{at}-{at + n - 1}}}")
        at += n
    return [" & ".join(cells) + r" \\", "".join(rules)]


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "≥": r"$\geq$",
    "×": r"$\times$",
    "−": "$-$",
    "Δ": r"$\Delta$",
    "→": r"$\to$",
    "\n": " ",
}


def escape_latex(text: str) -> str:
    r"""Escape what LaTeX would read as a command.

    Examples
    --------
    >>> print(escape_latex("50 % of a_b & {c}"))
    50 \% of a\_b \& \{c\}
    """
    return "".join(_LATEX.get(letter, letter) for letter in text)


def escape_markdown(text: str) -> str:
    r"""Escape what Markdown or inline HTML would read as markup.

    Examples
    --------
    >>> print(escape_markdown("a|b <i> *c*"))
    a\|b \<i\> \*c\*
    """
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text).replace("\n", " ")


def blocks(groups: Iterable[tuple[str, Iterable[Row]]]) -> tuple[Row, ...]:
    """Put the rows of each group under its heading; one without rows is left out.

    Examples
    --------
    >>> [row.cells for row in blocks([("a", [Row(("x", "1"))]), ("b", [])])]
    [('a',), ('x', '1')]
    """
    found = [(title, list(rows)) for title, rows in groups]
    return tuple(r for title, rows in found if rows for r in (Row((title,), heading=True), *rows))


def _pipes(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def leaders(medians: Mapping[str, float]) -> set[str]:
    """Name the methods with the highest value as printed; nobody where there is no contest.

    Examples
    --------
    >>> leaders({"a": 0.81, "b": 0.80}), leaders({"a": 0.81}), leaders({"a": 0.5, "b": 0.5001})
    ({'a'}, set(), set())
    """
    top = highest(medians)
    known = [name for name, value in medians.items() if not pd.isna(value)]
    return set() if len(top) == len(known) else set(top)


def highest(medians: Mapping[str, float]) -> tuple[str, ...]:
    """Name who has the highest value as printed: a difference in the fourth decimal is none.

    Examples
    --------
    >>> highest({"a": 0.5, "b": 0.5001, "c": 0.4}), highest({"a": float("nan")})
    (('a', 'b'), ())
    """
    printed = {name: round(float(v), 3) for name, v in medians.items() if not pd.isna(v)}
    top = max(printed.values(), default=0.0)
    return tuple(name for name, value in printed.items() if value == top)


def group_title(group: str) -> str:
    """Spell a group of images in headings and panel titles."""
    return "All images" if group == ALL else group
