"""Score tables of every kind that users have, read into one form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellharness.errors import UsageError
from cellharness.report.loading import reads_truth
from cellharness.run_directory import SCORE_TEXT, RunDirectory, RunDirectoryError, RunRecord
from cellharness.statistics.side_by_side import LARGER_IS_BETTER
from cellharness.tables import TableError, read_table

#: Columns of what `read_source` returns.
COLUMNS = (
    "method", "case", "modality", "experiment", "status", "value", "n_true", "oracle",
)  # fmt: skip

#: Metrics that can be compared: those of which more is better.
METRICS = tuple(name for name, larger in LARGER_IS_BETTER.items() if larger)

# The official script's columns, as this package names them.
_OFFICIAL = {"F1": "f1", "true_num": "n_true", "precision": "precision", "recall": "recall",
             "dice": "dice"}  # fmt: skip
_OFFICIAL_NAME = re.compile(r"(?P<name>.+)-(?P<threshold>[01](\.\d+)?)")
_CASE = re.compile(r"(?P<case>.+?)(_label)?\.(tiff?|png|npy|npz|jpe?g|bmp)", re.IGNORECASE)
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
            msg = f"unknown metric '{self.metric}'; valid: {', '.join(METRICS)}"
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
    table = _read(file)
    if "names" in table.columns and "F1" in table.columns:
        found = _official(table, file, choice)
    elif "case" in table.columns and choice.metric in table.columns:
        found = _own(table, file, choice)
    else:
        msg = f"'{file}' has the columns {', '.join(map(str, table.columns))}; read are {_FORMS}"
        raise SourceError(msg)
    twice = found[found.duplicated(["method", "case"])]
    if not twice.empty:
        first = twice.iloc[0]
        msg = f"'{file}' has case '{first['case']}' of '{first['method']}' more than once"
        raise SourceError(msg)
    return found.assign(
        oracle=found["method"].isin(oracles),
        method=found["method"].map(lambda name: labels.get(name, name)),
    )[list(COLUMNS)]


def _read(file: Path) -> pd.DataFrame:
    if not file.is_file():
        msg = f"no file or run directory '{file}'; read are {_FORMS}"
        raise SourceError(msg)
    try:
        table = read_table(file, (*SCORE_TEXT, "status", "names"))
    except TableError as error:
        raise SourceError(str(error)) from error
    if table.empty:
        msg = f"'{file}' has no rows"
        raise SourceError(msg)
    return table


def _about_methods(path: Path) -> tuple[dict[str, str], frozenset[str]]:
    """How a run spells its methods, unless two share a name, and which of them read the truth."""
    try:
        methods = RunRecord.read(path).methods
    except RunDirectoryError:
        return {}, frozenset()
    labels = {method.name: method.label or method.name for method in methods}
    oracles = frozenset(method.name for method in methods if reads_truth(method))
    return labels if len(set(labels.values())) == len(labels) else {}, oracles


def _official(table: pd.DataFrame, file: Path, choice: ScoreChoice) -> pd.DataFrame:
    """Columns of the challenge's ``compute_metric.py``, one file a threshold."""
    named = _OFFICIAL_NAME.fullmatch(file.stem)
    if named and float(named["threshold"]) != choice.threshold:
        msg = (
            f"'{file}' holds scores at IoU {named['threshold']} by its name, and "
            f"{choice.threshold:g} is asked for; choose with --threshold, or give the other file"
        )
        raise SourceError(msg)
    table = table.rename(columns=_OFFICIAL)
    if choice.metric not in table.columns:
        msg = f"'{file}' has no {choice.metric}; it has {', '.join(_OFFICIAL.values())}"
        raise SourceError(msg)
    table["case"] = table["names"].map(_case_of, na_action="ignore")
    return _formed(table, named["name"] if named else file.stem, file, choice)


def _own(table: pd.DataFrame, file: Path, choice: ScoreChoice) -> pd.DataFrame:
    for column, wanted in (("profile", choice.profile), ("threshold", choice.threshold)):
        if column not in table.columns:
            continue
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


def _case_of(name: str) -> str:
    """Case of a label image's file name.

    Examples
    --------
    >>> _case_of("cell_00001_label.tiff"), _case_of("cell_00001.png"), _case_of("cell_00001")
    ('cell_00001', 'cell_00001', 'cell_00001')
    """
    matched = _CASE.fullmatch(str(name))
    return matched["case"] if matched else str(name)
