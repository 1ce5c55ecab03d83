"""Score tables of every kind that users have, read into one form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellharness.errors import UsageError, unknown_name
from cellharness.names import case_of
from cellharness.run_directory import SCORE_TEXT, RunDirectory, RunDirectoryError, RunRecord
from cellharness.statistics.side_by_side import LARGER_IS_BETTER
from cellharness.tables import (
    TableError,
    number_of,
    read_brought,
    read_table,
    same_threshold,
)

#: Columns of what `read_source` returns.
COLUMNS = (
    "method", "case", "modality", "experiment", "status", "value", "n_true", "oracle",
)  # fmt: skip

#: Metrics that can be compared: those of which more is better.
METRICS = tuple(name for name, larger in LARGER_IS_BETTER.items() if larger)

# The official script's columns, where this package names them otherwise than in letter case.
_OFFICIAL = {"true_num": "n_true"}
_OFFICIAL_METRICS = ("f1", "n_true", "precision", "recall", "dice")
_TEXT = (*SCORE_TEXT, "status", "names")
_KNOWN = (*_TEXT, *METRICS, "threshold", "n_true", *_OFFICIAL)
# How programs call the rows below a table that sum it up.
_SUMMARIES = frozenset(
    (
        *("mean", "average", "avg", "median", "std", "sd", "stdev", "std.", "stderr", "sem"),
        *("sum", "total", "all", "overall", "min", "max", "count", "n"),
        *("mittelwert", "durchschnitt", "summe", "gesamt", "moyenne", "media", "promedio"),
    )
)
_OFFICIAL_NAME = re.compile(r"(?P<name>.+)-(?P<threshold>[01](\.\d+)?)")
_FORMS = (
    "a run directory or its scores.csv; what `cellharness score` writes (case, threshold, f1); the "
    "official script's CSV (names, F1); or any CSV with the columns case and f1"
)


class SourceError(UsageError):
    """Scores that cannot be read or compared; the message names the file and what to do."""


@dataclass(frozen=True)
class ScoreChoice:
    """Which scores of a table are compared.

    Attributes
    ----------
    metric : str
        One of `METRICS`.
    threshold : float
        IoU; tables that do not say theirs are taken as they are.
    profile : str
        Of run directories, ``strict`` or ``challenge``.
    """

    metric: str = "f1"
    threshold: float = 0.5
    profile: str = "strict"

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise unknown_name(kind="metric", name=self.metric, known=METRICS, error=SourceError)
        if not 0 < self.threshold <= 1:  # neither is NaN
            msg = f"threshold {self.threshold} is not above 0 and at most 1; usual are 0.5 and 0.7"
            raise SourceError(msg)


def read_source(path: Path, choice: ScoreChoice) -> pd.DataFrame:
    """Read scores of one or more methods.

    Parameters
    ----------
    path : Path
        A run directory, or a CSV in one of the forms that the error message lists.
    choice : ScoreChoice
        What to take from it.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, one row a method and case: ``modality``, ``experiment`` and ``status``
        are "" where the table has none, ``value`` is NaN for a case without a score, ``n_true`` NaN
        where unknown, ``oracle`` whether a run says that the method reads the truth.

    Raises
    ------
    SourceError
        No such file, no form that is known, nothing at the metric, threshold or profile, a case
        that occurs twice or has no name, or a value that is no number from 0 to 1.
    """
    file = path
    labels: dict[str, str] = {}
    oracles: frozenset[str] = frozenset()
    if path.is_dir():
        run = RunDirectory(path)
        file = run.scores
        if not file.is_file():
            msg = f"'{path}' holds no scores.csv; give a finished run directory, or a CSV of scores"
            raise SourceError(msg)
        labels, oracles = _about_methods(run.record)
    table, warnings = _read(file, own=path.is_dir())
    if "names" in table.columns and "f1" in table.columns:
        found = _official(table, file, choice)
    elif "case" in table.columns and choice.metric in table.columns:
        found = _own(table, file, choice)
    else:
        msg = f"'{file}' has the columns {', '.join(map(str, table.columns))}; read are {_FORMS}"
        raise SourceError(msg)
    found, summaries = _without_summaries(found, file)
    twice = found[found.duplicated(["method", "case"])]
    if not twice.empty:
        first = twice.iloc[0]
        msg = f"'{file}' has case '{first['case']}' of '{first['method']}' more than once"
        raise SourceError(msg)
    read = found.assign(
        oracle=found["method"].isin(oracles),
        method=found["method"].map(lambda name: labels.get(name, name)),
    )[list(COLUMNS)]
    read.attrs["warnings"] = (*warnings, *summaries)
    return read


def _read(file: Path, *, own: bool) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read what a run wrote, or what somebody brought, with remarks on how that was read."""
    if not file.is_file():
        msg = f"no file or run directory '{file}'; read are {_FORMS}"
        raise SourceError(msg)
    remarks: tuple[str, ...] = ()
    try:
        if own:
            table = read_table(file, _TEXT)
        else:
            brought = read_brought(file, _KNOWN)
            table, remarks = _typed(pd.DataFrame(brought.rows, dtype=object)), brought.remarks
            table = table.reindex(columns=list(brought.columns))
    except TableError as error:
        raise SourceError(str(error)) from error
    if table.empty:
        msg = f"'{file}' has no rows"
        raise SourceError(msg)
    return table, remarks


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Make numbers of what are numbers in columns that are read; the rest stays as it is."""

    def number(value: str) -> float | str:
        try:
            return number_of(value)
        except ValueError:
            return value

    for name in table.columns:
        given = table[name]
        if name in _TEXT:
            table[name] = given.where(given != "", None)
        elif name in _KNOWN:
            table[name] = given.map(number)
    return table


def _without_summaries(found: pd.DataFrame, file: Path) -> tuple[pd.DataFrame, list[str]]:
    """Leave out rows at the end of a method that are named as if they summed it up."""
    named = found["case"].str.strip(" :").str.casefold().isin(_SUMMARIES)
    if not named.any():
        return found, []
    # Of each method those after which no case follows.
    later = (~named)[::-1].groupby(found["method"][::-1]).cumsum()[::-1]
    last = named & (later == 0)
    warnings = []
    for rows, what in (
        (last, "is taken for a summary and left out; rename it if it is a case"),
        (named & ~last, "is taken for a case, as cases follow; delete it if it sums up others"),
    ):
        names = list(dict.fromkeys(found.loc[rows, "case"]))
        if names:
            told = ", ".join(f"'{name}'" for name in names)
            warnings.append(f"'{file}': a row called {told} {what}")
    return found[~last].reset_index(drop=True), warnings


def _about_methods(path: Path) -> tuple[dict[str, str], frozenset[str]]:
    """How a run spells its methods, unless two share a name, and which of them read the truth."""
    try:
        methods = RunRecord.read(path).methods
    except RunDirectoryError:
        return {}, frozenset()
    labels = {method.name: method.label or method.name for method in methods}
    oracles = frozenset(method.name for method in methods if method.reads_truth)
    return labels if len(set(labels.values())) == len(labels) else {}, oracles


def _official(table: pd.DataFrame, file: Path, choice: ScoreChoice) -> pd.DataFrame:
    """Columns of the challenge's ``compute_metric.py``, one file a threshold."""
    named = _OFFICIAL_NAME.fullmatch(file.stem)
    if named and not same_threshold(float(named["threshold"]), choice.threshold):
        msg = (
            f"'{file}' holds scores at IoU {named['threshold']} by its name, and "
            f"{choice.threshold:g} is asked for; choose with --threshold, or give the other file"
        )
        raise SourceError(msg)
    table = table.rename(columns=_OFFICIAL)
    if choice.metric not in table.columns:
        msg = f"'{file}' has no {choice.metric}; it has {', '.join(_OFFICIAL_METRICS)}"
        raise SourceError(msg)
    table["case"] = table["names"].map(case_of, na_action="ignore")
    return _formed(table, named["name"] if named else file.stem, file, choice)


