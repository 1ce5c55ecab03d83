"""The explorer in a real browser: what it shows, and that mouse, keyboard and thumb can use it.

Expected numbers are read from the run's score table, not from what the page was given.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from explorer_reader import explore
from PIL import Image
from run_maker import SIDE, RunMaker

from cellharness.data.images import read_label
from cellharness.report.outlines import STYLES

pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra 'test'")
from playwright.sync_api import Page, expect, sync_playwright

METHODS = {"alpha": "Alpha <i>net</i> & co", "beta": "Beta watershed", "gamma": "Gamma"}
STATUSES = {("beta", "m1_01"): "timeout", ("beta", "m3_02"): "error", ("alpha", "m2_01"): "empty"}
# Busy machines take their time; what is wrong stays wrong.
expect.set_options(timeout=20_000)
READY = "html[data-ready]"
_DESKTOP = {"width": 1300, "height": 850}
_PHONE = {"width": 390, "height": 760}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    made = RunMaker(tmp_path_factory.mktemp("browser"))(
        methods=METHODS,
        statuses=STATUSES,
        licences=("CC0", "CC0", "CC0", "none"),
        report={"panel_licences": ["^CC0"]},
    )
    explore(made)
    return made


@pytest.fixture(scope="module")
def f1(run) -> pd.Series:
    scores = pd.read_csv(run / "scores.csv")
    return scores.set_index(["profile", "threshold", "method", "case"])["f1"].sort_index()


@pytest.fixture(scope="module")
def browser(chromium):
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


def opened(browser, run: Path, address: str = "", **options) -> Iterator[Page]:
    """Open the page; at the end it must have said nothing and asked for nothing elsewhere."""
    context = browser.new_context(**{"viewport": _DESKTOP, **options})
    page = context.new_page()
    page.set_default_timeout(20_000)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    # A picture that is replaced while it loads is given up, which is no failure.
    page.on(
        "requestfailed", lambda r: r.failure == "net::ERR_ABORTED" or said.append(f"no {r.url}")
    )
    page.on("request", lambda r: r.url.startswith(("file:", "data:")) or said.append(r.url))
    page.goto((run / "report/explore.html").as_uri() + address)
    page.wait_for_selector(READY)
    yield page
    heard = list(said)
    context.close()
    assert heard == []


@pytest.fixture
def page(browser, run) -> Iterator[Page]:
    yield from opened(browser, run)


@pytest.fixture
def phone(browser, run) -> Iterator[Page]:
    yield from opened(browser, run, viewport=_PHONE, has_touch=True, is_mobile=True)


def rows(page: Page) -> list[list[str]]:
    found = page.locator("#table tbody tr[data-case]")
    return [row.locator("th, td").all_inner_texts() for row in found.all()]


def case_of(row: list[str]) -> str:
    return row[0]


def sort_by(page: Page, key: str) -> None:
    page.locator(f'#table thead button[data-key="{key}"]').click()


def points(page: Page) -> int:
    return page.locator("#scatter .points path").count()


def test_it_shows_every_image(page):
    expect(page.locator("#shown")).to_have_text("24 of 24 images")
    assert points(page) == 24
    assert int(page.locator("#table").get_attribute("aria-rowcount")) == 25
    assert page.locator("#method-a option").all_inner_texts() == list(METHODS.values())


def test_points_lie_at_their_scores(page, f1):
    def centre(case: str) -> tuple[float, float]:
        label = page.locator(f'#scatter .points path[aria-label^="{case},"]')
        x, y = re.match(
            r"translate\(([\d.]+) ([\d.]+)\)", label.get_attribute("transform")
        ).groups()
        return float(x), float(y)

    cases = [f"m0_{i:02d}" for i in range(6)]
    at = np.array([centre(case) for case in cases])
    for axis, method in enumerate(("alpha", "beta")):
        expected = np.array([f1["strict", 0.5, method, case] for case in cases])
        slope, offset = np.polyfit(expected, at[:, axis], 1)
        assert slope > 100 if axis == 0 else slope < -100
        np.testing.assert_allclose(slope * expected + offset, at[:, axis], atol=0.2)


@pytest.mark.parametrize(("key", "method"), [("a", "alpha"), ("b", "beta")])
def test_sorting_by_a_score(page, f1, key, method):
    place = {"a": 5, "b": 6}[key]
    sort_by(page, key)
    header = page.locator(f'#table thead th:has(button[data-key="{key}"])')
    expect(header).to_have_attribute("aria-sort", "descending")
    shown = [float(row[place]) for row in rows(page)]
    assert shown == sorted(shown, reverse=True)
    assert shown[0] == pytest.approx(f1["strict", 0.5, method].max(), abs=5e-4)
    sort_by(page, key)
    expect(header).to_have_attribute("aria-sort", "ascending")
    shown = [(float(row[place]), case_of(row)) for row in rows(page)]
    assert shown == sorted(shown)
    for value, case in shown:
        assert value == pytest.approx(f1["strict", 0.5, method, case], abs=5e-4)


def test_sorting_by_a_name(page):
    sort_by(page, "modality")
    assert {row[1] for row in rows(page)[:6]} == {"Brightfield"}
    sort_by(page, "modality")
    assert rows(page)[0][1] == "Phase-contrast"


def test_left_out_images_stand_last_and_are_counted(page):
    page.get_by_label("challenge", exact=True).check()
    sort_by(page, "b")
    page.locator("#table-box").evaluate("box => { box.scrollTop = box.scrollHeight; }")
    expect(page.locator("#table tbody tr[data-case]").last).to_contain_text("left out")
    assert {case_of(row) for row in rows(page)[-2:]} == {"m1_01", "m3_02"}
    expect(page.locator("#summary")).to_contain_text("Left out")
    expect(page.locator("#summary")).to_contain_text("n = 22")
    assert points(page) == 24, "they stand in the margin of the plot"
    assert page.locator("#scatter .points path.failed").count() == 2


def test_the_mean_difference_is_that_of_the_table(page, f1):
    difference = (f1["strict", 0.5, "beta"] - f1["strict", 0.5, "alpha"]).mean()
    text = page.locator("#summary dd").last.inner_text().replace("−", "-").split()[0]
    assert float(text) == pytest.approx(difference, abs=5e-4)
    tested = page.locator("#test").inner_text()
    assert tested.startswith("Mean difference: ")
    assert "sign-flip and skewness-adjusted t test" in tested


def test_filters(page):
    page.locator("#modalities label", has_text="DIC").locator("input").uncheck()
    expect(page.locator("#shown")).to_contain_text("18 of 24 images")
    assert points(page) == 18
    page.locator("#experiment-choice summary").click()
    page.get_by_role("button", name="None", exact=True).click()
    expect(page.locator("#shown")).to_contain_text("0 of 24 images")
    expect(page.locator("#nothing")).to_be_visible()
    expect(page.locator("#summary")).to_be_hidden()
    expect(page.locator("#csv")).to_be_disabled()
    expect(page.locator("#no-rows")).to_be_visible()
    expect(page.locator("#no-cards")).to_be_visible()
    page.locator("#experiments label", has_text="exp-1-seen").locator("input").check()
    expect(page.locator("#shown")).to_contain_text("3 of 24 images")
    assert {row[2] for row in rows(page)} == {"exp-1-seen"}
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator("#shown")).to_have_text("24 of 24 images")
    for name in ("ok", "empty"):
        page.locator("#statuses label", has_text=re.compile(rf"^\s*{name}\s*$")).locator(
            "input"
        ).uncheck()
    assert {case_of(row) for row in rows(page)} == {"m1_01", "m3_02"}
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_label("Name has").fill("M2_0")
    assert {case_of(row)[:3] for row in rows(page)} == {"m2_"}
    assert len(rows(page)) == 6


def test_one_modality_has_its_own_test_and_other_filters_none(page):
    whole = page.locator("#test").inner_text()
    for name in ("Fluorescent", "Phase-contrast", "DIC"):
        page.locator("#modalities label", has_text=name).locator("input").uncheck()
    one = page.locator("#test").inner_text()
    assert one != whole
    assert "p = " in one or "p < " in one
    page.get_by_label("Name has").fill("m0_00")
    expect(page.locator("#test")).to_contain_text("not under other filters")


def test_a_method_is_not_tested_against_itself(page):
    page.locator("#method-b").select_option(label=METHODS["alpha"])
    expect(page.locator("#test")).to_contain_text("the same method")
    expect(page.locator("#summary")).to_contain_text("Mean difference, B − A")
    assert points(page) == 24
    page.get_by_label("where A leads B most").check()
    expect(page.locator("#no-cards")).to_have_text("A and B are the same method: neither leads.")
    page.locator("#table tbody tr[data-case]").first.click()
    expect(page.locator("#stage .view")).to_have_count(2)


@pytest.mark.parametrize(
    "odd",
    [
        {"methods": {"a": "'\"#&é/"}, "per_modality": 1},
        {"modalities": (None, "DIC"), "per_modality": 1},
        {"statuses": {(m, "m0_00"): "error" for m in ("alpha", "beta")}, "per_modality": 1},
        {"empty_truth": ("m0_00",), "modalities": ("DIC",), "per_modality": 1},
        {"thresholds": (0.5,), "per_modality": 1},
    ],
    ids=["one-method", "unknown-modality", "all-failed", "no-cells", "one-threshold"],
)
def test_odd_runs_have_a_page(browser, tmp_path, odd):
    run = RunMaker(tmp_path)(**odd)
    explore(run)
    for page in opened(browser, run):
        page.locator("#table tbody tr[data-case]").first.click()
        expect(page.locator("#panel-name")).to_have_text("m0_00")
        expect(page.locator("#stage img").first).to_be_visible()


def test_threshold_slider(page, f1):
    slider = page.locator("#threshold")
    slider.focus()
    page.keyboard.press("End")
    expect(page.locator("#threshold-value")).to_have_text("IoU ≥ 0.9")
    page.keyboard.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", "IoU at least 0.8")
    for row in rows(page):
        assert float(row[5]) == pytest.approx(f1["strict", 0.8, "alpha", case_of(row)], abs=5e-4)


def test_choosing_methods(page, f1):
    page.locator("#method-a").select_option(label="Gamma")
    first = rows(page)[0]
    assert float(first[5]) == pytest.approx(f1["strict", 0.5, "gamma", case_of(first)], abs=5e-4)
    page.get_by_role("button", name="Swap A and B").click()
    assert page.locator("#method-b option:checked").inner_text() == "Gamma"
    page.locator("#wide").check()
    heads = page.locator("#table thead th").all_inner_texts()
    assert [" ".join(head.split()) for head in heads[5:]] == [f"F1 {m}" for m in METHODS.values()]


def test_all_methods_over_the_images_that_pass(page, f1):
    def shown() -> dict[str, list[str]]:
        found = page.locator("#methods-table tbody tr")
        return {row.get_attribute("data-method"): row.locator("td").all_inner_texts()[:4]
                for row in found.all()}  # fmt: skip

    for row, values in shown().items():
        scores = f1["strict", 0.5, row]
        assert float(values[0]) == pytest.approx(scores.median(), abs=5e-4)
        assert float(values[1]) == pytest.approx(scores.mean(), abs=5e-4)
        assert values[2:] == ["24", {"beta": "2"}.get(row, "0")]
    medians = [float(values[0]) for values in shown().values()]
    assert medians == sorted(medians, reverse=True)
    page.get_by_role("button", name="Mean F1").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    means = [float(values[1]) for values in shown().values()]
    assert means == sorted(means)
    expect(page.locator('#methods-table th[aria-sort="ascending"]')).to_contain_text("Mean F1")
    page.get_by_label("challenge", exact=True).check()
    page.get_by_label("Name has").fill("m1_")
    part = f1["challenge", 0.5, "beta"].filter(like="m1_").dropna()
    assert shown()["beta"][2:] == ["5", "1"]
    assert float(shown()["beta"][1]) == pytest.approx(part.mean(), abs=5e-4)
    page.locator("#methods-table").get_by_role("button", name="Gamma as B").click()
    assert page.locator("#method-b option:checked").inner_text() == "Gamma"
    expect(page.locator("#methods-table").get_by_role("button", name="Gamma as B")).to_be_focused()


def test_pointing_at_a_point_shows_the_image(page):
    box = page.locator('#scatter .points path[aria-label^="m0_01,"]').bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    preview = page.locator("#preview")
    expect(preview.locator("h3")).to_have_text("m0_01")
    expect(preview.locator("svg[data-drawn=m0_01]")).to_have_count(2)
    expect(preview.locator("[data-pane=b] g.layer.correct")).to_be_visible()
    assert preview.locator("img").first.evaluate(
        "image => image.decode().then(() => image.naturalWidth)"
    )


def test_clicking_a_point_opens_the_image(page, f1):
    box = page.locator('#scatter .points path[aria-label^="m2_02,"]').bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    panel = page.locator("#panel")
    expect(panel).to_be_visible()
    name = panel.locator("#panel-name").inner_text()
    at = page.locator(f'#scatter .points path[aria-label^="{name},"]').get_attribute("transform")
    wanted = page.locator('#scatter .points path[aria-label^="m2_02,"]').get_attribute("transform")
    assert at == wanted, "of points at one place any may be opened"
    lines = panel.locator("#panel-sweep tbody tr")
    assert lines.count() == 5
    values = [float(v) for v in lines.nth(1).locator("td").all_inner_texts()[:2]]
    expected = [f1["strict", 0.6, method, name] for method in ("alpha", "beta")]
    assert values == pytest.approx(expected, abs=5e-4)
    assert panel.locator("#panel-every li").count() == 3
    panel.get_by_role("button", name="Gamma as B").click()
    expect(panel.get_by_role("button", name="Gamma as B")).to_have_attribute("aria-pressed", "true")
    assert page.locator("#method-b option:checked").inner_text() == "Gamma"
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()


def test_a_failed_image_says_why(page):
    page.get_by_label("Name has").fill("m1_01")
    page.locator("#table tbody tr[data-case]").click()
    expect(page.locator("#panel-methods tr.failed")).to_contain_text("timeout")
    expect(page.locator("#panel-methods .message")).to_have_text(
        "ValueError: bad <tile> & 100 % in m1_01"
    )
    expect(page.locator("#stage [data-pane=b] .badge")).to_have_text("no mask: timeout")
    kinds = page.locator("#stage [data-pane=b] g.layer").evaluate_all(
        "all => all.map(e => e.classList[1])"
    )
    assert "missed" in kinds
    assert not {"correct", "wrong", "truth"} & set(kinds)


def test_an_image_without_licence_has_no_picture(page):
    page.get_by_label("Name has").fill("m0_03")
    page.locator("#table tbody tr[data-case]").click()
    expect(page.locator("#stage")).to_contain_text("its licence (none) is not among those")
    assert page.locator("#stage img").count() == 0
    expect(page.locator("#tools")).to_be_hidden()


def test_gallery(page, f1):
    def shown() -> list[str]:
        return page.locator("#cards .card").evaluate_all("all => all.map(e => e.dataset.case)")

    def shown_first(cases: pd.Series) -> list[str]:
        """Put the last of the four licences, which forbids showing, last."""
        return sorted(cases, key=lambda case: case.endswith("3"))

    lowest = f1["strict", 0.5, "alpha"].reset_index().sort_values(["f1", "case"])["case"]
    lowest = shown_first(lowest)
    assert shown() == lowest[:12]
    page.locator("#cards .card").first.scroll_into_view_if_needed()
    expect(page.locator("#cards svg[data-drawn]").first).to_be_attached()
    page.get_by_label("where B leads A most").check()
    difference = f1["strict", 0.5, "beta"] - f1["strict", 0.5, "alpha"]
    ahead = difference[difference > 0].round(9)
    ordered = ahead.reset_index().sort_values(["f1", "case"], ascending=[False, True])["case"]
    assert shown() == shown_first(ordered)[:12]
    page.get_by_label("lowest for A").check()
    page.locator("#more").click()
    assert shown() == lowest
    expect(page.locator("#cards .card").last).to_contain_text("Not shown: licence")
    expect(page.locator("#gallery-notes")).to_contain_text("4 images whose licence does not allow")
    page.locator("#cards .card").first.click()
    expect(page.locator("#panel-name")).to_have_text(lowest[0])


def test_thumbnails_far_below_wait(browser, run):
    for page in opened(browser, run, "#a=alpha&b=beta"):
        loaded = page.evaluate(
            "performance.getEntriesByType('resource').filter(e => /outlines/.test(e.name)).length"
        )
        assert loaded < 12


def test_the_whole_page_by_keyboard(page):
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.locator("#scatter").focus()
    page.keyboard.press("Home")
    first = page.locator("#preview h3").inner_text()
    seen = {first}
    for _ in range(40):
        page.keyboard.press("ArrowRight")
        seen.add(page.locator("#preview h3").inner_text())
    page.keyboard.press("Home")
    for _ in range(40):
        page.keyboard.press("ArrowLeft")
        seen.add(page.locator("#preview h3").inner_text())
    assert len(seen) == 24, "the arrows reach every point"
    page.keyboard.press("Enter")
    name = page.locator("#panel-name")
    opened_first = name.inner_text()
    page.keyboard.press("ArrowRight")
    if name.inner_text() == opened_first:
        page.keyboard.press("ArrowLeft")
    assert name.inner_text() != opened_first
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    expect(page.locator("#scatter")).to_be_focused()
    row = page.locator('#table tbody tr[tabindex="0"]')
    row.focus()
    page.keyboard.press("End")
    expect(page.locator("#table tbody tr:focus")).to_have_attribute("data-case", "m3_05")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(name).to_have_text("m3_04")
    page.keyboard.press("Escape")
    expect(page.locator("#table tbody tr:focus")).to_have_attribute("data-case", "m3_04")


def test_every_control_can_be_reached_and_has_a_name(page):
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('main button, main select, main input')]
        .filter(e => e.checkVisibility() && !(e.getAttribute('aria-label') || e.innerText
            || [...(e.labels || [])].map(l => l.innerText).join('').trim()))
        .map(e => e.outerHTML)"""
    )
    assert nameless == []
    reached = set()
    for _ in range(120):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {
        "method-a",
        "swap",
        "method-b",
        "threshold",
        "text",
        "scatter",
        "more",
        "wide",
        "TR",
    } <= (reached)


