from __future__ import annotations

import math

import numpy as np
import pytest
from study_maker import one, study, unseen

from cellharness.statistics.decomposition import (
    BEST,
    DEFINED,
    IS_GAIN,
    NOT_PROVEN,
    TOO_FEW,
    decompose,
)
from cellharness.statistics.resampling import Resampling
from cellharness.statistics.staged_scores import ForgettingError

N = 20
SPREAD = np.linspace(-0.1, 0.1, N)


def scored(before, fixed, **others):
    """Before under ``size``, after under ``fixed`` and others; ``before_x`` is before under x."""
    runs = {("t", 0, "size"): before, ("t", 9, "fixed"): fixed}
    for name, values in others.items():
        stage, protocol = (0, name[7:]) if name.startswith("before_") else (9, name)
        runs["t", stage, protocol] = values
    return study(runs, unseen(len(before)))


def pick(frame, protocol, **where):
    return one(frame, protocol=protocol, **{"modality": "DIC", "seen": "unseen", **where})


def test_by_hand():
    scores = scored(
        0.8 + SPREAD / 2, 0.4 + SPREAD, size=0.6 + SPREAD, truth=0.7 + SPREAD,
        before_truth=0.9 + SPREAD,
    )  # fmt: skip
    frame = decompose(scores, "fixed", "size")
    row = pick(frame, "size")
    assert row["apparent_loss"] == pytest.approx(0.4)
    assert row["explained"] == pytest.approx(0.2)
    assert row["left"] == pytest.approx(0.2)
    assert row["share_explained"] == pytest.approx(0.5)
    assert row["share_left"] == pytest.approx(0.5)
    assert row["share_is"] == DEFINED
    # Explained is the same in every case, so it is known exactly; the loss is not.
    assert (row["explained_low"], row["explained_high"]) == pytest.approx((0.2, 0.2))
    assert row["apparent_low"] < 0.4 < row["apparent_high"]
    assert row["share_low"] < 0.5 < row["share_high"]
    assert row["left_same_protocol"] == pytest.approx(row["left"])
    row = pick(frame, "truth")
    assert (row["explained"], row["left"]) == pytest.approx((0.3, 0.1))
    # The truth's diameters help the weights before as well: like for like, more is left.
    assert row["left_same_protocol"] == pytest.approx(0.2)
    assert pick(frame, BEST)["chosen"] == "truth"
    assert pick(frame, BEST)["share_explained"] == pytest.approx(0.75)
    assert pick(frame, BEST)["left_same_protocol"] == pytest.approx(0.2)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_parts_add_up_and_intervals_are_joint(statistic):
    rng = np.random.default_rng(0)
    before, fixed, size = 0.7 + rng.normal(0, 0.08, (3, 40)) - np.array([[0], [0.2], [0.1]])
    scores = scored(before, fixed, size=size)
    scores.loc[5, "f1"] = np.nan
    resampling = Resampling(samples=150, seed=5)
    row = pick(
        decompose(scores, "fixed", "size", statistic=statistic, resampling=resampling), "size"
    )
    assert (row["n"], row["n_missing"]) == (39, 1)
    assert row["explained"] + row["left"] == pytest.approx(row["apparent_loss"], abs=1e-15)
    kept = np.delete(np.stack([before, fixed, size]), 5, axis=1)
    over = getattr(np, statistic)
    units = np.arange(39)
    times = resampling.draw(39, "DIC", "All", "unseen", units=units).astype(int)
    r = np.array([over(np.repeat(kept, t, axis=1), axis=1) for t in times.T])
    expected = {
        "apparent": r[:, 0] - r[:, 1], "explained": r[:, 2] - r[:, 1], "left": r[:, 0] - r[:, 2],
        "share": (r[:, 2] - r[:, 1]) / (r[:, 0] - r[:, 1]),
    }  # fmt: skip
    for name, values in expected.items():
        ends = np.quantile(values, [0.025, 0.975])
        assert row[[f"{name}_low", f"{name}_high"]].tolist() == pytest.approx(ends.tolist())


