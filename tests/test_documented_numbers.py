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
OTHER_DIRECTION = ROOT / "reports/mini-forgetting-fluorescence"
AGAIN = ROOT / "reports/mini-forgetting-again"
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


def verdicts(frame):
    return set(frame["verdict"])


def main_protocol(report, name, **where):
    return table(report, name, protocol="truth", **where)


def test_what_plain_fine_tuning_changed():
    text = document("forgetting.md")
    rows = main_protocol(FORGETTING, "change", remedy="plain", stage=12, seen="unseen")
    by = rows[rows["level"] != "experiment"].set_index("modality")["verdict"]
    assert by[["All", "Fluorescent", "Phase-contrast"]].tolist() == ["lower"] * 3
    assert by[["Brightfield", "DIC"]].tolist() == ["too few units"] * 2
    seen = main_protocol(
        FORGETTING, "change", remedy="plain", stage=12, level="overall", seen="seen"
    )
    assert (verdicts(seen), number(seen, "n_units")) == ({"not significant"}, 8)
    assert 2 / 2**8 * number(seen, "family_size") > 0.05
    without = main_protocol(
        FORGETTING, "robustness", threshold=0.5, estimand="images", left_out_is="experiment"
    )["loss_alike"].astype(float)
    assert f"the mean loss is between {without.min():.3f} and {without.max():.3f}." in text
    seeds = table(FORGETTING, "seeds", remedy="plain", seen="unseen")["change"].astype(float)
    assert len(seeds) == 2
    assert f"The two trainings differ by {seeds.max() - seeds.min():.3f} in it; they" in text
    rows = table(FORGETTING, "thresholds", remedy="plain", seen="unseen", level="overall")
    assert rows[rows["verdict"] == "lower"]["threshold"].tolist() == [0.5, 0.55, 0.6, 0.65]
    gain = number(seen, "estimate")
    assert f"On seen experiments the mean rises by {gain:.3f}, of which two" in text
    rows = main_protocol(FORGETTING, "change_by_experiment", remedy="plain", stage=12, seen="seen")
    rows = rows.astype({"estimate": float, "n_images": int})
    two = rows[rows["experiment"].isin(["neurips-wbc-smear-lowmag", "neurips-wbc-smear"])]
    parts = ((each["estimate"] * each["n_images"]).sum() for each in (two, rows))
    assert 0.5 < next(parts) / next(parts) < 1
    rows = main_protocol(FORGETTING, "curves", modality="All", seen="unseen")
    rows = rows[rows["stage"] != 0]
    holds_0 = (rows["change_low"].astype(float) < 0) & (rows["change_high"].astype(float) > 0)
    assert holds_0[rows["stage"].isin([1, 2])].all()
    assert holds_0[rows["remedy"] == "replay"].all()
    known = table(FORGETTING, "exposure", seen="data set", method="pre-trained.truth")
    assert known["experiment"].nunique() == 6
    assert known["experiment"].str.startswith("scellseg-").all()
    rows = table(FORGETTING, "decomposition", measure="loss, both alike", remedy="plain")
    rows = rows[(rows["modality"] == "All") & (rows["estimand"] == "modalities")]
    rows = rows[rows["seen"] == "unseen"]
    equal = {row["protocol"]: row for row in rows.to_dict("records")}
    for name, said in (("truth", "{}, not shown"), ("estimate", "{}, shown")):
        row = equal[name]
        assert row["verdict"] == {"truth": "not significant", "estimate": "higher"}[name]
        loss, low, high = (float(row[end]) for end in ("estimate", "low", "high"))
        ends = f"({low:.3f} to {high:.3f})".replace("-", "−")
        assert said.format(f"{loss:.3f} {ends}") in text
    rows = main_protocol(
        FORGETTING, "change_by_experiment", remedy="plain", stage=12, seen="unseen"
    )
    brightfield = rows[rows["modality"] == "Brightfield"].set_index("experiment")["estimate"]
    smear, one, other = (
        float(brightfield[name]) for name in ("dsb2018-grey-smear", "gbm40-he", "tcga-glioma-he")
    )
    assert len(brightfield) == 3
    assert (
        f"one rises by {smear:.3f} (`dsb2018-grey-smear`), one by {one:.3f}, and one falls by "
        f"{-other:.3f}."
    ) in text
    facts = table(FORGETTING, "facts", fact="Diameter, training mean")["value"].item()
    assert facts == "27 px before, 60 px after Plain fine-tuning"
    assert "here 60 px (it was 27 px for the weights before)" in text
    rows = main_protocol(
        FORGETTING, "change_by_experiment", remedy="replay", stage=12, experiment="deepcell-bmdm"
    )
    rows = rows[rows["seen"] == "unseen"]
    assert f"`deepcell-bmdm` (−{-number(rows, 'estimate'):.2f})" in text


