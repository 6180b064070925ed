"""The report in a real browser: what a reader does, on every page without a network."""

from __future__ import annotations

import csv
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.browser

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
PAGES = ("index", "tables", "plots", "pictures", "runs", "compare", "methods", "numbers", "run")


def path_of(report: Path, page: str) -> str:
    if page != "run":
        return f"{page}.html"
    return next((report / "runs").glob("*unimatch*seed0.html")).relative_to(report).as_posix()


@pytest.mark.parametrize("page", PAGES)
def test_no_console_message_and_no_request_to_the_network(browser, report, page):
    browser.open(path_of(report, page))
    browser.run("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; });")
    loaded = "return [...document.images].every((image) => image.complete && (image.naturalWidth || !image.src))"
    assert browser.wait(lambda: browser.run(loaded)), "every picture is there"
    addresses = browser.requested()
    assert addresses, "the browser's log of requests works"
    assert {urlsplit(address).scheme for address in addresses} <= {"file", "data", "blob"}
    assert browser.console() == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_no_serious_fault(browser, report, page, dark):
    feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.open(path_of(report, page))
    browser.run(AXE)
    found = browser.driver.execute_async_script(
        "const done = arguments[0]; axe.run(document).then((result) => done(result.violations.map((one) => "
        "[one.id, one.impact, one.nodes.slice(0, 3).map((node) => node.html + ' ' + node.failureSummary)])));"
    )
    assert [fault for fault in found if fault[1] in ("serious", "critical")] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_phone_scrolls_no_page_sideways(browser, report, page):
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        browser.open(path_of(report, page))
        assert browser.run("return innerWidth") == 390
        assert browser.run("return document.documentElement.scrollWidth") <= 390
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def head(browser, table, title):
    return next(one for one in browser.css(f"#{table} thead th") if one.get_attribute("data-title") == title)


def figures(browser):
    return [float(text.split()[0]) for text in browser.column("comparison", "mIoU last") if text != "–"]


def test_sorting_goes_by_the_figure_and_not_by_the_text(browser):
    browser.open("tables.html")
    before = figures(browser)
    head(browser, "comparison", "mIoU last").click()
    assert browser.wait(lambda: figures(browser) == sorted(before)) and len(before) > 10
    head(browser, "comparison", "mIoU last").click()
    assert browser.wait(lambda: figures(browser) == sorted(before, reverse=True))
    head(browser, "comparison", "Labels").click()
    size = {"12": 12, "24": 24, "48": 48, "full": 240}
    labels = sorted(browser.column("comparison", "Labels"), key=size.get)
    assert browser.wait(lambda: browser.column("comparison", "Labels") == labels)


def test_sorting_works_with_the_keyboard(browser):
    browser.open("tables.html")
    before = browser.column("comparison", "Method")
    focus = "(arguments[0].querySelector('[role=button]') || arguments[0]).focus()"
    browser.run(focus, head(browser, "comparison", "Method"))
    browser.driver.switch_to.active_element.send_keys("\ue007")
    after = sorted(before, key=str.lower)
    assert after != before and browser.wait(lambda: browser.column("comparison", "Method") == after)


def test_search_and_filters_leave_what_fits(browser):
    browser.open("tables.html")
    everything = browser.column("comparison", "Method")
    browser.css("[aria-labelledby=title-comparison] .tools input[type=search]")[0].send_keys("unimatch")
    assert browser.wait(lambda: set(browser.column("comparison", "Method")) == {"UniMatch"})
    browser.css("[aria-labelledby=title-comparison] .tools input[type=search]")[0].send_keys("\ue003" * 8)
    assert browser.wait(lambda: browser.column("comparison", "Method") == everything)
    state = next(
        one for one in browser.css("[aria-labelledby=title-comparison] .tools label") if one.text.startswith("State")
    )
    choice = state.find_element("tag name", "select")
    next(one for one in choice.find_elements("tag name", "option") if one.text == "partial").click()
    assert browser.wait(lambda: browser.column("comparison", "State") == ["partial"])


def test_the_shown_rows_are_exported_as_csv(browser):
    browser.open("tables.html")
    browser.css("[aria-labelledby=title-comparison] .tools input[type=search]")[0].send_keys("fixmatch")
    browser.css("[aria-labelledby=title-comparison] .tools button")[0].click()
    written = browser.driver.downloads / "comparison-shown.csv"
    assert browser.wait(written.exists)
    rows = list(csv.DictReader(written.read_text().splitlines()))
    assert [row["Method"] for row in rows] == browser.column("comparison", "Method") and rows[0]["mIoU last"]


def test_every_figure_leads_to_its_run(browser):
    browser.open("index.html")
    browser.run("document.querySelector('td.runs a').click()")
    assert "seed 0" in browser.css("h1")[0].text and "/runs/" in browser.driver.current_url
    assert "semiseg train" in browser.css("pre.command")[0].text
    assert len(browser.css("svg.chart")) == 2, "supervised has no pseudo-labels"


def viewer(browser) -> dict:
    return browser.run(
        """const at = (id) => document.getElementById(id);
           return {reason: at("reason").textContent, left: at("left").value, right: at("right").value,
                   view: at("view").value, slide: at("slide").value, clip: at("over").style.clipPath,
                   over: at("over").src, under: at("under").src, wide: at("over").naturalWidth};"""
    )


def press(browser, key: str) -> dict:
    browser.css("body")[0].send_keys(key)
    return viewer(browser)


def test_viewer_with_the_keyboard(browser):
    browser.open("pictures.html")
    first = viewer(browser)
    assert first["left"] == "Supervised" and first["slide"] == "50" and "Image 1 of 3" in first["reason"]
    assert "Image 2 of 3" in press(browser, "n")["reason"]
    assert viewer(browser)["over"] != first["over"]
    assert press(browser, "p")["reason"] == first["reason"]
    assert press(browser, "v")["view"] == "errors" and "errors" in viewer(browser)["under"]
    assert press(browser, "l")["left"] != "Supervised"
    moved = press(browser, "\ue014")  # right arrow
    assert moved["slide"] == "55" and "45%" in moved["clip"]
    assert press(browser, "\ue012")["slide"] == "50"


def test_viewer_with_slider_and_lists(browser):
    browser.open("pictures.html")
    slide = browser.css("#slide")[0]
    slide.send_keys("\ue010")  # End
    assert "inset(0px 0%" in viewer(browser)["clip"]
    left = browser.css("#left")[0]
    next(one for one in left.find_elements("tag name", "option") if one.text == "ground truth").click()
    assert viewer(browser)["over"].endswith("-truth.png")
    assert browser.wait(lambda: viewer(browser)["wide"] > 0)


def test_a_class_called_script_is_text(browser):
    browser.open("pictures.html")
    assert "<script>" in [one.text for one in browser.css(".classes li")]
    assert browser.run("return document.querySelectorAll('main script').length") == 1