def test_the_address_keeps_what_was_chosen(browser, run, page):
    page.locator("#method-b").select_option(label="Gamma")
    page.locator("#threshold").focus()
    page.keyboard.press("End")
    page.locator("#modalities label", has_text="DIC").locator("input").uncheck()
    sort_by(page, "difference")
    page.get_by_label("where A leads B most").check()
    page.wait_for_function("location.hash.includes('worst=a-ahead')")
    address = page.evaluate("location.hash")
    kept = rows(page)
    for again in opened(browser, run, address):
        assert again.locator("#method-b option:checked").inner_text() == "Gamma"
        expect(again.locator("#threshold-value")).to_have_text("IoU ≥ 0.9")
        expect(again.locator("#shown")).to_contain_text("18 of 24 images")
        assert again.get_by_label("where A leads B most").is_checked()
        assert rows(again) == kept


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("#a=nobody&b=beta", "the method “nobody”, which this run does not have; there are alpha"),
        ("#t=7", "the threshold “7”"),
        ("#p=x", "the profile “x”"),
        ("#sort=zzz", "the column “zzz”"),
        ("#case=none", "the image “none”, which this run does not have; there are 24, such as"),
        ("#worst=1", "the order of images “1”"),
        ("#m=Sonar", "the modality “Sonar”"),
        ("#case=m0_00&zoom=900_0_0", "the zoom “900_0_0”"),
        ("#contrast=1_0_1", "the contrast “1_0_1”"),
        ("#%E0%A4%A&&=", ""),
    ],
)
def test_a_wrong_address_is_told(browser, run, address, told):
    for page in opened(browser, run, address):
        assert points(page) == 24
        expect(page.locator("#told")).to_contain_text(told)
        assert page.locator("#told").is_visible() == bool(told)
        if "case=m0" not in address:
            page.get_by_label("Name has").fill("m0_00")
            expect(page.locator("#told")).to_be_hidden()


