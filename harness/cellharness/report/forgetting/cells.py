"""What became of the true cells: found before and after, by size, contrast and density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellharness.data.images import ImageError, prepare, read_image, read_label
from cellharness.data.manifest import ManifestError
from cellharness.files import hash_file
from cellharness.report.forgetting.findings import Findings
from cellharness.report.forgetting.study import Study
from cellharness.report.loading import RunData
from cellharness.report.records import Record, records
from cellharness.report.tiles import locate, short_reason
from cellharness.scoring import score_pair
from cellharness.scoring.cell_properties import PROPERTIES, measure_cells
from cellharness.statistics.cells import cell_retention, mark_found, recall_by_property
from cellharness.statistics.staged_scores import SEEN, UNSEEN
from cellharness.vocabulary import PRETRAINED, SEGMENTED


@dataclass(frozen=True)
class CellFindings:
    """Cells of all cases whose files could be read.

    Attributes
    ----------
    curves
        By remedy and part, from `recall_by_property`.
    retention
        By remedy, from `cell_retention`.
    n_cells
        True cells measured, by part.
    problems
        Case to why its cells could not be measured.
    """

    curves: Mapping[tuple[str, str], pd.DataFrame]
    retention: Mapping[str, pd.DataFrame]
    n_cells: Mapping[str, int]
    problems: Mapping[str, str]


@dataclass(frozen=True)
class _Case:
    """One case: its cells, those that count, and those found by each set of weights."""

    cells: pd.DataFrame
    excluded: tuple[int, ...]
    found: Mapping[str, Sequence[int]]

    @property
    def counted(self) -> list[int]:
        return sorted(set(self.cells["cell"].astype(int)) - set(self.excluded))


def examine_cells(study: Study, findings: Findings) -> CellFindings:
    """Match the masks before and after with the truth, cell by cell.

    Weights are those of the main protocol: before training, and the last stage of the subject and
    of the remedy beside it. A case is left out where its image or truth cannot be read; a case
    without a mask found nothing, as in profile ``strict``.

    Parameters
    ----------
    study, findings
        The study and its measures.
    """
    methods = shown_methods(study, findings)
    problems: dict[str, str] = {}
    cases: dict[str, _Case] = {}
    main = study.run.main
    statuses = dict(
        zip(zip(main["method"], main["case"], strict=True), main["status"], strict=True)
    )
    for row in records(study.run.manifest[study.run.manifest["case"].isin(findings.table.cases)]):
        try:
            cases[row["case"]] = _examine(study.run, row, methods, statuses)
        except (ImageError, ManifestError, OSError, ValueError) as error:
            problems[row["case"]] = short_reason(error)
    table = findings.table
    about = pd.DataFrame(
        {
            "case": table.cases, "modality": table.modality, "experiment": table.experiment,
            "seen": table.seen,
        }
    )  # fmt: skip
    about = about[about["case"].isin(list(cases))]
    parts = {part: about[about["seen"] == (part == SEEN)] for part in (UNSEEN, SEEN)}
    after = [name for name in methods if name != PRETRAINED]
    if PRETRAINED not in methods or not cases:
        after = []
    n_cells = {
        part: sum(len(cases[name].counted) for name in rows["case"]) for part, rows in parts.items()
    }
    marked = {remedy: _marked(cases, remedy) for remedy in after}
    return CellFindings(
        curves={
            (remedy, part): recall_by_property(
                cells[cells["case"].isin(rows["case"])], rows, PROPERTIES, unit=table.unit
            )
            for remedy, cells in marked.items()
            for part, rows in parts.items()
            if n_cells[part]
        },
        retention={
            remedy: cell_retention(cells, about, unit=table.unit)
            for remedy, cells in marked.items()
        },
        n_cells=n_cells,
        problems=problems,
    )


def shown_methods(study: Study, findings: Findings) -> dict[str, str]:
    """Methods of the run before training, of the subject and of the remedy beside it.

    Returns
    -------
    dict of str to str
        By remedy; `PRETRAINED` stands for the weights that the subject started from.
    """
    main = study.record.main
    # As the statistics do: a training's own start, or else that of all.
    own = (findings.subject, main, 0) in findings.table.runs
    found = {PRETRAINED: study.method(findings.subject if own else PRETRAINED, 0, main)}
    for name in (findings.subject, findings.best):
        if name is not None:
            found[name] = study.method(name, findings.stages[name], main)
    return {name: method for name, method in found.items() if method is not None}


def _examine(
    run: RunData,
    row: Record,
    methods: Mapping[str, str],
    statuses: Mapping[tuple[str, str], str],
) -> _Case:
    image_path = locate(run, row["image"])
    if row["sha256"] and hash_file(image_path) != row["sha256"].lower():
        msg = "the image file is not the one that was segmented"
        raise ValueError(msg)
    truth = read_label(locate(run, row["label"]))
    cells = measure_cells(prepare(read_image(image_path), "gray"), truth)
    found: dict[str, Sequence[int]] = {}
    excluded: tuple[int, ...] = ()
    for name, method in methods.items():
        has_mask = statuses[method, row["case"]] in SEGMENTED
        mask = read_label(run.prediction(method, row["case"])) if has_mask else np.zeros_like(truth)
        score = score_pair(truth, mask, "strict", thresholds=run.threshold, matches=True)
        found[name] = [match.gt_label for match in score.matches or ()]
        excluded = tuple(score.excluded_true or ())
    return _Case(cells, excluded, found)


def _marked(cases: Mapping[str, _Case], remedy: str) -> pd.DataFrame:
    tables = [
        mark_found(name, case.cells, case.found[PRETRAINED], case.found[remedy], case.excluded)
        for name, case in cases.items()
    ]
    # A case without cells has no types to agree with.
    return pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)
