"""What takes from the numbers: a study's banners and caveats."""

from __future__ import annotations

from cellharness.report.forgetting.findings import Findings
from cellharness.report.forgetting.study import Study
from cellharness.report.provenance import banners
from cellharness.report.wording import count, listing
from cellharness.statistics.significance import ALPHA
from cellharness.statistics.staged_scores import SEEN, UNSEEN
from cellharness.vocabulary import SEGMENTED


def caveats(study: Study, findings: Findings) -> list[str]:
    """List what takes from the numbers: what is missing, small or failed."""
    said = [f"Without scores, and in no comparison: {_absent(study)}."] if study.absent else []
    plain = study.record.plain
    if findings.subject != plain:
        said.append(
            f"{study.labels[plain]} has no scores after training; figures of one training show "
            f"{study.labels[findings.subject]} instead."
        )
    if not study.record.seen:
        said.append("The study names no experiment that was trained on, so every case is unseen.")
    said.append(_trainings(study))
    said += _too_few(study, findings)
    said += _judged_early(study, findings)
    said += _without_masks(study)
    again = [study.labels[name] for name in findings.met_again]
    if again:
        said.append(
            f"{listing(again)} met experiments again that are called unseen here, as plain "
            "fine-tuning did not have them; the remedies are compared without them as well."
        )
    return said


def _trainings(study: Study) -> str:
    if study.seeds:
        return (
            f"Remedies were trained with seeds {listing(list(map(str, study.seeds)))}. The F1 of "
            "an image is the mean over those that have scores, see the table by seed; intervals "
            "and p are of their mean, and do not hold how further trainings would differ. Cells, "
            "pictures and the comparison with teams are of the first seed alone."
        )
    return (
        "One training of each: what is said is of these trainings and not of the methods, which "
        "would need two seeds at least."
    )


def _too_few(study: Study, findings: Findings) -> list[str]:
    """Name what no result whatever could prove, since p is corrected for many tests."""
    said = []
    hopeless: list[str] = []
    for level, where in (("overall", ""), ("modality", "By modality, ")):
        if level == "modality" and len(study.modalities) == 1:
            continue
        parts = []
        for part in (UNSEEN, SEEN):
            rows = findings.changes
            rows = rows[(rows["level"] == level) & (rows["seen"] == part)]
            n, tests = int(rows["n_units"].max()), max(int(rows["family_size"].max()), 1)
            # The smallest two-sided p of n units is that of all changes going one way.
            if n and part not in hopeless and tests * min(1.0, 2.0 ** (1 - n)) >= ALPHA:
                hopeless.append(part)
                most = "at most " if level == "modality" else ""
                units = count(n, rows["unit"].iloc[0])
                corrected = f", {count(tests, 'test')} at once" if tests > 1 else ""
                parts.append(f"{part} ({most}{units}{corrected})")
        if parts:
            few = f"{where}too few units" if where else "Too few units"
            said.append(f"{few} to show any change, even if all went one way: {listing(parts)}.")
    return said


def _judged_early(study: Study, findings: Findings) -> list[str]:
    found = []
    for name, stage in findings.stages.items():
        last = max(study.remedies[name].stages, default=stage)
        if stage < last:
            label = study.labels[name]
            found.append(f"{label} is judged at epoch {stage}, since epoch {last} has no scores.")
    return found


def _without_masks(study: Study) -> list[str]:
    """Count single failures; methods without any mask are left out and named elsewhere."""
    rows = study.run.main
    rows = rows[rows["method"].isin({entry.method for entry in study.record.methods})]
    masked = rows["status"].isin(SEGMENTED)
    failed = rows[~masked & rows["method"].isin(rows.loc[masked, "method"])]
    if failed.empty:
        return []
    kinds = listing([f"{n} {status}" for status, n in failed["status"].value_counts().items()])
    counts = "F1 0" if study.run.profile == "strict" else "left out"
    return [f"{count(len(failed), 'pair')} of weights and case without a mask, {counts}: {kinds}."]


def _absent(study: Study) -> str:
    return "; ".join(f"{what} ({why})" for what, why in study.absent)


def study_banners(study: Study) -> list[tuple[str, str]]:
    """As for any run, but for the protocols that use the truth, which are a study's purpose."""
    found = [banner for banner in banners(study.run) if banner[0] != "Oracle"]
    if len(found) < len(banners(study.run)):
        found.append(
            (
                "Truth in use",
                "At least one protocol takes something from the truth, such as a diameter, so that "
                "weights are compared and not ways of guessing it; its numbers are upper bounds.",
            )
        )
    return found
