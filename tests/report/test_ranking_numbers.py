"""What the tables and figures of the section on rankings show is what the statistics say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cellharness.analysis.ranked import (
    BETTER,
    LEVEL,
    MAIN,
    PAPER_SCHEMES,
    RAW,
    WORSE,
)
from cellharness.analysis.run_data import load_run
from cellharness.printing.table import Table, to_markdown
from cellharness.printing.wording import listing
from cellharness.report.comparison.bubbles import bubble_caption, points_of
from cellharness.report.comparison.data import Comparison
from cellharness.report.comparison.ranking import interval, ranges, ranking, who_is_first
from cellharness.report.declare import FigureItem, TableItem
from cellharness.report.page import write_words
from cellharness.statistics import ALL, summarise
from cellharness.statistics.efficiency import running_times
from cellharness.statistics.method_pairs import both_ways, compare_pairs
from cellharness.statistics.rank_bootstrap import bootstrap_challenge, bootstrap_ranks
from cellharness.statistics.ranking import compare_schemes, rank
from cellharness.statistics.side_by_side import rank_side_by_side
from simulated_run import Simulation, simulate_run

SIZES = {"Brightfield": 14, "DIC": 9, "Fluorescent": 11}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    what = Simulation(
        methods=6, sizes=SIZES, failures=0.15, thresholds=(0.5, 0.7), gpu=(0, 2, 3), seed=2
    )
    return load_run(simulate_run(tmp_path_factory.mktemp("ranking"), what, masks=False))


@pytest.fixture(scope="module")
def d(run):
    return Comparison(run)


@pytest.fixture(scope="module")
def ranked(d):
    return d.ranked


def tables_of(d: Comparison) -> dict[str, Table]:
    made = [item.make(d) for item in ranking.items if isinstance(item, TableItem)]
    return {table.name: table for table in made}


@pytest.fixture(scope="module")
def tables(d, tmp_path_factory):
    """The tables as they are read back from their CSVs."""
    folder = tmp_path_factory.mktemp("tables")
    made = tables_of(d)
    for table in made.values():
        table.frame.to_csv(folder / f"{table.name}.csv", index=False)
    return {name: pd.read_csv(folder / f"{name}.csv") for name in made}


@pytest.fixture(scope="module")
def values(run):
    return run.main.rename(columns={"f1": "value"})


def test_order_and_ranks_are_those_of_the_main_scheme(run, ranked, tables, values):
    for group in (ALL, *SIZES):
        rows = values if group == ALL else values[values["modality"] == group]
        expected = rank(rows, MAIN, missing=0.0)
        found = tables["ranking"][tables["ranking"]["modality"] == group]
        assert found["method"].tolist() == expected["method"].tolist()
        assert found["rank"].tolist() == expected["rank"].tolist()
        assert found["score"].to_numpy() == pytest.approx(expected["score"].to_numpy(), abs=1e-12)
    assert list(ranked.order) == rank(values, MAIN, missing=0.0)["method"].tolist()


def test_medians_are_those_of_the_table_of_accuracy(run, tables):
    expected = summarise(run.main).set_index(["modality", "method"])
    found = tables["ranking"].set_index(["modality", "method"])
    for name in ("median_f1", "q1", "q3", "n", "n_failed"):
        pd.testing.assert_series_equal(
            found[name], expected[name].reindex(found.index), check_dtype=False, rtol=1e-12
        )


def test_rank_intervals_are_those_of_the_bootstrap(tables, values):
    intervals = (
        bootstrap_ranks(values, [MAIN], missing=0.0, samples=10_000).intervals().set_index("method")
    )
    found = tables["ranking"]
    found = found[found["modality"] == ALL].set_index("method")
    for name, end in (("rank_low", "low"), ("rank_high", "high")):
        assert found[name].tolist() == intervals.loc[found.index, end].tolist()
    assert set(found["samples"]) == {10_000}
    assert set(found["seed"]) == {0}


def test_letters_follow_from_the_tests(ranked, tables):
    for group, own in ranked.groups.items():
        rows = tables["ranking"][tables["ranking"]["modality"] == group].set_index("method")
        tests = own.tests.set_index(["method", "other"])["better"]
        for first in ranked.order:
            for second in ranked.order:
                if first == second:
                    continue
                differ = tests[first, second] or tests[second, first]
                shared = set(rows.loc[first, "letters"]) & set(rows.loc[second, "letters"])
                assert bool(shared) != differ


@pytest.fixture(scope="module")
def tests(values):
    """Every pair in both orders, as the statistics have them."""
    return both_ways(compare_pairs(values, unit="image"))


def test_p_values_of_every_modality_are_in_the_csv(tests, tables):
    keys = ["modality", "method", "other"]
    found = tables["ranking_tests"].set_index(keys)
    expected = tests.set_index(keys)
    assert set(found.index) == set(expected.index)
    expected = expected.loc[found.index]
    for name in ("n_images", "n_units", "estimate", "low", "high", "p", "p_adjusted"):
        assert found[name].to_numpy(float) == pytest.approx(expected[name].to_numpy(float))
    assert (found["verdict"] == expected["verdict"]).all()


def test_the_map_shows_the_tests(ranked, tests):
    states = ranked.pair_states
    own = tests[tests["modality"] == ALL].set_index(["method", "other"])
    higher = own["verdict"] == "higher"
    raw = (own["p"] < 0.05) & (own["estimate"] > 0)
    for i, row in enumerate(ranked.order):
        for j, column in enumerate(ranked.order):
            if i == j:
                assert states[i, j] == WORSE
            elif higher[row, column]:
                assert (states[i, j], states[j, i]) == (BETTER, WORSE)
            elif raw[row, column]:
                assert states[i, j] == RAW
            elif not higher[column, row]:
                assert states[i, j] == LEVEL
    assert {BETTER, LEVEL} <= set(states.ravel())


def test_wins_and_lists_of_the_page_are_those_of_the_tests(d, ranked, tests):
    table = tables_of(d)["ranking_tests"]
    won = tests[(tests["modality"] == ALL) & (tests["verdict"] == "higher")]
    for number, (method, row) in enumerate(zip(ranked.order, table.rows, strict=True), start=1):
        own = won[won["method"] == method]
        assert row.cells[0].startswith(f"{number} ")
        assert row.cells[1] == str(len(own))
        beaten = sorted(ranked.order.index(other) + 1 for other in own["other"])
        assert expand(row.cells[2]) == beaten


def expand(text: str) -> list[int]:
    numbers = []
    for part in text.split(", ") if text != "–" else []:
        first, _, last = part.partition("–")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def test_lines_are_the_ranks_of_the_five_schemes(ranked, values):
    expected = compare_schemes(values, PAPER_SCHEMES, missing=0.0)
    ranks = ranked.scheme_ranks
    for j, scheme in enumerate(PAPER_SCHEMES):
        own = expected[expected["scheme"] == scheme].set_index("method")["rank"]
        assert ranks[:, j].tolist() == own.loc[list(ranked.order)].tolist()


def test_schemes_table_has_the_challenge_and_time_alone(run, ranked, tables, values):
    times = running_times(run.ledger)
    rows = values.merge(times, on=["case", "method"], how="left").assign(
        f1=values["value"].to_numpy()
    )
    expected = bootstrap_challenge(rows).intervals().set_index("method")
    found = tables["ranking_schemes"]
    own = found[found["scheme"] == "challenge"].set_index("method")
    for name in ("score", "rank", "low", "high"):
        assert own[name].to_numpy() == pytest.approx(expected.loc[own.index, name].to_numpy())
    timed = found[found["metric"] == "time"].set_index("method")["rank"]
    side = rank_side_by_side(run.scores, run.ledger).query("metric == 'seconds_per_case'")
    side = side[side["modality"] == ALL].set_index("method")["rank"]
    assert timed.to_dict() == side.to_dict()


def test_taus_are_those_of_the_bootstrap(ranked, values, tables):
    taus = bootstrap_ranks(values, PAPER_SCHEMES, missing=0.0, samples=10_000).taus()
    stability = tables["ranking_stability"].set_index("ranking")
    names = []
    for name, _, found in ranked.taus:
        names.append(name)
        assert stability.loc[name, "tau_median"] == pytest.approx(np.median(found))
        assert stability.loc[name, "tau_min"] == pytest.approx(found.min())
        if name.startswith("F1"):
            expected = taus.loc[taus["scheme"] == name.removeprefix("F1, "), "tau"]
            assert found == pytest.approx(expected.to_numpy())
    assert names[-2:] == [f"Time, {MAIN}", "Challenge: F1 and time"]
    assert len(names) == 7


def test_frequencies_are_counted_in_the_samples(ranked, tables, values):
    drawn = bootstrap_ranks(values, PAPER_SCHEMES, missing=0.0, samples=10_000)
    found = tables["ranking_frequencies"].set_index(["scheme", "method", "rank"])["share"]
    for scheme in PAPER_SCHEMES:
        for i, method in enumerate(drawn.methods):
            for place in range(1, 7):
                share = (drawn.ranks[scheme][:, i] == place).mean()
                assert found.get((scheme, method, place), 0.0) == pytest.approx(share)


def test_side_by_side_is_that_of_the_statistics(run, ranked, tables):
    expected = rank_side_by_side(run.scores, run.ledger, profile=run.profile)
    keys = ["modality", "metric", "threshold", "method"]
    found = tables["ranking_side_by_side"].set_index(keys).sort_index()
    wanted = expected.set_index(keys).sort_index()
    assert found.index.equals(wanted.index)
    for name in ("n", "score", "rank"):
        mine, theirs = (t[name].to_numpy(float, na_value=np.nan) for t in (found, wanted))
        assert mine == pytest.approx(theirs, nan_ok=True)
    heads = [column.head for column in ranked.columns]
    costs = ["Time", "GPU memory", "Host memory"]
    assert heads == ["0.5", "0.7", "Brightfield", "Fluorescent", "DIC", *costs]
    gpu = ranked.ranks_in(ranked.columns[-2])
    assert gpu.isna().to_dict() == {m: m not in ("m00", "m02", "m03") for m in ranked.order}


def test_bubbles_are_median_time_and_peak_of_memory(run, ranked):
    points = points_of(ranked).set_index("method")
    assert points["number"].tolist() == list(range(1, 7))
    for method, point in points.iterrows():
        ledger = run.ledger[(run.ledger["method"] == method) & (run.ledger["status"] == "ok")]
        seconds = ledger["seconds_total"] - ledger["seconds_load"] - ledger["seconds_warmup"]
        assert point["seconds"] == pytest.approx(seconds.median())
        on_gpu = method in ("m00", "m02", "m03")
        assert point["memory_of"] == ("GPU" if on_gpu else "host")
        column = "peak_gpu_mb" if on_gpu else "peak_host_mb"
        assert point["memory_mb"] == pytest.approx(ledger[column].max())
        f1 = run.main.loc[run.main["method"] == method, "f1"]
        assert point["median_f1"] == pytest.approx(f1.median())


def test_sentences_say_what_the_numbers_say(d, ranked, values, tests):
    first = ranked.order[0]
    label = ranked.run.labels[first]
    shares = bootstrap_ranks(values, [MAIN], missing=0.0, samples=10_000).ranks[MAIN]
    share = (shares[:, list(dict.fromkeys(values["method"])).index(first)] == 1).mean()
    text = who_is_first(d)
    assert text.startswith(f"{label} ranks first by ")
    assert share < 1
    assert f"in {100 * share:.0f} % of 10,000 bootstrap samples" in text
    level = tests[(tests["modality"] == ALL) & (tests["method"] == first)]
    level = level[level["verdict"] != "higher"]
    names = [ranked.run.labels[m] for m in ranked.order if m in set(level["other"])]
    assert 1 <= len(names) <= 4
    assert f"significantly better than all but {listing(names)} (" in text


def test_captions_say_what_the_bubbles_are(d):
    caption = bubble_caption(d)
    assert "filled, GPU memory" in caption
    assert "hollow, host memory of methods that used no GPU" in caption


def captions_of(d: Comparison) -> dict[str, str]:
    figures = [item for item in ranking.items if isinstance(item, FigureItem)]
    return {item.name: write_words(item.caption, d) for item in figures}


def test_texts_say_what_was_drawn_and_how_surely(d):
    """Another unit and another confidence change every text that has one."""
    ranked = d.ranked
    resampling = replace(ranked.resampling, confidence=0.9, samples=700)
    other = Comparison(d.run)
    tests = ranked.tests.assign(unit="plate", confidence=0.9, n_units=5, family_size=99)
    groups = {**ranked.groups, ALL: replace(ranked.groups[ALL], tests=tests)}
    accuracy = replace(ranked.accuracy, unit="plate", n_units=5)
    vars(other)["ranked"] = replace(ranked, resampling=resampling, groups=groups, accuracy=accuracy)
    texts = [who_is_first(other), *captions_of(other).values()]
    for table in tables_of(other).values():
        texts += [table.title, *table.header, *table.notes]
    said = " ".join(texts)
    assert "5 plates" in said
    assert "90 %" in said
    assert "99 tests" in said
    assert "700 bootstrap samples" in said
    for typed in ("95 %", "10,000", "0.05 after", "15 tests"):
        assert typed not in said


def test_the_same_run_gives_the_same_tables(run, d):
    again = Comparison(run)
    for first, second in zip(tables_of(d).values(), tables_of(again).values(), strict=True):
        assert to_markdown(first) == to_markdown(second)
        pd.testing.assert_frame_equal(first.frame, second.frame)


def test_intervals_and_numbers_are_written_short():
    assert [interval(1.0, 3.0), interval(2.0, 2.0), interval(1.0, 2.5)] == ["1–3", "2", "1–2.5"]
    assert ranges([1, 3, 4, 5, 8, 9]) == "1, 3–5, 8, 9"
    assert ranges([]) == "–"