def test_an_address_can_open_an_image(browser, run):
    for page in opened(browser, run, "#case=m1_02"):
        expect(page.locator("#panel-name")).to_have_text("m1_02")


def test_on_a_phone(phone):
    def fits() -> bool:
        return phone.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

    assert phone.evaluate("window.innerWidth") == _PHONE["width"]
    assert fits()
    assert not phone.locator("#modalities").is_visible(), "the filters are folded"
    phone.locator("#filters > summary").click()
    phone.locator("#modalities label", has_text="DIC").tap()
    expect(phone.locator("#shown")).to_contain_text("18 of 24 images")
    point = phone.locator('#scatter .points path[aria-label^="m0_01,"]')
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    phone.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    panel = phone.locator("#panel")
    expect(panel).to_be_visible()
    assert panel.bounding_box()["width"] == pytest.approx(_PHONE["width"], abs=1)
    small = panel.locator("button").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect()).filter(r => r.width < 32 || r.height < 32)"
    )
    assert small == [], "a thumb needs room"
    panel.get_by_role("button", name="Close").tap()
    phone.locator("#cards .card").first.tap()
    expect(panel).to_be_visible()
    assert fits()


def test_outlines_are_drawn_along_the_cells(run, page):
    """Points of a drawn outline lie in the middles of edges between a cell and its surroundings."""
    truth = read_label(run.parent / "data/labels/m0_00_label.tiff").astype(int)
    page.get_by_label("Name has").fill("m0_00")
    page.locator("#table tbody tr[data-case]").click()
    pane = page.locator("#stage [data-pane=truth]")
    expect(pane.locator("svg[data-drawn=m0_00]")).to_be_attached()
    drawn = "".join(path.get_attribute("d") for path in pane.locator("path.stroke").all())
    assert pane.locator("svg").get_attribute("viewBox") == f"0 0 {SIDE} {SIDE}"
    # A cell at the edge of the picture is not drawn along it, which leaves two pieces.
    inner = np.unique(truth[1:-1, 1:-1])
    cut = np.unique(np.r_[truth[0], truth[-1], truth[:, 0], truth[:, -1]])
    assert drawn.count("M") == np.count_nonzero(inner) + np.count_nonzero(cut)
    for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", drawn):
        column, row = float(x), float(y)
        if column % 1:  # the middle of a horizontal edge
            ends = truth[int(row) - 1, int(column)], truth[int(row), int(column)]
        else:
            ends = truth[int(row), int(column) - 1], truth[int(row), int(column)]
        assert ends[0] != ends[1]


