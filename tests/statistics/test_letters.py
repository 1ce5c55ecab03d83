from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from cellharness.statistics.case_table import RankingError
from cellharness.statistics.letters import compact_letters


def as_tests(better: np.ndarray) -> pd.DataFrame:
    """One row an ordered pair, from a matrix of whether the row is better than the column."""
    rows = [(i, j, bool(better[i, j])) for i, j in itertools.permutations(range(len(better)), 2)]
    return pd.DataFrame(rows, columns=["method", "other", "significant_holm"])


@pytest.mark.parametrize("seed", range(40))
def test_letters_are_shared_exactly_by_those_that_do_not_differ(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 15))
    better = np.triu(rng.random((count, count)) < rng.uniform(0.1, 0.9), 1)
    letters = compact_letters(as_tests(better), range(count))
    for i, j in itertools.combinations(range(count), 2):
        assert bool(set(letters[i]) & set(letters[j])) != better[i, j], (i, j)
    assert all(letters.values())


@pytest.mark.parametrize("seed", range(10))
def test_no_letter_can_be_done_without(seed):
    """Each letter is the largest of its kind: whoever has it not differs from one who has."""
    rng = np.random.default_rng(seed)
    better = np.triu(rng.random((9, 9)) < 0.5, 1)
    letters = compact_letters(as_tests(better), range(9))
    differ = better | better.T
    for letter in set("".join(letters.values())):
        members = [m for m, own in letters.items() if letter in own]
        for outsider in set(letters) - set(members):
            assert differ[outsider, members].any()


def test_the_best_has_the_first_letter_and_letters_go_down_the_order():
    better = np.array([[0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]], bool)
    assert compact_letters(as_tests(better), range(4)) == {0: "a", 1: "ab", 2: "bc", 3: "c"}
    # The same tests for methods that stand in another order.
    assert compact_letters(as_tests(better), [3, 2, 1, 0]) == {3: "a", 2: "ab", 1: "bc", 0: "c"}


def test_a_difference_counts_whichever_is_the_better():
    better = np.array([[0, 0], [1, 0]], bool)
    assert compact_letters(as_tests(better), [0, 1]) == {0: "a", 1: "b"}


def test_after_the_alphabet_letters_get_a_prime():
    better = np.triu(np.ones((60, 60), bool), 1)
    letters = compact_letters(as_tests(better), range(60))
    assert [letters[i] for i in (0, 25, 26, 51, 52, 59)] == ["a", "z", "A", "Z", "a′", "h′"]
    assert len(set(letters.values())) == 60


def test_of_one_or_no_method():
    nothing = as_tests(np.zeros((1, 1), bool))
    assert compact_letters(nothing, ["only"]) == {"only": "a"}
    assert compact_letters(nothing, []) == {}


def test_another_verdict_can_be_used():
    tests = as_tests(np.zeros((2, 2), bool)).assign(significant=[True, False])
    assert compact_letters(tests, [0, 1]) == {0: "a", 1: "a"}
    assert compact_letters(tests, [0, 1], "significant") == {0: "a", 1: "b"}


def test_a_method_that_the_order_lacks_is_named():
    with pytest.raises(RankingError, match="name 1, which the order of methods lacks"):
        compact_letters(as_tests(np.zeros((2, 2), bool)), [0])
