from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student
from study_maker import one, study, unseen

from cellharness.statistics.change import change
from cellharness.statistics.contrasts import TOO_FEW, mean_ratio
from cellharness.statistics.decomposition import (
    ALIKE,
    APPARENT,
    DEFINED,
    EXPERIMENTS,
    IMAGES,
    IS_GAIN,
    MODALITIES,
    NOT_SIGNIFICANT,
    OF_PROTOCOLS,
    decompose,
    robustness,
)
from cellharness.statistics.staged_scores import ForgettingError, read_scores

N = 20
SPREAD = np.linspace(-0.1, 0.1, N)


def scored(before, fixed, cases=None, **others):
    """Before under ``size``, after under ``fixed`` and others; ``before_x`` is before under x."""
    runs = {("t", 0, "size"): before, ("t", 9, "fixed"): fixed}
    for name, values in others.items():
        stage, protocol = (0, name[7:]) if name.startswith("before_") else (9, name)
        runs["t", stage, protocol] = values
    return study(runs, cases or unseen(len(before)))


def pick(frame, measure, protocol="", **where):
    chosen = {"modality": "DIC", "seen": "unseen", "estimand": IMAGES, **where}
    return one(frame, measure=measure, protocol=protocol, **chosen)


def test_by_hand():
    scores = scored(
        0.8 + SPREAD / 2, 0.4 + SPREAD, size=0.6 + SPREAD, truth=0.7 + SPREAD,
        before_truth=0.9 + SPREAD,
    )  # fmt: skip
    frame = decompose(scores, "fixed", "size")
    apparent = pick(frame, APPARENT)
    assert apparent["estimate"] == pytest.approx(0.4)
    assert apparent["low"] < 0.4 < apparent["high"]
    assert apparent["verdict"] == "higher"
    alike, between = (pick(frame, measure, "size") for measure in (ALIKE, OF_PROTOCOLS))
    assert (alike["estimate"], between["estimate"]) == pytest.approx((0.2, 0.2))
    # What the protocols make is the same in every image, so it is known exactly; the loss is not.
    assert (between["low"], between["high"]) == pytest.approx((0.2, 0.2))
    assert between["share"] == pytest.approx(0.5)
    assert between["share_low"] < 0.5 < between["share_high"]
    assert between["share_is"] == DEFINED
    # The truth's diameters help the weights before as well, and that is no part of the protocols'.
    assert pick(frame, ALIKE, "truth")["estimate"] == pytest.approx(0.2)
    assert pick(frame, OF_PROTOCOLS, "truth")["share"] == pytest.approx(0.5)
    assert set(frame["protocol"]) == {"", "size", "truth"}
    assert (frame["family"] != "").all()


def test_the_loss_with_both_alike_is_the_change_with_the_same_verdict():
    rng = np.random.default_rng(1)
    modalities = ("Brightfield", "DIC", "Fluorescent")
    cases = {f"c{i:02}": (modalities[i % 3], f"e{i:02}", False) for i in range(36)}
    before, fixed, size, truth, before_truth = 0.6 + rng.normal(0, 0.1, (5, 36))
    before_truth += 0.1
    scores = scored(before, fixed, cases, size=size, truth=truth, before_truth=before_truth)
    parts = decompose(scores, "fixed", "size")
    for protocol in ("size", "truth"):
        changed = change(scores, protocol, primary="t")
        for modality in (*modalities, "All"):
            loss = pick(parts, ALIKE, protocol, modality=modality)
            level = "overall" if modality == "All" else "modality"
            same = one(changed, level=level, modality=modality, seen="unseen")
            assert loss["estimate"] == pytest.approx(-same["estimate"])
            assert loss["p_adjusted"] == pytest.approx(same["p_adjusted"])


def test_a_bonus_that_both_get_is_not_the_protocols():
    # A pure oracle bonus of 0.2 for both, and a real loss of 0.3: none of it is the protocol's.
    scores = scored(
        0.6 + SPREAD, 0.3 + SPREAD, size=0.3 + SPREAD, truth=0.5 + SPREAD, before_truth=0.8 + SPREAD
    )
    row = pick(decompose(scores, "fixed", "size"), OF_PROTOCOLS, "truth")
    assert (row["estimate"], row["share"]) == pytest.approx((0, 0), abs=1e-12)


