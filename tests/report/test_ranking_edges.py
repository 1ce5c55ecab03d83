"""Runs that leave little to rank: a page all the same, and no claim beyond the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from page_reader import Page

from cellharness.report import build_report
from cellharness.report.comparison import load_comparison
from cellharness.report.comparison.ranking import frequency_table, who_is_first
from cellharness.report.comparison.ranking import ranking as ranking_section
from simulated_run import Simulation, simulate_run

# That of the stability is left out where every scheme and sample agrees.
ALL_FIGURES = {"ranking_significance", "ranking_side_by_side"}


@pytest.fixture
def build(monkeypatch):
    """Build a report whose figures are drawn but not written as files."""
    from cellharness.report import build as module

    drawn = set()

    def draw_only(figure, folder, name, **options):
        FigureCanvasAgg(figure).draw()
        drawn.add(name)
        for suffix in ("svg", "png", "pdf"):
            (folder / f"{name}.{suffix}").touch()
        return "<svg></svg>"

    monkeypatch.setattr(module, "save", draw_only)

    def quickly(run: Path) -> tuple[Page, set[str]]:
        drawn.clear()
        page = Page(build_report(run))
        return page, {name for name in drawn if not name.endswith("_1column")}

    return quickly


def simulate(folder, **options) -> Path:
    options = {"methods": 3, "sizes": {"DIC": 6}, "thresholds": (0.5,)} | options
    return simulate_run(folder, Simulation(**options), masks=False)


def change(run: Path, name: str, edit) -> None:
    table = pd.read_csv(run / name)
    edit(table).to_csv(run / name, index=False)


def ranking(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / "report/tables/ranking.csv")


def test_one_method_has_no_ranking(tmp_path, build):
    page, drawn = build(simulate(tmp_path, methods=1))
    assert "Ranking" not in page.headings
    assert not drawn & ALL_FIGURES
    assert "#ranking" not in page.links


def test_one_image(tmp_path, build):
    run = simulate(tmp_path, sizes={"DIC": 1})
    page, drawn = build(run)
    assert drawn >= ALL_FIGURES
    assert "With 1 image no ranking is to be relied on" in page.text
    table = ranking(run)
    # One image is no evidence for a difference.
    assert set(table["letters"]) == {"a"}
    assert "No difference is tested: 1 image; 6 are the fewest" in page.text


@pytest.mark.parametrize("second", [0.88, 0.5])
def test_a_share_of_samples_beside_what_is_not_significant_is_said_to_be_no_test(tmp_path, second):
    """Beside "> 99 %" of the samples "not significantly better" looks like a contradiction."""
    run = simulate(tmp_path, sizes={"DIC": 40})

    def level(table):
        noise = np.random.default_rng(0).normal(0, 0.1, len(table))
        return table.assign(f1=table["method"].map({"m00": 0.9, "m01": second, "m02": 0.1}) + noise)

    change(run, "scores.csv", lambda t: level(t).assign(f1=lambda t: t["f1"].clip(0, 1)))
    d = load_comparison(run)
    said = "it is no test, and is not corrected for the number of pairs"
    unit = d.ranked.accuracy.unit
    assert f"has that rank when {unit}s are drawn again; {said}" in d.ranked.no_test
    better = d.ranked.tests.set_index(["method", "other"])["better"]
    assert better["m00", "m01"] == (second == 0.5)
    assert (d.ranked.no_test in who_is_first(d)) == (second != 0.5)
    assert frequency_table(d).notes == (d.ranked.no_test,)
    (item,) = (i for i in ranking_section.items if getattr(i, "name", "") == "ranking_significance")
    assert "d.ranked.no_test" in item.caption


def test_equal_methods_share_the_first_rank(tmp_path, build):
    run = simulate(tmp_path)
    change(run, "scores.csv", lambda t: t.assign(f1=0.5, status="ok"))
    page, drawn = build(run)
    assert drawn >= ALL_FIGURES | {"ranking_stability"}
    table = ranking(run)
    assert table["rank"].tolist() == [1, 1, 1]
    assert set(table["letters"]) == {"a"}
    assert "alder, bluebell-net and clover share the first rank of 3" in page.text
    tests = pd.read_csv(run / "report/tables/ranking_tests.csv")
    assert (tests["p"] == 1).all()
    assert (tests["verdict"] == "not significant").all()
    stability = pd.read_csv(run / "report/tables/ranking_stability.csv").set_index("ranking")
    f1 = stability[stability.index.str.startswith("F1")]
    assert f1["tau_median"].isna().all()
    assert (f1["n_without_order"] == 10_000).all()


def test_all_failed(tmp_path, build):
    run = simulate(tmp_path)
    change(run, "scores.csv", lambda t: t.assign(f1=0.0, status="error"))
    change(run, "ledger.csv", lambda t: t.assign(status="error", message="x"))
    _, drawn = build(run)
    assert "ranking_significance" in drawn
    # One threshold and no cost: side by side there would be the ranking alone.
    assert "ranking_side_by_side" not in drawn
    assert ranking(run)["rank"].tolist() == [1, 1, 1]
    assert ranking(run)["n_failed"].tolist() == [6, 6, 6]
    assert "accuracy_cost" not in drawn


def test_no_score_at_all(tmp_path, build):
    """The challenge profile alone has no number for a failed image."""
    run = simulate(tmp_path, profiles=("challenge",))
    change(run, "scores.csv", lambda t: t.assign(f1=np.nan, status="error"))
    change(run, "ledger.csv", lambda t: t.assign(status="error", message="x"))
    _, drawn = build(run)
    assert "ranking_significance" in drawn
    # One threshold and no cost: side by side there would be the ranking alone.
    assert "ranking_side_by_side" not in drawn
    assert ranking(run)["rank"].tolist() == [1, 1, 1]
    assert ranking(run)["median_f1"].isna().all()


def test_a_failed_image_is_the_worst_in_either_profile(tmp_path, build):
    run = simulate(tmp_path, profiles=("challenge",), methods=2)

    def fail(table):
        failed = table["method"].eq("m00") & table["case"].isin(["D000", "D001", "D002", "D003"])
        f1 = table["method"].map({"m00": 0.9, "m01": 0.1}).mask(failed)
        return table.assign(f1=f1, status=np.where(failed, "timeout", "ok"))

    change(run, "scores.csv", fail)
    build(run)
    table = ranking(run).set_index("method")
    assert table["rank"].to_dict() == {"m01": 1, "m00": 2}
    assert table.loc["m00", "score"] == pytest.approx((4 * 2 + 2 * 1) / 6)
    # The median is that of the profile, which leaves failed images out.
    assert table.loc["m00", "median_f1"] == pytest.approx(0.9)


def test_without_times_there_are_no_bubbles_and_no_ranking_by_time(tmp_path, build):
    run = simulate(tmp_path, thresholds=(0.5, 0.8))
    seconds = [f"seconds_{name}" for name in ("total", "network", "load", "warmup", "postprocess")]
    change(run, "ledger.csv", lambda t: t.assign(**dict.fromkeys(seconds, np.nan)))
    page, drawn = build(run)
    assert drawn >= ALL_FIGURES
    assert "accuracy_cost" not in drawn
    assert "Time and memory are not shown: no method has running times." in page.text
    schemes = pd.read_csv(run / "report/tables/ranking_schemes.csv")
    assert set(schemes["metric"]) == {"f1"}
    side = pd.read_csv(run / "report/tables/ranking_side_by_side.csv")
    assert "seconds_per_case" not in set(side["metric"])


def forget(run, method, cases=None):
    """Take the running times of a method, or of some of its cases, from the ledger."""

    def without(table):
        gone = (table["method"] == method) & (table["case"].isin(cases) if cases else True)
        return table.assign(seconds_total=table["seconds_total"].mask(gone))

    change(run, "ledger.csv", without)


@pytest.mark.parametrize(
    ("cases", "why"),
    [
        (None, "alder has no running times, and the others alone"),
        (["D000", "D001"], "alder has none of 2 images, and the others alone"),
    ],
)
def test_nothing_is_ranked_by_cost_where_a_method_has_no_times(tmp_path, build, cases, why):
    """Methods that segment several cases at once have none: the others would rank alone."""
    run = simulate(tmp_path, thresholds=(0.5, 0.8))
    forget(run, "m00", cases)
    page, drawn = build(run)
    tables = run / "report/tables"
    schemes = pd.read_csv(tables / "ranking_schemes.csv")
    assert set(schemes["metric"]) == {"f1"}
    assert set(pd.read_csv(tables / "ranking_side_by_side.csv")["metric"]) == {"f1"}
    assert not pd.read_csv(tables / "ranking_stability.csv")["ranking"].str.contains("ime").any()
    assert "ranking_side_by_side" in drawn
    assert "accuracy_cost" not in drawn
    assert not (tables / "running_time.csv").exists()
    assert not (tables / "timing.csv").exists()
    # Where the figures and tables would stand, and at both tables and the figure of ranks.
    assert page.text.count(f"Time and memory are not shown: {why}") == 4
    assert "time and memory, all rank-then-mean" not in page.text


def test_a_method_that_made_no_mask_needs_no_time(tmp_path, build):
    run = simulate(tmp_path)
    forget(run, "m00")
    for name in ("scores.csv", "ledger.csv"):
        change(run, name, lambda t: t.assign(status=t["status"].mask(t["method"] == "m00", "oom")))
    page, drawn = build(run)
    assert "accuracy_cost" in drawn
    assert "are not shown" not in page.text
    schemes = pd.read_csv(run / "report/tables/ranking_schemes.csv")
    times = schemes[schemes["metric"] == "time"].set_index("method")["rank"]
    assert times["m00"] == 3


def test_one_image_without_a_size_leaves_out_the_challenge_ranking_alone(tmp_path, build):
    run = simulate(tmp_path)
    change(run, "ledger.csv", lambda t: t.assign(pixels=t["pixels"].mask(t.index == 0)))
    build(run)
    schemes = pd.read_csv(run / "report/tables/ranking_schemes.csv")
    assert set(schemes["metric"]) == {"f1", "time"}


def test_without_memory_bubbles_are_crosses(tmp_path, build):
    run = simulate(tmp_path)
    change(run, "ledger.csv", lambda t: t.drop(columns=["peak_gpu_mb", "peak_host_mb"]))
    page, drawn = build(run)
    assert drawn >= ALL_FIGURES
    assert "not shown, as memory was not measured" in page.text


def test_an_older_ledger_has_no_challenge_ranking(tmp_path, build):
    """Before the number of pixels was recorded there was no adjusted time."""
    run = simulate(tmp_path, pixels=False)
    page, _ = build(run)
    schemes = pd.read_csv(run / "report/tables/ranking_schemes.csv")
    assert "challenge" not in set(schemes["scheme"])
    assert "Challenge: as in NeurIPS 2022" not in page.text


def test_on_a_cpu_the_bubbles_say_that_memory_is_the_hosts(tmp_path, build):
    page, _ = build(simulate(tmp_path, gpu=()))
    assert "peak of host memory of the process, as no GPU was used" in page.text


def test_an_unknown_modality_and_few_images_of_one(tmp_path, build):
    run = simulate(tmp_path, sizes={"DIC": 1, "Brightfield": 7})

    def unknown(table):
        return table.assign(modality=table["modality"].where(table["modality"] == "DIC"))

    change(run, "scores.csv", unknown)
    _, drawn = build(run)
    assert drawn >= ALL_FIGURES
    assert list(dict.fromkeys(ranking(run)["modality"])) == ["All", "DIC", "Unknown modality"]


def test_two_methods_with_one_label_and_strange_names(tmp_path, build):
    run = simulate(tmp_path, labels={0: "Net", 1: "Net", 2: "$x_1$ <q> & 50 %"})
    page, _ = build(run)
    assert {"Net (m00)", "Net (m01)", "$x_1$ <q> & 50 %"} == set(ranking(run)["label"])
    assert "<q>" not in page.source
    tex = (run / "report/tables/ranking.tex").read_text()
    assert r"\$x\_1\$ \textless{}q\textgreater{} \& 50 \%" in tex
