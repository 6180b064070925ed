"""The page of predictions in a real browser, with three thousand images."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from semiseg.inference.gallery import Gallery
from tests.browser.conftest import Browser

pytestmark = pytest.mark.browser

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
COUNT, DRAWN = 3000, 20
RIGHT, LEFT, ENTER, ESCAPE = "\ue014", "\ue012", "\ue007", "\ue00c"


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Twenty images that are drawn, and their copies under other names; `weed` is on one in twenty."""
    out = tmp_path_factory.mktemp("gallery")
    gallery = Gallery(out, "a run called <script>", ["soil", "crop", "weed"], [[0, 0, 0], [0, 160, 0], [200, 0, 0]])
    random = np.random.default_rng(0)
    for number in range(DRAWN):
        label = np.zeros((40, 60), np.uint8)
        label[:20] = 1
        label[30:, :10] = 2 if number == 7 else 0
        certainty = np.full((40, 60), 250 - 5 * number, np.uint8)
        gallery.add(f"a#{number:04}", random.integers(0, 256, (40, 60, 3), dtype=np.uint8), label, certainty)
    drawn = list(gallery.entries)
    for number in range(DRAWN, COUNT):
        source = drawn[number % DRAWN]
        name = f"field 1/ä {number:04}"
        for kind, suffix in (("image", "jpg"), ("thumbnail", "jpg"), ("confidence", "jpg"), ("mask", "png")):
            target = gallery.folder / kind / f"{name}.{suffix}"
            target.parent.mkdir(exist_ok=True)
            os.link(gallery.folder / kind / f"{source['name']}.{suffix}", target)
        gallery.entries.append(source | {"name": name})
    gallery.write()
    return out / "gallery"


@pytest.fixture
def page(driver, folder) -> Browser:
    driver.set_window_size(1280, 1000)
    opened = Browser(driver, folder)
    opened.open("index.html")
    return opened


def tiles(page: Browser) -> list[str]:
    return page.run("return [...document.querySelectorAll('main span')].map((one) => one.textContent)")


def certain(page: Browser) -> list[float]:
    return [float(text.split(" · ")[1].split(" %")[0]) for text in tiles(page)]


def press(page: Browser, key: str) -> None:
    page.driver.switch_to.active_element.send_keys(key)


def test_three_thousand_images_are_there_and_only_those_in_sight_are_loaded(page):
    assert len(tiles(page)) == COUNT and page.css("#count")[0].text == "3000 of 3000 images"
    assert page.wait(lambda: page.run("return document.querySelector('main img').naturalWidth")) > 0
    asked = {address for address in page.requested() if "/thumbnail/" in address}
    assert 0 < len(asked) < COUNT / 4
    page.run("scrollTo(0, document.body.scrollHeight)")
    last = "const all = document.querySelectorAll('main img'); return all[all.length - 1].naturalWidth"
    assert page.wait(lambda: page.run(last)) > 0
    assert page.console() == []


def test_the_least_certain_come_first(page):
    shown = certain(page)
    assert shown == sorted(shown) and shown[0] < shown[-1]
    page.css("#order option[value=sure]")[0].click()
    assert page.wait(lambda: certain(page) == sorted(shown, reverse=True))
    page.css("#order option[value=name]")[0].click()
    assert page.wait(lambda: tiles(page)[0].startswith("a#0000"))


def test_filters_by_class_and_name(page):
    next(one for one in page.css("#class option") if one.text == "weed").click()
    assert page.wait(lambda: len(tiles(page)) == COUNT / DRAWN)
    page.css("#search")[0].send_keys("a#")
    assert page.wait(lambda: len(tiles(page)) == 1) and tiles(page)[0].startswith("a#0007")


def test_keys_lead_through_the_images(page):
    press(page, RIGHT)
    press(page, RIGHT)
    press(page, ENTER)
    assert page.wait(lambda: page.run("return document.getElementById('large').open"))
    name = page.css("#name")[0].text
    assert "(2 of 3000," in name
    loaded = "return ['image', 'mask'].every((id) => document.getElementById(id).naturalWidth > 0)"
    assert page.wait(lambda: page.run(loaded))
    press(page, RIGHT)
    assert page.wait(lambda: "(3 of 3000," in page.css("#name")[0].text)
    press(page, LEFT)
    assert page.wait(lambda: page.css("#name")[0].text == name)
    press(page, "o")
    assert page.wait(lambda: page.run("return document.getElementById('mask').hidden"))
    press(page, "c")
    assert page.wait(lambda: not page.run("return document.getElementById('confidence').hidden"))
    assert page.wait(lambda: page.run("return document.getElementById('confidence').naturalWidth > 0"))
    assert [one.text.split()[0] for one in page.css("#shares li")][:2] == ["soil", "crop"]
    press(page, ESCAPE)
    assert page.wait(lambda: not page.run("return document.getElementById('large').open"))
    assert page.console() == []


def test_nothing_comes_from_a_network_and_names_are_text(page):
    page.run("document.querySelector('main button').click()")
    assert {urlsplit(address).scheme for address in page.requested()} <= {"file", "data", "blob"}
    assert page.css("h1")[0].text == "a run called <script>"


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_serious_fault(page, dark, large):
    feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    page.css("#search")[0].send_keys("a#00")  # axe looks at every element
    if large:
        page.run("document.querySelector('main button').click()")
    page.run(AXE)
    found = page.driver.execute_async_script(
        "const done = arguments[0]; axe.run(document).then((result) => done(result.violations.map((one) => "
        "[one.id, one.impact, one.nodes.slice(0, 3).map((node) => node.html + ' ' + node.failureSummary)])));"
    )
    assert [fault for fault in found if fault[1] in ("serious", "critical")] == []


def test_a_phone_scrolls_nothing_sideways(page):
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page.open("index.html")
        assert page.run("return document.documentElement.scrollWidth") <= 390
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
