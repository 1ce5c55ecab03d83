"""Sorting the leaderboard, and the page on a dark screen, in a real browser."""

from __future__ import annotations

import pytest
from run_maker import RunMaker

from cellharness.report import build_report


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    run = RunMaker(tmp_path_factory.mktemp("sorted"))(
        methods={"a": "Alpha", "b": "Beta", "c": "Gamma"},
        modalities=("Brightfield", "DIC"), per_modality=2, thresholds=(0.5,),
    )  # fmt: skip
    return build_report(run).as_uri()


@pytest.fixture(scope="module")
def browser(chromium):
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


def column(page, number):
    cells = page.locator(f"#table-leaderboard tbody tr:not(.block) > :nth-child({number})")
    return [text.split("\n")[0] for text in cells.all_inner_texts()]


def test_rows_sort_by_a_click_and_back_by_a_second(browser, address):
    page = browser.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    head = page.locator("#table-leaderboard thead th").nth(2)
    head.locator("button").click()
    values = [float(text) for text in column(page, 3)]
    assert values == sorted(values, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    head.locator("button").press("Enter")
    assert [float(text) for text in column(page, 3)] == sorted(values)
    page.locator("#table-leaderboard thead th").nth(0).locator("button").click()
    assert column(page, 1) == ["Alpha", "Beta", "Gamma"]
    assert head.get_attribute("aria-sort") is None
    assert errors == []
    page.close()


@pytest.mark.parametrize("width", [390, 1400])
def test_text_can_be_read_on_a_dark_screen_and_nothing_is_wider_than_it(browser, address, width):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark")
    page.goto(address)
    found = page.evaluate(
        """() => {
            const style = (node) => getComputedStyle(node);
            const parts = (colour) => colour.match(/[\\d.]+/g).slice(0, 3);
            const light = (colour) => parts(colour).reduce((a, b) => a + +b, 0);
            return {
                page: light(style(document.body).backgroundColor),
                text: light(style(document.querySelector("#table-leaderboard td")).color),
                figure: light(style(document.querySelector(".plot .paper")).backgroundColor),
                wide: document.documentElement.scrollWidth,
            };
        }"""
    )
    assert found["page"] < 120
    assert found["text"] > 550
    assert found["figure"] == 3 * 255
    assert found["wide"] <= width
    page.close()


def test_a_link_of_the_contents_leads_to_its_section_though_those_above_were_not_laid_out(
    browser, address
):
    page = browser.new_page(viewport={"width": 1400, "height": 500})
    page.goto(address)
    last = page.locator("main section[id]").last.get_attribute("id")
    for name in ("ranking", "cost", last):
        page.locator(f"nav a[href='#{name}']").click()
        page.wait_for_timeout(300)
        place = page.locator(f"#{name}").bounding_box()
        at_end = page.evaluate("innerHeight + scrollY >= document.documentElement.scrollHeight - 4")
        assert 0 <= place["y"] < 60 or at_end, (name, place)
        assert page.locator("nav [aria-current]").get_attribute("href") == f"#{name}"
    page.close()