def opened_image(page: Page, case: str) -> None:
    page.get_by_label("Name has").fill(case)
    page.locator("#table tbody tr[data-case]").click()
    expect(page.locator(f"#stage svg[data-drawn={case}]")).to_have_count(3)


def sheets(page: Page) -> list[dict[str, float]]:
    """Where the picture lies in each pane, in parts of the pane."""
    return page.locator("#stage .view").evaluate_all(
        """all => all.map(view => {
            const pane = view.getBoundingClientRect();
            const sheet = view.querySelector(".sheet").getBoundingClientRect();
            return {scale: sheet.width / pane.width, left: (sheet.left - pane.left) / pane.width,
                top: (sheet.top - pane.top) / pane.height};
        })"""
    )


def place(page: Page) -> tuple[float, float, float]:
    """Scale, left and top of the picture, which all panes share."""
    first, *others = sheets(page)
    for other in others:
        assert other == pytest.approx(first, abs=5e-3)
    return first["scale"], first["left"], first["top"]


def test_colours_are_those_of_the_panels_and_tell_what_the_score_counts(run, page):
    opened_image(page, "m0_00")
    scores = pd.read_csv(run / "scores.csv").query("profile == 'strict' and case == 'm0_00'")
    scores = scores.set_index(["method", "threshold"])
    for press in (0, 3):
        threshold = (0.5, 0.6, 0.7, 0.8, 0.9)[press]
        page.keyboard.press("Escape")
        page.locator("#threshold").focus()
        for _ in range(press):
            page.keyboard.press("ArrowRight")
        page.locator("#table tbody tr[data-case]").click()
        expect(page.locator("#layers-at")).to_have_text(f"Outlines, IoU ≥ {threshold}")
        for which, method in (("a", "alpha"), ("b", "beta")):
            row = scores.loc[method, threshold]
            figure = page.locator(f"#stage figure:has([data-pane={which}])")
            expect(figure.locator("figcaption")).to_contain_text(
                f"{row['tp']:.0f} correct · {row['fp']:.0f} wrong · {row['fn']:.0f} missed"
            )
    for kind, style in STYLES.items():
        line = page.locator(f"#stage g.layer.{kind} path.stroke")
        if line.count():
            assert line.first.get_attribute("stroke") == style.colour
            dashed = line.first.get_attribute("stroke-dasharray") != "none"
            assert dashed == bool(style.dashes)
        expect(page.locator("#layers")).to_contain_text(style.label)


