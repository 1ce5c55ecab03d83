"""Numbers that documents take from the kept reports are those of the reports."""

from __future__ import annotations

import base64
import json
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cellharness
from cellharness.printing.wording import with_interval
from cellharness.statistics.power import TYPICAL, measure_spread
from study_tables import MARK, PAGES, with_tables

ROOT = Path(__file__).parents[1]
FORGETTING = ROOT / "reports/mini-forgetting"
BASELINES = ROOT / "reports/mini-baselines"
DEMO = ROOT / "reports/demo-forgetting"


def document(name):
    return " ".join((ROOT / "docs" / name).read_text(encoding="utf-8").split())


def table(report, name, **where):
    rows = pd.read_csv(report / f"tables/{name}.csv", keep_default_na=False)
    for column, value in where.items():
        rows = rows[rows[column] == value]
    return rows


def number(rows, column):
    (value,) = rows[column].astype(float)
    return value


def explored(report):
    text = (report / "explore/data.js").read_text(encoding="utf-8")
    return json.loads(text[text.index("{") : text.rindex("}") + 1])


def scores(report):
    """F1 at IoU 0.5 in profile strict, images by methods, and whether an image is seen."""
    data = explored(report)
    shape = (len(data["profiles"]), len(data["thresholds"]), len(data["methods"]), -1)
    f1 = np.frombuffer(base64.b64decode(data["f1"]), np.float32).reshape(shape)
    mine = f1[data["profiles"].index("strict"), data["thresholds"].index(0.5)]
    names = [method["name"] for method in data["methods"]]
    frame = pd.DataFrame(dict(zip(names, mine.astype(float), strict=True)))
    return frame, np.array([case["seen"] for case in data["cases"]])


def test_what_plain_fine_tuning_changed():
    text = document("forgetting.md")
    rows = table(FORGETTING, "change", remedy="plain", protocol="truth", seen="unseen")
    whole = rows[rows["level"] == "overall"]
    assert f"On the {int(number(whole, 'n'))} unseen images plain fine-tuning changed F1 by" in text
    assert f"changed F1 by {number(whole, 'mean_change'):.3f}:" in text
    by_modality = (
        rows[rows["level"] == "modality"].set_index("modality")["mean_change"].astype(float)
    )
    found = re.search(
        r"fluorescent (\S+), phase-contrast (\S+), DIC (\S+) \(two images\), brightfield "
        r"\*\*(\S+?)\*\*",
        text,
    )
    assert found
    for said, name in zip(
        found.groups(), ("Fluorescent", "Phase-contrast", "DIC", "Brightfield"), strict=True
    ):
        digits = len(said.rstrip(",.").split(".")[1])
        assert float(said) == pytest.approx(by_modality[name], abs=0.5001 * 10**-digits), name
    seen = table(FORGETTING, "change", remedy="plain", level="overall", seen="seen")
    assert f"On the eight seen ones by {number(seen, 'mean_change'):+.3f}." in text
    assert int(number(seen, "n")) == 8


def test_the_loss_as_published_and_alike():
    rows = table(
        FORGETTING, "decomposition", remedy="plain", modality="All", seen="unseen", protocol="truth"
    )
    assert (
        f"images is {number(rows, 'apparent_loss'):.3f}, with the true diameter before and after "
        f"{number(rows, 'left_same_protocol'):.3f}."
    ) in document("forgetting.md")
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"lost {number(rows, 'left_same_protocol'):.2f} mean F1 with the true" in readme
    assert f"and {number(rows, 'apparent_loss'):.2f} under the published protocol" in readme


def test_remedies_beside_plain_fine_tuning():
    text = document("forgetting.md")
    rows = table(FORGETTING, "remedies", level="overall")
    kept, gained = (
        {name: float(value) for name, value in zip(rows["remedy"], rows[column], strict=True)}
        for column in ("kept_more", "gain_difference")
    )
    assert f"replay {kept['replay']:+.3f} and {gained['replay']:+.3f}" in text
    without = number(rows[rows["remedy"] == "replay"], "kept_more_without_replayed")
    assert f"(without the experiments that it met again {without:+.3f} on unseen ones)" in text
    told = set(
        re.findall(
            r"[+-]0\.\d{3}",
            text[text.index("Against plain fine-tuning") : text.index("## Related work")],
        )
    )
    known = {f"{value:+.3f}" for value in (*kept.values(), *gained.values(), without)}
    assert told <= known


