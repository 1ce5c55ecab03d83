from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from cellharness.report.forgetting.sentences import in_words
from cellharness.statistics.change import change
from cellharness.statistics.decomposition import BEST, decompose
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


def words(scores, **more):
    return in_words(change(scores), "tuned", **more)


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
    assert "(90 % interval −" in in_words(frame, "tuned")


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
    changes = change(scores, "fixed", "size")
    return in_words(
        changes, "tuned", decomposition=decompose(scores, "fixed", "size"), protocol=protocol,
        labels={"size": "estimated diameters", "fixed": "one diameter"},
    )  # fmt: skip


def test_a_loss_that_is_explained_in_part():
    text = explained([0.8] * N, 0.4 + SPREAD, 0.6 + SPREAD)
    assert "the apparent loss under one diameter is 0.400 (95 % interval 0.3" in text
    assert (
        "Evaluated under estimated diameters, the same weights regain 0.200 (0.200 to 0.200), "
        "50 % of it (4"
    ) in text
    assert re.search(r"\); 0\.200 \(0\.1\d\d to 0\.2\d\d\) is left in the weights\.", text), text
    assert "not proven" not in text
    # The protocol is that of the weights before: like for like is what was just said.
    assert "With the weights before" not in text


def test_a_loss_that_is_explained_whole():
    text = explained([0.8] * N, 0.4 + SPREAD, 0.8 + SPREAD)
    assert "regain 0.400" in text
    assert "; that any of it is left in the weights is not proven: 0 (−0.0" in text
    assert "is left in the weights." not in text


def test_a_loss_that_is_not_explained():
    text = explained([0.8] * N, [0.4] * N, 0.4 + SPREAD)
    assert "That they regain any of it under estimated diameters is not proven: 0 (−0.0" in text
    assert "regain 0" not in text
    worse = explained([0.8] * N, [0.4] * N, [0.3] * N)
    assert "do worse still: −0.100 (−0.100 to −0.100) regained; 0.500" in worse
    better = explained([0.8] * N, [0.4] * N, [0.9] * N)
    assert "; nothing of it is left in the weights: −0.100" in better


def test_like_for_like_is_told_where_it_was_measured():
    runs = {
        ("tuned", 0, "size"): [0.8] * N, ("tuned", 0, "truth"): [0.9] * N,
        ("tuned", 9, "fixed"): [0.4] * N, ("tuned", 9, "truth"): [0.7] * N,
    }  # fmt: skip
    scores = study(runs)
    parts = decompose(scores, "fixed", "size")
    changes = change(scores, "fixed", "size")
    text = in_words(changes, "tuned", decomposition=parts, protocol="truth")
    assert text.endswith(
        "0.100 (0.100 to 0.100) is left in the weights. With the weights before evaluated in the "
        "same way, the loss is 0.200 (0.200 to 0.200)."
    )
    best = in_words(changes, "tuned", decomposition=parts, protocol=BEST)
    assert "under truth (the best of those tried, so this is rather too much), the same" in best
    with pytest.raises(ValueError, match="by protocol 'grey'; there are: truth and best"):
        in_words(changes, "tuned", decomposition=parts, protocol="grey")


def test_what_is_not_proven_is_not_explained():
    open_loss = explained([0.5] * N, 0.5 + np.tile([-0.3, 0.3], 6), [0.6] * N)
    assert "is not told apart from 0, so no share of it is assigned" in open_loss
    gain = explained([0.5] * N, [0.7] * N, [0.6] * N)
    assert "There is no apparent loss to explain: F1 before less after is −0.200" in gain
    few = explained([0.8] * 3, [0.4] * 3, [0.5] * 3)
    assert "3 images of 3 experiments under all protocols are too few to say" in few
    single = explained([0.8], [0.4], [0.5])
    assert "1 image of 1 experiment under all protocols is too few to say" in single
    for text in (open_loss, gain, few, single):
        assert "left in the weights" not in text
        assert "% of it" not in text


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
    changes, labels = change(scores), {"r0": "replay"}
    text = in_words(changes, "tuned", compare_with_plain(scores, "tuned"), labels=labels)
    return text.removeprefix(in_words(changes, "tuned", labels=labels)).strip()


def test_a_remedy_that_loses_less_at_a_comparable_gain():
    text = remedies({"r0": (0.1 + SPREAD / 2, -0.01 + SPREAD / 5)})
    assert re.fullmatch(
        r"replay loses less than tuned on experiments not trained on, and its gain on experiments "
        r"trained on is comparable \(within 0\.05\)\. replay keeps 0\.100 more \(95 % interval "
        r"\+0\.09\d to \+0\.1\d\d\); its gain differs by −0\.010 \(−0\.01\d to −0\.00\d\)\.",
        text,
    ), text


def test_a_remedy_that_costs_gain_and_one_of_which_that_is_open():
    assert remedies({"r0": (0.1 + SPREAD / 2, -0.15 + SPREAD)}) == (
        "replay loses less than tuned on experiments not trained on, but at the cost of gain on "
        "experiments trained on."
    )
    assert remedies({"r0": (0.1 + SPREAD / 2, BOTH_WAYS)}) == (
        "replay loses less than tuned on experiments not trained on, but that its gain on "
        "experiments trained on is comparable is not shown."
    )


def test_remedies_that_prove_nothing():
    nothing = (BOTH_WAYS, 0.0)
    assert remedies({"r0": nothing, "r1": nothing, "r2": nothing}) == (
        "Of 3 remedies, none loses significantly less than tuned on experiments not trained on."
    )
    assert remedies({"r0": nothing}) == (
        "Whether replay loses less than tuned on experiments not trained on is not significant."
    )


def test_several_remedies_each_in_a_sentence_that_keeps_most_first():
    text = remedies({"r0": (0.1 + SPREAD / 2, 0.0), "r1": (0.15 + SPREAD / 2, 0.01)})
    first, *others = text.split(". ")
    assert first.startswith("Both remedies lose less than tuned on experiments not trained on")
    assert first.endswith("and their gain on experiments trained on is comparable (within 0.05)")
    assert [sentence.split(" keeps ")[0] for sentence in others] == ["r1", "replay"]


def test_many_remedies_stay_readable():
    good, open_, dear = (0.0, BOTH_WAYS, -0.2 + SPREAD)
    text = remedies(
        {
            "r0": (0.1 + SPREAD / 2, good), "r1": (0.12 + SPREAD / 2, dear),
            "r2": (0.13 + SPREAD / 2, dear), "r3": (0.1 + SPREAD / 2, open_),
            "r4": (BOTH_WAYS, good), "r5": (-0.1 + SPREAD, good),
        }
    )  # fmt: skip
    assert re.fullmatch(
        r"Of 6 remedies, 1 loses less than tuned on experiments not trained on, and its gain on "
        r"experiments trained on is comparable \(within 0\.05\)\. replay keeps 0\.100 more "
        r"\(.+?\); its gain differs by 0 \(0 to 0\)\. "
        r"1 more loses less, but that its gain is comparable is not shown: r3\. "
        r"2 more lose less, but at the cost of gain: r2 and r1\. "
        r"That they lose less is not significant for r4 and r5\.",
        text,
    ), text
    assert max(map(len, text.split(". "))) < 200


def test_remedies_without_an_unseen_case():
    assert remedies({"r0": (0.1, 0.0)}, parts="s").endswith(
        "No image of experiments not trained on says what remedies keep."
    )


def test_an_unknown_training_is_named():
    with pytest.raises(ValueError, match="no changes of training 'x'; there are those of tuned"):
        in_words(change(moved(SPREAD)), "x")
