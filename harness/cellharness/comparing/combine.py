"""Put the scores of several sources together, and find what does not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellharness.comparing.sources import SourceError

_FILES = frozenset({".csv", ".tsv", ".txt", ".xlsx", ".xls"})


@dataclass(frozen=True)
class Combined:
    """Scores of several sources.

    Attributes
    ----------
    scores : DataFrame
        Columns of :data:`cellharness.comparing.sources.COLUMNS`; methods of different
        sources have different names.
    warnings : tuple of str
        What a reader must know before trusting a comparison.
    """

    scores: pd.DataFrame
    warnings: tuple[str, ...]

    @property
    def methods(self) -> list[str]:
        """Names, in the order given."""
        return list(dict.fromkeys(self.scores["method"]))


def combine(sources: Mapping[Path, pd.DataFrame]) -> Combined:
    """Combine sources that were read; see :func:`cellharness.comparing.sources.read_source`.

    A method name that several sources have gets the name of its source in front. A case takes its
    modality and its experiment from the sources that know one.

    Parameters
    ----------
    sources : mapping of Path to DataFrame
        In the order of the comparison.

    Raises
    ------
    SourceError
        Fewer than two methods in all, no case in common, or two sources that give a case
        different modalities or experiments.
    """
    prefixes = _prefixes(list(sources))
    names = Counter(name for table in sources.values() for name in table["method"].unique())
    parts = []
    for path, table in sources.items():
        clash = table["method"].map(lambda name: names[name] > 1)
        full = prefixes[path] + ": " + table["method"]
        parts.append(
            table.assign(method=table["method"].where(~clash, full), source=prefixes[path])
        )
    scores = pd.concat(parts, ignore_index=True)
    if scores["method"].nunique() < 2:
        msg = "one method is nothing to compare; give a second run or score table"
        raise SourceError(msg)
    known = _one_of_each_case(scores, "modality")
    scores["modality"] = [known.get(case, "") for case in scores["case"]]
    named = _one_of_each_case(scores, "experiment")
    scores["experiment"] = [named.get(case, "") for case in scores["case"]]
    counts = scores.groupby("case")["method"].nunique()
    if not (counts > 1).any():
        one, other = (part["case"].iloc[0] for part in parts[:2])
        msg = (
            f"no two methods have a case in common; cases are called such as '{one}' in "
            f"'{next(iter(sources))}' and '{other}' in the next"
        )
        raise SourceError(msg)
    read = [text for table in sources.values() for text in table.attrs.get("warnings", ())]
    return Combined(scores, (*read, *_partly(scores), *_other_truth(scores), *_failed(scores)))


def _prefixes(paths: list[Path]) -> dict[Path, str]:
    """Shortest name by which each source is told from the others."""
    stems = {path: path.stem if path.suffix in _FILES else path.name for path in paths}
    taken = Counter(stems.values())
    return {path: stem if taken[stem] == 1 else str(path) for path, stem in stems.items()}


def _one_of_each_case(scores: pd.DataFrame, column: str) -> dict[str, str]:
    """What the sources that know say of each case; they must agree."""
    known = scores[scores[column] != ""].groupby("case")[column].unique()
    for case, given in known.items():
        if len(given) > 1:
            said = " and ".join(f"'{each}'" for each in given)
            msg = f"case '{case}' is of {column} {said} in different sources; mend one of them"
            raise SourceError(msg)
    return {str(case): given[0] for case, given in known.items()}


def _partly(scores: pd.DataFrame) -> list[str]:
    """Cases that not every method has."""
    scored = scores[scores["value"].notna()]
    every = scored["method"].nunique()
    counts = scored.groupby("case")["method"].nunique()
    cases = scores["case"].nunique()
    common = int((counts == every).sum())
    if common == cases:
        return []
    few = scored.groupby("method")["case"].nunique().sort_values()
    return [
        f"{common} of {cases} cases have a score of every method; the fewest has "
        f"'{few.index[0]}' ({few.iloc[0]}). Pairs are compared on the cases that both have."
    ]


def _other_truth(scores: pd.DataFrame) -> list[str]:
    """Cases with another number of true cells in another source: not the same labels or rules."""
    counts = scores.dropna(subset=["n_true"]).groupby("case")["n_true"].nunique()
    bad = counts[counts > 1].index
    if bad.empty:
        return []
    rows = scores[scores["case"] == bad[0]].dropna(subset=["n_true"]).drop_duplicates("n_true")
    said = " and ".join(f"{row.n_true:.0f} in '{row.source}'" for row in rows.itertuples())
    return [
        f"{len(bad)} cases have another number of true cells in another source, such as "
        f"'{bad[0]}': {said}. They were scored against other labels, or by other rules."
    ]


def _failed(scores: pd.DataFrame) -> list[str]:
    """Methods whose cases without a score are left out here, and may be its worst ones."""
    missing = scores[scores["value"].isna()].groupby("method", sort=False)["case"].nunique()
    return [
        f"'{method}' has no score on {count} of its cases; they are left out of its pairs, which "
        "flatters it. Profile strict counts them as 0."
        for method, count in missing.items()
    ]