def test_zooming_moves_all_panes_together(page):
    opened_image(page, "m0_00")
    assert place(page) == pytest.approx((1, 0, 0), abs=5e-3)
    box = page.locator("#stage [data-pane=a]").bounding_box()
    quarter = (box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    page.mouse.move(*quarter)
    page.mouse.wheel(0, -300)
    page.wait_for_function("document.querySelector('#zoom-value').textContent !== '1×'")
    scale, left, top = place(page)
    assert scale == pytest.approx(np.exp(0.6), rel=0.01)
    # What was under the pointer stays there.
    assert (0.25 - left) / scale == pytest.approx(0.25, abs=5e-3)
    assert (0.25 - top) / scale == pytest.approx(0.25, abs=5e-3)
    page.mouse.down()
    page.mouse.move(quarter[0] - box["width"] / 4, quarter[1], steps=4)
    page.mouse.up()
    assert place(page) == pytest.approx((scale, left - 0.25, top), abs=0.01)
    page.mouse.wheel(0, 5000)
    page.mouse.wheel(0, 5000)
    page.wait_for_function("document.querySelector('#zoom-value').textContent === '1×'")
    assert place(page) == pytest.approx((1, 0, 0), abs=5e-3)
    page.locator("#stage [data-pane=truth]").dblclick()
    assert place(page)[0] == pytest.approx(2, abs=0.01)
    page.get_by_role("button", name="Zoom in").click()
    assert place(page)[0] == pytest.approx(3, abs=0.02)
    page.get_by_role("button", name="Whole").click()
    expect(page.get_by_role("button", name="Zoom out")).to_be_disabled()


def test_keys_of_an_opened_image(page):
    page.get_by_label("Name has").fill("m0_0")
    page.locator("#table tbody tr[data-case]").first.click()
    name = page.locator("#panel-name")
    expect(name).to_have_text("m0_00")
    expect(page.locator("#stage")).to_be_focused()
    for _ in range(2):
        page.keyboard.press("+")
    assert place(page)[0] == pytest.approx(2.25, abs=0.01)
    before = place(page)
    page.keyboard.press("ArrowRight")
    expect(name).to_have_text("m0_00")
    assert place(page)[1] == pytest.approx(before[1] - 0.2, abs=0.01)
    page.keyboard.press("n")
    expect(name).to_have_text("m0_01")
    assert place(page)[0] == pytest.approx(1, abs=5e-3), "the next image is seen whole"
    page.keyboard.press("p")
    page.keyboard.press("ArrowRight")
    expect(name).to_have_text("m0_01")
    page.keyboard.press("=")
    page.keyboard.press("-")
    page.keyboard.press("+")
    page.keyboard.press("0")
    expect(page.locator("#zoom-value")).to_have_text("1×")
    expect(page.locator("#stage svg[data-drawn=m0_01]")).to_have_count(3)
    letters = {"t": "truth", "c": "correct", "w": "wrong", "m": "missed", "b": "excluded"}
    for key, kind in letters.items():
        box = page.locator(f"#layer-{kind}")
        lines = page.locator(f"#stage g.layer.{kind}")
        expect(box).to_be_checked()
        page.keyboard.press(key)
        expect(box).not_to_be_checked()
        for line in lines.all():
            expect(line).to_be_hidden()
        page.keyboard.press(key)
        expect(box).to_be_checked()
    other = page.locator("#stage [data-pane=a] g.layer.other")
    expect(other).to_be_hidden()
    page.keyboard.press("o")
    expect(other).to_be_visible()


def test_brightness(page):
    def middle() -> float:
        shot = page.locator("#stage [data-pane=truth]").screenshot()
        return float(np.asarray(Image.open(io.BytesIO(shot)).convert("L"), float).mean())

    opened_image(page, "m0_00")
    page.keyboard.press("t")
    plain = middle()
    slider = page.locator("#contrast-gamma")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.locator("#contrast-gamma-value")).to_have_text("0.25")
    brighter = middle()
    page.keyboard.press("End")
    darker = middle()
    assert darker < plain - 5 < plain + 5 < brighter
    page.get_by_label("White").focus()
    page.keyboard.press("Home")
    low, high = (float(page.locator(f"#contrast-{end}").input_value()) for end in ("low", "high"))
    assert low < high
    page.get_by_role("button", name="Reset").click()
    assert middle() == pytest.approx(plain, abs=0.5)
    expect(page.locator("#contrast-gamma-value")).to_have_text("1.00")