def test_what_the_repetition_showed():
    rows = pd.read_csv(AGAIN / "estimates.csv", keep_default_na=False)
    rows = rows[rows["threshold"].astype(float) == 0.5]
    mine = rows[(rows["measure"] == "change of F1") & (rows["protocol"] == "truth")]
    mine = mine[(mine["part"] == "unseen") & mine["experiment"].isin(["All", ""])]
    mine = mine.set_index("modality")
    text = document("forgetting.md")
    for modality, verdict in (
        ("All", "lower"),
        ("Fluorescent", "lower"),
        ("Phase-contrast", "not significant"),
    ):
        row = mine.loc[modality]
        assert row["verdict"] == verdict
        said = with_interval({end: float(row[end]) for end in ("estimate", "low", "high")})
        assert f"{said}, {'shown' if verdict == 'lower' else 'not shown'}" in text
    loss, low, high = (-float(mine.loc["All", end]) for end in ("estimate", "high", "low"))
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"({loss:.2f}, {low:.2f} to {high:.2f}, when it was repeated" in readme
    alike = rows[(rows["measure"] == "loss, both alike") & (rows["part"] == "unseen")]
    alike = alike[(alike["modality"] == "All") & (alike["estimand"] == "modalities")]
    assert verdicts(alike[alike["protocol"].isin(["truth", "estimate"])]) == {"not significant"}
    seeds = pd.read_csv(AGAIN / "seeds.csv")
    one, other = seeds.loc[seeds["seen"] == "unseen", "change"]
    assert f"The two trainings, −{-one:.3f} and −{-other:.3f}, differ by {other - one:.3f}." in text


def test_the_loss_as_published_and_alike():
    rows = table(
        FORGETTING, "decomposition", remedy="plain", seen="unseen", estimand="images"
    ).set_index(["measure", "protocol", "modality"])
    least = rows.loc["difference of the protocols"]["share_low"]
    shown = least[pd.to_numeric(least) > 0.5].index.tolist()
    assert shown == [("truth", "Fluorescent")]
    text = document("forgetting.md")
    alike = rows.loc["loss, both alike"].xs("All", level="modality")["estimate"].astype(float)
    said = f"the weights lost between {alike.min():.2f} and {alike.max():.2f}."
    assert f"{said} By the size model, which a user has, they lost {alike['estimate']:.3f}." in text
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    alike = rows.loc["loss, both alike", "truth", "All"]
    published = rows.loc["apparent loss", "", "All"]
    loss, low, high = (float(alike[name]) for name in ("estimate", "low", "high"))
    assert (
        f"On {alike['n_images']} real images of {alike['n_units']} experiments it had not learned "
        f"from, Cellpose fine-tuned on brightfield and DIC lost {loss:.2f} mean F1 (95 % interval "
        f"{low:.2f} to {high:.2f}) with the true diameter before and after, and "
        f"{float(published['estimate']):.2f} under the published protocol"
    ) in readme


def test_remedies_beside_plain_fine_tuning():
    rows = main_protocol(FORGETTING, "remedies")
    whole = rows[rows["level"] == "overall"]
    assert whole["remedy"].nunique() == 7
    assert verdicts(whole[whole["seen"] == "unseen"]) == {"higher"}
    assert set(whole.loc[whole["seen"] == "seen", "comparable"]) == {False}
    rows = rows[(rows["seen"] == "unseen") & (rows["cases"] == "all")]
    by = rows[rows["level"] == "modality"].set_index(["modality", "remedy"])["verdict"]
    fluorescent = by["Fluorescent"]
    assert set(fluorescent[fluorescent != "higher"].index) == {"distillation", "frozen-encoder"}
    assert set(by["Phase-contrast"]) == {"not significant"}
    rows = main_protocol(FORGETTING, "change", stage=12, modality="Fluorescent", seen="unseen")
    rows = rows[rows["level"] == "modality"].set_index("remedy")
    lower = {"plain", "distillation", "frozen-encoder", "mix-50"}
    assert set(rows.index[rows["verdict"] == "lower"]) == lower
    assert set(rows.loc[[*set(rows.index) - lower], "verdict"]) == {"not significant"}
    mix = {end: float(rows.loc["mix-50", end]) for end in ("estimate", "low", "high")}
    said = with_interval(mix).replace("(", "").replace(")", "").replace(" −", ", −", 1)
    assert f"(the mix {said})" in document("forgetting.md")
    other = main_protocol(OTHER_DIRECTION, "remedies", seen="seen", level="overall", cases="all")
    assert other["comparable"].tolist() == [True]
    other = main_protocol(OTHER_DIRECTION, "remedies", seen="unseen", level="modality", cases="all")
    assert other[other["verdict"] == "higher"]["modality"].tolist() == ["Brightfield"]