def _own(table: pd.DataFrame, file: Path, choice: ScoreChoice) -> pd.DataFrame:
    for column, wanted in (("profile", choice.profile), ("threshold", choice.threshold)):
        if column not in table.columns:
            continue
        if column == "threshold":
            given = pd.to_numeric(table[column], errors="coerce")
            kept = table[[same_threshold(value, choice.threshold) for value in given]]
        else:
            kept = table[table[column] == wanted]
        if kept.empty:
            there = ", ".join(str(value) for value in table[column].unique())
            msg = f"'{file}' has no scores of {column} {wanted}; it has {there}"
            raise SourceError(msg)
        table = kept
    return _formed(table, file.stem, file, choice)


def _formed(table: pd.DataFrame, name: str, file: Path, choice: ScoreChoice) -> pd.DataFrame:
    nameless = int(table["case"].isna().sum())
    if nameless:
        msg = f"'{file}' has no name of a case in {nameless} of {len(table)} rows; fill them in"
        raise SourceError(msg)
    if "method" in table.columns:
        unknown = int(table["method"].isna().sum())
        if unknown:
            msg = f"'{file}' has no method in {unknown} of {len(table)} rows; fill it in"
            raise SourceError(msg)
    given = table[choice.metric]
    values = pd.to_numeric(given, errors="coerce")
    # A case without a score is an empty field; anything else that is no score is a mistake.
    wrong = (values.isna() & given.notna()) | (values < 0) | (values > 1)
    if wrong.any():
        first = table[wrong].iloc[0]
        msg = (
            f"'{file}' has {choice.metric} '{first[choice.metric]}' for case "
            f"'{first['case']}'; valid are numbers from 0 to 1, or nothing where there is no score"
        )
        if 1 < values[wrong].iloc[0] <= 100:
            msg += ". Percentages must be divided by 100"
        raise SourceError(msg)
    if values.isna().all():
        msg = f"'{file}' has no {choice.metric} in any of its {len(table)} rows"
        raise SourceError(msg)
    formed = pd.DataFrame(
        {
            "method": table["method"] if "method" in table.columns else name,
            "case": table["case"].astype(str),
            "modality": table["modality"].fillna("") if "modality" in table.columns else "",
            "experiment": table["experiment"].fillna("") if "experiment" in table.columns else "",
            "status": table["status"].fillna("") if "status" in table.columns else "",
            "value": values.astype(float),
            "n_true": pd.to_numeric(table.get("n_true", float("nan")), errors="coerce"),
        }
    )
    return formed.reset_index(drop=True)
