"""The rankings in sentences made of their numbers, and what stands under the figures."""

from __future__ import annotations

from cellharness.report.rankings.bubble import MOST_NAMED, points_of
from cellharness.report.rankings.costs import GPU, HOST
from cellharness.report.rankings.figures import ACCURACY, SIDE_BY_SIDE, SIGNIFICANCE, STABILITY
from cellharness.report.rankings.ranked import MAIN, PAPER_SCHEMES, Ranked
from cellharness.report.records import records
from cellharness.report.sensitivity import power_of_run, power_sentence
from cellharness.report.wording import count, f1_at, listing, share_words
from cellharness.statistics import ALL
from cellharness.statistics.estimates import how_tested

_FEW_CASES = 10


def ranking_sentences(ranked: Ranked) -> list[str]:
    """Say who is first, by how many schemes, how surely, and better than whom."""
    table = ranked.groups[ALL].table
    labels = ranked.run.labels
    firsts = list(table.loc[table["rank"] == 1, "method"])
    if len(firsts) > 1:
        names = listing([labels[method] for method in firsts])
        return [f"{names} share the first rank of {len(table)} ({MAIN} by F1)."]
    first = firsts[0]
    ranks = ranked.accuracy.rankings.set_index(["scheme", "method"])["rank"]
    won = [scheme for scheme in PAPER_SCHEMES if ranks[scheme, first] == 1]
    schemes = "all five schemes" if len(won) == len(PAPER_SCHEMES) else listing(won)
    shares = ranked.accuracy.frequencies()
    mine = (shares["scheme"] == MAIN) & (shares["method"] == first) & (shares["rank"] == 1)
    share = float(shares.loc[mine, "share"].sum())
    sentence = (
        f"{labels[first]} ranks first by {schemes}, and in {share_words(share)} of "
        f"{ranked.resampling.samples:,} bootstrap samples of {ranked.drawn} "
        f"({MAIN})."
    )
    return [sentence, _against_others(ranked, first), *_too_few(ranked), *_power(ranked)]


def _against_others(ranked: Ranked, first: str) -> str:
    tests = ranked.groups[ALL].tests
    own = tests[tests["method"] == first]
    better = set(own.loc[own["better"], "other"])
    level = [ranked.run.labels[m] for m in ranked.order if m != first and m not in better]
    row = records(own)[0]
    if row["why_not"]:
        return f"Too few units to show any difference: {row['why_not']}."
    how = f"(mean F1, by {row['unit']}, Holm-corrected over {row['family_size']} pairs, p < 0.05)"
    if not level:
        return f"It is significantly better than every other method {how}."
    if not better:
        return f"It is not significantly better than any other method {how}."
    if len(level) <= 4:
        return f"It is significantly better than all but {listing(level)} {how}."
    return f"It is significantly better than {len(better)} of the {len(own)} others {how}."


def _power(ranked: Ranked) -> list[str]:
    sentence = power_sentence(power_of_run(ranked.run))
    return [sentence] if sentence else []


def _too_few(ranked: Ranked) -> list[str]:
    if ranked.n_cases >= _FEW_CASES:
        return []
    return [f"With {count(ranked.n_cases, 'image')} no ranking is to be relied on."]


def ranking_captions(ranked: Ranked) -> dict[str, tuple[str, str]]:
    """Write the text for those who do not see a figure, and its caption, by figure."""
    run, resampling = ranked.run, ranked.resampling
    f1 = f1_at(run.threshold)
    images = count(ranked.n_cases, "image")
    interval = f"{100 * resampling.confidence:g} %"
    order = (
        f"Methods in the order of their ranking by F1 ({MAIN}); numbers before the panels are "
        "places in it."
    )
    grey = " The best seven are coloured." if len(ranked.order) > 7 else ""
    boxes = (
        f"{f1}, profile {run.profile}, {images}. One dot an image; box, quartiles; thick line, "
        "median; whiskers, last value within 1.5 interquartile ranges. Methods that share no "
        "letter, here or in the table, differ significantly. "
        f"{how_tested(ranked.groups[ALL].tests)}"
    )
    bubbles = _bubble_caption(ranked)
    letters = ("a, ", "b, ") if bubbles else ("", "")
    drawn = ranked.drawn
    samples = f"{resampling.samples:,} bootstrap samples of {drawn}, seed {resampling.seed}"
    return {
        ACCURACY: (
            "Dot and box plot of F1 for each method in the order of the ranking"
            + (", and bubble plot of median F1 against seconds an image" if bubbles else "")
            + "; the numbers stand in the tables",
            f"{order}{grey} {letters[0]}{boxes}" + (f" {letters[1]}{bubbles}" if bubbles else ""),
        ),
        SIGNIFICANCE: (
            "Table of colours of which method is significantly better than which, and blob plot "
            "of the ranks that each method takes in bootstrap samples; the numbers stand in the "
            "tables",
            f"{order} a, Whether the method of the row has a better F1 than that of the column: "
            "p < 0.05 after Holm's correction (blue), or only without it (ochre); grey, not "
            "significant; blank, the column is better. "
            f"{how_tested(ranked.groups[ALL].tests)} Wins, blue cells of the row. b, Ranks in "
            f"{samples}: area, share of the samples; ×, median; line, {interval} interval; dotted, "
            "place of the methods in the full ranking.",
        ),
        STABILITY: (
            "Ranks of each method by five schemes as lines, and distributions of Kendall's tau "
            "between bootstrap rankings and the full one; the numbers stand in the tables",
            "a, Ranks by F1 with the five schemes of the paper; methods of the same rank stand "
            f"beside each other. b, Kendall's τ of the rankings in {samples}, to the ranking on "
            f"all images: violin, or bars where few values occur; ○, median; line, {interval} "
            "interval. Time, warm running time.",
        ),
        SIDE_BY_SIDE: (
            "Table of colours of the ranks by F1 at every threshold, by modality, time and memory; "
            "the numbers stand in the table below",
            f"Ranks by F1 at every threshold on all images, at IoU ≥ {run.threshold:g} in each "
            f"modality, and by time and peaks of memory, all {MAIN}. The darker, the better. –, "
            "never measured of this method.",
        ),
    }


def _bubble_caption(ranked: Ranked) -> str:
    points = points_of(ranked)
    if points.empty:
        return ""
    kinds = set(points["memory_of"])
    if kinds >= {GPU, HOST}:
        memory = (
            "filled, GPU memory (framework's allocator); hollow, host memory of methods that used "
            "no GPU"
        )
    elif GPU in kinds:
        memory = "peak of GPU memory (framework's allocator)"
    elif HOST in kinds:
        memory = "peak of host memory of the process, as no GPU was used"
    else:
        memory = "not shown, as memory was not measured"
    text = (
        "Median F1 against median seconds an image, from reading to writing, the method being "
        f"loaded; area, {memory}."
    )
    if len(points) > MOST_NAMED:
        text += " Numbers, as in a."
    missing = len(ranked.order) - len(points)
    return text + (f" Without a time, and left out: {count(missing, 'method')}." if missing else "")
