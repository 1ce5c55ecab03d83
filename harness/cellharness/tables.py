"""Read CSV tables: strictly what this program wrote, and in any dialect what people bring."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellharness.errors import UsageError, first_of

if TYPE_CHECKING:
    import pandas as pd

# A case, method or experiment may be called "NA", "None" or "nan".
_MISSING_NUMBERS = ["", "nan", "NaN", "NA"]
_NO_NUMBER = frozenset({"", "nan", "na", "n/a", "#n/a", "null", "none", "-"})
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+", re.ASCII)

_SEPARATORS = ",;\t|"
_SPELLED = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_LOOKED_AT = 50
_BOMS = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_WORKBOOKS = ((b"PK\x03\x04", "openpyxl"), (b"\xd0\xcf\x11\xe0", "xlrd"))
_EXPORT = "in the spreadsheet program, save the sheet as 'CSV UTF-8'"
_INVISIBLE = "\ufeff\u200b"


class TableError(UsageError):
    """A file that cannot be read as a table; the message names it."""


@dataclass(frozen=True)
class BroughtTable:
    """A table that somebody brought: text, as it stands in the file.

    Attributes
    ----------
    columns : tuple of str
        Names, those that are known in their known spelling.
    rows : tuple of dict of str to str
        Values without blanks around them; empty rows are left out.
    lines : tuple of int
        Line of each row in the file.
    remarks : tuple of str
        What had to be decided on reading that its owner should know.
    """

    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    lines: tuple[int, ...]
    remarks: tuple[str, ...]


def read_table(path: Path, text: Collection[str] | None) -> pd.DataFrame:
    """Read a CSV with a header line that this program wrote.

    Parameters
    ----------
    path : Path
        UTF-8, comma-separated.
    text : collection of str or None
        Columns that are text, of which only an empty field is missing; None takes all. In the
        others ``nan`` and ``NA`` are missing numbers as well, and pandas decides what they hold.

    Returns
    -------
    DataFrame

    Raises
    ------
    TableError
        The file cannot be read, or is no CSV.
    """
    # Manifests are read by many who need no pandas, which takes long to import.
    import pandas as pd

    try:
        header = [str(name) for name in pd.read_csv(path, nrows=0).columns]
        words = [name for name in header if text is None or name in text]
        missing = {name: [""] if name in words else _MISSING_NUMBERS for name in header}
        return pd.read_csv(
            path, dtype=dict.fromkeys(words, str), keep_default_na=False, na_values=missing
        )
    except (OSError, ValueError) as error:
        msg = f"cannot read '{path}' as a CSV table: {error}"
        raise TableError(msg) from error


def read_brought(
    path: Path,
    known: Collection[str],
    check_header: Callable[[Sequence[str]], None] | None = None,
) -> BroughtTable:
    """Read a table as whatever program somebody saved it with.

    Separators are commas, semicolons, tabs or bars; the encoding is UTF-8, UTF-16, UTF-32 or, with
    a remark, Windows-1252. Blanks around values, separators at the end of lines, and letter case of
    known names in the header are forgiven. Excel workbooks are read where pandas' reader for them
    is installed.

    Parameters
    ----------
    path : Path
        With a header line.
    known : collection of str
        Names of columns that are looked for.
    check_header : callable or None
        Told the names of the columns before any row is looked at; may raise.

    Returns
    -------
    BroughtTable

    Raises
    ------
    TableError
        It cannot be read without a guess; the message names cause and remedy.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        msg = f"cannot read '{path}' as a CSV table: {error.strerror}"
        raise TableError(msg) from error
    reader = next((name for start, name in _WORKBOOKS if data.startswith(start)), "")
    remarks: list[str] = []
    if reader:
        lines = _of_workbook(path, reader)
    else:
        text, remark = _decoded(data, path)
        remarks += [remark] if remark else []
        lines = _of_text(text, path, known)
    if not lines:
        msg = f"cannot read '{path}' as a CSV table: it is empty; it needs a header line"
        raise TableError(msg)
    return _formed(path, lines, known, remarks, check_header)


def number_of(value: str) -> float:
    """Read a number, also with a decimal comma; NaN where there is none.

    Raises
    ------
    ValueError
        It is something else.

    Examples
    --------
    >>> number_of("0.75"), number_of("0,75"), number_of("NA")
    (0.75, 0.75, nan)
    """
    if value.casefold() in _NO_NUMBER:
        return float("nan")
    if _DECIMAL_COMMA.fullmatch(value):
        value = value.replace(",", ".")
    if not _NUMBER.fullmatch(value):
        msg = f"'{value}' is no number"
        raise ValueError(msg)
    return float(value)


def same_threshold(one: float, other: float) -> bool:
    """Whether two IoU thresholds are one, however they were computed or written.

    Examples
    --------
    >>> same_threshold(0.3, 0.1 + 0.2), same_threshold(0.5, 0.55)
    (True, False)
    """
    return abs(one - other) < 1e-6


def distinct_thresholds(values: Iterable[float]) -> tuple[float, ...]:
    """Keep of thresholds that are one only the first.

    Examples
    --------
    >>> distinct_thresholds([0.5, 0.7, 0.50000000001])
    (0.5, 0.7)
    """
    kept: list[float] = []
    for value in values:
        if not any(same_threshold(value, other) for other in kept):
            kept.append(value)
    return tuple(kept)


_Lines = list[tuple[int, list[str]]]


