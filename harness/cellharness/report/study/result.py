"""The result of a study: its heat map, answers, what takes from them, and what was studied."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cellharness.analysis.run_data import placed
from cellharness.printing.table import Row, Table, group_title
from cellharness.printing.wording import NOTHING, absent, count, listing
from cellharness.records import Record, by_key
from cellharness.report.declare import Section
from cellharness.report.layout import Sheet, fit_labels, ink_on, left_room, shorten, text_mm
from cellharness.report.provenance import methods_of, short_hash
from cellharness.report.study.data import StudyReport, part_title
from cellharness.report.style import GREY, SMALL_PT, TWO_COLUMNS_MM
from cellharness.run_directory import details_of
from cellharness.statistics import ALL
from cellharness.statistics.contrasts import HIGHER, LOWER, TOO_FEW, fewest_units
from cellharness.statistics.decomposition import SHARE_INTERVAL
from cellharness.statistics.staged_scores import SEEN, UNSEEN
from cellharness.vocabulary import PRETRAINED, SEGMENTED

result = Section("result", "Result")
definitions = Section("definitions", "Definitions")

_PROVEN = "*"
_CELL_MM, _LARGEST_CELL_MM = 5.4, 15.0
_GAP_MM, _BAR_MM, _RIGHT_MM = 4.0, 9.0, 4.0
_MAP = mpl.colormaps["RdBu"]
_NO_CELL = "#efefef"
# Share of its colour that a cell keeps where nothing could be tested.
_PALE = 0.35
#: The scale reaches at least this far, so that noise does not look like a result.
_LEAST_LIMIT = 0.1


@result.figure(
    "heatmap",
    alt="Heat map of the mean change of F1, remedies by modality, unseen and seen experiments; the "
    "numbers stand in the table below",
    caption="""Mean change of {{ d.score }} after less before training, paired by case,
{{- " " + d.under }}. Red, loss; blue, gain; pale, of too few {{ d.unit }}s to be tested. Numbers
over the columns, cases scored before and after. *, significant.
{{- " " + how_tested(d.findings.changes) }} –, no case.
{%- if d.findings.parts | length == 1 %} Not drawn:
{{- " unseen" if d.findings.parts == ["seen"] else " seen" }} experiments, none was scored.
{%- endif %}""",
)
def heatmap(d: StudyReport, width_mm: float) -> Figure:
    """Draw mean changes of F1 as a table of colours with numbers, unseen beside seen experiments.

    Red is a loss, blue a gain, white no change. Rows are the remedies of the study, those without
    scores among them; a modality without cases has no column. In less than two columns' width the
    two blocks stand below each other.
    """
    study, findings = d.study, d.findings
    changes = findings.changes[findings.changes["level"] != "experiment"]
    found = by_key(changes, "remedy", "modality", "seen")
    parts = findings.parts
    groups = {part: [g for g in study.groups if findings.cases(g, part)] for part in parts}
    columns = [len(groups[part]) for part in parts] or [1]
    names = {remedy: study.labels[remedy] for remedy in study.remedies}
    beside = width_mm >= TWO_COLUMNS_MM and len(parts) > 1
    left = left_room(names.values(), 14.0, 0.4 * width_mm)
    room = width_mm - left - _RIGHT_MM - (_GAP_MM if beside else 0)
    cell = min(_LARGEST_CELL_MM, room / (sum(columns) if beside else max(columns)))
    shown = [g for g in study.groups if any(g in groups[part] for part in parts)]
    heads = fit_labels(["All" if group == ALL else group for group in shown], cell - 0.8)
    texts = dict(zip(shown, heads.texts, strict=True))
    # Turned names are estimated generously, as elsewhere something stands below them.
    names_mm = heads.height_mm - (4.0 if heads.angle else 0.0)
    head_mm, rows_mm = 5.0 + names_mm + 2.6, len(names) * _CELL_MM
    n_blocks = 1 if beside else len(parts)
    step = head_mm + rows_mm + 3.0
    sheet = Sheet(width_mm, n_blocks * step + _BAR_MM - 1.0)
    largest = np.nan_to_num(changes.loc[changes["seen"].isin(parts), "estimate"].abs().max())
    # Both ends of the scale, up to the next tenth.
    limit = max(_LEAST_LIMIT, math.ceil(largest * 10 - 1e-9) / 10)
    turned: dict[str, Any] = {"rotation": 45, "rotation_mode": "anchor", "ha": "left"}
    for number, part in enumerate(parts):
        x = left + (number * (columns[0] * cell + _GAP_MM) if beside else 0)
        y = 1.0 + (0 if beside else number * step)
        sheet.text(x, y + 2.4, part_title(part), va="baseline", fontweight="bold")
        foot, top = y + 5.0 + names_mm, y + head_mm
        for column, group in enumerate(groups[part]):
            middle = x + (column + 0.5) * cell
            style = turned if heads.angle else {"ha": "center", "linespacing": 1.1}
            at = middle - (0.8 if heads.angle else 0)
            sheet.text(at, foot - 0.8, texts[group], va="baseline", **style)
            sheet.small(middle, foot + 1.8, f"{findings.cases(group, part):,}", ha="center")
        if number == 0 or not beside:
            sheet.small(left - 1.2, foot + 1.8, "n", ha="right")
            for row, name in enumerate(names.values()):
                at = top + (row + 0.5) * _CELL_MM
                sheet.text(left - 1.2, at, shorten(name, left - 3), ha="right", va="center")
        ax = sheet.axes(x, top, len(groups[part]) * cell, rows_mm)
        ax.set(xlim=(0, len(groups[part])), ylim=(len(names), 0))
        ax.set_axis_off()
        for row, remedy in enumerate(names):
            if remedy not in findings.trained:
                _box(ax, 0, row, "no scores", width=len(groups[part]))
                continue
            for column, group in enumerate(groups[part]):
                _change(ax, column, row, found[remedy, group, part], limit)
    _scale(sheet, left, limit)
    return sheet.figure


def _change(ax: Axes, column: int, row: int, record: Record, limit: float) -> None:
    if absent(record["estimate"]):
        _box(ax, column, row, NOTHING)
        return
    value = float(record["estimate"])
    colour: tuple[float, ...] = _MAP(0.5 + 0.5 * value / limit)
    if record["verdict"] == TOO_FEW:
        colour = tuple(1 - _PALE * (1 - channel) for channel in colour)
    proven = record["verdict"] in (HIGHER, LOWER)
    text = f"{value:+.2f}".replace("-", "−")
    text = (text if text.strip("+−0.") else "0") + _PROVEN * proven
    _box(ax, column, row, text, colour, ink_on(colour), weight="bold" if proven else "normal")


def _box(
    ax: Axes, x: int, y: int, text: str, colour: Any = _NO_CELL, ink: str = GREY, **more: Any
) -> None:
    width = more.pop("width", 1)
    ax.add_patch(Rectangle((x, y), width, 1, facecolor=colour, edgecolor="white", lw=0.8))
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": SMALL_PT}
    ax.text(x + width / 2, y + 0.53, text, color=ink, **style, **more)


def _scale(sheet: Sheet, left: float, limit: float) -> None:
    """Draw the scale under the blocks, with what the mark means beside it."""
    texts = ("mean change of F1", f"{_PROVEN} significant")
    words = max(text_mm(text, SMALL_PT) for text in texts) + 1.0
    width = min(26.0, sheet.width - left - 4.0 - words)
    ax = sheet.axes(left, sheet.height - 8.0, width, 2.0)
    ax.imshow(np.linspace(0, 1, 256)[None], aspect="auto", cmap=_MAP, extent=(-limit, limit, 0, 1))
    ax.set_yticks([])
    ax.set_xticks([-limit, 0, limit], [f"−{limit:g}", "0", f"+{limit:g}"], fontsize=SMALL_PT)
    ax.tick_params(length=1.5, pad=1)
    ax.set_frame_on(False)
    for text, y in zip(texts, (7.0, 3.6), strict=True):
        at = (left + width + 4.0, sheet.height - y)
        sheet.text(*at, text, va="center", fontsize=SMALL_PT)


@result.words(look="empty")
def _nothing_unseen(d: StudyReport) -> str:
    return NO_UNSEEN * (UNSEEN not in d.findings.parts)


#: Stands where a loss cannot be known.
NO_UNSEEN = (
    "No case of unseen experiments was scored before and after, so nothing is known of what was "
    "forgotten."
)


@result.block("answers_study.html")
def _answers(d: StudyReport) -> Mapping[str, Any]:
    return {"answers": d.words.answers}


@result.words(look="caveat")
def caveats(d: StudyReport) -> list[str]:
    """List what takes from the numbers: what is missing, small or failed."""
    study, findings, labels = d.study, d.findings, d.study.labels
    said, plain = [], study.record.plain
    if study.absent:
        absences = "; ".join(f"{what} ({why})" for what, why in study.absent)
        said.append(f"Without scores, and in no comparison: {absences}.")
    if findings.subject != plain:
        said.append(
            f"{labels[plain]} has no scores after training; figures of one training show "
            f"{labels[findings.subject]} instead."
        )
    if not study.record.seen:
        said.append("The study names no experiment that was trained on, so every case is unseen.")
    said.append(
        f"Remedies were trained with seeds {listing(list(map(str, study.seeds)))}. The F1 of an "
        "image is the mean over those that have scores, see the table by seed; intervals and p are "
        "of their mean, and do not hold how further trainings would differ. Cells, pictures and "
        "the comparison with teams are of the first seed alone."
        if study.seeds
        else "One training of each: what is said is of these trainings and not of the methods, "
        "which would need two seeds at least."
    )
    said += _too_few(d)
    for name, stage in findings.stages.items():
        last = max(study.remedies[name].stages, default=stage)
        if stage < last:
            early = f"{labels[name]} is judged at epoch {stage}"
            said.append(f"{early}, since epoch {last} has no scores.")
    said += _without_masks(d)
    if findings.met_again:
        said.append(
            f"{listing([labels[name] for name in findings.met_again])} met experiments again that "
            "are called unseen here, as plain fine-tuning did not have them; the remedies are "
            "compared without them as well."
        )
    return said


def _too_few(d: StudyReport) -> Iterator[str]:
    """Name what no result whatever could prove, since p is corrected for many tests."""
    changes, hopeless = d.findings.changes, set()
    for level, where in (("overall", ""), ("modality", "By modality, ")):
        if level == "modality" and len(d.study.modalities) == 1:
            continue
        parts = []
        for part in (UNSEEN, SEEN):
            rows = changes[(changes["level"] == level) & (changes["seen"] == part)]
            # The primary contrast stands alone, so it may show what others of a family cannot.
            sizes = rows.loc[rows["family_size"] > 0, "family_size"]
            n, tests = int(rows["n_units"].max()), int(sizes.min()) if len(sizes) else 1
            fewest = fewest_units((1 - rows["confidence"].iloc[0]) / tests)
            if 0 < n < fewest and part not in hopeless:
                hopeless.add(part)
                most = "at most " if where else ""
                corrected = f", {count(tests, 'test')} at once" if tests > 1 else ""
                parts.append(f"{part} ({most}{count(n, d.unit)}{corrected})")
        if parts:
            few = f"{where}too few units" if where else "Too few units"
            yield f"{few} to show any change, even if all went one way: {listing(parts)}."


def _without_masks(d: StudyReport) -> Iterator[str]:
    """Count single failures; methods without any mask are left out and named elsewhere."""
    rows = d.run.main
    rows = rows[rows["method"].isin({entry.method for entry in d.study.record.methods})]
    masked = rows["status"].isin(SEGMENTED)
    failed = rows[~masked & rows["method"].isin(rows.loc[masked, "method"])]
    if not failed.empty:
        kinds = [f"{n} {status}" for status, n in failed["status"].value_counts().items()]
        counts = "F1 0" if d.run.profile == "strict" else "left out"
        pairs = count(len(failed), "pair")
        yield f"{pairs} of weights and case without a mask, {counts}: {listing(kinds)}."


@result.table(folded=True)
def fact_table(d: StudyReport) -> Table:
    """List what a reader must know first."""
    study, record = d.study, d.study.record
    others = [p.label for p in record.protocols if p.name != record.main]
    compared = listing([study.labels[name] for name in d.findings.trained])
    facts = [
        ("Weights before", _weights(d)), ("Trained on", _trained_on(d)),
        ("Weights compared", compared), ("Main protocol", study.protocol_labels[record.main]),
        ("Other protocols", listing(others)), *_one_diameter(d),
        ("Score", f"{d.score}, profile {d.run.profile}"),
    ]  # fmt: skip
    for pairs in filter(None, dict.fromkeys(record.replayed.values())):
        who = [study.labels[name] for name, met in record.replayed.items() if met == pairs]
        facts.append(("Met again", f"by {listing(who)}: {_experiments(pairs)}"))
    facts += [("Without scores", f"{what}: {why}") for what, why in study.absent]
    shown = [(name, value or NOTHING) for name, value in facts]
    return Table(
        "facts", "The study", ("", record.title or record.name or "This study"),
        tuple(map(Row, shown)), pd.DataFrame(shown, columns=["fact", "value"]),
        text=frozenset({0, 1}),
    )  # fmt: skip


def _one_diameter(d: StudyReport) -> Iterator[tuple[str, str]]:
    """Tell the diameter of protocols that give one to all images, before and after a training."""
    diameters = d.run.ledger["details"].map(lambda text: details_of(text).get("diameter"))
    known = diameters.dropna().groupby(d.run.ledger["method"]).unique()
    plain = d.study.record.plain
    when = {PRETRAINED: "before", plain: f"after {d.study.labels.get(plain, plain)}"}
    for protocol in d.study.record.protocols:
        told: dict[str, str] = {}
        for entry in d.study.record.methods:
            found = known.get(entry.method, ())
            if entry.protocol == protocol.name and entry.remedy in when and len(found) == 1:
                told[when[entry.remedy]] = f"{found[0]:.0f} px {when[entry.remedy]}"
        if told:
            yield f"Diameter, {protocol.label}", ", ".join(told.values())


def _weights(d: StudyReport) -> str:
    """Name the weights before training, each with the start of its hash."""
    before, named = d.shown_methods[PRETRAINED], []
    for weight in (w for m in methods_of(d.run) if m["name"] == before for w in m["weights"]):
        digests = dict(weight["hashes"])
        digest = digests.get("network") or next(iter(digests.values()), "")
        sha256 = f", {short_hash(digest)}" if digest else ""
        named.append(f"{weight['name']}{sha256}")
    return "; ".join(named)


def _trained_on(d: StudyReport) -> str:
    wanted, places = d.study.remedies[d.findings.subject].training, d.study.record.seen
    images = [count(t.n_train, "image") for t in d.trainings if t.name == wanted and t.n_train]
    return ": ".join([*images, _experiments(places) if places else "no named experiment"])


def _experiments(pairs: Sequence[tuple[str, str]]) -> str:
    places = [
        f"{experiment or 'unnamed'} ({modality})" for modality, experiment in map(placed, pairs)
    ]
    return f"{'experiment' if len(places) == 1 else 'experiments'} {listing(places)}"


@result.table(folded=True)
def case_count_table(d: StudyReport) -> Table:
    """Count scored cases and experiments, seen and unseen, by modality."""
    cases = d.study.scores[["case", "modality", "experiment", "seen"]].drop_duplicates("case")
    rows, frame = [], []
    for group in d.study.groups:
        here = cases if group == ALL else cases[cases["modality"] == group]
        cells = [group_title(group)]
        for part in (UNSEEN, SEEN):
            mine = here[here["seen"] == (part == SEEN)]
            places = mine[["modality", "experiment"]].drop_duplicates().itertuples(index=False)
            names = [
                (experiment or "unnamed") + f" ({modality})" * (group == ALL)
                for modality, experiment in places
            ]
            told = listing(names) if len(names) < 5 else f"{len(names)} experiments"
            cells += [f"{len(mine):,}", told]
            frame.append((group, part, len(mine), len(names)))
        rows.append(Row(tuple(cells)))
    return Table(
        "cases", "Cases scored", ("", "Cases", "Experiments", "Cases", "Experiments"), tuple(rows),
        pd.DataFrame(frame, columns=["modality", "part", "cases", "experiments"]),
        spans=(("", 1), ("Unseen", 2), ("Seen", 2)), text=frozenset({0, 2, 4}),
        notes=(
            "Seen, plain fine-tuning had images of the same modality and experiment, though not "
            "these; unseen, it had none.",
        ),
    )  # fmt: skip


@definitions.block("definitions_study.html")
def _definitions(d: StudyReport) -> Mapping[str, Any]:
    fewest = fewest_units(1 - d.findings.changes["confidence"].iloc[0])
    return {"fewest": fewest, "of_shares": SHARE_INTERVAL}