def test_the_other_direction_shows_neither_loss_nor_gain():
    text = document("forgetting.md")
    rows = main_protocol(OTHER_DIRECTION, "change", remedy="plain", stage=12)
    rows = rows[rows["level"] != "experiment"]
    assert verdicts(rows) == {"not significant", "too few units"}
    rows = rows.set_index(["seen", "modality"])
    low, brightfield = (-float(rows.loc[("unseen", m), "low"]) for m in ("All", "Brightfield"))
    assert (
        f"a loss above {low:.3f} is unlikely; in brightfield alone up to {brightfield:.3f} is not "
        "excluded."
    ) in text
    before = float(rows.loc[("seen", "All"), "mean_before"])
    assert f"on seen experiments F1 was {before:.2f} before." in text
    published = table(OTHER_DIRECTION, "decomposition", measure="apparent loss", seen="unseen")
    assert verdicts(published) <= {"not significant", "too few units"}


def test_how_long_the_trainings_of_the_studies_took():
    reports = (FORGETTING, OTHER_DIRECTION)
    seconds = pd.concat(table(report, "trainings") for report in reports)["seconds"].astype(float)
    assert (
        f"The {len(seconds)} trainings of both studies of [what fine-tuning forgets]"
        f"(forgetting.md) took {seconds.min():.0f} to {seconds.max():.0f} s each"
    ) in document("performance.md")


def test_sizes_of_the_studies():
    text = document("forgetting.md")
    for report, said in ((FORGETTING, "on {} images of"), (OTHER_DIRECTION, "on {} of **fluor")):
        trained = table(report, "trainings", training="plain")
        assert said.format(int(number(trained, "n_train"))) in text


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
    for report in (BASELINES, FORGETTING, OTHER_DIRECTION):
        frame, _ = scores(report)
        places = [f"{case['modality']} {case['experiment']}" for case in explored(report)["cases"]]
        units = pd.factorize(np.array(places))[0]
        names = [name for name in frame if "truth" not in name]
        found += [
            measure_spread(frame[one] - frame[other], units)
            for one, other in combinations(names, 2)
        ]
    assert len(found) == 58
    assert np.median([spread.sd for spread in found]) == pytest.approx(TYPICAL.sd, abs=0.005)
    correlation = np.median([spread.correlation for spread in found])
    assert correlation == pytest.approx(TYPICAL.correlation, abs=0.005)
    text = document("statistics.md")
    assert f"has a median of {TYPICAL.correlation:.2f} (58 pairs of methods)" in text
    assert f"taken to be {TYPICAL.sd:.2f} and their correlation" in text
    assert f"within an experiment {TYPICAL.correlation:.2f}: medians over 58 pairs" in text


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
    met = rows[rows["cases"] == "without what the remedy met again"]
    rows = rows[rows["experiment"].isin(["All", ""]) & rows["cases"].isin(["all", ""])]
    for verdict, *where in (
        ("lower", "change of F1", "plain", "All", "unseen"),
        ("lower", "change of F1", "plain", "Fluorescent", "unseen"),
        ("not significant", "change of F1", "plain", "Phase-contrast", "unseen"),
        ("not significant", "change of F1", "plain", "DIC", "unseen"),
        ("not significant", "change of F1", "plain", "All", "seen"),
        ("not significant", "change of F1", "replay", "All", "seen"),
        ("higher", "change of F1", "replay", "All", "unseen"),
        ("higher", "change of F1 less that of the reference", "replay", "All", "unseen"),
        ("higher", "change of F1 less that of the reference", "replay", "All", "new"),
    ):
        mine = met if where[-1] == "new" else rows
        where[-1] = where[-1].replace("new", "unseen")
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