def test_parts_add_up_over_the_images_scored_everywhere():
    rng = np.random.default_rng(0)
    before, fixed, size = 0.7 + rng.normal(0, 0.08, (3, 40)) - np.array([[0], [0.2], [0.1]])
    scores = scored(before, fixed, size=size)
    scores.loc[5, "f1"] = np.nan
    frame = decompose(scores, "fixed", "size")
    rows = [pick(frame, APPARENT), pick(frame, ALIKE, "size"), pick(frame, OF_PROTOCOLS, "size")]
    assert [row["n_images"] for row in rows] == [39] * 3
    assert [row["n_missing"] for row in rows] == [1] * 3
    apparent, alike, between = (row["estimate"] for row in rows)
    assert alike + between == pytest.approx(apparent, abs=1e-15)
    kept = np.arange(40) != 5
    assert apparent == pytest.approx((before - fixed)[kept].mean())


def test_modalities_may_weigh_the_same_and_opposite_signs_are_named():
    cases = unseen(12, "DIC") | {f"b{i}": ("Brightfield", f"b{i}", False) for i in range(4)}
    loss = np.r_[np.full(12, 0.4), np.full(4, -0.2)] + np.tile([-0.01, 0.01], 8)
    scores = scored(np.full(16, 0.6), 0.6 - loss, cases, size=0.6 - loss / 2)
    frame = decompose(scores, "fixed", "size")
    every = {
        estimand: pick(frame, ALIKE, "size", modality="All", estimand=estimand)
        for estimand in (IMAGES, MODALITIES)
    }
    assert every[IMAGES]["estimate"] == pytest.approx((12 * 0.2 - 4 * 0.1) / 16)
    assert every[MODALITIES]["estimate"] == pytest.approx((0.2 - 0.1) / 2)
    assert {row["opposed"] for row in every.values()} == {"Brightfield"}
    assert pick(frame, ALIKE, "size")["opposed"] == ""
    # Four units are too few, and are in no way pooled with others.
    assert pick(frame, ALIKE, "size", modality="Brightfield")["verdict"] == "too few units"


def test_fiellers_interval_of_a_ratio():
    """Against the closed form for t, where differences are even and nothing is skewed."""
    rng = np.random.default_rng(3)
    half = rng.normal(0, 0.1, (2, 100))
    noise = np.concatenate([half, -half], axis=1)
    above, below = 0.3 + noise[0], 0.5 + noise[1]
    ratio, low, high = mean_ratio(above, below, np.arange(200))
    assert ratio == pytest.approx(0.6)
    n, border = 200, student.ppf(0.975, 199) ** 2
    cov = np.cov(above, below) / n
    a = below.mean() ** 2 - border * cov[1, 1]
    b = above.mean() * below.mean() - border * cov[0, 1]
    c = above.mean() ** 2 - border * cov[0, 0]
    root = math.sqrt(b**2 - a * c)
    assert (low, high) == pytest.approx(((b - root) / a, (b + root) / a), abs=3e-4)
    assert all(map(math.isnan, mean_ratio([np.nan], [1.0], [0])))


@pytest.mark.slow
@pytest.mark.parametrize("shared", [0.3, 0.8])
def test_the_interval_of_a_share_covers_it(shared):
    """8 experiments with 2 to 3 images, whose part of the loss goes with the loss, or hardly."""
    rng = np.random.default_rng(7)
    units = np.repeat(np.arange(8), [2, 3] * 4)
    hits = 0
    for _ in range(600):
        common, own = rng.normal(0, 0.12, (2, 8))
        noise = rng.normal(0, 0.05, (2, units.size))
        loss = 0.4 + common[units] + noise[0]
        part = 0.24 + shared * common[units] + (1 - shared) * own[units] + noise[1]
        _, low, high = mean_ratio(part, loss, units)
        hits += low <= 0.6 <= high
    assert hits / 600 >= 0.925


