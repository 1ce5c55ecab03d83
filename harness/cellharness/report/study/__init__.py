"""The report of a forgetting study, made from its run directory alone."""

from __future__ import annotations

from pathlib import Path

from cellharness.analysis.study import load_study
from cellharness.report.closing import provenance
from cellharness.report.declare import Section
from cellharness.report.study.beside import panels, teams
from cellharness.report.study.causes import causes
from cellharness.report.study.cells import cells
from cellharness.report.study.change import change
from cellharness.report.study.courses import curves, slopes
from cellharness.report.study.data import StudyReport
from cellharness.report.study.remedies import plane, remedies
from cellharness.report.study.result import definitions, result
from cellharness.report.training import training

#: In the order of the page.
SECTIONS: tuple[Section, ...] = (
    result, change, slopes, curves, plane, remedies, causes, cells, panels, teams, training,
    definitions, provenance,
)  # fmt: skip


def load_study_report(run_dir: Path, *, for_print: bool | None = None) -> StudyReport:
    """Read the directory of a finished study; see `cellharness.report.build_report`.

    Raises
    ------
    RunDirectoryError
        If the directory is not that of a finished study.
    """
    study = load_study(Path(run_dir), for_print=for_print)
    return StudyReport(study.run, study)
