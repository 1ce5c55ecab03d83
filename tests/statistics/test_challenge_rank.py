from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from cellharness.statistics.case_table import RankingError
from cellharness.statistics.challenge_rank import adjusted_seconds, challenge_rank, time_tolerance
from cellharness.statistics.rank_bootstrap import CHALLENGE, bootstrap_challenge

# Case: pixels, then F1 and real seconds of teams A, B and C.
HAND_WORKED = {
    "c1": (500_000, (0.90, 12.0), (0.80, 9.0), (0.70, 10.5)),
    "c2": (2_000_000, (0.60, 25.0), (0.60, 15.0), (0.90, 19.0)),
    "c3": (1_000_000, (0.50, 11.0), (0.40, 14.0), (math.nan, math.nan)),
    "c4": (1_500_000, (0.80, 14.0), (0.85, 15.0), (0.20, 16.0)),
}


@pytest.fixture
def hand_worked():
    rows = [
        (case, team, f1, seconds, pixels)
        for case, (pixels, *teams) in HAND_WORKED.items()
        for team, (f1, seconds) in zip("ABC", teams, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["case", "method", "f1", "seconds", "pixels"])
    table["adjusted_seconds"] = adjusted_seconds(table["seconds"], table["pixels"])
    return table


def test_hand_worked_adjusted_seconds(hand_worked):
    # Tolerances 10, 20, 10 and 15 s.
    assert hand_worked["adjusted_seconds"].tolist() == pytest.approx(
        [2, 0, 0.5, 5, 0, 0, 1, 4, math.nan, 0, 0, 1], nan_ok=True
    )


def test_hand_worked_ranking(hand_worked):
    """Ranks by F1 and time: A 1 2 1 2 and 3 3 1 1, B 2 2 2 1 and 1 1 2 1, C 3 1 3 3 and 2 1 3 3.

    A has the best F1 ranks (6, B has 7) and loses by its time: 14, 12 and 19 of 8 ranks, by 3
    teams.
    """
    ranking = challenge_rank(hand_worked)
    assert ranking["method"].tolist() == ["B", "A", "C"]
    assert ranking["rank"].tolist() == [1, 2, 3]
    assert ranking["score"].tolist() == pytest.approx([12 / 24, 14 / 24, 19 / 24], abs=1e-15)
    assert ranking["mean_rank_f1"].tolist() == [7 / 4, 6 / 4, 10 / 4]
    assert ranking["mean_rank_seconds"].tolist() == [5 / 4, 8 / 4, 9 / 4]


def test_tolerance_at_and_above_a_million_pixels():
    assert time_tolerance([1, 1_000_000]).tolist() == [10, 10]
    assert time_tolerance([1_000_001, 25_000_000]) == pytest.approx([10.00001, 250], rel=1e-12)
    assert float(time_tolerance(4_000_000)) == 40


def test_bad_pixels_and_seconds_are_errors():
    with pytest.raises(RankingError, match="0 pixels; an image has a positive number"):
        time_tolerance([100, 0])
    with pytest.raises(RankingError, match="a running time of -3 s; times are 0 or more"):
        adjusted_seconds([1, -3, math.nan], 100)


def test_raw_seconds_are_not_taken_for_adjusted_ones(hand_worked):
    with pytest.raises(RankingError, match="lacks the columns adjusted_seconds"):
        challenge_rank(hand_worked.drop(columns="adjusted_seconds"))


def degenerate(f1, seconds):
    rows = [
        (case, method, f1, seconds) for case in ("x", "y") for method in ("a", "b")
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["case", "method", "f1", "adjusted_seconds"])


@pytest.mark.parametrize("f1", [0.5, math.nan])
@pytest.mark.parametrize("seconds", [0.0, math.nan])
def test_all_equal_or_all_missing_share_the_first_rank(f1, seconds):
    ranking = challenge_rank(degenerate(f1, seconds))
    assert ranking["rank"].tolist() == [1, 1]
    assert ranking["score"].tolist() == [0.5, 0.5]


def test_one_case_or_one_method(hand_worked):
    one_case = challenge_rank(hand_worked[hand_worked["case"] == "c1"])
    assert one_case.set_index("method")["score"].to_dict() == pytest.approx(
        {"A": 4 / 6, "B": 3 / 6, "C": 5 / 6}
    )
    alone = challenge_rank(hand_worked[hand_worked["method"] == "C"])
    assert alone[["score", "rank"]].to_numpy().tolist() == [[1, 1]]


def test_bootstrap_ranks_each_sample_by_the_same_scheme(hand_worked):
    found = bootstrap_challenge(hand_worked, samples=30, seed=4)
    pd.testing.assert_frame_equal(
        found.rankings.drop(columns="scheme"),
        challenge_rank(hand_worked)[["method", "score", "rank"]],
    )
    draws = np.random.default_rng(4).integers(0, 4, (30, 4))
    by_case = dict(list(hand_worked.groupby("case")))
    several = 0
    for sample, draw in enumerate(draws):
        blocks = [by_case[f"c{i + 1}"].assign(case=place) for place, i in enumerate(draw)]
        expected = challenge_rank(pd.concat(blocks)).set_index("method")["rank"]
        ours = dict(zip(found.methods, found.ranks[CHALLENGE][sample], strict=True))
        assert ours == expected.to_dict()
        several += expected.to_dict() != {"A": 2, "B": 1, "C": 3}
    assert several > 0
    assert set(found.taus()["seed"]) == {4}