def test_there_is_no_share_of_a_loss_that_is_not_proven():
    both_ways = np.tile([-0.3, 0.29], N // 2)
    row = pick(
        decompose(scored([0.5] * N, 0.5 + both_ways, size=[0.6] * N), "fixed", "size"), "size"
    )
    assert row["apparent_low"] < 0 < row["apparent_high"]
    assert row["share_is"] == NOT_PROVEN
    assert row[["share_explained", "share_low", "share_high", "share_left"]].isna().all()
    assert row["explained"] == pytest.approx(0.105)


def test_there_is_no_share_of_a_gain_nor_of_no_change():
    row = pick(decompose(scored([0.5] * N, 0.7 + SPREAD, size=[0.6] * N), "fixed", "size"), "size")
    assert (row["share_is"], row["apparent_loss"]) == (IS_GAIN, pytest.approx(-0.2))
    assert math.isnan(row["share_explained"])
    row = pick(decompose(scored([0.5] * N, [0.5] * N, size=[0.6] * N), "fixed", "size"), "size")
    assert (row["share_is"], row["apparent_low"], row["apparent_high"]) == (NOT_PROVEN, 0, 0)


@pytest.mark.parametrize(("cases", "reason"), [(1, TOO_FEW), (5, TOO_FEW), (6, DEFINED)])
def test_few_cases_have_no_share(cases, reason):
    scores = scored([0.9] * cases, [0.4] * cases, size=[0.5] * cases)
    row = pick(decompose(scores, "fixed", "size"), "size")
    assert row["share_is"] == reason
    assert math.isnan(row["share_explained"]) == (reason == TOO_FEW)
    assert math.isnan(row["apparent_low"]) == (reason == TOO_FEW)
    assert row["apparent_loss"] == pytest.approx(0.5)


def test_a_share_may_leave_its_bounds():
    row = pick(decompose(scored([0.8] * N, [0.4] * N, size=[0.9] * N), "fixed", "size"), "size")
    assert (row["share_explained"], row["share_left"]) == pytest.approx((1.25, -0.25))
    row = pick(decompose(scored([0.8] * N, [0.4] * N, size=[0.3] * N), "fixed", "size"), "size")
    assert row["share_explained"] == pytest.approx(-0.25)


def test_the_best_protocol_is_looked_for_in_every_sample():
    rng = np.random.default_rng(1)
    after = {name: 0.5 + rng.normal(0, 0.1, N) for name in ("size", "truth")}
    scores = scored([0.9] * N, 0.5 + rng.normal(0, 0.1, N), **after)
    frame = decompose(scores, "fixed", "size")
    best = pick(frame, BEST)
    assert best["explained"] == max(0, *(pick(frame, name)["explained"] for name in after))
    assert best["explained_low"] >= 0
    for name in after:
        assert best["explained_low"] >= pick(frame, name)["explained_low"]
    worse = decompose(scored([0.9] * N, [0.5] * N, size=[0.4] * N), "fixed", "size")
    assert (pick(worse, BEST)["chosen"], pick(worse, BEST)["explained"]) == ("fixed", 0)


def test_alternatives_are_chosen_and_checked():
    scores = scored([0.9] * 8, [0.4] * 8, size=[0.5] * 8, truth=[0.6] * 8)
    frame = decompose(scores, "fixed", "size", ["truth"])
    assert frame["protocol"].unique().tolist() == ["truth", BEST]
    with pytest.raises(ForgettingError, match="protocol 'grey' at stage 9; beside 'fixed' there"):
        decompose(scores, "fixed", "size", ["grey"])
    with pytest.raises(ForgettingError, match="under protocol 'fixed' only"):
        decompose(scored([0.9] * 8, [0.4] * 8), "fixed", "size")
    with pytest.raises(ForgettingError, match="unknown statistic 'sum'"):
        decompose(scores, "fixed", "size", statistic="sum")


def test_a_group_without_cases_is_there_and_empty():
    frame = decompose(scored([0.9] * 8, [0.4] * 8, size=[0.5] * 8), "fixed", "size")
    for protocol in ("size", BEST):
        row = pick(frame, protocol, seen="seen")
        assert (row["n"], row["share_is"]) == (0, TOO_FEW)
        assert math.isnan(row["apparent_loss"])
