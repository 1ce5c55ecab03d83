"""One forgetting study with all that a report can show, and its report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from page_reader import Page
from study_run_maker import StudyRunMaker
from training_maker import add_training


@dataclass(frozen=True)
class BuiltStudy:
    """A forgetting study, its report and the figures in it by file name."""

    run: Path
    page: Page
    figures: dict[str, Figure]


#: A case whose mask is not there after plain fine-tuning.
FAILED = ("plain-4.truth", "m0_01")
STUDY_REMEDIES = {
    "plain": ("Plain fine-tuning", 1.0, 1.0),
    "replay": ("Replay <b>old</b> & $x_1$ {100 %}", 0.2, 1.0),
    "slow": ("Slow encoder", 0.5, 0.5),
    "lost": ("Lost training", 1.0, 1.0),
}


def build_study(folder: Path) -> BuiltStudy:
    """Make the study and build its report as a user would, keeping the figures."""
    from cellharness.report import build

    protocols = ("truth", "estimate", "training_mean")
    lost = {f"lost-{stage}.{p}": "error" for stage in (2, 4) for p in protocols}
    run = StudyRunMaker(folder)(
        unseen=9, seen=7, remedies=STUDY_REMEDIES, failed=lost, teams=("mediar",),
        replayed={"replay": [["Fluorescent", "fl-old"]]},
    )  # fmt: skip
    fail_case(run, *FAILED)
    add_training(run, "plain", label="Plain fine-tuning")
    add_training(run, "lost", label="Lost", status="error", message="bad <loss>", checkpoint="")
    figures = {}

    def keep(figure, folder, name, **options):
        figures[name] = figure
        return save(figure, folder, name, **options)

    save = build.save
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "save", keep)
        page = Page(build.build_report(run))
    return BuiltStudy(run, page, figures)


def fail_case(run: Path, method: str, case: str) -> None:
    """Take the mask of a case away, as running out of memory would."""
    (run / "predictions" / method / f"{case}_label.tiff").unlink()
    scores = pd.read_csv(run / "scores.csv", keep_default_na=False)
    rows = (scores["method"] == method) & (scores["case"] == case)
    scores.loc[rows, "status"] = "oom"
    scores.loc[rows, ["n_pred", "tp", "fp", "precision", "recall", "f1", "dice"]] = 0
    scores.to_csv(run / "scores.csv", index=False)