def test_there_is_no_share_of_a_loss_that_is_not_significant():
    both_ways = np.tile([-0.3, 0.29], N // 2)
    frame = decompose(scored([0.5] * N, 0.5 + both_ways, size=[0.6] * N), "fixed", "size")
    row = pick(frame, OF_PROTOCOLS, "size")
    assert row["share_is"] == NOT_SIGNIFICANT
    assert row[["share", "share_low", "share_high"]].isna().all()


def test_there_is_no_share_of_a_gain_nor_of_no_change():
    frame = decompose(scored([0.5] * N, 0.7 + SPREAD, size=[0.6] * N), "fixed", "size")
    assert pick(frame, OF_PROTOCOLS, "size")["share_is"] == IS_GAIN
    frame = decompose(scored([0.5] * N, [0.5] * N, size=[0.6] * N), "fixed", "size")
    assert pick(frame, OF_PROTOCOLS, "size")["share_is"] == NOT_SIGNIFICANT
    row = pick(frame, APPARENT)
    assert (row["estimate"], row["low"], row["high"]) == (0, 0, 0)


@pytest.mark.parametrize(("cases", "reason"), [(1, TOO_FEW), (5, TOO_FEW), (6, DEFINED)])
def test_few_images_have_no_share(cases, reason):
    scores = scored([0.9] * cases, [0.4] * cases, size=[0.5] * cases)
    frame = decompose(scores, "fixed", "size")
    row = pick(frame, OF_PROTOCOLS, "size")
    assert row["share_is"] == reason
    assert math.isnan(row["share"]) == (reason == TOO_FEW)
    assert math.isnan(pick(frame, APPARENT)["low"]) == (reason == TOO_FEW)
    assert pick(frame, APPARENT)["estimate"] == pytest.approx(0.5)


def test_a_share_may_leave_its_bounds():
    frame = decompose(scored([0.8] * N, [0.4] * N, size=[0.9] * N), "fixed", "size")
    assert pick(frame, OF_PROTOCOLS, "size")["share"] == pytest.approx(1.25)
    frame = decompose(scored([0.8] * N, [0.4] * N, size=[0.3] * N), "fixed", "size")
    assert pick(frame, OF_PROTOCOLS, "size")["share"] == pytest.approx(-0.25)


def test_protocols_are_chosen_and_checked():
    alike = {"size": [0.5] * 8, "truth": [0.6] * 8, "before_truth": [0.9] * 8}
    scores = scored([0.9] * 8, [0.4] * 8, **alike)
    frame = decompose(scores, "fixed", "size", ["truth"])
    assert frame["protocol"].unique().tolist() == ["", "truth"]
    with pytest.raises(ForgettingError, match="'grey' both before training and at stage 9; so it"):
        decompose(scores, "fixed", "size", ["grey"])
    with pytest.raises(ForgettingError, match="under no protocol under which the weights before"):
        decompose(scored([0.9] * 8, [0.4] * 8), "fixed", "size")


def test_a_group_without_images_is_there_and_empty():
    frame = decompose(scored([0.9] * 8, [0.4] * 8, size=[0.5] * 8), "fixed", "size")
    row = pick(frame, OF_PROTOCOLS, "size", seen="seen")
    assert (row["n_images"], row["share_is"]) == (0, TOO_FEW)
    assert math.isnan(row["estimate"])


def test_robustness_is_the_share_under_every_other_choice():
    cases = {f"{m}{i}": (m, f"e{i // 2}", False) for m in ("DIC", "Fluorescent") for i in range(8)}
    rng = np.random.default_rng(1)
    tables = {}
    for threshold in (0.5, 0.7):
        noise = rng.normal(0, 0.02, (4, 16))
        scores = scored(
            0.8 + noise[0], 0.3 + noise[1], cases, size=0.5 + noise[2], fixed2=0.6 + noise[3]
        )
        tables[threshold] = read_scores(scores)
    frame = robustness(tables, "t", "fixed", "size")
    assert set(frame["protocol"]) == {"size"}
    whole = one(frame, threshold=0.5, left_out_is="", estimand=IMAGES)
    expected = pick(decompose(tables[0.5], "fixed", "size"), OF_PROTOCOLS, "size", modality="All")
    for name in ("share", "share_low", "share_high"):
        assert whole[name] == pytest.approx(expected[name])
    assert whole["loss_alike"] + expected["estimate"] == pytest.approx(whole["apparent_loss"])
    # Two modalities and, with theirs, eight experiments; under three estimands and two thresholds.
    assert len(frame) == (1 + 2 + 8) * 3 * 2
    gone = one(
        frame, threshold=0.7, left_out="DIC: e0", left_out_is="experiment", estimand=EXPERIMENTS
    )
    assert (gone["n_images"], gone["n_units"]) == (14, 7)
    table = tables[0.7]
    left = (table.modality != "DIC") | (table.experiment != "e0")
    before, after = table.before("t", "size"), table.after("t", "fixed", 9)
    alike = table.after("t", "size", 9)
    above, below = (alike - after)[left].mean(), (before - after)[left].mean()
    # All experiments have two images, so the mean over them is that over images.
    assert gone["share"] == pytest.approx(above / below)
    with pytest.raises(ForgettingError, match=r"no training 'x' at IoU 0\.5; there are: t"):
        robustness(tables, "x", "fixed", "size")
