"""The report in a real browser: what a reader does, on every page without a network."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from semiseg import methods
from semiseg.report.html import method_pages, pages
from tests.report import studies

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
        # Chromium zooms out of a page that is too wide, and takes a moment to zoom back in on one that fits.
        assert browser.wait(lambda: browser.run("return innerWidth") == 390), browser.run("return innerWidth")
        assert browser.run("return document.documentElement.scrollWidth") <= 390
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("width", [390, 1440])
def test_formulas_are_drawn_and_fit_their_page(browser, report, width, tmp_path):
    """Of all methods, not only of those of the study."""
    folder = tmp_path / "report"
    shutil.copytree(report / "assets", folder / "assets")
    pages.Pages(folder, "made", studies.DATASET, None).write(
        "methods", methods=method_pages.described(set(methods.names())), options=dict.fromkeys(methods.names(), ())
    )
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        browser.driver.get((folder / "methods.html").as_uri())
        assert browser.wait(lambda: browser.run("return innerWidth") == width)
        drawn = browser.run(
            """return [...document.querySelectorAll("math")].map((one) => {
               const own = one.getBoundingClientRect(), room = one.parentElement.getBoundingClientRect();
               return [one.textContent, own.height, own.right - Math.min(room.right, innerWidth)]; });"""
        )
        assert len(drawn) > 80
        assert [one for one in drawn if one[1] < 8 or one[2] > 0.5] == []
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
    assert len(browser.css("svg.chart")) == 3


# ------------------------------------------------------------------------------------------------ state in the address


def choose(element, text):
    next(one for one in element.find_elements("tag name", "option") if one.text == text).click()


def test_back_shows_the_filter_and_the_rows_that_fit_it(browser):
    browser.open("runs.html")
    choice = next(one for one in browser.css(".tools label") if one.text.startswith("Method"))
    choose(choice.find_element("tag name", "select"), "UniMatch")
    assert browser.wait(lambda: set(browser.column("runs", "Method")) == {"UniMatch"})
    shown = browser.column("runs", "Page")
    browser.css("#runs tbody a")[0].click()
    assert browser.wait(lambda: "/runs/" in browser.driver.current_url)
    browser.driver.back()
    assert browser.wait(lambda: browser.column("runs", "Method") == ["UniMatch"] * len(shown))
    assert browser.run("return document.querySelector('.tools select').value") == "UniMatch"


def test_back_shows_the_viewer_as_it_was(browser):
    browser.open("pictures.html")
    press(browser, "n")
    press(browser, "l")
    assert browser.wait(lambda: viewer(browser)["wide"]), "the picture has been read"
    left = viewer(browser)
    browser.css("nav a[href='runs.html']")[0].click()
    assert browser.wait(lambda: browser.driver.current_url.endswith("runs.html"))
    browser.driver.back()
    assert browser.wait(lambda: viewer(browser) == left) and "Image 2 of 3" in left["reason"]


def test_an_address_opens_a_tab_a_search_and_an_order(browser):
    browser.open("index.html")
    address = browser.driver.current_url
    browser.driver.get(f"{address}#labels=24")
    browser.driver.refresh()
    seen = "return [...document.querySelectorAll('.place')].filter((one) => one.checkVisibility()).map((one) => one.id)"
    assert browser.run(seen) == ["labels-24"]
    browser.css("[role=tab]")[2].click()
    assert browser.run(seen) == ["labels-48"] and browser.driver.current_url.endswith("#labels=48")
    browser.open("runs.html")
    browser.driver.get(f"{browser.driver.current_url}#runs.order=5.desc&runs.search=unimatch")
    browser.driver.refresh()
    scores = [float(text) for text in browser.column("runs", "mIoU last") if text != "–"]
    assert scores == sorted(scores, reverse=True) and set(browser.column("runs", "Method")) == {"UniMatch"}


def test_what_is_missing_is_last_in_both_orders(browser):
    browser.open("runs.html")
    for _ in range(2):
        head(browser, "runs", "mIoU last").click()
        column = browser.column("runs", "mIoU last")
        gaps = [place for place, text in enumerate(column) if text == "–"]
        assert gaps and gaps == list(range(len(column) - len(gaps), len(column)))


def test_two_runs_and_only_what_they_differ_in(browser):
    browser.open("compare.html")
    for which, text in (("first", "FixMatch, 12 labels, seed 0"), ("second", "UniMatch, 12 labels, seed 0")):
        choose(browser.css(f"#{which}")[0], text)
    rows = {row.text.split()[0]: row.text for row in browser.css("#differences tbody tr")}
    assert "fixmatch" in rows["method"] and "unimatch" in rows["method"] and "seed" not in rows
    assert "first=" in browser.driver.current_url and "second=" in browser.driver.current_url


def test_print_shows_every_tab_and_cuts_no_table(browser):
    media = "Emulation.setEmulatedMedia"
    browser.open("index.html")
    browser.driver.execute_cdp_cmd(media, {"media": "print"})
    try:
        assert all(one.is_displayed() for one in browser.css(".place")) and not browser.css(".tools")[0].is_displayed()
        cut = "return [...document.querySelectorAll('.dt-layout-table')].map((one) => getComputedStyle(one).overflowX)"
        assert set(browser.run(cut)) == {"visible"}
    finally:
        browser.driver.execute_cdp_cmd(media, {"media": ""})


def test_a_phone_shows_method_score_and_difference_at_once(browser):
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        browser.open("index.html")
        cell = "return document.querySelector('.place td.interval').getBoundingClientRect().right"
        assert browser.run(cell) <= 390
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def viewer(browser) -> dict:
    return browser.run(
        """const at = (id) => document.getElementById(id);
           return {reason: at("reason").textContent, left: at("left").value, right: at("right").value,
                   view: at("view").value, slide: at("slide").value, clip: at("over").style.clipPath,
                   over: at("over").src, under: at("under").src, wide: at("over").naturalWidth};"""
    )


def shown(browser) -> dict:
    """The viewer's state without the size of its picture, which comes later."""
    return {key: value for key, value in viewer(browser).items() if key != "wide"}


def press(browser, key: str) -> dict:
    """The state after a key that changes it; a busy browser takes the key after the driver has returned."""
    before = shown(browser)
    browser.css("body")[0].send_keys(key)
    browser.wait(lambda: shown(browser) != before)
    return viewer(browser)


def test_viewer_with_the_keyboard(browser):
    browser.open("pictures.html")
    assert browser.wait(lambda: "Image 1 of 3" in viewer(browser)["reason"])
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
