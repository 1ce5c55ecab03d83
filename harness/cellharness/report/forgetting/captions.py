"""What stands under each figure: what is shown, how many, which intervals and tests."""

from __future__ import annotations

from cellharness.report.forgetting.cells import CellFindings
from cellharness.report.forgetting.curve_figures import followed, shown_together
from cellharness.report.forgetting.findings import BEST_RULE, Findings, stage_label
from cellharness.report.forgetting.plane import sweep
from cellharness.report.forgetting.study import Study
from cellharness.report.wording import count, f1_at, listing
from cellharness.statistics import ALL
from cellharness.statistics.estimates import how_tested
from cellharness.statistics.staged_scores import SEEN, UNSEEN

Captions = dict[str, tuple[str, str]]


def captions(study: Study, findings: Findings, cells: CellFindings) -> Captions:
    """Write the text for those who do not see a figure, and its caption.

    Returns
    -------
    dict of str to (str, str)
        By figure.
    """
    made: Captions = {}
    score = f1_at(study.run.threshold)
    under = f"main protocol “{study.protocol_labels[study.record.main]}”"
    confidence = f"{100 * findings.changes['confidence'].iloc[0]:g} %"
    interval = f"{confidence} interval by {findings.changes['unit'].iloc[0]}"
    n = listing([f"{findings.cases(ALL, part):,} {part}" for part in (UNSEEN, SEEN)])
    subject = stage_label(study, findings, findings.subject)
    made["heatmap"] = (
        "Heat map of the mean change of F1, remedies by modality, unseen and seen experiments; the "
        "numbers stand in the table below",
        f"Mean change of {score} after less before training, paired by case, {under}. Red, loss; "
        "blue, gain; pale, of too few units to be tested. Numbers over the columns, cases scored "
        f"before and after. *, significant. {how_tested(findings.changes)} –, no case."
        + (" Not drawn: " + _lacking(findings) + "." if _lacking(findings) else ""),
    )
    slope = (
        "Slope plots by modality, one line a case from its F1 before to that after training, "
        "unseen beside seen experiments; medians stand in the csv of the table above"
    )
    for name, remedy in (("slopes", findings.subject), ("slopes_best", findings.best)):
        if remedy is None:
            continue
        made[name] = (
            slope,
            f"{stage_label(study, findings, remedy)}: {score} of every case before and after, "
            f"{under}. Thick line, medians. Numbers over the panels, cases. For the tests see the "
            "heat map." + (f" Chosen is {BEST_RULE}." if name == "slopes_best" else ""),
        )
    together = [study.labels[name] for name in shown_together(study, findings)]
    only = f" Shown {'is' if len(together) == 1 else 'are'} {listing(together)}"
    only += "; the others stand below." if len(followed(study, findings)) > len(together) else "."
    made["curves"] = (
        "Line plots of the mean change of F1 since the start against the epoch by modality, "
        "unseen and seen experiments; the numbers stand in the table below",
        f"Mean change of {score} since epoch 0, paired by case, {under}. Band, {interval}, epoch "
        f"by epoch: where it leaves 0, so does the curve at that epoch.{only} Weights made from "
        "those of another training have no epochs of their own.",
    )
    made["curves_remedies"] = (
        "Line plots of the mean change of F1 against the epoch, one panel a remedy, plain "
        "fine-tuning in grey; the numbers stand in the table below",
        f"Each remedy in colour, {study.labels[findings.subject]} in grey: mean change of {score} "
        f"since epoch 0 over all cases ({n}). Hollow marks and dashed lines, unseen; filled and "
        f"solid, seen experiments. Band, {interval}.",
    )
    joined = sweep(study, findings)
    made["plane"] = (
        "Scatter plot of the loss on unseen against the gain on seen experiments, one point a "
        "remedy with intervals; the numbers stand in the table below",
        f"Mean change of {score}, paired by case, last epoch of each, {under}; {n} cases. Bars, "
        f"{interval} of either axis. Diamond, the weights before training. Down and to the right "
        "is better."
        + (" Dotted line, weights between those before and after, by mixing." if joined else ""),
    )
    made["forest"] = (
        "Forest plot of each remedy against plain fine-tuning, unseen and seen experiments; the "
        "numbers stand in the table below",
        f"Mean difference of the change of {score} to {study.labels[study.record.plain]}, the same "
        f"cases ({n}). Bars, {interval}. Left, filled: keeps significantly more, "
        "Holm-corrected over the remedies. Right, filled: comparable, shown to lie between the "
        "dotted margins by two one-sided tests."
        + (
            " Small marks: without the cases of experiments that the remedy met again in training."
            if findings.met_again
            else ""
        ),
    )
    published = study.record.published
    if published is not None and findings.causes.split is not None:
        used = (published.before, published.after, findings.causes.protocol)
        before, after, fair = (f"“{study.protocol_labels[name]}”" for name in used)
        made["decomposition"] = (
            "Bar charts by modality of the loss on unseen experiments as published and with both "
            "evaluated alike; the numbers stand in the table below",
            f"{subject}. Grey, the loss as published comparisons see it: mean {score} before under "
            f"{before} less after under {after}. Purple, the loss with both under {fair}; yellow, "
            f"the difference of the two, which the protocols make, and its share. Lines, "
            f"{interval}. Only images scored under every protocol.",
        )
    made["protocols"] = (
        "Dot plots by modality of the mean F1 before and after training under every protocol; the "
        "numbers stand in the table below",
        f"{subject}: mean {score} on unseen experiments before (hollow) and after (filled) under "
        f"every protocol. Lines, {interval}; none where one of the two was not scored.",
    )
    beside = f" and {study.labels[findings.best]}" if findings.best else ""
    made["cells"] = (
        "Line plots of the recall of true cells before and after training against their area, "
        "contrast and density; the numbers stand in the table below",
        f"Share of the true cells found at IoU ≥ {study.run.threshold:g}, {under}: before, after "
        f"{study.labels[findings.subject]}{beside}. Five bins with about as many cells, each at "
        f"its median; {listing([count(n, f'{part} cell') for part, n in cells.n_cells.items()])}. "
        f"Band, {interval} with all their cells; no test. "
        "Contrast, inside less ring around it in the image's range; density, other cells nearby, 1 "
        "where they fill the surroundings.",
    )
    made["teams"] = (
        "Dot plots by modality of median F1: weights of this study above, published medians of "
        "other images below; the numbers stand in the table below",
        f"Median {score} and interquartile range. Filled, measured in this run; hollow diamonds in "
        "the grey band, published medians on the NeurIPS test set: other images, so the two are "
        "not comparable case by case, and no test is made between them. No mark, no number.",
    )
    return made


def _lacking(findings: Findings) -> str:
    """Which part has no case at all."""
    gone = [
        f"{part} experiments, none was scored" for part in (UNSEEN, SEEN) if not findings.has(part)
    ]
    return listing(gone)