def test_tables_of_findings_are_those_of_the_kept_reports():
    for name in PAGES:
        page = (ROOT / name).read_text(encoding="utf-8")
        assert len(MARK.findall(page)) > 4
        assert with_tables(page) == page, "python tests/study_tables.py sets them anew"


def test_what_is_said_of_the_baselines():
    rows = pd.read_csv(BASELINES / "estimates.csv", keep_default_na=False)
    rows = rows[rows["threshold"].astype(float) == 0.5]
    verdicts = {
        (row["subject"], row["reference"], row["modality"]): row["verdict"]
        for row in rows.to_dict("records")
    }
    cellpose = ["cellpose", "cellpose2", "cellpose2-estimate"]
    omnipose = ["omnipose", "omnipose-unchecked"]
    weak = ["misic", "otsu-watershed"]
    higher = {
        pair[:2] for pair, verdict in verdicts.items() if pair[2] == "All" and verdict == "higher"
    }
    strong = [*cellpose, *omnipose, "kit-ge"]
    assert higher == {(one, other) for one in strong for other in weak} - {("omnipose", weak[1])}
    for one in ("cellpose", "cellpose2-estimate"):
        assert {verdicts[one, other, "Fluorescent"] for other in omnipose} == {"higher"}
    units = rows.groupby("modality")["n_units"].first().astype(int)
    assert units[["Brightfield", "Phase-contrast"]].tolist() == [9, 9]
    (pairs,) = set(rows.loc[rows["modality"] == "Brightfield", "family_size"].astype(int))
    least = 2 / 2**9
    text = document("baselines.md")
    assert f"has a p of {least:.4f}, and {pairs * least:.3f} once it is corrected for" in text
    gains = [
        rows[(rows["subject"] == one) & (rows["reference"] == other) & (rows["modality"] == "All")]
        for one, other in (("cellpose", "cellpose2-estimate"), ("cellpose", "cellpose2"))
    ]
    fair, papers = (-float(each["estimate"].iloc[0]) for each in gains)
    assert f"Over all images it is {fair:.3f} with the size model before and after, and" in text
    assert f"{papers:.3f} in the paper's way" in text


def test_how_long_the_trainings_of_the_baselines_took():
    seconds = pd.read_csv(BASELINES / "tables/trainings.csv").set_index("training")["seconds"]
    fine, net = (f"{seconds[name] / 60:.0f}" for name in ("cellpose2", "kit-ge"))
    assert f"took {fine} minutes for the fine-tuning and {net} for the" in document("baselines.md")
    assert f"of `configs/mini-baselines.yaml` took {fine} and {net}" in document("performance.md")


def test_means_that_are_said_of_the_baselines():
    rows = pd.read_csv(BASELINES / "scores.csv", dtype={"remarks": str})
    rows = rows[(rows["profile"] == "strict") & (rows["threshold"] == 0.5)]
    text = document("baselines.md")
    means = rows.groupby("method")["f1"].mean()
    assert f"F1 of {means['cellpose2-truth']:.2f} in the place of" in text
    assert f"in the place of {means['cellpose2-estimate']:.2f} by the size model" in text
    known = rows.groupby(["method", "seen"])["f1"].mean()
    before, after = known["cellpose"], known["cellpose2-estimate"]
    assert (
        f"from {before[True]:.2f} to {after[True]:.2f} on seen experiments and from "
        f"{before[False]:.2f} to {after[False]:.2f} on unseen ones"
    ) in text
    assert f"it lowers it there to {known['cellpose2', False]:.2f}." in text
    seen = rows[rows["seen"]]
    n_seen = seen.groupby(["modality", "experiment"]).ngroups
    assert f"how the {n_seen} seen experiments" in text
    net = seen.pivot_table("f1", "modality", "method").rank(axis=1, ascending=False)["kit-ge"]
    assert net["Brightfield"] <= 3
    assert net["DIC"] <= 4
    assert net["Fluorescent"] > 5
    unseen = rows[~rows["seen"] & (rows["modality"] == "Brightfield")]
    assert unseen["experiment"].nunique() == 3
    unseen = unseen.groupby("method")["f1"].mean().drop("cellpose2-truth")
    assert unseen[unseen > unseen["otsu-watershed"]].index.tolist() == ["cellpose2-estimate"]
    one = rows[rows["method"] == "cellpose"]
    dic = one.loc[one["modality"] == "DIC", "experiment"]
    assert dic.value_counts().iloc[0] == len(dic) / 2
    favoured = one["experiment"].str.startswith("scellseg-").sum()
    assert f"The {favoured} images of the experiments" in text


