from __future__ import annotations

import re

import numpy as np
import pandas as pd

from cellharness.analysis.findings import rows_of
from cellharness.records import by_key
from cellharness.report.study.sentences import cause_words, change_words, remedy_words
from cellharness.statistics.change import change
from cellharness.statistics.decomposition import decompose
from cellharness.statistics.plasticity import compare_with_plain

COLUMNS = ["remedy", "stage", "protocol", "case", "modality", "experiment", "seen", "f1"]
N = 12
SPREAD = np.linspace(-0.05, 0.05, N)


def study(runs, modalities=("DIC",), seen=False):
    """Scores from ``{(remedy, stage, protocol): (F1 of each case)}``, modalities in turn."""
    return pd.DataFrame(
        [
            (
                remedy,
                stage,
                protocol,
                f"c{i:02}",
                modalities[i % len(modalities)],
                f"e{i}",
                seen,
                f,
            )
            for (remedy, stage, protocol), values in runs.items()
            for i, f in enumerate(values)
        ],
        columns=COLUMNS,
    )


def moved(by, **about):
    return study({("tuned", 0, "p"): [0.5] * len(by), ("tuned", 9, "p"): 0.5 + by}, **about)


def words(scores, labels=None):
    return change_words(change(scores), "tuned", labels or {})


def test_a_loss():
    text = words(moved(-0.2 + SPREAD), labels={"tuned": "plain fine-tuning"})
    assert re.fullmatch(
        r"On experiments not trained on \(12 images of 12 experiments\), plain fine-tuning lost "
        r"F1: on average −0\.200 \(95 % interval −0\.2\d\d to −0\.1\d\d\), p < 0\.001\. "
        r"No image of experiments trained on was scored before and after, so nothing is said of "
        r"them\.",
        text,
    ), text


def test_a_gain():
    text = words(moved(0.2 + SPREAD, seen=True))
    assert (
        "experiments trained on (12 images of 12 experiments), tuned gained F1: on average +0.200"
        in text
    )
    assert "lost" not in text
    assert text.startswith("No image of experiments not trained on was scored before and after")


def test_nothing_provable():
    text = words(moved(np.tile([-0.3, 0.3], 6) + SPREAD / 9))
    assert "the change under tuned is not significant: on average 0 (95 % interval −" in text
    for claim in ("lost F1", "gained F1"):
        assert claim not in text


def test_one_case_proves_nothing():
    text = words(moved(np.array([-0.4])))
    assert text.startswith(
        "On experiments not trained on (1 image of 1 experiment), F1 of tuned changed by −0.400 on "
        "average; nothing is concluded from 1 experiment; 6 are the fewest that can show anything."
    )
    assert "interval" not in text


def test_five_losses_of_five_are_not_called_a_loss():
    text = words(moved(np.linspace(-0.3, -0.1, 5)))
    assert "changed by −0.200 on average; nothing is concluded from 5 experiments" in text
    assert "lost" not in text


def test_no_change_at_all():
    text = words(moved(np.zeros(8)))
    assert "is not significant: on average 0 (95 % interval 0 to 0), p = 1.000." in text


def test_the_confidence_of_the_interval_is_named():
    frame = change(moved(-0.2 + SPREAD), confidence=0.9)
    assert "(90 % interval −" in change_words(frame, "tuned", {})


def test_modalities_are_named_by_what_is_proven_of_them():
    by = np.where(np.arange(36) % 3 == 0, -0.2, np.where(np.arange(36) % 3 == 1, 0.3, 0.0))
    by = by + np.tile([-0.04, 0.01, 0.02, 0.05, -0.03, -0.06], 6) * (1 + np.arange(36) / 99)
    text = words(moved(by, modalities=("Fluorescent", "Brightfield", "DIC")))
    sentence = next(s for s in text.split(". ") if s.startswith("By modality"))
    assert re.search(
        r"the loss is significant in Fluorescent \(−0\.\d+, .+\); the gain is significant in "
        r"Brightfield \(\+0\.\d+, .+\); not in DIC$",
        sentence,
    ), sentence
    nothing = words(moved(np.tile([-0.3, -0.2, 0.3, 0.2], 6), modalities=("DIC", "Fluorescent")))
    assert "no change is significant (DIC and Fluorescent)" in nothing


def test_missing_scores_are_mentioned():
    scores = moved(-0.2 + SPREAD)
    scores.loc[0, "f1"] = np.nan
    assert "1 case without a score before or after is not part of this." in words(scores)
    scores.loc[1, "f1"] = np.nan
    assert "2 cases without a score before or after are not part of this." in words(scores)


def explained(before, fixed, size, protocol="size", **extra):
    runs = {("tuned", 0, "size"): before, ("tuned", 9, "fixed"): fixed, ("tuned", 9, "size"): size}
    scores = study(runs | {("tuned", 0, name): values for name, values in extra.items()})
    labels = {"size": "estimated diameters", "fixed": "one diameter"}
    return cause_words(decompose(scores, "fixed", "size"), protocol, labels)


def test_a_loss_that_the_protocols_make_in_part():
    text = explained([0.8] * N, 0.4 + SPREAD, 0.6 + SPREAD)
    assert (
        "As published, with the weights before under estimated diameters and those after under one "
        "diameter, the apparent loss on experiments not trained on"
    ) in text
    assert re.search(r"is 0\.400 \(95 % interval 0\.3\d\d to 0\.4\d\d\), p", text), text
    assert re.search(
        r"With both under estimated diameters the loss is 0\.200 \(0\.1\d\d to 0\.2\d\d\), p",
        text,
    ), text
    # The answer comes first.
    assert re.match(
        r"The protocols make 50 % \(\d\d to \d\d %\) of the apparent loss\. As", text
    ), text
    assert "not significant" not in text