def test_what_the_changelog_says_of_training_crops():
    kept = json.loads((ROOT / "docs/benchmarks.json").read_text(encoding="utf-8"))
    rows = {row["what"]: row for test in kept.values() for row in test.get("compared", ())}
    text = " ".join((ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split())
    for what, said in (
        ("a crop of 320 px with the published changes, KIT-GE", "{:.1f} ms in the place of {:.1f}"),
        ("a crop of 256 px, `mediar-style`", "{:.1f} ms of a processor, {:.1f} with its"),
    ):
        assert said.format(1e3 * rows[what]["ours_s"], 1e3 * rows[what]["reference_s"]) in text


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
    assert (
        f"Cellpose takes {cellpose['s_per_image']:.3f} s an image, the library as it is "
        f"{cellpose['times_the_library']:.1f} times as long."
    ) in text
    assert f"now they take {cellpose['postprocess_s_per_image']:.3f}." in text
    assert f"The GPU is busy for {cellpose['utilisation_percent']:.0f} %** of that time" in text
    one, two = (parts[f"training cellpose2 {n}"] for n in (1, 2))
    small, large = one["crops_per_s"], two["crops_per_s"]
    assert f"{small:.0f} crops a second in batches of 8 and {large:.0f} in batches of 32" in text
    ratios = {f"{part['times_the_library']:.1f} times" for part in (one, two)}
    assert ratios == {"3.3 times"}
    assert "3.3 times as many as the library in both" in text
    assert f"are {5e5 / small / 60:.0f} or {5e5 / large / 60:.0f} minutes" in text
    steps = pd.read_csv(ROOT / "docs/gpu-steps.csv").set_index(["training", "batch", "recorded"])
    alone = 1e3 * steps.index.get_level_values("batch") / steps["step_alone_ms"]
    eight, many = (alone["cellpose2", n, "yes"] for n in (8, 32))
    assert f"takes {eight:.0f} and {many:.0f} crops a second" in text
    assert f"keep {100 * small / eight:.0f} and {100 * large / many:.0f} % of" in text
    rates = steps["crops_per_s"]
    published = rates["kit-ge as published", 8, "yes"]
    best = alone["kit-ge as published", 8, "yes"]
    assert f"learns from {published} crops a second; alone it takes {best:.0f}" in text
    assert f"so **{100 * published / best:.0f} % of" in text
    assert f"Of the {steps['step_alone_ms']['kit-ge as published', 8, 'yes']:.1f} ms of" in text
    waits = steps["step_alone_ms"]["cellpose2", 8]
    assert f"{waits['no']:.1f} ms where the GPU needs {waits['yes']:.1f}" in text
    one_by_one, recorded = (list(rates.xs(how, level="recorded")) for how in ("no", "yes"))
    assert "{}, {} and {} crops a second one by one".format(*one_by_one) in text
    assert "and {}, {} and {} recorded".format(*recorded) in text
    plain, repeated = (list(steps["losses"].xs(how, level="recorded")) for how in ("no", "yes"))
    assert plain == repeated
    assert f"from {recorded[0]} and {recorded[1]} to the {small:.0f} and {large:.0f} above" in text
    kernels = pd.read_csv(ROOT / "docs/gpu-kernels.csv")
    norms, biases = (
        kernels.loc[kernels["kernel"].str.contains(word), "ms_a_step"].sum()
        for word in ("batch_norm", "biases")
    )
    assert f"batch norms take {norms:.1f} and" in text
    assert f"summing their gradients {biases:.1f}" in text
    crops = pd.read_csv(ROOT / "docs/gpu-crops.csv")
    kept_open = crops[crops["files"] == "kept open"].set_index("threads")["crops_per_s"]
    assert f"kept open eight made {kept_open[8]:,}" in text
    crops = crops[crops["files"] == "opened for each"].set_index(
        ["crops", "threads", "opencv_threads"]
    )
    spent = crops["processor_ms"]["cellpose2", 16]
    assert f"{spent[16]:.1f} ms of processor time, without {spent[1]:.1f}" in text
    made = crops["crops_per_s"].xs(1, level="opencv_threads")
    mine, theirs = ([made[name, n] for n in (16, 8, 4)] for name in ("cellpose2", "kit-ge"))
    assert "16 made {:,} a second, eight {:,} and four {:,}".format(*mine) in text
    assert "(KIT-GE {}, {}, {})".format(*theirs) in text
    epochs = pd.read_csv(ROOT / "reports/mediar-style/epochs.csv")
    assert f"learned from {192 / epochs['seconds'].median():.0f} crops a second" in text