def test_what_is_said_of_bacteria():
    rows = pd.read_csv(ROOT / "reports/bacteria/scores.csv")
    means = rows.pivot_table("f1", "experiment", "method")
    best = means[["cellpose", "cellpose-as-is"]].max(axis=1)
    assert len(means) == 4
    assert (means["omnipose-unchecked"] > best).sum() == 3
    assert ((means["omnipose"] - best) < 0.02).all()


def test_the_spread_that_power_assumes_is_that_of_the_kept_reports():
    found = []
    for report in (BASELINES, FORGETTING):
        frame, _ = scores(report)
        places = [f"{case['modality']} {case['experiment']}" for case in explored(report)["cases"]]
        units = pd.factorize(np.array(places))[0]
        names = [name for name in frame if "truth" not in name]
        found += [
            measure_spread(frame[one] - frame[other], units)
            for one, other in combinations(names, 2)
        ]
    assert len(found) == 56
    assert np.median([spread.sd for spread in found]) == pytest.approx(TYPICAL.sd, abs=0.005)
    correlation = np.median([spread.correlation for spread in found])
    assert correlation == pytest.approx(TYPICAL.correlation, abs=0.005)
    text = document("statistics.md")
    assert f"taken to be {TYPICAL.sd:.2f} and their correlation" in text
    assert f"within an experiment {TYPICAL.correlation:.2f}: medians over 56 pairs" in text


def test_what_the_images_of_the_mini_comparison_can_show(shared):
    assert (shared / "realdata").is_dir()
    table = cellharness.power(ROOT / "configs/mini.yaml", difference=0.1).set_index("modality")
    text = document("statistics.md")
    said = re.search(
        r"can so show a difference of (\S+) over all modalities, and in brightfield, with six "
        r"experiments, one of (\S+); to show one of 0.1 takes about (\d+) experiments",
        text,
    )
    assert said
    assert table.loc["Brightfield", "n_units"] == 6
    assert [float(said[1]), float(said[2])] == pytest.approx(
        table.loc[["All", "Brightfield"], "detectable"].tolist(), abs=0.005
    )
    assert float(said[3]) == pytest.approx(table.loc["All", "units_needed"], abs=5)


def test_what_the_study_of_the_demo_showed():
    text = document("forgetting-study.md")
    rows = pd.read_csv(DEMO / "estimates.csv", keep_default_na=False)
    rows = rows[(rows["protocol"] == "truth") & (rows["threshold"].astype(float) == 0.5)]
    rows = rows[rows["experiment"].isin(["All", ""]) & rows["cases"].isin(["all", ""])]
    for verdict, *where in (
        ("lower", "change of F1", "plain", "All", "unseen"),
        ("lower", "change of F1", "plain", "Fluorescent", "unseen"),
        ("not significant", "change of F1", "plain", "Phase-contrast", "unseen"),
        ("not significant", "change of F1", "plain", "DIC", "unseen"),
        ("higher", "change of F1", "plain", "All", "seen"),
        ("higher", "change of F1", "replay", "All", "seen"),
        ("not significant", "change of F1", "replay", "All", "unseen"),
        ("higher", "change of F1 less that of the reference", "replay", "All", "unseen"),
    ):
        mine = rows
        for name, value in zip(("measure", "subject", "modality", "part"), where, strict=True):
            mine = mine[mine[name] == value]
        (row,) = mine.to_dict("records")
        assert row["verdict"] == verdict, where
        said = with_interval({name: float(row[name]) for name in ("estimate", "low", "high")})
        assert said in text or where[2] in ("Phase-contrast", "DIC"), (where, said)