def test_back_undoes_the_last_choice_and_forward_takes_it_again(page):
    page.locator("#method-b").select_option(label="Gamma")
    page.locator("#modalities label", has_text="DIC").locator("input").uncheck()
    page.get_by_label("Name has").press_sequentially("m0_0")
    page.get_by_label("Name has").blur()
    sort_by(page, "a")
    page.locator("#table tbody tr[data-case]").first.click()
    name = page.locator("#panel-name")
    first = name.inner_text()
    page.keyboard.press("+")
    page.keyboard.press("n")
    second = name.inner_text()
    assert second != first
    page.go_back()
    expect(name).to_have_text(first)
    expect(page.locator("#zoom-value")).to_have_text("1.5×")
    page.go_back()
    expect(page.locator("#panel")).to_be_hidden()
    page.go_back()
    assert [case_of(row) for row in rows(page)] == sorted(case_of(row) for row in rows(page))
    page.go_back()
    expect(page.get_by_label("Name has")).to_have_value("")
    expect(page.locator("#shown")).to_contain_text("18 of 24 images")
    page.go_back()
    expect(page.locator("#shown")).to_have_text("24 of 24 images")
    assert page.locator("#method-b option:checked").inner_text() == "Gamma"
    page.go_back()
    assert page.locator("#method-b option:checked").inner_text() == METHODS["beta"]
    for _ in range(6):
        page.go_forward()
    expect(name).to_have_text(second)
    expect(page.locator("#shown")).to_contain_text("6 of 24 images")