def _decoded(data: bytes, path: Path) -> tuple[str, str]:
    """Text of a file, and a remark where its encoding is not certain."""
    named = next((encoding for start, encoding in _BOMS if data.startswith(start)), "")
    if not named and len(data) > 1 and 0 in data[:2]:
        # Saved without a mark: every other byte of plain text is zero.
        named = "utf-16-le" if data[1] == 0 else "utf-16-be"
    try:
        text = data.decode(named or "utf-8")
    except UnicodeDecodeError:
        text = ""
        if not named:
            text = data.decode("cp1252", errors="ignore")
            whole = len(text) == len(data)
            if whole and "\0" not in text:
                return text, f"'{path}' is not UTF-8 and was read as Windows-1252; {_EXPORT}"
        text = "\0"
    if "\0" in text:
        msg = f"'{path}' is no text in UTF-8, UTF-16 or Windows-1252, so no CSV table; {_EXPORT}"
        raise TableError(msg)
    return text, ""


def _of_text(text: str, path: Path, known: Collection[str]) -> _Lines:
    """Fields of each line that is not empty, by the separator that fits best."""
    first, _, rest = text.partition("\n")
    told = re.fullmatch(r"\ufeff?sep=(.)\s*", first, re.IGNORECASE)
    if told:
        # What Excel writes and reads to name the separator.
        return [(line + 1, fields) for line, fields in _split(rest, told[1], path)]
    wanted = {name.casefold() for name in known}

    def fit(separator: str) -> tuple[int, float, int]:
        try:
            lines = _split(text, separator, path, _LOOKED_AT)
        except TableError:
            return (-1, 0.0, 0)
        if not lines:
            return (0, 0.0, 0)
        header = [_plain(name).casefold() for name in lines[0][1]]
        widths = Counter(len(_trimmed(fields)) for _, fields in lines[1:])
        alike = widths[len(_trimmed(header))] / max(1, widths.total())
        return (len(wanted & set(header)), alike, len(header))

    return _split(text, max(_SEPARATORS, key=fit), path)


def _split(text: str, separator: str, path: Path, most: int | None = None) -> _Lines:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    lines: _Lines = []
    try:
        for fields in reader:
            if any(_plain(field) for field in fields):
                lines.append((reader.line_num, fields))
            if most is not None and len(lines) >= most:
                break
    except csv.Error as error:
        msg = (
            f"cannot read '{path}' as a CSV table: line {reader.line_num}: {error}. A quotation "
            "mark may be open or stand within a value"
        )
        raise TableError(msg) from error
    return lines


def _of_workbook(path: Path, reader: Any) -> _Lines:
    import pandas as pd

    try:
        sheets = pd.read_excel(
            path, sheet_name=None, header=None, dtype=str, keep_default_na=False, engine=reader
        )
    except ImportError as error:
        msg = (
            f"'{path}' is an Excel workbook, and its reader is not installed. Install it with: pip "
            f"install {reader}; or, {_EXPORT}"
        )
        raise TableError(msg) from error
    except Exception as error:  # of any kind, on an archive that is no workbook
        msg = f"'{path}' is no CSV table and no Excel workbook that can be read; {_EXPORT}"
        raise TableError(msg) from error
    filled = {name: sheet for name, sheet in sheets.items() if not sheet.empty}
    if len(filled) > 1:
        named = first_of(filled)
        msg = f"'{path}' has {len(filled)} sheets that are filled ({named}); {_EXPORT}"
        raise TableError(msg)
    rows = [list(row) for sheet in filled.values() for row in sheet.itertuples(index=False)]
    lines = [(number, [str(value) for value in row]) for number, row in enumerate(rows, start=1)]
    return [(number, row) for number, row in lines if any(_plain(value) for value in row)]


def _formed(
    path: Path,
    lines: _Lines,
    known: Collection[str],
    remarks: Sequence[str],
    check_header: Callable[[Sequence[str]], None] | None,
) -> BroughtTable:
    """Name the columns, and bring the rows to their number."""
    spelled = {name.casefold(): name for name in known}
    header = [_plain(name) for name in lines[0][1]]
    header = [spelled.get(name.casefold(), name) for name in _trimmed(header)]
    twice = [name for name, count in Counter(header).items() if name and count > 1]
    if twice:
        msg = f"'{path}': columns {', '.join(twice)} occur more than once"
        raise TableError(msg)
    if check_header is not None:
        check_header([name for name in header if name])
    rows = []
    for line, fields in lines[1:]:
        row = [_plain(field) for field in fields]
        over = [value for value in row[len(header) :] if value]
        if over or len(row) < len(header):
            hint = (
                "a decimal comma may split numbers: save with semicolons between the fields"
                if over and any(value.isdigit() for value in over)
                else "quote fields that hold the separator"
            )
            msg = (
                f"'{path}', line {line}: the number of fields differs from the header "
                f"({len(_trimmed(row))} and {len(header)}); {hint}"
            )
            raise TableError(msg)
        rows.append(dict(zip(header, row, strict=False)))
    if "" in header:
        # The row numbers that pandas writes first; all else without a name is not known either.
        remarks = [*remarks, f"'{path}' has a column without a name, which is not read"]
        rows = [{name: value for name, value in row.items() if name} for row in rows]
    return BroughtTable(
        tuple(name for name in header if name),
        tuple(rows),
        tuple(line for line, _ in lines[1:]),
        tuple(remarks),
    )


def _plain(value: str) -> str:
    return value.strip().strip(_INVISIBLE).strip()


def _trimmed(fields: Sequence[str]) -> list[str]:
    """Fields without the empty ones at the end, which separators at the end of a line make."""
    kept = list(fields)
    while kept and not kept[-1].strip():
        kept.pop()
    return kept
