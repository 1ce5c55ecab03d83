"""The explorer in a real browser: what it shows, and that mouse, keyboard and thumb can use it.

Expected numbers are read from the run's score table, not from what the page was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from explorer_reader import explore
from run_maker import SIDE, RunMaker

from cellharness.data.images import read_label

pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra 'test'")
from playwright.sync_api import Page, expect, sync_playwright

METHODS = {"alpha": "Alpha <i>net</i> & co", "beta": "Beta watershed", "gamma": "Gamma"}
STATUSES = {("beta", "m1_01"): "timeout", ("beta", "m3_02"): "error", ("alpha", "m2_01"): "empty"}
# Busy machines take their time; what is wrong stays wrong.
expect.set_options(timeout=20_000)
READY = "html[data-ready]"
_DESKTOP = {"width": 1300, "height": 850}
_PHONE = {"width": 375, "height": 720}


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
    place = {"a": 4, "b": 5}[key]
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
        expect(page.locator("#panel-picture img")).to_be_visible()


def test_threshold_slider(page, f1):
    slider = page.locator("#threshold")
    slider.focus()
    page.keyboard.press("End")
    expect(page.locator("#threshold-value")).to_have_text("IoU ≥ 0.9")
    page.keyboard.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", "IoU at least 0.8")
    for row in rows(page):
        assert float(row[4]) == pytest.approx(f1["strict", 0.8, "alpha", case_of(row)], abs=5e-4)


def test_choosing_methods(page, f1):
    page.locator("#method-a").select_option(label="Gamma")
    first = rows(page)[0]
    assert float(first[4]) == pytest.approx(f1["strict", 0.5, "gamma", case_of(first)], abs=5e-4)
    page.get_by_role("button", name="Swap A and B").click()
    assert page.locator("#method-b option:checked").inner_text() == "Gamma"
    page.locator("#wide").check()
    heads = page.locator("#table thead th").all_inner_texts()
    assert [" ".join(head.split()) for head in heads[4:]] == [f"F1 {m}" for m in METHODS.values()]


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
    expect(preview.locator("svg[data-drawn=m0_01] g.layer")).to_have_count(3)
    assert preview.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)")


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
    panel.get_by_label("truth").uncheck()
    expect(panel.locator(".layer.truth")).to_be_hidden()
    expect(panel.locator(".layer.a")).to_be_visible()
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
    expect(page.locator("#panel-picture g.layer")).to_have_count(2)


def test_an_image_without_licence_has_no_picture(page):
    page.get_by_label("Name has").fill("m0_03")
    page.locator("#table tbody tr[data-case]").click()
    expect(page.locator("#panel-picture")).to_contain_text("its licence (none) is not among those")
    assert page.locator("#panel-picture img").count() == 0


def test_gallery(page, f1):
    def shown() -> list[str]:
        return page.locator("#cards .card").evaluate_all("all => all.map(e => e.dataset.case)")

    lowest = f1["strict", 0.5, "alpha"].reset_index().sort_values(["f1", "case"])["case"]
    assert shown() == list(lowest[:12])
    page.locator("#cards .card").first.scroll_into_view_if_needed()
    expect(page.locator("#cards svg[data-drawn]").first).to_be_attached()
    page.get_by_label("where B leads A most").check()
    difference = f1["strict", 0.5, "beta"] - f1["strict", 0.5, "alpha"]
    ahead = difference[difference > 0].round(9)
    ordered = ahead.reset_index().sort_values(["f1", "case"], ascending=[False, True])["case"]
    assert shown() == list(ordered[:12])
    page.get_by_label("lowest for A").check()
    page.locator("#more").click()
    assert shown() == list(lowest)
    page.locator("#cards .card").first.click()
    expect(page.locator("#panel-name")).to_have_text(lowest.iloc[0])


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
    "address", ["#a=nobody&t=7&p=x&sort=zzz&case=none&worst=1", "#%E0%A4%A&&="]
)
def test_a_wrong_address_is_no_harm(browser, run, address):
    for page in opened(browser, run, address):
        assert points(page) == 24


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
    path = page.locator("#panel-picture .layer.truth path.line")
    drawn = path.get_attribute("d")
    assert page.locator("#panel-picture .view svg").get_attribute("viewBox") == f"0 0 {SIDE} {SIDE}"
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