def test_what_misic_finds_in_real_images():
    rows = pd.read_csv(ROOT / "reports/misic/scores.csv")
    assert len(rows) == 2 * rows["case"].nunique() == 2 * 39
    assert set(rows["profile"]) == {"strict"}
    assert set(rows["threshold"]) == {0.5}
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    def means(some):
        estimated, true = (some.loc[some["method"] == m, "f1"] for m in ("misic", "misic-truth"))
        return f"{estimated.mean():.2f} and {true.mean():.2f}", len(true)

    words = {"Brightfield": "brightfield", "Fluorescent": "fluorescence",
             "Phase-contrast": "phase contrast", "DIC": "DIC"}  # fmt: skip
    for modality, word in words.items():
        said, n = means(rows[rows["modality"] == modality])
        assert re.search(rf"{word} {said} \({n}\b", text), (word, said, n)
    said, n = means(rows[rows["experiment"] == "deepcell-ecoli-microfluidic"])
    assert n == 2
    assert f"of these {said} on the two of bacteria" in text


def test_what_the_small_network_learned():
    rows = pd.read_csv(ROOT / "reports/mediar-style/scores.csv")
    assert len(rows) == 2 * rows["case"].nunique() == 2 * 39
    text = (ROOT / "docs/training.md").read_text(encoding="utf-8")
    for modality, some in rows.groupby("modality"):
        small, classical = (
            some.loc[some["method"] == m, "f1"] for m in ("mediar-style", "otsu-watershed")
        )
        line = f"| {modality} | {len(small)} | {small.mean():.2f} | {classical.mean():.2f} |"
        assert line in text
    epochs = pd.read_csv(ROOT / "reports/mediar-style/epochs.csv")
    assert len(epochs) == 50
    assert epochs["train_loss"].iloc[-5:].mean() < epochs["train_loss"].iloc[-10:-5].mean()
    assert 120 < epochs["seconds"].sum() < 180


def test_which_real_images_are_copies_of_the_challenges(shared):
    text = document("reproducing-the-paper.md")
    rows = pd.read_csv(shared / "realdata-all.csv")
    counts = rows["split"].value_counts()
    assert f"{counts['test']} to test on and {counts['train']} to learn from" in text
    copies = rows.loc[rows["experiment"].str.startswith("neurips-"), "split"].value_counts()
    assert f"Of these, {copies['test']} and {copies['train']} are second-hand" in text


def test_how_many_golden_cases_the_metric_has(shared):
    cases = pd.read_csv(shared / "golden/metric/reference-0.5.csv")
    assert f"{len(cases)} cases equal the official" in document("reproducing-the-paper.md")


def test_what_a_gpu_was_measured_to_do():
    text = " ".join((ROOT / "docs/performance.md").read_text(encoding="utf-8").split())
    rows = pd.read_csv(ROOT / "docs/gpu-reconstruction.csv")
    ours, library = rows["ours_s"], rows["library_s"]
    assert f"beside the GPU took {ours.mean():.3f} s" in text
    assert f"on the GPU {library.mean():.3f} s" in text
    ratios = library / ours
    assert f"{ratios.min():.1f} to {ratios.max():.1f} times as long" in text
    agreement = sorted(rows["f1_at_iou_0.9"])
    assert agreement[2:] == [1.0] * 8
    assert f"eight of the ten images, F1 {agreement[0]:.2f} and {agreement[1]:.2f}" in text
    kept = json.loads((ROOT / "docs/gpu-selftest.json").read_text(encoding="utf-8"))
    parts = {part["part"]: part["measured"] for part in kept["parts"]}
    assert parts["GPU tests"]["passed"] == 10
    cellpose = parts["method cellpose"]
    assert f"took {cellpose['s_per_image']:.3f} s an image" in text
    assert f"of which {cellpose['postprocess_s_per_image']:.3f} were that" in text
    small, large = (parts[f"training cellpose2 {n}"]["crops_per_s"] for n in (1, 2))
    assert f"{8e3 / small:.0f} ms a step of 8 crops and {32e3 / large:.0f} ms of 32" in text
    assert f"are {5e5 / small / 60:.0f} or {5e5 / large / 60:.0f} minutes" in text
    epochs = pd.read_csv(ROOT / "reports/mediar-style/epochs.csv")
    assert f"learned from {192 / epochs['seconds'].median():.0f} crops a second" in text