def test_closing_leaves_one_step_and_links_of_the_page_keep_the_address(page):
    steps = page.evaluate("history.length")
    page.locator("#table tbody tr[data-case]").first.click()
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    # A dialog tells that it closed a moment after it is hidden.
    page.wait_for_function("n => history.length === n", arg=steps + 2)
    address = page.evaluate("location.hash")
    page.get_by_role("link", name="All images").click()
    expect(page.locator("#images")).to_be_focused()
    assert page.evaluate("location.hash") == address
    page.go_back()
    expect(page.locator("#panel")).to_be_visible()
    page.go_back()
    expect(page.locator("#panel")).to_be_hidden()


def test_an_address_restores_zoom_brightness_and_layers(browser, run, page):
    opened_image(page, "m1_02")
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("w")
    page.locator("#contrast-low").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("location.hash.includes('contrast')")
    address, kept = page.evaluate("location.hash"), place(page)
    for again in opened(browser, run, address):
        expect(again.locator("#panel-name")).to_have_text("m1_02")
        expect(again.locator("#stage svg[data-drawn=m1_02]")).to_have_count(3)
        assert place(again) == pytest.approx(kept, abs=5e-3)
        expect(again.locator("#layer-wrong")).not_to_be_checked()
        expect(again.locator("#contrast-low-value")).to_have_text("1 %")
        assert again.evaluate("location.hash") == address