def test_a_loss_that_the_protocols_make_whole():
    text = explained([0.8] * N, 0.4 + SPREAD, 0.8 + SPREAD)
    found = re.search(r"the loss is 0 \(.*?\), p = 1\.000, which is not significant\.", text)
    assert found, text
    assert "The protocols make 100 %" in text


def test_a_loss_that_is_in_the_weights():
    text = explained([0.8] * N, [0.4] * N, 0.4 + SPREAD)
    assert "The protocols make 0 % (" in text


def test_only_weights_evaluated_alike_are_compared():
    runs = {
        ("tuned", 0, "size"): [0.8] * N, ("tuned", 0, "truth"): [0.9] * N,
        ("tuned", 9, "fixed"): [0.4] * N, ("tuned", 9, "truth"): [0.7] * N,
    }  # fmt: skip
    scores = study(runs)
    parts = decompose(scores, "fixed", "size")
    text = cause_words(parts, "truth", {})
    assert "With both under truth the loss is 0.200 (0.200 to 0.200), p" in text
    assert "The protocols make 50 % (50 to 50 %) of the apparent loss." in text


def test_opposite_signs_are_not_pooled_in_silence():
    loss = np.array([-0.2 if i % 4 == 0 else 0.4 for i in range(24)])
    runs = {
        ("tuned", 0, "size"): np.full(24, 0.6), ("tuned", 9, "fixed"): 0.6 - loss,
        ("tuned", 9, "size"): 0.6 - loss / 2,
    }  # fmt: skip
    scores = study(runs, modalities=("Fluorescent", "DIC", "DIC", "DIC"))
    text = cause_words(decompose(scores, "fixed", "size"), "size", {})
    assert text.endswith("These means hide that Fluorescent points the other way.")


def test_what_is_not_significant_has_no_share():
    open_loss = explained([0.5] * N, 0.5 + np.tile([-0.3, 0.3], 6), [0.6] * N)
    assert "no share of the apparent loss is given: apparent loss not significant" in open_loss
    gain = explained([0.5] * N, [0.7] * N, [0.6] * N)
    assert "no share of the apparent loss is given: gain: nothing was lost." in gain
    few = explained([0.8] * 3, [0.4] * 3, [0.5] * 3)
    assert "makes of a loss is not told: 3 experiments; 6 are the fewest" in few
    for text in (open_loss, gain, few):
        assert "The protocols make" not in text


BOTH_WAYS = np.tile([-0.2, 0.2], 6)


def remedies(differences, parts="us"):
    """What is said of remedies that keep and gain more than plain fine-tuning by these."""
    blocks = []
    for part, plain in (("u", 0.3), ("s", 0.7)):
        values = {("tuned", 0, "p"): [0.5] * N, ("tuned", 9, "p"): plain + SPREAD}
        for name, both in differences.items():
            values |= {
                (name, 0, "p"): [0.5] * N, (name, 9, "p"): plain + SPREAD + both[part == "s"],
            }  # fmt: skip
        block = study(values, seen=part == "s")
        blocks += [block.assign(case=part + block["case"])] * (part in parts)
    scores = pd.concat(blocks)
    compared = compare_with_plain(scores, "tuned")
    unseen, seen = (by_key(rows_of(compared, part), "remedy") for part in ("unseen", "seen"))
    return remedy_words([(unseen[name], seen[name]) for name in unseen], {"r0": "replay"})


def test_a_remedy_that_loses_less_at_a_comparable_gain():
    assert remedies({"r0": (0.1 + SPREAD / 2, -0.01 + SPREAD / 5)}) == (
        "replay is shown to lose less than tuned on unseen experiments; at a comparable gain on "
        "seen ones."
    )


def test_a_remedy_that_costs_gain_and_one_of_which_that_is_open():
    assert remedies({"r0": (0.1 + SPREAD / 2, -0.15 + SPREAD)}) == (
        "replay is shown to lose less than tuned on unseen experiments; at the cost of gain on "
        "seen ones."
    )
    assert remedies({"r0": (0.1 + SPREAD / 2, BOTH_WAYS)}) == (
        "replay is shown to lose less than tuned on unseen experiments; a comparable gain on seen "
        "ones is not shown for it."
    )


def test_remedies_that_prove_nothing():
    nothing = (BOTH_WAYS, 0.0)
    for names in (["r0"], ["r0", "r1", "r2"]):
        assert remedies(dict.fromkeys(names, nothing)) == (
            "No remedy is shown to lose less than tuned on unseen experiments."
        )


def test_remedies_stand_in_the_order_of_what_they_keep():
    text = remedies({"r0": (0.1 + SPREAD / 2, 0.0), "r1": (0.15 + SPREAD / 2, 0.01)})
    assert text == (
        "Both remedies are shown to lose less than tuned on unseen experiments; at a comparable "
        "gain on seen ones: r1 and replay."
    )


def test_many_remedies_stay_readable():
    good, open_, dear = (0.0, BOTH_WAYS, -0.2 + SPREAD)
    text = remedies(
        {
            "r0": (0.1 + SPREAD / 2, good), "r1": (0.12 + SPREAD / 2, dear),
            "r2": (0.13 + SPREAD / 2, dear), "r3": (0.1 + SPREAD / 2, open_),
            "r4": (BOTH_WAYS, good), "r5": (-0.1 + SPREAD, good),
        }
    )  # fmt: skip
    assert text == (
        "Of 6 remedies, 4 are shown to lose less than tuned on unseen experiments; at a comparable "
        "gain on seen ones: replay; at the cost of gain on seen ones: r2 and r1."
    )


def test_remedies_without_an_unseen_case():
    assert remedies({"r0": (0.1, 0.0)}, parts="s") == ""
