"""Numbers in the tables of a forgetting study, against the scores themselves.

Every csv is what `cellharness.statistics` says of the same scores, and means, tests and shares are
worked out once more with numpy and scipy alone.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from study_built import FAILED, STUDY_REMEDIES
from study_reader import csv_of, f1_by_case, page_tables, staged

from cellharness.data.images import read_label
from cellharness.report.published import published
from cellharness.scoring import score_pair
from cellharness.statistics import ALL, summarise
from cellharness.statistics import change as changes
from cellharness.statistics.contrasts import mean_difference
from cellharness.statistics.decomposition import decompose
from cellharness.statistics.estimates import ESTIMATE_COLUMNS
from cellharness.statistics.forgetting import forgetting_measures
from cellharness.statistics.learning_curves import curves
from cellharness.statistics.plasticity import compare_with_plain
from cellharness.vocabulary import PRETRAINED

GROUPS = {"All images": ALL, "Brightfield": "Brightfield", "Fluorescent": "Fluorescent"}
PARTS = ("unseen", "seen")
VERDICTS = {"higher": "gain", "lower": "loss"}
REMEDIES = ("plain", "replay", "slow", "mix-50")
LABELS = {name: label for name, (label, _, _) in STUDY_REMEDIES.items()} | {"mix-50": "50 % mixed"}
PROTOCOLS = {"truth": "True diameter", "estimate": "Estimated diameter",
             "training_mean": "Training mean diameter"}  # fmt: skip


@pytest.fixture(scope="module")
def run(built_study):
    return built_study.run


@pytest.fixture(scope="module")
def shown(built_study):
    return page_tables(built_study.page.source)


@pytest.fixture(scope="module")
def scores(run):
    return staged(run)


def of_part(scores, part, group=ALL):
    """Cases of a part and modality."""
    rows = scores[scores["seen"] == (part == "seen")]
    rows = rows if group == ALL else rows[rows["modality"] == group]
    return sorted(set(rows["case"]))


def same(found, expected):
    """Whether a csv holds a table, beside the names in print."""
    found = found.drop(columns="label", errors="ignore")
    expected = expected.reset_index(drop=True)
    assert list(found.columns) == list(expected.columns)
    for name in found:
        if pd.api.types.is_numeric_dtype(expected[name]):
            np.testing.assert_allclose(
                found[name].astype(float), expected[name].astype(float), rtol=0, atol=1e-12,
                err_msg=name,
            )  # fmt: skip
        else:
            assert found[name].fillna("").tolist() == expected[name].fillna("").tolist(), name


def only(frame, **wanted):
    """The one row with some values."""
    for name, value in wanted.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1, wanted
    return frame.iloc[0]


def with_ends(value, low, high):
    """A change as the page prints it."""
    return f"{_signed(value)} ({_signed(low)} to {_signed(high)})"


def loss(value, low, high):
    return with_ends(value, low, high).replace("+", "")


def _signed(value):
    text = f"{value:+.3f}"
    return "0" if float(text) == 0 else text.replace("-", "−")


def p_text(p):
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def change(scores, protocol):
    """As the report has it: the made study takes images as independent."""
    return changes.change(scores, protocol, primary="plain", unit="image")


def p_of(differences, name="p"):
    """p by the statistics, which have tests of their own."""
    return getattr(mean_difference(differences, unit="image"), name)


def holm(p):
    """Holm 1979 step by step."""
    adjusted, highest = np.empty(len(p)), 0.0
    for rank, place in enumerate(np.argsort(p, kind="stable")):
        highest = max(highest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = highest
    return adjusted


def blocks(rows):
    """Rows of a table under their headings."""
    found, here = {}, None
    for row in rows:
        if len(row) == 1:
            here = found.setdefault(row[0], [])
        elif here is not None:
            here.append(row)
    return found


def test_change_is_that_of_the_statistics(run, shown, scores):
    expected = change(scores, "truth")
    same(csv_of(run, "change"), expected)
    expected = expected[expected["level"] != "experiment"]
    printed = blocks(shown["change"])
    assert list(printed) == list(GROUPS)
    for title, group in GROUPS.items():
        assert [row[0] for row in printed[title]] == [LABELS[name] for name in REMEDIES]
        for name, cells in zip(REMEDIES, printed[title], strict=True):
            assert cells[1] == "4"
            for part, own in zip(PARTS, (cells[2:8], cells[8:14]), strict=True):
                row = only(expected, remedy=name, modality=group, seen=part)
                assert own == [
                    str(row["n_images"]), f"{row['mean_before']:.3f}", f"{row['mean_after']:.3f}",
                    with_ends(row["estimate"], row["low"], row["high"]),
                    p_text(row["p_adjusted"]), VERDICTS.get(row["verdict"], row["verdict"]),
                ]  # fmt: skip


def test_change_worked_out_by_hand(run, scores):
    rows = csv_of(run, "change")
    for name in REMEDIES:
        family = []
        for group in list(GROUPS.values())[1:]:
            cases = of_part(scores, "unseen", group)
            before = f1_by_case(scores, PRETRAINED, 0, "truth")[cases].to_numpy()
            after = f1_by_case(scores, name, 4, "truth")[cases].to_numpy()
            row = only(rows, level="modality", remedy=name, modality=group, seen="unseen")
            assert row["n_images"] == 9
            assert row["mean_before"] == pytest.approx(before.mean(), abs=1e-12)
            assert row["mean_after"] == pytest.approx(after.mean(), abs=1e-12)
            assert row["estimate"] == pytest.approx((after - before).mean(), abs=1e-12)
            assert row["median_change"] == pytest.approx(np.median(after - before), abs=1e-12)
            p = p_of(after - before)
            assert row["p"] == pytest.approx(p, abs=1e-12)
            family.append((p, row["p_adjusted"]))
        own, told = np.array(family).T
        assert told == pytest.approx(holm(own), abs=1e-12)


def test_a_failed_case_counts_as_zero_and_is_not_dropped(run, scores):
    case = FAILED[1]
    assert f1_by_case(scores, "plain", 4, "truth")[case] == 0
    about = {"level": "modality", "remedy": "plain", "modality": "Brightfield", "seen": "unseen"}
    plain = only(csv_of(run, "change"), **about)
    assert (plain["n_images"], plain["n_missing"]) == (9, 0)
    cases = [name for name in of_part(scores, "unseen", "Brightfield") if name != case]
    others = f1_by_case(scores, "plain", 4, "truth")[cases].sum()
    assert plain["mean_after"] == pytest.approx(others / 9, abs=1e-12)


def test_experiments(run, shown):
    rows = csv_of(run, "change_by_experiment")
    whole = csv_of(run, "change")
    same(rows, whole[whole["level"] == "experiment"].drop(columns="label"))
    assert sorted(blocks(shown["change_by_experiment"])) == [
        "Brightfield, br-new (seen)", "Brightfield, br-old (unseen)",
        "Fluorescent, fl-new (seen)", "Fluorescent, fl-old (unseen)",
    ]  # fmt: skip


def test_published_measures(run, shown, scores):
    expected = forgetting_measures(scores, "truth", unit="image")
    same(csv_of(run, "forgetting_measures"), expected)
    found = expected.set_index(["measure", "remedy"])
    ends = ["estimate", "low", "high"]
    for name, row in zip(REMEDIES, shown["forgetting_measures"][2:], strict=True):
        fallen = found.loc[("best minus last", name), ends]
        # Scored at one stage only, there is no best one before it.
        assert fallen.isna().all() == (name == REMEDIES[-1])
        assert row == [
            LABELS[name], with_ends(*found.loc[("backward transfer", name), ends]),
            "–" if fallen.isna().all() else loss(*fallen),
        ]  # fmt: skip


def test_published_measures_worked_out_by_hand(run, scores):
    found = csv_of(run, "forgetting_measures").set_index(["measure", "remedy"])["estimate"]
    cases = [of_part(scores, "unseen", group) for group in list(GROUPS.values())[1:]]
    accuracy = np.array(
        [
            [f1_by_case(scores, name, stage, "truth")[task].mean() for task in cases]
            for name, stage in ((PRETRAINED, 0), ("plain", 2), ("plain", 4))
        ]
    )
    moved = (accuracy[2] - accuracy[0]).mean()
    assert found["backward transfer", "plain"] == pytest.approx(moved)
    best = accuracy[:2].max(axis=0)
    assert found["best minus last", "plain"] == pytest.approx((best - accuracy[2]).mean())


def test_curves(run, shown, scores):
    expected = curves(scores, "truth", unit="image")
    same(csv_of(run, "curves"), expected)
    rows = blocks(shown["curves"])["Unseen experiments"]
    # Weights made from others have no stages of their own but the one they are made at.
    stages = [["0", "2", "4"]] * 3 + [["0", "4"]]
    told = [[row[1] for row in rows if row[0] == LABELS[name]] for name in REMEDIES]
    assert told == stages
    cases = of_part(scores, "unseen")
    half = f1_by_case(scores, "slow", 2, "truth")[cases]
    row = next(r for r in rows if r[:2] == [LABELS["slow"], "2"])
    assert row[2:5] == ["18", f"{half.mean():.3f}", f"{half.median():.3f}"]
    assert row[5].startswith(
        _signed((half - f1_by_case(scores, PRETRAINED, 0, "truth")[cases]).mean())
    )


def test_stability_and_plasticity(run, shown, scores):
    overall = change(scores, "truth")
    found = csv_of(run, "stability_plasticity").set_index("remedy")
    for name, row in zip(REMEDIES, shown["stability_plasticity"][1:], strict=True):
        gain, lost = (
            only(overall, remedy=name, level="overall", seen=part) for part in ("seen", "unseen")
        )
        assert row == [
            LABELS[name], "4", "14", with_ends(*gain[["estimate", "low", "high"]]),
            "18", loss(-lost["estimate"], -lost["high"], -lost["low"]),
        ]  # fmt: skip
        assert found.loc[name, "loss_unseen"] == pytest.approx(-lost["estimate"])


def test_thresholds(run, shown):
    levels = (0.5, 0.75)
    found = csv_of(run, "thresholds")
    kept = ("plain", "replay")
    for column, level in enumerate(levels, start=1):
        scores = staged(run, level)
        chosen = scores[scores["remedy"].isin([*kept, PRETRAINED])]
        rows = changes.change(chosen, "truth", unit="image")
        rows = rows[(rows["level"] == "overall") & (rows["seen"] != ALL)]
        own = found[found["threshold"] == level].drop(columns="threshold")
        same(own.reset_index(drop=True), rows)
        for part in PARTS:
            printed = blocks(shown["thresholds"])[f"{part.capitalize()} experiments"]
            for name, cells in zip(kept, printed, strict=True):
                row = rows[(rows["remedy"] == name) & (rows["seen"] == part)].iloc[0]
                mark = "*" if row["verdict"] in ("lower", "higher") else ""
                assert cells[column] == _signed(row["estimate"]) + mark


def test_remedies_are_compared_as_the_statistics_do(run, shown, scores):
    expected = compare_with_plain(scores, "plain", "truth", unit="image")
    found = csv_of(run, "remedies")
    found = found[found["cases"] == "all"]
    same(found[["label", *expected.columns]], expected)
    printed = [row for row in shown["remedies"][2:] if row[0] in LABELS.values()]
    assert [row[0] for row in printed] == [LABELS[name] for name in REMEDIES[1:]]
    for name, cells in zip(REMEDIES[1:], printed, strict=True):
        kept, gain = (
            only(expected, remedy=name, modality=ALL, seen=part) for part in ("unseen", "seen")
        )
        word = "comparable" if gain["comparable"] else "lower"
        word = word if gain["comparable"] or gain["verdict"] == "lower" else "not shown"
        assert cells[1:] == [
            "18", with_ends(*kept[["estimate", "low", "high"]]), p_text(kept["p_adjusted"]),
            "yes" if kept["verdict"] == "higher" else kept["verdict"],
            "14", with_ends(*gain[["estimate", "low", "high"]]), word,
        ]  # fmt: skip


def test_remedies_worked_out_by_hand(run, scores):
    found = csv_of(run, "remedies")
    found = found[(found["modality"] == ALL) & (found["cases"] == "all")]
    unseen, seen = of_part(scores, "unseen"), of_part(scores, "seen")
    after = {name: f1_by_case(scores, name, 4, "truth") for name in REMEDIES}
    p, told = [], []
    for name in REMEDIES[1:]:
        more = (after[name] - after["plain"])[unseen].to_numpy()
        row = only(found, remedy=name, seen="unseen")
        assert row["estimate"] == pytest.approx(more.mean(), abs=1e-12)
        gained = (after[name] - after["plain"])[seen].mean()
        gain = only(found, remedy=name, seen="seen")["estimate"]
        assert gain == pytest.approx(gained, abs=1e-12)
        p.append(p_of(more))
        told.append(row["p_adjusted"])
    assert told == pytest.approx(holm(p))


def test_what_a_remedy_met_again_is_left_out_once_more(run, shown, scores):
    gone = (scores["remedy"] == "replay") & (scores["experiment"] == "fl-old")
    assert gone.sum() == 9 * 4
    expected = compare_with_plain(scores[~gone], "plain", "truth", unit="image")
    row = only(expected, modality=ALL, remedy="replay", seen="unseen")
    assert row["n_images"] == 9
    printed = shown["remedies"][2:]
    (at,) = [i for i, cells in enumerate(printed) if cells[0] == "without what it met again"]
    assert printed[at - 1][0] == LABELS["replay"]
    assert printed[at][1:] == [
        "9", with_ends(*row[["estimate", "low", "high"]]), p_text(row["p_adjusted"]),
        "yes" if row["verdict"] == "higher" else row["verdict"], "–", "–", "–",
    ]  # fmt: skip
    own = csv_of(run, "remedies")
    own = only(own[own["cases"] != "all"], modality=ALL, remedy="replay", seen="unseen")
    assert own["n_images"] == 9
    assert own["estimate"] == pytest.approx(row["estimate"])


def test_the_loss_is_taken_apart_as_the_statistics_do(run, shown, scores):
    mine = scores[scores["remedy"].isin(["plain", PRETRAINED])]
    expected = decompose(mine, "training_mean", "estimate", stages=4, unit="image")
    same(csv_of(run, "decomposition"), expected)
    printed = blocks(shown["decomposition"])
    groups = [(ALL, "images"), (ALL, "modalities"), *((g, "images") for g in GROUPS.values())]
    groups = [group for i, group in enumerate(groups) if i != 2]
    assert len(printed) == len(groups)
    for (title, rows), (group, estimand) in zip(printed.items(), groups, strict=True):
        here = expected[
            (expected["modality"] == group)
            & (expected["estimand"] == estimand)
            & (expected["seen"] == "unseen")
        ]
        first = here.iloc[0]
        apparent = loss(*first[["estimate", "low", "high"]])
        assert title.endswith(f": {first['n_images']} images, apparent loss {apparent}")
        for protocol, cells in zip(PROTOCOLS, rows, strict=True):
            alike, between = (
                only(here, measure=measure, protocol=protocol)
                for measure in ("loss, both alike", "difference of the protocols")
            )
            assert cells[0] == PROTOCOLS[protocol]
            assert cells[1] == loss(*alike[["estimate", "low", "high"]])
            assert cells[2] == p_text(alike["p_adjusted"])
            assert cells[3] == (alike["opposed"] or "–")
            assert cells[4] == loss(*between[["estimate", "low", "high"]])
            low, high = (f"{100 * between[f'share_{end}']:.0f}" for end in ("low", "high"))
            share = f"{100 * between['share']:.0f} % ({low} to {high} %)".replace("-", "−")
            assert cells[5] == share


def test_the_loss_taken_apart_by_hand(run, scores):
    cases = of_part(scores, "unseen")
    mean = {
        (stage, protocol): f1_by_case(scores, remedy, stage, protocol)[cases].mean()
        for remedy, stage in ((PRETRAINED, 0), ("plain", 4))
        for protocol in PROTOCOLS
    }
    found = csv_of(run, "decomposition")
    here = {"modality": ALL, "seen": "unseen", "estimand": "images"}
    apparent = mean[0, "estimate"] - mean[4, "training_mean"]
    assert only(found, measure="apparent loss", **here)["estimate"] == pytest.approx(apparent)
    for protocol in PROTOCOLS:
        alike, between = (
            only(found, measure=measure, protocol=protocol, **here)
            for measure in ("loss, both alike", "difference of the protocols")
        )
        same_way = mean[0, protocol] - mean[4, protocol]
        assert alike["estimate"] == pytest.approx(same_way)
        assert between["estimate"] == pytest.approx(apparent - same_way)
        assert between["share"] == pytest.approx(1 - same_way / apparent)


def test_the_share_under_other_choices(run, shown):
    frame = csv_of(run, "robustness")
    printed = blocks(shown["robustness"])
    assert list(printed) == [f"Both evaluated under {name}" for name in PROTOCOLS.values()]
    for protocol, rows in zip(PROTOCOLS, printed.values(), strict=True):
        assert [row[0] for row in rows] == [
            f"Mean over {what}" for what in ("images", "experiments", "modalities")
        ]
        here = frame[(frame["protocol"] == protocol) & (frame["estimand"] == "images")]
        whole = here[here["left_out_is"].isna()]
        share = only(whole, threshold=0.5)["share"]
        assert rows[0][1].startswith(f"{100 * share:.0f} % (".replace("-", "−"))
        known = whole.dropna(subset=["share"])
        ends = known.loc[[known["share"].idxmin(), known["share"].idxmax()]]
        for _, end in ends.iterrows():
            text = f"{100 * end['share']:.0f} % (IoU {end['threshold']:g})".replace("-", "−")
            assert text in rows[0][2]


def test_every_statement_stands_among_the_estimates(run):
    estimates = pd.read_csv(run / "report/estimates.csv")
    counts = estimates["measure"].value_counts()
    parts = csv_of(run, "decomposition")["measure"].value_counts()
    assert counts[parts.index].equals(parts)
    assert counts["change of F1 less that of the reference"] == len(csv_of(run, "remedies"))
    whole = csv_of(run, "change")
    mine = estimates[estimates["measure"] == "change of F1"]
    others = csv_of(run, "thresholds").query("threshold != 0.5")
    assert len(mine) == len(whole) + len(others)
    for name in ESTIMATE_COLUMNS:
        assert mine[name].head(len(whole)).fillna("-").tolist() == whole[name].fillna("-").tolist()


def test_protocols_before_and_after(shown, scores):
    printed = blocks(shown["protocols"])
    for title, group in GROUPS.items():
        assert [row[0] for row in printed[title]] == list(PROTOCOLS.values())
        for protocol, cells in zip(PROTOCOLS, printed[title], strict=True):
            for at, part in ((1, "unseen"), (4, "seen")):
                cases = of_part(scores, part, group)
                before = f1_by_case(scores, PRETRAINED, 0, protocol)[cases].mean()
                after = f1_by_case(scores, "plain", 4, protocol)[cases].mean()
                assert cells[at] == str(len(cases))
                assert cells[at + 1].startswith(f"{before:.3f} (")
                assert cells[at + 2].startswith(f"{after:.3f} (")


def test_cases_are_counted(shown):
    assert shown["cases"][2:] == [
        ["All images", "18", "br-old (Brightfield) and fl-old (Fluorescent)", "14",
         "br-new (Brightfield) and fl-new (Fluorescent)"],
        ["Brightfield", "9", "br-old", "7", "br-new"],
        ["Fluorescent", "9", "fl-old", "7", "fl-new"],
    ]  # fmt: skip


def test_cells_are_counted_from_the_masks(run, shown):
    manifest = pd.read_csv(run / "manifest.csv")
    counts = np.zeros(4, int)
    for row in manifest[manifest["experiment"].str.endswith("-old")].itertuples():
        truth = read_label(run.parent / "data" / row.label)
        found = []
        for method in ("before.truth", "plain-4.truth"):
            path = run / f"predictions/{method}/{row.case}_label.tiff"
            mask = read_label(path) if path.exists() else np.zeros_like(truth)
            score = score_pair(truth, mask, "strict", thresholds=0.5, matches=True)
            found.append({match.gt_label for match in score.matches or ()})
        cells = set(np.unique(truth)) - {0} - set(score.excluded_true or ())
        before, after = found
        fates = (before & after, before - after, after - before, cells - before - after)
        counts += [len(fate) for fate in fates]
    rows = blocks(shown["cell_retention"])["All images"]
    row = next(r for r in rows if r[:2] == [LABELS["plain"], "unseen"])
    total, (kept, lost, won, _) = counts.sum(), counts
    assert row[2:9] == ["18", "18", f"{total:,}", *(f"{count:,}" for count in counts)]
    assert row[9].startswith(f"{100 * kept / (kept + lost):.0f} % (")
    assert row[10:] == [f"{(kept + lost) / total:.3f}", f"{(kept + won) / total:.3f}"]


def test_cells_by_property_hold_every_cell(run, shown):
    rows = csv_of(run, "cells_by_property")
    cells = csv_of(run, "cell_retention")
    plain = cells[(cells["remedy"] == "plain") & (cells["modality"] == ALL)].set_index("seen")
    for part in PARTS:
        here = rows[(rows["remedy"] == "plain") & (rows["seen"] == part)]
        for prop in ("area", "contrast", "density"):
            bins = here[here["property"] == prop]
            assert bins["n"].sum() == plain.loc[part, "n_true"]
            for when in ("before", "after"):
                found = (bins["n"] * bins[f"recall_{when}"]).sum()
                recall = plain.loc[part, f"recall_{when}"]
                assert found == pytest.approx(recall * plain.loc[part, "n_true"])


def test_medians_beside_the_teams(run, shown):
    scores = pd.read_csv(run / "scores.csv")
    scores = scores[scores["threshold"] == 0.5]
    methods = {
        "before.truth": "Before training", "plain-4.truth": f"{LABELS['plain']}, epoch 4",
        "replay-4.truth": f"{LABELS['replay']}, epoch 4", "mediar": "mediar",
    }  # fmt: skip
    printed = blocks(shown["teams"])
    here, there = printed.values()
    assert list(printed) == ["Measured in this run", "Published, other data: NeurIPS test set"]
    assert here[0] == ["Images", "32", "16", "16"]
    for (method, label), cells in zip(methods.items(), here[1:], strict=True):
        assert cells[0] == label
        for group, cell in zip(GROUPS.values(), cells[1:], strict=True):
            rows = scores[scores["method"] == method]
            f1 = rows.loc[(group == ALL) | (rows["modality"] == group), "f1"]
            low, middle, high = np.quantile(f1, [0.25, 0.5, 0.75])
            assert cell == f"{middle:.3f} ({low:.3f}–{high:.3f})"
    known = published().set_index(["method", "modality"])
    for cells in there[1:]:
        assert cells[1].startswith(f"{known.loc[(cells[0], ALL), 'median_f1']:.3f}")
    raw = csv_of(run, "teams").set_index(["method", "modality"])
    expected = summarise(scores).set_index(["method", "modality"])
    for key in ((method, group) for method in methods for group in GROUPS.values()):
        assert raw.loc[key, "median_f1"] == pytest.approx(expected.loc[key, "median_f1"])
        assert raw.loc[key, "source"] == "this run"
    assert {row[0] for row in there[1:]} <= set(raw.index.get_level_values("method"))


def test_teams_are_tested_case_by_case(run, shown):
    scores = pd.read_csv(run / "scores.csv")
    scores = scores[scores["threshold"] == 0.5].set_index(["method", "case"])["f1"]
    methods = ("before.truth", "plain-4.truth", "replay-4.truth")
    differences = [(scores[m] - scores["mediar"]).to_numpy().round(12) for m in methods]
    rows = blocks(shown["team_tests"])["mediar, All images"]
    for method, by, cells in zip(methods, differences, rows, strict=True):
        assert cells[1:4] == [
            "32",
            f"{scores['mediar'].mean():.3f}",
            f"{scores[method].mean():.3f}",
        ]
        assert cells[4].startswith(_signed(by.mean()))
        assert cells[5] == _signed(np.median(by))
    raw = csv_of(run, "team_tests")
    small = raw[(raw["modality"] == "Fluorescent") & (raw["method"] == "plain-4.truth")].iloc[0]
    cases = [case for case in scores["mediar"].index if case.startswith("m1")]
    p = p_of((scores["plain-4.truth"] - scores["mediar"])[cases].to_numpy())
    assert small["p"] == pytest.approx(p, abs=1e-12)