def test_an_address_of_before_still_works(browser, run):
    """As they were written before there were zoom and layers."""
    address = "#a=gamma&b=alpha&t=0.7&p=challenge&m=DIC&m=Brightfield&q=m&sort=b.down&worst=low-b"
    for page in opened(browser, run, address + "&methods=mean&columns=all&case=m3_01"):
        expect(page.locator("#panel-name")).to_have_text("m3_01")
        expect(page.locator("#told")).to_be_hidden()
        page.keyboard.press("Escape")
        expect(page.locator("#shown")).to_contain_text("12 of 24 images")
        expect(page.locator("#threshold-value")).to_have_text("IoU ≥ 0.7")
        assert page.locator("#method-a option:checked").inner_text() == "Gamma"
        assert page.get_by_label("challenge", exact=True).is_checked()
        assert page.get_by_label("lowest for B").is_checked()
        assert page.locator("#wide").is_checked()


def downloaded(page: Page) -> list[dict[str, str]]:
    with page.expect_download() as waiting:
        page.locator("#csv").click()
    assert waiting.value.suggested_filename == "images.csv"
    with Path(waiting.value.path()).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_of_the_filtered_table(page, f1):
    page.get_by_label("challenge", exact=True).check()
    page.get_by_label("Name has").fill("m1_")
    sort_by(page, "b")
    expect(page.locator("#csv")).to_have_text("Download 6 rows as csv")
    table = downloaded(page)
    assert [row["case"] for row in table] == [case_of(row) for row in rows(page)]
    for row in table:
        assert (row["profile"], row["threshold"]) == ("challenge", "0.5")
        assert row["modality"] == "Fluorescent"
        assert row["seen"] == ("yes" if int(row["case"][-1]) % 2 == 0 else "no")
        for which, method in (("a", "alpha"), ("b", "beta")):
            value = f1["challenge", 0.5, method, row["case"]]
            text = row[f"f1_{which}_{method}"]
            assert (text == "") if np.isnan(value) else float(text) == pytest.approx(value, 1e-6)
    assert {row["case"]: row["status_b_beta"] for row in table}["m1_01"] == "timeout"
    page.locator("#wide").check()
    assert {"f1_alpha", "f1_beta", "f1_gamma"} < set(downloaded(page)[0])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_by_day_and_by_night(browser, run, scheme):
    for page in opened(browser, run, "#case=m0_00", color_scheme=scheme):
        found = page.evaluate(
            """() => {
                const light = (text) => {
                    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((v) => {
                        const c = v / 255;
                        return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
                    });
                    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
                };
                const behind = (node) => {
                    for (let at = node; at; at = at.parentElement) {
                        const colour = getComputedStyle(at).backgroundColor;
                        if (!/, 0\\)$|transparent/.test(colour)) return colour;
                    }
                    return "rgb(255, 255, 255)";
                };
                const texts = "#panel h2, #panel dd, #panel td, #panel th, #panel label, "
                    + "#panel legend, #panel figcaption, #panel small, #panel button:enabled, "
                    + "#shown, #summary b, #methods-table th, #table td, .note, #help dd";
                return [...document.querySelectorAll(texts)].filter((e) => e.textContent.trim())
                    .map((e) => {
                        const pair = [light(getComputedStyle(e).color), light(behind(e))];
                        const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
                        return [ratio, e.outerHTML.slice(0, 80)];
                    }).filter(([ratio]) => ratio < 4.5);
            }"""
        )
        assert found == []
        page_light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (page_light == "rgb(255, 255, 255)") == (scheme == "light")


def test_a_pinch_zooms_and_one_finger_scrolls_until_then(phone):
    phone.locator("#cards .card").first.tap()
    pane = phone.locator("#stage [data-pane=a]")
    expect(pane.locator("svg[data-drawn]")).to_be_attached()
    assert pane.evaluate("e => getComputedStyle(e).touchAction") == "pan-y"
    pane.evaluate(
        """view => {
            const box = view.getBoundingClientRect();
            const send = (type, id, x, y) => view.dispatchEvent(new PointerEvent(type, {
                pointerId: id, pointerType: "touch", bubbles: true,
                clientX: box.left + x * box.width, clientY: box.top + y * box.height}));
            view.setPointerCapture = () => {};
            send("pointerdown", 1, 0.4, 0.5);
            send("pointerdown", 2, 0.6, 0.5);
            send("pointermove", 1, 0.2, 0.5);
            send("pointermove", 2, 0.8, 0.5);
            send("pointerup", 1, 0.2, 0.5);
            send("pointerup", 2, 0.8, 0.5);
        }"""
    )
    assert place(phone)[0] == pytest.approx(3, abs=0.05)
    assert pane.evaluate("e => getComputedStyle(e).touchAction") == "none"
    assert phone.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    wide = phone.locator("#panel-body").evaluate("e => e.scrollWidth - e.clientWidth")
    assert wide <= 0


def test_what_a_method_had_met_is_told_in_table_and_panel(page):
    expect(page.locator("#table thead")).to_contain_text("Had met")
    opened_image(page, "m1_01")
    expect(page.locator("#panel-methods .met").first).to_have_text(
        "had met its data set: Omnipose images"
    )
